"""Whether a mask shows an upright face: eyes above a nose above a mouth, each in one place.

A network that never saw a face lie on its side scatters the parts of one. Nothing but NumPy is needed, and a photo of
any size takes less than a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.system.wording import first_of

NAMED = 3  # photos in a sentence
MEND = "turn such a photo upright, or cut its face out"
MEND_BY_FACES = "with --faces all faces are found however they lie"

LOOKED_AT = 160  # pixels of the longer side: places of parts need no more

# In words of CelebAMask-HQ. Glasses stand for the eyes behind them.
PARTS = (("l_eye", "r_eye", "eye_g"), ("nose",), ("mouth", "u_lip", "l_lip"), ("skin",))
EYES, NOSE, MOUTH, SKIN = range(1, 5)

# Measured on the masks of faces that were not trained on, and widened; docs/robustness.md says what is found by them.
LEAST_OF_SKIN = {EYES: 0.004, NOSE: 0.035, MOUTH: 0.006}  # areas, as shares of the skin's
MOST_SLOPE = 1.0  # sideways for each step down from the eyes to the mouth: 45 degrees
NOSE_ALONG = (0.1, 0.9)  # of the way from the eyes to the mouth
NOSE_ASIDE = 0.5  # as a share of that way
# The mean squared distance from a part's centre: of the eyes as a share of that way squared, of the others as one of
# their own area. A part in one piece stays below, a scattered one does not.
EYES_APART = 0.64
MOST_SCATTERED = {NOSE: 0.3, MOUTH: 0.7}
ROUNDING = 1.0  # pixel squared: parts of few pixels


@dataclass
class FaceOrder:
    """The photos of a run, parsed whole, whose masks show no upright face."""

    labels: LabelSet = CELEBAMASK
    odd: list[Path] = field(default_factory=list)

    def look(self, photo: Path, mask: np.ndarray) -> None:
        """Look at the mask (H, W) of a photo; threads may call it."""
        if not shows_upright_face(mask, self.labels):
            self.odd.append(photo)


def odd_order(photos: Sequence[Path], mend: str = MEND_BY_FACES) -> list[str]:
    """A sentence about these photos, if there are any, with what mends it."""
    if not photos:
        return []
    names = first_of(sorted(path.name for path in photos), NAMED)
    many = "1 mask looks" if len(photos) == 1 else f"{len(photos)} masks look"
    return [f"{many} like no upright face ({names}); {mend}."]


def shows_upright_face(mask: np.ndarray, labels: LabelSet = CELEBAMASK) -> bool:
    """Whether the parts of a mask (H, W) lie as those of one upright face do; True where its classes have no parts."""
    table = _table(labels)
    if table is None:
        return True
    step = max(1, max(mask.shape) // LOOKED_AT)
    places = table[mask[step // 2 :: step, step // 2 :: step]]
    area, centre, scatter = _moments(places)
    if any(not area[part] > least * area[SKIN] for part, least in LEAST_OF_SKIN.items()):
        return False
    down = centre[MOUTH] - centre[EYES]  # (x, y)
    length = float(np.hypot(*down))
    if not down[1] > 0 or abs(down[0]) > MOST_SLOPE * down[1]:
        return False
    x, y = down / length
    aside, along = np.array([[y, -x], [x, y]]) @ (centre[NOSE] - centre[EYES]) / length
    if not NOSE_ALONG[0] <= along <= NOSE_ALONG[1] or abs(aside) > NOSE_ASIDE:
        return False
    apart = scatter[EYES] <= EYES_APART * length**2
    return bool(apart) and all(scatter[p] <= most * area[p] + ROUNDING for p, most in MOST_SCATTERED.items())


def _table(labels: LabelSet) -> np.ndarray | None:
    """(256,) uint8: the part that a class is, 0 for others; None where a part is missing among the classes."""
    table = np.zeros(256, np.uint8)
    for part, names in enumerate(PARTS, 1):
        ids = [labels.names.index(name) for name in names if name in labels.names]
        if not ids:
            return None
        table[ids] = part
    return table


def _moments(places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the parts in (h, w): pixels (5,), centres (5, 2) as x and y, mean squared distances from these (5,)."""
    h, w = places.shape
    count = len(PARTS) + 1
    # Of each row, and of each column, how many pixels it has of a part.
    rows = np.bincount((np.arange(h)[:, None] * count + places).ravel(), minlength=h * count).reshape(h, count)
    columns = np.bincount((np.arange(w) * count + places).ravel(), minlength=w * count).reshape(w, count)
    area = rows.sum(0)
    with np.errstate(invalid="ignore"):
        y, x = np.arange(h) @ rows / area, np.arange(w) @ columns / area
        squares = (np.arange(h) ** 2 @ rows + np.arange(w) ** 2 @ columns) / area
    return area, np.stack([x, y], axis=1), squares - x**2 - y**2
