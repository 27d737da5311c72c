"""Masks that were resized, blurred or compressed as if they were photos: between two parts lie ids that never were.

Between hair (13) and skin (1) such a mask has a thin seam of 5, 7 or 9: a brow, an ear. Of the 900 real masks of
CelebAMask-HQ's miniature none has more than 1.7 % of such pixels over its edges, at 64 pixels 5.7 %. One that went
through bilinear interpolation, a blur or a JPEG has from 10 % to 80 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX

SMOOTHED_SHARE = 0.08
"""Of pixels between two ids, or alone, over the edges: more has only a mask that was smoothed."""
FEWEST = 20
"""Such pixels; fewer say nothing."""
SEAMS_NAMED = 3


@dataclass(frozen=True)
class Smoothing:
    """What a mask shows of having been smoothed."""

    pixels: int
    """Pixels whose id lies between those of two neighbors, or that of none of four."""
    share: float
    """Of them over the places where ids change."""
    seams: tuple[str, ...]
    """The most frequent, in words."""

    def __str__(self) -> str:
        seams = f", such as {', '.join(self.seams)}" if self.seams else ""
        return f"{self.pixels} pixels of classes that lie between two others{seams}"


def smoothing_of(mask: np.ndarray) -> Smoothing | None:
    """What a mask (H, W) uint8 of ids shows of having been resized, blurred or compressed; None for a sound one."""
    edges, between = 0, Counter[tuple[int, int, int]]()
    for ids in (mask, mask.T):
        first, middle, last = ids[:, :-2], ids[:, 1:-1], ids[:, 2:]
        edges += int(np.count_nonzero(first != last))
        low, high = np.minimum(first, last), np.maximum(first, last)
        places = np.nonzero((low < middle) & (middle < high) & (high != IGNORE_INDEX))
        found, counts = np.unique(np.stack([low[places], middle[places], high[places]], 1), axis=0, return_counts=True)
        between.update({tuple(key): int(n) for key, n in zip(found.tolist(), counts, strict=True)})
    alone = _lonely(mask)
    pixels = between.total() + alone
    if pixels < FEWEST or pixels <= SMOOTHED_SHARE * edges:
        return None
    named = [(key, n) for key, n in between.most_common(SEAMS_NAMED) if key[2] < len(CLASS_NAMES)]
    seams = tuple(
        f"{CLASS_NAMES[middle]} between {CLASS_NAMES[low]} and {CLASS_NAMES[high]} ({n})"
        for (low, middle, high), n in named
    )
    return Smoothing(pixels, pixels / max(edges, 1), seams)


def _lonely(mask: np.ndarray) -> int:
    """How many inner pixels have an id that none of their four neighbors has."""
    inner = mask[1:-1, 1:-1]
    sides: Iterable[np.ndarray] = (mask[:-2, 1:-1], mask[2:, 1:-1], mask[1:-1, :-2], mask[1:-1, 2:])
    lonely = inner != IGNORE_INDEX
    for side in sides:
        lonely = lonely & (inner != side)
    return int(np.count_nonzero(lonely))
