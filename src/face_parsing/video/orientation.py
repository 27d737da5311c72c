"""Which way up a clip is shown: its display matrix, applied to pixels.

Containers keep a matrix beside the stored frames. Phones write one for a clip taken upright, front cameras one that
mirrors. A rotation alone, as libraries hand it out, cannot say that a clip is mirrored.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

MATRIX_BYTES = 36  # nine whole numbers of 32 bits: a, b, u, c, d, v, x, y, w


@dataclass(frozen=True)
class Orientation:
    """How stored pixels become shown ones: rows and columns are ``swapped``, then mirrored ``across`` and ``down``."""

    swapped: bool = False
    across: bool = False
    down: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The shown width and height of stored ones."""
        return (height, width) if self.swapped else (width, height)

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Stored pixels (H, W, ...) as they are shown, contiguous."""
        shown = pixels.swapaxes(0, 1) if self.swapped else pixels
        if self.across:
            shown = shown[:, ::-1]
        if self.down:
            shown = shown[::-1]
        return np.ascontiguousarray(shown)


def orientation_of_matrix(matrix: bytes) -> Orientation:
    """The nearest of the eight orientations to a display matrix: a stored (x, y) is shown at (ax + cy, bx + dy)."""
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(across=a < 0, down=d < 0)
    return Orientation(swapped=True, across=c < 0, down=b < 0)


def orientation_of(frame: Any) -> Orientation:
    """That of a decoded frame of PyAV's; one without a matrix is shown as it is stored."""
    for data in frame.side_data:
        content = bytes(data)
        if data.type.name == "DISPLAYMATRIX" and len(content) == MATRIX_BYTES:
            return orientation_of_matrix(content)
    return Orientation()
