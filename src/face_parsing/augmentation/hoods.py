"""Hoods and headscarves put around training faces.

They are hats, but no hat of another face turns into one: they go around the whole head, down to the shoulders or over
the clothes, and two of the 40 hats in the 800 training faces are of that kind. So they are made: the fabric is that of
another face's clothes, and where it lies follows from the wearer's own mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from face_parsing.augmentation.face_geometry import SAMPLED, ImageAndMask, upwards
from face_parsing.augmentation.pasting import EDGE_SIGMA, drawn_tint
from face_parsing.labels import class_ids

HAT, CLOTH = class_ids("hat", "cloth")
FACE_AREA = class_ids("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip")
"""What no hood hides."""
HEAD = (*FACE_AREA, *class_ids("l_ear", "r_ear", "ear_r", "hair"))
NECK = class_ids("neck", "neck_l")
COVERED = ((*HEAD,), (*HEAD, *NECK), (*HEAD, *NECK, CLOTH))
"""What lies under a hood, as long as it is not in its opening: the head alone, the neck too, the clothes as well."""
BROWS, CHINS, WIDTHS = (0.0, 0.7), (0.0, 2.0), (0.2, 2.5)
"""How far around the face it is open, at its top and at its bottom, and how far it stands off from what is under it, in
distances from the nose to the eyes. Open wide at the top, it would be a background."""
WAVES = 0.3
"""How much its edges wander, in the same unit."""
FOLDS, FOLD_SIGMA = (5, 20), 0.25
"""How many folds fit in the picture, and how much lighter and darker they are, in logarithms."""
SHADOWS, SHADOW_WIDTHS = (0.0, 0.8), (0.2, 1.5)
"""How much darker its inner edge is, and how far this reaches, in distances from the nose to the eyes."""
MAGNIFIED, PATTERNS = (1.0, 2.5), (0.2, 1.0)
"""How much larger its fabric is than the clothes', and how much of their pattern is left."""
SMALLEST_FABRIC = 1 / 24  # half a side of the piece, as a share of the image's


def fabric_of(pair: ImageAndMask, label: int = CLOTH) -> np.ndarray | None:
    """The largest square of a face's clothes, or of another class, in the largest circle of them: (P, P, 3) uint8.

    None where there is none that is large enough.
    """
    image, mask = pair
    S = len(mask)
    step = max(S // SAMPLED, 1)
    clothes = np.pad((mask[::step, ::step] == label).astype(np.uint8), 1)  # they end at the picture's edge
    _, radius, _, (x, y) = cv2.minMaxLoc(cv2.distanceTransform(clothes, cv2.DIST_L2, cv2.DIST_MASK_3))
    half = int((radius - 1) * step / np.sqrt(2))
    if half < SMALLEST_FABRIC * S:
        return None
    left, top = ((place - 1) * step + step // 2 - half for place in (x, y))
    return image[max(top, 0) : top + 2 * half, max(left, 0) : left + 2 * half]


def tiled(fabric: np.ndarray, size: int, larger: float) -> np.ndarray:
    """A fabric (P, P, 3), so many times as large, and repeated by its own reflections: (size, size, 3)."""
    interpolation = cv2.INTER_LINEAR if larger >= 1 else cv2.INTER_AREA
    fabric = cv2.resize(fabric, None, fx=larger, fy=larger, interpolation=interpolation)[:size, :size]
    below, right = size - fabric.shape[0], size - fabric.shape[1]
    return cv2.copyMakeBorder(fabric, 0, below, 0, right, cv2.BORDER_REFLECT)


def waves(rng: np.random.Generator, number: int, size: int) -> np.ndarray:
    """A smooth random field (size, size), float32, of variance 1 about 0 where it was drawn."""
    drawn = rng.normal(size=(number, number)).astype(np.float32)
    return cv2.resize(drawn, (size, size), interpolation=cv2.INTER_CUBIC)


def _distance(region: np.ndarray) -> np.ndarray:
    """The distance (S, S) of each pixel from a region (S, S), bool, in pixels."""
    return cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)


@dataclass(frozen=True)
class Hood:
    """A hood or a headscarf, of the clothes of the pair with index ``donor``.

    ``covered``: the classes that it lies on. ``unit``: the distance from the nose to the eyes, as a share of the
    picture's size. ``brow``, ``chin``, ``width``: as in BROWS, CHINS, WIDTHS. ``tint``: factors of the fabric's red,
    green and blue.
    """

    donor: int
    covered: tuple[int, ...]
    unit: float
    brow: float
    chin: float
    width: float
    tint: tuple[float, ...]
    seed: int

    def __call__(self, pair: ImageAndMask, donor: ImageAndMask) -> ImageAndMask:
        """Image (S, S, 3) and mask (S, S), uint8, with the hood on. The arguments are not written to.

        Where the donor's clothes are too small, or there is no face, the pair itself is given back.
        """
        image, mask = pair
        S = len(mask)
        unit = self.unit * S
        rng = np.random.default_rng(self.seed)
        fabric, face = fabric_of(donor), np.isin(mask, FACE_AREA)
        if fabric is None or not face.any():
            return pair
        rows = np.flatnonzero(face.any(1))
        down = np.interp(np.arange(S), rows[[0, -1]], (0.0, 1.0)).astype(np.float32)[:, None]
        open_to = unit * (self.brow + (self.chin - self.brow) * down + WAVES * waves(rng, 5, S))
        wide = unit * (self.width + WAVES * waves(rng, 5, S))
        under = np.isin(mask, self.covered)
        # Through the opening the head is seen, and what of the neck shows; not what is behind, or the clothes.
        seen = (_distance(face) <= open_to) & np.isin(mask, (*HEAD, *NECK)) | face
        hidden = np.isin(mask, (*HEAD, *NECK, CLOTH)) & ~under
        worn = (_distance(under) <= wide) & ~seen & ~hidden
        if not worn.any():
            return pair
        larger = rng.uniform(*MAGNIFIED)
        fabric = tiled(fabric, S, larger)
        plain = fabric.mean((0, 1))
        fabric = plain + rng.uniform(*PATTERNS) * (fabric - plain)
        light = np.exp(FOLD_SIGMA * waves(rng, int(rng.integers(*FOLDS)), S))
        light *= 1 - rng.uniform(*SHADOWS) * np.exp(-_distance(seen) / (rng.uniform(*SHADOW_WIDTHS) * unit))
        look = np.clip(fabric * light[..., None] * np.asarray(self.tint, np.float32), 0, 255).astype(np.float32)
        # A hard edge would give it away.
        alpha = cv2.GaussianBlur(worn.astype(np.float32), (3, 3), EDGE_SIGMA)
        mixed = cv2.blendLinear(look, image.astype(np.float32), alpha, 1 - alpha)
        return (mixed + 0.5).astype(np.uint8), np.where(worn, np.uint8(HAT), mask)


class HoodChoice:
    """Chooses, for a share of the faces that wear no hat, a hood.

    ``presence`` (N, 19) says which classes each pair holds, ``centres`` (N, 19) where (``face_geometry.part_centres``).
    """

    def __init__(self, presence: np.ndarray, centres: np.ndarray, *, probability: float) -> None:
        self.presence = presence
        self.probability = probability
        self._units = abs(upwards(centres))
        self._clothed = np.flatnonzero(presence[:, CLOTH])

    def __call__(self, index: int, *, seed: int) -> Hood | None:
        """What the face with that index gets; None: nothing. The same seed gives the same."""
        rng = np.random.default_rng(seed)
        chosen = rng.random() < self.probability
        unit = float(self._units[index])
        if not chosen or self.presence[index, HAT] or not np.isfinite(unit) or not len(self._clothed):
            return None
        return Hood(
            int(self._clothed[rng.integers(len(self._clothed))]),
            COVERED[rng.integers(len(COVERED))],
            unit,
            rng.uniform(*BROWS),
            rng.uniform(*CHINS),
            rng.uniform(*WIDTHS),
            drawn_tint(rng),
            int(rng.integers(2**63)),
        )
