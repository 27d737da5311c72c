"""The largest class at every pixel of a photo, in NumPy: for scores of an ONNX file, where there is no torch.

What it computes is what ``predict.largest_class`` says, which is copied into a submission's ``run.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STRIP_PIXELS = 2**19  # of the mask that is computed at a time, at most; each takes 130 bytes if all are undecided
UNDECIDED = 255  # no class has this id


def _largest(scores: np.ndarray) -> np.ndarray:
    """The id (...) uint8 of the largest of scores (C, ...); ties go to the lower id."""
    best = np.zeros(scores.shape[1:], dtype=np.uint8)
    highest = scores[0].copy()
    for c in range(1, len(scores)):
        best[scores[c] > highest] = c
        np.maximum(highest, scores[c], out=highest)
    return best


def _decided(best: np.ndarray) -> np.ndarray:
    """The class (h, w) that a pixel, its right, its lower and its lower right neighbour share, or UNDECIDED."""
    padded = np.pad(best, ((0, 1), (0, 1)), mode="edge")
    same = (best == padded[1:, :-1]) & (best == padded[:-1, 1:]) & (best == padded[1:, 1:])
    return np.where(same, best, np.uint8(UNDECIDED))


def _places(size: int, source: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the two of ``source`` pixels between which each of ``size`` lies, the nearer, the other, and its share."""
    place = np.clip((np.arange(size) + 0.5) * (source / size) - 0.5, 0, source - 1)
    first = np.floor(place)
    second = np.minimum(first + 1, source - 1)
    share = (place - first).astype(np.float32)
    nearer, other = np.where(share < 0.5, (first, second), (second, first)).astype(np.intp)
    return nearer, other, np.where(share < 0.5, share, 1 - share)


def _between(nearer: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Scores (n,) float32 between two, rounded once: as torch's lerp, so that both find the same classes."""
    return (nearer + share * (other - nearer).astype(np.float64)).astype(np.float32)


def largest_class(scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) uint8 of scores (C, h, w) float32, brought to size (H, W) bilinearly; ties go to the lower id.

    A class that is the largest at all four pixels around a place is so there too. Scores are interpolated at the other
    places alone, which are few in a face; in strips of rows, since they may be all of a large photo.
    """
    C, h, w = scores.shape
    H, W = size
    best = _largest(scores)
    if (h, w) == size:
        return best
    decided, planes = _decided(best), np.ascontiguousarray(scores).reshape(C, h * w)
    rows, columns = _places(H, h), _places(W, w)
    before = (_above(rows), _above(columns))
    mask = np.empty(size, dtype=np.uint8)
    count = max(1, STRIP_PIXELS // W)
    for start in range(0, H, count):
        strip = decided[before[0][start : start + count]][:, before[1]]
        y, x = np.nonzero(strip == UNDECIDED)
        down, across = ([values[i] for values in places] for places, i in ((rows, y + start), (columns, x)))
        strip[y, x] = _largest_between(planes, w, down, across)
        mask[start : start + count] = strip
    return mask


def _above(places: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """The first of the two pixels between which each place of _places lies."""
    return np.minimum(places[0], places[1])


def _largest_between(
    planes: np.ndarray, width: int, down: Sequence[np.ndarray], across: Sequence[np.ndarray]
) -> np.ndarray:
    """The largest class (n,) uint8 at n places of scores (C, pixels), a class at a time.

    ``down`` and ``across`` are what _places gives of the places' rows and columns, (n,) each.
    """
    best = np.zeros(len(down[0]), dtype=np.uint8)
    highest = np.full(len(down[0]), -np.inf, dtype=np.float32)
    corners = [[row * width + column for row in down[:2]] for column in across[:2]]
    for c, plane in enumerate(planes):
        near, far = (_between(plane[nearer], plane[other], down[2]) for nearer, other in corners)
        score = _between(near, far, across[2])
        best[score > highest] = c
        np.maximum(highest, score, out=highest)
    return best
