"""CutMix (Yun et al. 2019): a box of one training face, with its labels, in the place of another's.

Faces of the data set are aligned, so that a part mostly stands where such a part may stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]

AREA_RANGE = (0.05, 0.5)
"""Share of the picture that comes from the other face."""
ASPECT_RANGE = (0.5, 2.0)
"""Width of the box over its height."""


@dataclass(frozen=True)
class Box:
    """What a face gets of the pair with index ``donor``: from (left, top) to (right, bottom), in shares of the size."""

    donor: int
    left: float
    top: float
    right: float
    bottom: float


def choose_box(pairs: int, *, probability: float, seed: int) -> Box | None:
    """The box of one of so many pairs that a face gets; None: nothing. The same seed gives the same."""
    rng = np.random.default_rng(seed)
    if rng.random() >= probability:
        return None
    donor = int(rng.integers(pairs))
    low, high = np.log(ASPECT_RANGE)
    area, aspect = rng.uniform(*AREA_RANGE), np.exp(rng.uniform(low, high))
    width, height = min(float(np.sqrt(area * aspect)), 1.0), min(float(np.sqrt(area / aspect)), 1.0)
    left, top = float(rng.random()) * (1 - width), float(rng.random()) * (1 - height)
    return Box(donor, left, top, left + width, top + height)


def cutmix(pair: Pair, donor: Pair, box: Box) -> Pair:
    """Image (S, S, 3) and mask (S, S), uint8, with the box of the donor's pair, which has the same size.

    The arguments are not written to.
    """
    S = len(pair[1])
    rows, columns = (
        slice(round(start * S), round(end * S)) for start, end in ((box.top, box.bottom), (box.left, box.right))
    )
    image, mask = pair[0].copy(), pair[1].copy()
    image[rows, columns], mask[rows, columns] = donor[0][rows, columns], donor[1][rows, columns]
    return image, mask
