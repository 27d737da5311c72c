"""Finding the faces of a photo of any size, however they are turned, with points that are upright.

The detector leans to upright faces: one that lies is missed, one upside down is found with its eyes on the mouth, and
of one that leans the points lean less. So a photo is also looked at turned, and each face is looked at again in its
own crop, until it stands upright there.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

from face_parsing.faces.alignment import crop, quadrangle, roll, side_of, to_photo
from face_parsing.faces.detector import CANDIDATE, OVERLAP, Face, RunDetector, detect

FIRST_SIDE = 320
"""The longer side of a photo at the first look, in pixels: an aligned portrait needs no other."""
MORE_SIDES = (160, 640)
"""At the others: a face may fill the photo, or a tenth of it."""
SEARCHED = 640
"""The longer side to which a large photo is brought before that, once."""
SURE = 0.92
"""From this score on, a face that was found stands upright (of 900 training photos turned by 180 degrees, 3 reach
it); below, the turned copies are looked at as well."""
CLEARLY = 0.02
"""A face lies only if it scores so much more than where it stands: most faces stand."""
LEAST_SCORE = 0.85
"""In their own crops true faces score 0.90 and more, and others 0.60 to 0.83."""
LEAST_SIZE = 16.0
"""The least shorter side of a face's box in pixels of the photo."""
AGAIN, AGAIN_SIDE, AGAIN_MARGIN = 3, 320, 1.5
"""How often a face is looked at again, in a crop of how many pixels, and how much wider than the aligned crop."""
FILLS, FILLS_SCORE = 0.7, 0.88
"""A face whose box is larger than this part of the photo's width and height fills it, and such a score is enough."""
STILL = 2.0
"""Degrees: a face whose roll changes by less stands."""


def find_faces(
    run: RunDetector,
    photo: np.ndarray,
    *,
    least_score: float = LEAST_SCORE,
    least_size: float = LEAST_SIZE,
    seen: list[Face] | None = None,
) -> list[Face]:
    """The faces of a photo (H, W, 3) uint8 RGB, largest first, their points as an upright face has them.

    ``seen`` is what ``first_look`` gave, if somebody had it already.
    """
    small, shrink = shrunk(photo)
    upright = list(first_look(run, small, 1.0) if seen is None else scaled(seen, 1 / shrink))
    upright += [face for side in MORE_SIDES for face in detect(run, small, side, least_score=CANDIDATE)]
    faces: list[Face] = []

    def look_again(candidates: list[Face]) -> None:
        """Each in its own crop, unless its place has a sure one."""
        for face in scaled(candidates, shrink):
            if not any(other.score >= SURE and overlap(face.box, other.box) > OVERLAP for other in faces):
                again = stand_up(run, photo, small, shrink, face)
                faces.extend([] if again is None else [again])

    look_again(best_of(upright))
    if max((face.score for face in faces), default=0.0) < SURE:
        # One place may be seen in several turns, and the wrong one score higher at first: their own crops tell.
        standing, faces = faces, []
        for turns in (1, 2, 3):
            look_again(best_of(_turned(run, small, turns)))
        faces = standing + [face for face in faces if _beats(face, standing)]
    found = [face for face in best_of(faces) if face.score >= least_score and min(face.box[2:]) >= least_size]
    return sorted(found, key=lambda face: -side_of(quadrangle(face.points)))


def _beats(face: Face, standing: list[Face]) -> bool:
    """Whether a face that was found in a turned photo is seen clearly better than those found upright there."""
    there = (other.score for other in standing if overlap(face.box, other.box) > OVERLAP)
    return face.score > max(there, default=0.0) + CLEARLY


def shrunk(photo: np.ndarray) -> tuple[np.ndarray, float]:
    """The photo with a longer side of SEARCHED at most, and how many of its pixels are one there."""
    H, W = photo.shape[:2]
    factor = max(H, W) / SEARCHED
    if factor <= 1:
        return photo, 1.0
    size = max(1, round(W / factor)), max(1, round(H / factor))
    small = Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small), factor


def first_look(run: RunDetector, small: np.ndarray, shrink: float) -> list[Face]:
    """The faces that are seen at FIRST_SIDE, in pixels of the photo that ``shrunk`` made ``small`` of."""
    return scaled(detect(run, small, FIRST_SIDE, least_score=CANDIDATE), shrink)


def scaled(faces: Iterable[Face], factor: float) -> list[Face]:
    """The same faces in a photo that is so many times as large."""
    return [Face(face.box * factor, face.points * factor, face.score) for face in faces]


def _turned(run: RunDetector, small: np.ndarray, turns: int) -> list[Face]:
    """The faces of a photo that was turned by so many times 90 degrees counterclockwise, at their places in it."""
    turned = np.ascontiguousarray(np.rot90(small, turns))
    found = [face for side in (FIRST_SIDE, *MORE_SIDES) for face in detect(run, turned, side, least_score=CANDIDATE)]
    return [turn_back(face, turns, small.shape[0], small.shape[1]) for face in found]


def turn_back(face: Face, turns: int, height: int, width: int) -> Face:
    """A face of a photo of that size before it was turned by so many times 90 degrees counterclockwise."""
    corners = np.stack([face.box[:2], face.box[:2] + face.box[2:]])

    def back(places: np.ndarray) -> np.ndarray:
        x, y = places[:, 0], places[:, 1]
        return np.stack({1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[turns], 1)

    corners = back(corners)
    box = np.concatenate([corners.min(0), corners.max(0) - corners.min(0)])
    return Face(box, back(face.points), face.score)


def best_of(faces: Iterable[Face]) -> list[Face]:
    """The best face of each place, best first: of boxes that overlap much the one with the highest score."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face.box, other.box) <= OVERLAP for other in kept):
            kept.append(face)
    return kept


def overlap(box: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes (4,) x, y, width, height."""
    first = np.maximum(box[:2], other[:2])
    last = np.minimum(box[:2] + box[2:], other[:2] + other[2:])
    common = float(np.clip(last - first, 0, None).prod())
    return common / max(float(box[2:].prod() + other[2:].prod()) - common, 1e-6)


def stand_up(run: RunDetector, photo: np.ndarray, small: np.ndarray, shrink: float, face: Face) -> Face | None:
    """The face as it is seen in its own crop, where it stands upright; None where no face is seen there.

    ``small`` and ``shrink`` are the photo as ``shrunk`` gives it: large faces are looked at there.
    """
    first = face
    # The crop of a face that fills the photo shows no more than the photo does.
    fills = bool((face.box[2:] > FILLS * np.array(photo.shape[1::-1])).all())
    least = FILLS_SCORE if fills else SURE
    for _ in range(AGAIN):
        square = quadrangle(face.points, margin=AGAIN_MARGIN)
        if side_of(square) / shrink >= AGAIN_SIDE:
            view = crop(small, square / shrink, AGAIN_SIDE)
        else:
            view = crop(photo, square, AGAIN_SIDE)
        seen = detect(run, view, AGAIN_SIDE, least_score=CANDIDATE)
        again = _middle_one(seen, AGAIN_SIDE)
        if again is None:
            return first if first.score >= least else None
        points = to_photo(again.points, square, AGAIN_SIDE)
        before, face = face, _placed(again, points, square)
        if abs(_difference(roll(face.points), roll(before.points))) < STILL:
            break
    return first if face.score < first.score and first.score >= least else face


def _middle_one(faces: list[Face], side: int) -> Face | None:
    """The face of a square crop that it was made of: the one in its middle."""
    middle = side / 2

    def away(face: Face) -> float:
        return float(np.hypot(*(face.box[:2] + face.box[2:] / 2 - middle)) / max(face.box[2:].max(), 1))

    nearest = min(faces, key=away, default=None)
    return nearest if nearest is not None and away(nearest) < 0.5 else None


def _placed(face: Face, points: np.ndarray, square: np.ndarray) -> Face:
    """A face of a crop with its points in the photo, and the upright box around its turned one."""
    x, y, width, height = face.box
    corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    center = to_photo(corners.mean(0)[None], square, AGAIN_SIDE)[0]
    scale = side_of(square) / AGAIN_SIDE
    lying = abs(roll(points))
    wide, high = (height, width) if 45 < lying < 135 else (width, height)
    size = np.array([wide, high]) * scale
    return Face(np.concatenate([center - size / 2, size]), points, face.score)


def _difference(angle: float, other: float) -> float:
    """By how many degrees an angle is ahead of another, -180 to 180."""
    return (angle - other + 180) % 360 - 180
