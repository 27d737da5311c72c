"""The mask of a frame: its faces' crops put back, and hair, neck and clothes that go on beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from face_parsing.faces.alignment import widened
from face_parsing.faces.around import REACH, around_table, fill_around
from face_parsing.faces.paste import Look, Square, owners
from face_parsing.labels import LabelSet


@dataclass(frozen=True, eq=False)
class ParsedFace:
    """A face of a frame: its number in the clip, the corners (4, 2) of its crop, and the crop's scores (h, w, C)."""

    number: int
    corners: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What goes on beyond the crop of the one face of a frame: a mask (H, W) uint8, and the crop's corners (4, 2)."""

    mask: np.ndarray
    corners: np.ndarray

    def moved(self, corners: np.ndarray) -> np.ndarray:
        """The mask of a later frame, in which the crop has other corners (4, 2)."""
        if np.array_equal(corners, self.corners):
            return self.mask
        before = np.stack([self.corners[1] - self.corners[0], self.corners[3] - self.corners[0]], 1)
        now = np.stack([corners[1] - corners[0], corners[3] - corners[0]], 1)
        turn = before @ np.linalg.inv(now)  # from the later frame's places to the earlier one's
        shift = self.corners[0] - turn @ corners[0]
        image = Image.fromarray(self.mask)
        matrix = (*turn[0], shift[0], *turn[1], shift[1])
        return np.array(image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST))


def compose(
    photo: np.ndarray, whole: np.ndarray, faces: Sequence[ParsedFace], labels: LabelSet
) -> tuple[np.ndarray, np.ndarray, Surroundings]:
    """The mask (H, W) uint8 of a frame (H, W, 3), whose each pixel is, (H, W) uint16, and what is beyond the crops.

    ``whole`` is the mask (H, W) of the frame as it is. A pixel is of the face of a number, or of none, 0. What is
    beyond is of use where there is one face.
    """
    around = around_table(labels)[whole]
    mask = np.zeros_like(whole)
    owner = owners([face.corners for face in faces], *mask.shape)
    for position, face in enumerate(faces, 1):
        Look(face.corners, face.scores).fill(position, owner, mask)
    in_crops = owner > 0
    for position, face in enumerate(faces, 1):
        fill_around(photo, Square(widened(face.corners, REACH)), position, mask, around, owner)
    numbers = np.array([0, *(face.number for face in faces)], np.uint16)
    owner[mask == 0] = 0
    return mask, numbers[owner], Surroundings(np.where(in_crops, np.uint8(0), mask), faces[0].corners)


def compose_one(face: ParsedFace, around: Surroundings) -> tuple[np.ndarray, np.ndarray]:
    """The same of a frame with one face, whose surroundings are those of an earlier frame, moved with the face."""
    mask = around.moved(face.corners).copy()
    Look(face.corners, face.scores).fill(1, owners([face.corners], *mask.shape), mask)
    return mask, np.where(mask > 0, np.uint16(face.number), np.uint16(0))
