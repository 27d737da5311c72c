"""The mask of a frame: its faces' crops put back, and hair, neck and clothes that go on beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from face_parsing.faces.alignment import widened
from face_parsing.faces.around import REACH, around_table, clothes_of, fill_around
from face_parsing.faces.paste import Look, Square, owners
from face_parsing.labels import LabelSet

MOST_MOVED = 4
"""With so many faces what is around each moves with it; with more the whole frame is parsed every time."""


@dataclass(frozen=True, eq=False)
class ParsedFace:
    """A face of a frame: its number in the clip, the corners (4, 2) of its crop, and the crop's scores (h, w, C)."""

    number: int
    corners: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What goes on beyond the crop of a face in a frame: a mask (H, W) uint8, and the crop's corners (4, 2)."""

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
) -> tuple[np.ndarray, np.ndarray, dict[int, Surroundings]]:
    """The mask (H, W) uint8 of a frame (H, W, 3), whose each pixel is, (H, W) uint16, and what is around each face.

    ``whole`` is the mask (H, W) of the frame as it is. A pixel is of the face of a number, or of none, 0. Of more than
    MOST_MOVED faces it is not told what is around them: it would take too much memory.
    """
    around = around_table(labels)[whole]
    mask, owner = np.zeros_like(whole), owners([face.corners for face in faces], *whole.shape)
    _fill(faces, owner, mask)
    in_crops = owner > 0
    clothes = clothes_of(labels)
    for position, face in enumerate(faces, 1):
        fill_around(photo, Square(widened(face.corners, REACH)), position, mask, around, owner, clothes)
    beyond = {}
    if len(faces) <= MOST_MOVED:
        for position, face in enumerate(faces, 1):
            own = (owner == position) & ~in_crops
            beyond[face.number] = Surroundings(np.where(own, mask, np.uint8(0)), face.corners)
    return mask, _instances(faces, owner, mask), beyond


def compose_moved(
    faces: Sequence[ParsedFace], around: dict[int, Surroundings], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The same of a frame of size (H, W), what is around the faces being that of an earlier one, moved with each."""
    mask = np.zeros(size, np.uint8)
    owner = np.zeros(size, np.uint16)
    for position, face in enumerate(faces, 1):
        moved = around[face.number].moved(face.corners)
        free = moved > 0
        if position > 1:
            free &= owner == 0
        np.copyto(mask, moved, where=free)
        np.copyto(owner, np.uint16(position), where=free)
    crops = owners([face.corners for face in faces], *size)
    _fill(faces, crops, mask)
    np.copyto(owner, crops, where=crops > 0)
    return mask, _instances(faces, owner, mask)


def _fill(faces: Sequence[ParsedFace], owner: np.ndarray, mask: np.ndarray) -> None:
    """Write the classes of the faces' crops into a mask (H, W), by their positions in owner (H, W)."""
    for position, face in enumerate(faces, 1):
        Look(face.corners, face.scores).fill(position, owner, mask)


def _instances(faces: Sequence[ParsedFace], owner: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The number of the face, (H, W) uint16, that each pixel is of, by its position in owner (H, W)."""
    if len(faces) == 1:  # the usual case, done faster
        return (mask > 0) * np.uint16(faces[0].number)
    numbers = np.array([0, *(face.number for face in faces)], np.uint16)
    return np.where(mask > 0, numbers[owner], np.uint16(0))
