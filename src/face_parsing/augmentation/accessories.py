"""Glasses, hats, earrings and necklaces of one training face put on another.

Of the challenge's 1000 faces 58 wear glasses, 53 a hat and 45 a necklace: too few to learn what they look
like on others. Copying instances between training images is known to help rare classes (Ghiasi et al. 2021,
Simple Copy-Paste); here the faces' own parts say where, how large and how tilted.
"""

from __future__ import annotations

import numpy as np

from face_parsing.augmentation.accessory_kinds import ACCESSORIES, Accessory, placements
from face_parsing.augmentation.face_geometry import NOSE, mirror_centres
from face_parsing.augmentation.pasting import Paint, Paste, drawn_tint

PAINTED = 0.5
"""Share of the glasses whose frames, and whose lenses if these are dark, get a color of their own."""
TINTING, HIDING = (0.0, 0.7), (0.7, 1.0)
"""How much of a dark lens, and of one with an eye behind it, is the painted color."""
CLEAR = (0.0, 0.9)
"""How much of the hair shows through a lens that had an eye behind it."""


class AccessoryChoice:
    """Chooses, for a share of the faces, an accessory that they lack and another face of the training set wears.

    ``presence`` (N, 19) says which classes each pair holds, ``centres`` (N, 19) where (``part_centres``). Each kind
    of accessory is as probable as the others, whatever the numbers that wear it. Half of the donors are mirrored.
    """

    def __init__(self, presence: np.ndarray, centres: np.ndarray, *, probability: float) -> None:
        self.presence = presence
        self.centres = centres
        self.probability = probability
        self._wearers = [self._donors(accessory) for accessory in ACCESSORIES]

    def _donors(self, accessory: Accessory) -> np.ndarray:
        """Who wears it. Where it covers parts of some of them, these are drawn as often as the others."""
        wears = self.presence[:, accessory.label]
        if not accessory.covers:
            return np.flatnonzero(wears)
        hides = self.presence[:, list(accessory.covers)].any(1)
        covered = self.centres[:, list(accessory.covers)]
        seen = np.isfinite(covered)
        middle = np.where(seen, covered, 0).sum(1) / np.maximum(seen.sum(1), 1)
        # Glasses that are in the hair already cover nothing.
        away = np.abs(self.centres[:, accessory.label] - middle)
        near = away < np.abs(middle - self.centres[:, NOSE])
        groups = [np.flatnonzero(wears & ~hides), np.flatnonzero(wears & hides & near)]
        most = max(map(len, groups))
        return np.concatenate([np.resize(group, most) for group in groups if len(group)] or groups)

    def __call__(self, index: int, *, seed: int) -> Paste | None:
        """What the face with that index gets; None: nothing. The same seed gives the same."""
        rng = np.random.default_rng(seed)
        if rng.random() >= self.probability:
            return None
        possible = [
            (accessory, wearers)
            for accessory, wearers in zip(ACCESSORIES, self._wearers, strict=True)
            if len(wearers) and not self.presence[index, accessory.label]
        ]
        if not possible:
            return None
        accessory, wearers = possible[rng.integers(len(possible))]
        donor = int(wearers[rng.integers(len(wearers))])
        mirrored = bool(rng.random() < 0.5)
        source = mirror_centres(self.centres[donor]) if mirrored else self.centres[donor]
        lift, height = (
            (rng.uniform(*accessory.lifts), rng.uniform(*accessory.heights)) if accessory.lifts else (0.0, 1.0)
        )
        tilt = rng.uniform(-accessory.tilt, accessory.tilt) if accessory.tilt else 0.0
        where = placements(accessory, source, self.centres[index], lift=lift, height=height, tilt=tilt)
        tint = drawn_tint(rng) if accessory.any_color else (1.0, 1.0, 1.0)
        paint = None
        hides = self.presence[donor, list(accessory.covers)].any()
        if accessory.painted and (rng.random() < PAINTED or hides):
            inside = (0.0, 0.0) if accessory.along else HIDING if hides else TINTING
            paint = Paint.drawn(rng, inside, CLEAR if hides else (0.0, 0.0))
        return Paste(donor, accessory, where, mirrored, tint, paint) if where else None
