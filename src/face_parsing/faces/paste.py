"""What a network says of crops, put back onto the photo: scores are interpolated there, and then decided.

A photo is done in strips of rows, and one crop after another: memory is that of the photo, however many faces it has.
A class that is the largest at all four of a crop's pixels around a place is so there too; scores are interpolated at
the other places alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

STRIP_PIXELS = 2**19  # of the photo that are handled at a time, at most
TOGETHER = 2**14  # places whose scores are handled at a time: they stay near the core
UNDECIDED = 255  # no class has this id


class Square:
    """The way from the photo's pixels to places in a quadrangle (4, 2): 0 to 1 across and down, inside."""

    def __init__(self, quadrangle: np.ndarray) -> None:
        corner, right, _, below = np.asarray(quadrangle, np.float64)
        across, down = right - corner, below - corner
        area = across[0] * down[1] - across[1] * down[0]
        self.corners, self.corner = np.asarray(quadrangle, np.float64), corner
        self.ways = np.array([[down[1], -down[0]], [-across[1], across[0]]]) / area
        self.first, self.last = quadrangle.min(0), quadrangle.max(0)

    def parts(self, height: int, width: int) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of a photo of that size, strip by strip, that hold the quadrangle."""
        limits = np.array([width, height])
        left, top = np.clip(np.floor(self.first), 0, limits).astype(int).tolist()
        right, bottom = np.clip(np.ceil(self.last), 0, limits).astype(int).tolist()
        if right <= left:
            return
        count = max(1, STRIP_PIXELS // (right - left))
        for start in range(top, bottom, count):
            yield slice(start, min(bottom, start + count)), slice(left, right)

    def places(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Where the pixels (h, w) of a part of the photo lie, across and down, float32."""
        y = np.arange(rows.start, rows.stop) + 0.5 - self.corner[1]
        x = np.arange(columns.start, columns.stop) + 0.5 - self.corner[0]
        across, down = ((x * way[0]).astype(np.float32) + (y * way[1]).astype(np.float32)[:, None] for way in self.ways)
        return across, down


def owners(quadrangles: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Which crop each pixel of a photo is of: (H, W) uint16, 1 for the first quadrangle (4, 2), 0 for none.

    Where several overlap, it is of that whose center is the nearest, in sides of the crop.
    """
    owner = np.zeros((height, width), np.uint16)
    squares = [Square(quadrangle) for quadrangle in quadrangles]
    count = max(1, STRIP_PIXELS // width)
    for top in range(0, height, count):
        strip = owner[top : top + count]
        nearest = np.full(strip.shape, np.inf, np.float32)
        for number, square in enumerate(squares, 1):
            if square.first[1] < top + count and square.last[1] > top:
                _take(square, number, top, nearest, strip)
    return owner


def _take(square: Square, number: int, top: int, nearest: np.ndarray, strip: np.ndarray) -> None:
    """Give a square the pixels of a strip, of which ``top`` is the first row, that are nearer to its center."""
    left, right = np.clip([np.floor(square.first[0]), np.ceil(square.last[0])], 0, strip.shape[1]).astype(int).tolist()
    across, down = square.places(slice(top, top + len(strip)), slice(left, right))
    away = (across - 0.5) ** 2 + (down - 0.5) ** 2
    near = nearest[:, left:right]
    better = (across >= 0) & (across < 1) & (down >= 0) & (down < 1) & (away < near)
    near[better] = away[better]
    strip[:, left:right][better] = number


@dataclass(frozen=True, eq=False)
class Look:
    """What a network said of a part of a photo: scores (h, w, C), uint8 or float32, of the crop of a quadrangle."""

    quadrangle: np.ndarray
    scores: np.ndarray

    def mask(self) -> np.ndarray:
        """The largest class (h, w) uint8 of each of the crop's pixels."""
        return self.scores.argmax(2).astype(np.uint8)

    def fill(self, number: int, owner: np.ndarray, mask: np.ndarray) -> None:
        """Write its classes into a photo's mask (H, W) uint8 where ``owner`` (H, W) has its number."""
        decided = _decided(self.mask())
        for rows, columns, own, across, down in self._own(number, owner):
            mask[rows, columns][own] = self._classes(decided, across, down)

    def fill_probabilities(
        self, number: int, owner: np.ndarray, values: np.ndarray, probabilities: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """The same with class probabilities: into values (H, W, C) uint8, where 255 is certain.

        ``probabilities`` makes them of scores (n, C).
        """
        for rows, columns, own, across, down in self._own(number, owner):
            found = np.empty((len(across), values.shape[2]), np.uint8)
            for start in range(0, len(across), TOGETHER):
                some = slice(start, start + TOGETHER)
                scores = self._between(*self._corners(across[some], down[some]))
                found[some] = np.rint(probabilities(scores) * 255)
            values[rows, columns][own] = found

    def _own(self, number: int, owner: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray, np.ndarray]]:
        """Parts of the photo, which of their pixels have the number, (h, w) bool, and where these n lie, (n,) each."""
        square = Square(self.quadrangle)
        for rows, columns in square.parts(*owner.shape):
            own = owner[rows, columns] == number
            if own.any():
                across, down = square.places(rows, columns)
                yield rows, columns, own, across[own], down[own]

    def _corners(self, across: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of n places the column and row (n,) of the crop's pixel above to the left, and how far they lie beyond it."""
        h, w = self.scores.shape[:2]
        x, y = np.clip(across * w - 0.5, 0, w - 1), np.clip(down * h - 0.5, 0, h - 1)
        column, row = x.astype(np.int32), y.astype(np.int32)
        return column, row, x - column, y - row

    def _classes(self, decided: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
        """The largest class (n,) uint8 at n places."""
        column, row, beside, below = self._corners(across, down)
        found: np.ndarray = decided[row, column]
        (unsure,) = np.nonzero(found == UNDECIDED)
        for start in range(0, len(unsure), TOGETHER):
            some = unsure[start : start + TOGETHER]
            found[some] = self._between(column[some], row[some], beside[some], below[some]).argmax(1)
        return found

    def _between(self, column: np.ndarray, row: np.ndarray, beside: np.ndarray, below: np.ndarray) -> np.ndarray:
        """Scores (n, C) float32, interpolated between four pixels each."""
        h, w, C = self.scores.shape
        pixels = self.scores.reshape(-1, C)
        right, lower = np.minimum(column + 1, w - 1), np.minimum(row + 1, h - 1)
        upper, under = (
            _lerp(pixels[line * w + column].astype(np.float32), pixels[line * w + right], beside)
            for line in (row, lower)
        )
        return _lerp(upper, under, below)


def _lerp(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Between two (n, C) float32, so far (n,) from the first to the second."""
    return first + share[:, None] * (second - first)


def _decided(best: np.ndarray) -> np.ndarray:
    """The class (h, w) that a pixel, its right, its lower and its lower right neighbor share, or UNDECIDED."""
    padded = np.pad(best, ((0, 1), (0, 1)), mode="edge")
    same = (best == padded[1:, :-1]) & (best == padded[:-1, 1:]) & (best == padded[1:, 1:])
    return np.where(same, best, np.uint8(UNDECIDED))
