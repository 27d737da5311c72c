"""Finding the faces of a photo of any size, however they are turned, with points that are upright.

The detector leans to upright faces: one that lies is missed, one upside down is found with its eyes on the mouth, and
of one that leans the points lean less. So a photo is also looked at turned, and each face is looked at again in its
own crop, until it stands upright there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from PIL import Image

from face_parsing.faces.alignment import crop, quadrangle, roll, side_of, to_photo
from face_parsing.faces.detector import CANDIDATE, OVERLAP, Face, RunDetector, detect

FIRST_SIDE = 320
"""The longer side of a photo at the first look, in pixels: an aligned portrait needs no other."""
FINE_SIDE = 640
"""At the look for small faces. At 448 pixels 3 of 50 faces of a fortieth of the width are lost."""
COARSE_SIDE, HUGE = 160, 0.6
"""At the look for a face that fills the photo, where the first look is sure of none, or of one of such a part of it."""
TURNED_SIDE, TURNED_SCORE = 224, 0.75
"""At the looks at turned copies of a photo that has a sure face, and the least score that counts there."""
SEARCHED = 640
"""The longer side to which a large photo is brought before that, once."""
SURE = 0.92
"""From this score on, a face that was found stands upright, nearly always (of 100 photos turned by 180 degrees none
is left upside down). A photo without such a face is looked at turned at all sizes, one with it at TURNED_SIDE alone."""
CLEARLY = 0.02
"""A face lies only if it scores so much more than where it stands: most faces stand."""
LEAST_SCORE = 0.85
"""In their own crops true faces score 0.90 and more, and others 0.60 to 0.83."""
LEAST_SIZE = 16.0
"""The least shorter side of a face's box in pixels of the photo."""
AGAIN, AGAIN_SIDE, AGAIN_MARGIN = 3, 256, 1.26
"""How often a face is looked at again, in a crop of how many pixels, and how much wider than the aligned crop. A face
is about 110 pixels wide there; with fewer pixels the points of leaning faces are less exact."""
FILLS, FILLS_SCORE = 0.7, 0.88
"""A face whose box is larger than this part of the photo's width and height fills it, and such a score is enough."""
STILL = 2.0
"""Degrees: a face whose roll changes by less stands."""

Result = TypeVar("Result")


def find_faces(
    run: RunDetector,
    photo: np.ndarray,
    *,
    least_score: float = LEAST_SCORE,
    least_size: float = LEAST_SIZE,
    seen: list[Face] | None = None,
    threads: int = 1,
) -> list[Face]:
    """The faces of a photo (H, W, 3) uint8 RGB, largest first, their points as an upright face has them.

    ``seen`` is what ``first_look`` gave, if somebody had it already. From two ``threads`` on, two looks are taken at
    once, and some that may turn out needless; the faces are the same.
    """
    small, shrink = shrunk(photo)
    tiny: list[list[Face]] | None = None
    with _second_thread(threads > 1) as begin:
        fine = begin(lambda: detect(run, small, FINE_SIDE, least_score=CANDIDATE))
        upright = list(first_look(run, small, 1.0) if seen is None else scaled(seen, 1 / shrink))
        if _may_fill(upright, small):
            upright += detect(run, small, COARSE_SIDE, least_score=CANDIDATE)
        if threads > 1 and any(face.score >= SURE for face in upright):
            tiny = _seen_tiny(run, small)
        upright += fine()
    standing = _look_again(run, photo, small, shrink, best_of(upright))
    lying: list[Face] = []
    # One place may be seen in several turns, and the wrong one score higher at first: their own crops tell.
    for candidates in _seen_turned(run, small, scaled(standing, 1 / shrink), tiny):
        lying += _look_again(run, photo, small, shrink, candidates, lying)
    faces = standing + [face for face in lying if _beats(face, standing, CLEARLY)]
    found = [face for face in best_of(faces) if face.score >= least_score and min(face.box[2:]) >= least_size]
    return sorted(found, key=lambda face: -side_of(quadrangle(face.points)))


@contextmanager
def _second_thread(wanted: bool) -> Iterator[Callable[[Callable[[], Result]], Callable[[], Result]]]:
    """Gives what begins a call in another thread, where one is wanted, and returns what waits for its result."""
    if not wanted:
        yield lambda call: call
        return
    from concurrent.futures import ThreadPoolExecutor  # not at every start: it takes its milliseconds

    with ThreadPoolExecutor(1) as pool:
        yield lambda call: pool.submit(call).result


def _may_fill(first: list[Face], small: np.ndarray) -> bool:
    """Whether a face may fill the photo, by the first look, which has seen these."""
    largest = max((max(face.box[2:]) for face in first if face.score >= LEAST_SCORE), default=0) / max(small.shape)
    return not 0 < largest < HUGE


def _seen_tiny(run: RunDetector, small: np.ndarray) -> list[list[Face]]:
    """The faces that are seen at TURNED_SIDE in each quarter turn of a photo."""
    tiny, shrink = shrunk(small, TURNED_SIDE)
    return [scaled(_turned(run, tiny, turns, (TURNED_SIDE,)), shrink) for turns in (1, 2, 3)]


def _seen_turned(
    run: RunDetector, small: np.ndarray, standing: list[Face], tiny: list[list[Face]] | None
) -> Iterator[list[Face]]:
    """Of each quarter turn of a photo the faces that may lie so; ``standing`` are those that were found upright.

    ``tiny`` is what ``_seen_tiny`` gave, if somebody had it already.
    """
    sure = [face for face in standing if face.score >= SURE]
    if not sure:
        for turns in (1, 2, 3):
            yield best_of(_turned(run, small, turns, (FIRST_SIDE, COARSE_SIDE, FINE_SIDE)))
        return
    for seen in _seen_tiny(run, small) if tiny is None else tiny:
        yield best_of(face for face in seen if face.score >= TURNED_SCORE and _beats(face, sure, 0.0))


def _look_again(
    run: RunDetector,
    photo: np.ndarray,
    small: np.ndarray,
    shrink: float,
    candidates: Iterable[Face],
    known: Sequence[Face] = (),
) -> list[Face]:
    """The candidates, of ``small``, as each is seen in its own crop; left out where its place has a surer one."""
    found: list[Face] = []
    for face in scaled(candidates, shrink):
        sure = (other for other in (*known, *found) if other.score >= max(SURE, face.score))
        if not any(overlap(face.box, other.box) > OVERLAP for other in sure):
            again = stand_up(run, photo, small, shrink, face)
            found += [] if again is None else [again]
    return found


def _beats(face: Face, standing: Sequence[Face], by: float) -> bool:
    """Whether a face that was found in a turned photo scores so much more than one that stands at its place.

    One that was found upright there, and lies in its own crop, is beaten by a higher score.
    """
    there = (other for other in standing if overlap(face.box, other.box) > OVERLAP)
    return all(face.score > other.score + by * (abs(roll(other.points)) < 45) for other in there)


def shrunk(photo: np.ndarray, side: int = SEARCHED) -> tuple[np.ndarray, float]:
    """The photo with a longer side of ``side`` at most, and how many of its pixels are one there."""
    H, W = photo.shape[:2]
    factor = max(H, W) / side
    if factor <= 1:
        return photo, 1.0
    size = max(1, round(W / factor)), max(1, round(H / factor))
    small = Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
    return np.asarray(small), factor


def first_look(run: RunDetector, small: np.ndarray, shrink: float) -> list[Face]:
    """The faces that are seen at FIRST_SIDE, in pixels of the photo that ``shrunk`` made ``small`` of."""
    return scaled(detect(run, small, FIRST_SIDE, least_score=CANDIDATE), shrink)


def scaled(faces: Iterable[Face], factor: float) -> list[Face]:
    """The same faces in a photo that is so many times as large."""
    return [Face(face.box * factor, face.points * factor, face.score) for face in faces]


def _turned(run: RunDetector, small: np.ndarray, turns: int, sides: Sequence[int]) -> list[Face]:
    """The faces of a photo that was turned by so many times 90 degrees counterclockwise, at their places in it."""
    turned = np.ascontiguousarray(np.rot90(small, turns))
    found = [face for side in sides for face in detect(run, turned, side, least_score=CANDIDATE)]
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
        again = middle_one(seen, AGAIN_SIDE, 0.5, in_sizes=True)
        if again is None:
            return first if first.score >= least else None
        points = to_photo(again.points, square, AGAIN_SIDE)
        before, face = face, _placed(again, points, square)
        if abs(_difference(roll(face.points), roll(before.points))) < STILL:
            break
    return first if face.score < first.score and first.score >= least else face


def middle_one(faces: Iterable[Face], side: int, farthest: float, *, in_sizes: bool = False) -> Face | None:
    """The face that is nearest to the middle of a square crop of ``side`` pixels, where it is nearer than ``farthest``.

    That is in pixels or, ``in_sizes``, in the longer sides of each face's own box.
    """

    def away(face: Face) -> float:
        pixels = np.hypot(*(face.box[:2] + face.box[2:] / 2 - side / 2))
        return float(pixels / max(face.box[2:].max(), 1)) if in_sizes else float(pixels)

    nearest = min(faces, key=away, default=None)
    return nearest if nearest is not None and away(nearest) < farthest else None


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
