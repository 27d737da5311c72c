"""The sizes at which networks see photos."""

from __future__ import annotations

SMALLEST_SIDE, LARGEST_SIDE = 32, 4096


def network_size(height: int, width: int, image_size: int) -> tuple[int, int]:
    """The height and width at which a photo passes the network: the longer side becomes image_size pixels.

    The shape is kept, but for a side that would fall below SMALLEST_SIDE.
    """
    longest = max(height, width)
    h, w = (max(SMALLEST_SIDE, round(side * image_size / longest)) for side in (height, width))
    return h, w
