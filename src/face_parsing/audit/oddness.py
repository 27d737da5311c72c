"""Which masks of a set are unlike the others, in size, place and number of parts of their classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from face_parsing.audit.inspection import FEATURES, MaskFacts
from face_parsing.labels import CLASS_NAMES, FLIPPED_IDS, NUM_CLASSES

FLOORS = np.array([0.1, 0.01, 0.01, 0.5])  # in the units of MaskFacts.shape: smaller spreads count as these
USUAL_Z = 4.0
MOST_POINTS = 8.0
FEWEST_HOLDERS = 20
USUAL_SHARE = 0.95


def _reason(c: int, feature: str, value: float, median: float) -> str:
    name = CLASS_NAMES[c]
    if feature == "area":
        return f"{name} {100 * np.exp(value):.2g} % of the image, usually {100 * np.exp(median):.2g} %"
    if feature == "parts":
        return f"{name} in {2**value:.0f} parts, usually {2**median:.0f}"
    along = "width" if feature == "x" else "height"
    return f"{name} centred at {100 * value:.0f} % of the {along}, usually {100 * median:.0f} %"


def rate_oddness(masks: Sequence[MaskFacts]) -> list[tuple[float, list[str]]]:
    """Of each mask its oddness, 0 for an ordinary one, and the reasons in words, the weightiest first.

    The sum over the classes that the mask holds of how far their size, place (x and y) and number of parts lie from
    the median of the masks that hold them too: |z| - 4, between 0 and 8 each, where z is in robust standard
    deviations (1.4826 median absolute deviations, Iglewicz and Hoaglin 1993, with a floor); sizes and parts on a log
    scale. A missing class that at least 95 % of the masks hold adds -log of the share that lack it; all missing ones
    together at most 8, because sunglasses take four at once. Classes that fewer than 20 masks hold are left out.
    Of mirrored masks left and right are swapped back first.
    """
    if not masks:
        return []
    shapes = np.stack([mask.shape[list(FLIPPED_IDS)] if mask.mirrored else mask.shape for mask in masks])  # (N, 19, 4)
    N = len(shapes)
    present = ~np.isnan(shapes[:, :, 0])  # (N, 19)
    reasons: list[list[tuple[float, str]]] = [[] for _ in range(N)]
    missing = np.zeros(N)  # points for missing classes so far
    for c in range(NUM_CLASSES):
        holders = np.flatnonzero(present[:, c])
        if len(holders) < FEWEST_HOLDERS:
            continue
        values = shapes[holders, c]  # (holders, 4)
        median = np.median(values, axis=0)
        spread = np.maximum(1.4826 * np.median(np.abs(values - median), axis=0), FLOORS)
        points = np.clip(np.abs(values - median) / spread - USUAL_Z, 0, MOST_POINTS)
        for row, k in np.argwhere(points > 0):
            text = _reason(c, FEATURES[k], values[row, k], median[k])
            reasons[holders[row]].append((float(points[row, k]), text))
        if USUAL_SHARE * N <= len(holders) < N:
            surprise = -float(np.log(1 - len(holders) / N))
            for row in np.flatnonzero(~present[:, c]):
                points_here = min(surprise, MOST_POINTS - missing[row])
                missing[row] += points_here
                text = f"no {CLASS_NAMES[c]}, which {100 * len(holders) / N:.1f} % of the masks hold"
                reasons[row].append((points_here, text))
    ordered = [sorted(each, key=lambda reason: -reason[0]) for each in reasons]
    return [(float(sum(part for part, _ in each)), [text for _, text in each]) for each in ordered]
