"""The mask of a frame from what the network said of its faces and, now and then, of the whole frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from face_parsing.faces.paste import Look, adopt, owners
from face_parsing.faces.people import REACH


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The mask (H, W) uint8 of a whole frame, and the corners (4, 2) of the one face that it moves with, if any."""

    mask: np.ndarray
    corners: np.ndarray | None

    def moved(self, corners: np.ndarray | None) -> np.ndarray:
        """The mask of a later frame, in which that face's crop has other corners (4, 2)."""
        if self.corners is None or corners is None or np.array_equal(corners, self.corners):
            return self.mask
        place = np.stack([self.corners[1] - self.corners[0], self.corners[3] - self.corners[0]], 1)
        there = np.stack([corners[1] - corners[0], corners[3] - corners[0]], 1)
        turn = place @ np.linalg.inv(there)  # from the later frame's places to the earlier one's
        shift = self.corners[0] - turn @ corners[0]
        image = Image.fromarray(self.mask)
        matrix = (*turn[0], shift[0], *turn[1], shift[1])
        return np.asarray(image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST))


def compose(
    around: np.ndarray, faces: Sequence[tuple[int, np.ndarray, np.ndarray]], *, instances: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A frame's mask (H, W) uint8 and, for ``instances``, whose each pixel is, (H, W) uint16: a face's number, or 0.

    ``around`` is the mask (H, W) of the whole frame, of classes that lie beyond crops. ``faces`` are the number, the
    corners (4, 2) and the scores (h, w, C) of each face.
    """
    mask = around.copy()
    corners = [square for _, square, _ in faces]
    owner = owners(corners, *mask.shape)
    for position, (_, square, scores) in enumerate(faces, 1):
        Look(square, scores).fill(position, owner, mask)
    if not instances:
        return mask, owner
    adopt(corners, mask, owner, reach=REACH)
    numbers = np.array([0, *(number for number, _, _ in faces)], np.uint16)
    return mask, np.where(mask > 0, numbers[owner], np.uint16(0))
