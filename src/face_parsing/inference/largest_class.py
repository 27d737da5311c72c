"""The largest class at every pixel of a photo, in NumPy: for scores of an ONNX file, where there is no torch.

What it computes is what ``predict.largest_class`` says, which is copied into a submission's ``run.py``. Files give
scores in planes, a map a class, which may hold blocks of pixels one after another, or in bytes and in blocks, in which
a pixel's scores lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial

import numpy as np

STRIP_PIXELS = 2**19  # of the mask that a thread computes at a time, at most
TOGETHER = 2**14  # pixels whose scores are handled at a time: they stay near the core, and need little memory
UNDECIDED = 255  # no class has this id

Places = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of places on an axis, the nearer of the two pixels that each lies between, the other, and its share."""

Between = Callable[[Places, Places], np.ndarray]
"""The largest class (n,) uint8 at n places down and across the scores."""


def _largest(scores: np.ndarray) -> np.ndarray:
    """The id (...) uint8 of the largest of scores (C, ...); ties go to the lower id."""
    best = np.zeros(scores.shape[1:], dtype=np.uint8)
    highest = scores[0].copy()
    larger, id_there = np.empty(best.shape, dtype=bool), np.empty_like(best)
    for c in range(1, len(scores)):
        # As ids rise, the last class that was larger is the largest id: whole arrays, where an index goes one by one.
        np.greater(scores[c], highest, out=larger)
        np.multiply(larger.view(np.uint8), np.uint8(c), out=id_there)
        np.maximum(best, id_there, out=best)
        np.maximum(highest, scores[c], out=highest)
    return best


def _decided(best: np.ndarray) -> np.ndarray:
    """The class (h, w) that a pixel, its right, its lower and its lower right neighbour share, or UNDECIDED."""
    padded = np.pad(best, ((0, 1), (0, 1)), mode="edge")
    same = (best == padded[1:, :-1]) & (best == padded[:-1, 1:]) & (best == padded[1:, 1:])
    return np.where(same, best, np.uint8(UNDECIDED))


def _places(size: int, source: int) -> Places:
    """Of the two of ``source`` pixels between which each of ``size`` lies, the nearer, the other, and its share."""
    place = np.clip((np.arange(size) + 0.5) * (source / size) - 0.5, 0, source - 1)
    first = np.floor(place)
    second = np.minimum(first + 1, source - 1)
    share = (place - first).astype(np.float32)
    nearer, other = np.where(share < 0.5, (first, second), (second, first)).astype(np.intp)
    return nearer, other, np.where(share < 0.5, share, 1 - share)


def _between(nearer: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Scores float32 between two, rounded once: as torch's lerp, so that both find the same classes."""
    return (nearer + share * (other - nearer).astype(np.float64)).astype(np.float32)


def largest_class(scores: np.ndarray, size: tuple[int, int], *, threads: int = 1) -> np.ndarray:
    """The mask (H, W) uint8 of scores (C, h, w) float32, brought to size (H, W) bilinearly; ties go to the lower id.

    Large masks are made by ``threads``; each pixel is computed by itself.
    """
    return largest_class_of_planes(scores[:, None, None], scores.shape[1:], size, threads=threads)


def largest_class_of_planes(
    scores: np.ndarray, part: tuple[int, ...], size: tuple[int, int], *, threads: int = 1
) -> np.ndarray:
    """The same of scores (C, s, s, h, w) float32 of blocks of s x s pixels, of which the upper left part alone counts.

    Pixel (y, x) of the part has the scores [:, y % s, x % s, y // s, x // s].
    """
    C, s, _, h, w = scores.shape
    best = _open_blocks(_largest(scores))[: part[0], : part[1]]
    if part == size:
        return best
    planes = np.ascontiguousarray(scores).reshape(C, -1)
    y, x = np.arange(part[0]), np.arange(part[1])
    rows, columns = (y % s * s * h + y // s) * w, x % s * h * w + x // s
    return _enlarge(best, size, partial(_between_in_planes, planes, rows, columns), threads=threads)


def _open_blocks(best: np.ndarray) -> np.ndarray:
    """Ids (s, s, h, w) of the pixels of blocks as a mask (h * s, w * s)."""
    s, _, h, w = best.shape
    mask = np.empty((h, s, w, s), dtype=best.dtype)
    for y in range(s):
        for x in range(s):
            mask[:, y, :, x] = best[y, x]
    return mask.reshape(h * s, w * s)


def largest_class_of_blocks(
    scores: np.ndarray, part: tuple[int, int], size: tuple[int, int], *, threads: int = 1
) -> np.ndarray:
    """The same of scores (h, w, s, s, C) uint8 of blocks of s x s pixels, of which the upper left part alone counts.

    Pixel (y, x) of the part has the scores [y // s, x // s, y % s, x % s].
    """
    best = _largest_of_blocks(scores)[: part[0], : part[1]]
    if part == size:
        return best
    return _enlarge(best, size, partial(_between_in_blocks, scores), threads=threads)


def _enlarge(best: np.ndarray, size: tuple[int, int], between: Between, *, threads: int) -> np.ndarray:
    """The mask of ``size`` from the largest class (h, w) of each pixel, and that between pixels.

    A class that is the largest at all four pixels around a place is so there too. Scores are interpolated at the other
    places alone, which are few in a face; in strips of rows, since they may be all of a large photo.
    """
    H, W = size
    decided = _decided(best)
    rows, columns = _places(H, best.shape[0]), _places(W, best.shape[1])
    above, left = _above(rows), _above(columns)
    mask = np.empty(size, dtype=np.uint8)

    def fill(first: int, end: int) -> None:
        strip = mask[first:end]
        decided.take(above[first:end], 0).take(left, 1, out=strip)
        place = np.flatnonzero(strip == UNDECIDED)
        for start in range(0, len(place), TOGETHER):
            some = place[start : start + TOGETHER]
            y, x = np.divmod(some, W)
            strip.reshape(-1)[some] = between(_at(rows, y + first), _at(columns, x))

    _in_strips(fill, H, max(1, STRIP_PIXELS // W), threads=threads)
    return mask


def _in_strips(fill: Callable[[int, int], None], rows: int, count: int, *, threads: int) -> None:
    """Let ``fill`` do rows from its first to before its second, ``count`` at a time; threads pay from two strips on."""
    starts = range(0, rows, count)
    ends = [min(start + count, rows) for start in starts]
    with ThreadPoolExecutor(threads) if threads > 1 and len(starts) > 1 else nullcontext() as pool:
        for _ in pool.map(fill, starts, ends) if pool else map(fill, starts, ends):
            pass  # the iteration raises what fill raises


def _at(places: Places, index: np.ndarray) -> Places:
    nearer, other, share = (values[index] for values in places)
    return nearer, other, share


def _above(places: Places) -> np.ndarray:
    """The first of the two pixels between which each place of _places lies."""
    return np.minimum(places[0], places[1])


def _between_in_planes(
    planes: np.ndarray, rows: np.ndarray, columns: np.ndarray, down: Places, across: Places
) -> np.ndarray:
    """Between of scores (C, pixels), a class at a time; the pixel (y, x) is at rows[y] + columns[x]."""
    best = np.zeros(len(down[0]), dtype=np.uint8)
    highest = np.full(len(down[0]), -np.inf, dtype=np.float32)
    corners = [[rows[y] + columns[x] for y in down[:2]] for x in across[:2]]
    for c, plane in enumerate(planes):
        near, far = (_between(plane[nearer], plane[other], down[2]) for nearer, other in corners)
        score = _between(near, far, across[2])
        best[score > highest] = c
        np.maximum(highest, score, out=highest)
    return best


def _between_in_blocks(scores: np.ndarray, down: Places, across: Places) -> np.ndarray:
    """Between of scores (h, w, s, s, C) uint8, a place at a time."""
    w, s, C = scores.shape[1], *scores.shape[3:]
    pixels = scores.reshape(-1, C)
    rows = [(y // s * w * s + y % s) * s for y in down[:2]]
    columns = [x // s * s * s + x % s for x in across[:2]]
    near, far = (
        _lerp(*(pixels.take(row + column, 0).astype(np.float32) for row in rows), share=down[2][:, None])
        for column in columns
    )
    best: np.ndarray = _lerp(near, far, share=across[2][:, None]).argmax(1)
    return best.astype(np.uint8)


def _lerp(nearer: np.ndarray, other: np.ndarray, *, share: np.ndarray) -> np.ndarray:
    """As _between, of whole numbers or what lies between: float32 is enough, and ``other`` is overwritten."""
    other -= nearer
    other *= share
    other += nearer
    return other


def _largest_of_blocks(scores: np.ndarray) -> np.ndarray:
    """The largest class (h * s, w * s) uint8 of scores (h, w, s, s, C) uint8; ties go to the lower id."""
    h, w, s, _, C = scores.shape
    mask = np.empty((h, s, w, s), dtype=np.uint8)

    def fill(first: int, end: int) -> None:
        # Class by class, although a pixel's scores lie side by side: NumPy's argmax of each row takes twice as long.
        best = _largest(np.ascontiguousarray(scores[first:end].reshape(-1, C).T)).reshape(-1, w, s, s)
        row = np.dtype((np.void, s))  # of a block, moved as one
        mask[first:end].view(row)[...] = best.view(row).transpose(0, 2, 1, 3)

    _in_strips(fill, h, max(1, 2 * TOGETHER // (w * s * s)), threads=1)
    return mask.reshape(h * s, w * s)
