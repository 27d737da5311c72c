"""The faces of a photo parsed in their aligned crops, put back, with what whole-photo parsing finds around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from face_parsing.faces.alignment import crop, widened
from face_parsing.faces.around import REACH, around_table, clothes_of, fill_around
from face_parsing.faces.paste import Look, Square, owners
from face_parsing.labels import LabelSet

TOGETHER = 8
"""Crops that the network is given at once: a photo may have a hundred."""

Scores = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""From photos of one size, each (H, W, 3) uint8, to their scores (h, w, C)."""
Probabilities = Callable[[np.ndarray], np.ndarray]
"""From scores (n, C) of n pixels to probabilities (n, C)."""


@dataclass(frozen=True, eq=False)
class People:
    """The mask (H, W) uint8 of a photo, whose each pixel is (H, W) uint16, and the masks (S, S) uint8 of the crops."""

    mask: np.ndarray
    instances: np.ndarray
    crop_masks: list[np.ndarray]


def parse_people(
    photo: np.ndarray,
    quadrangles: Sequence[np.ndarray],
    whole: np.ndarray,
    labels: LabelSet,
    *,
    scores: Scores,
    size: int,
    probabilities: Probabilities | None = None,
    soft: np.ndarray | None = None,
) -> People:
    """Parse the crops, of ``size`` pixels, of quadrangles (4, 2) of a photo (H, W, 3).

    ``whole`` is the photo's own mask (H, W), which is written over. ``soft`` (H, W, C) uint8 holds probabilities of the
    whole photo, times 255, and is written over likewise, by the network's ``probabilities``.
    """
    H, W = whole.shape
    around = around_table(labels)[whole]
    mask = np.zeros_like(whole)
    owner = owners(quadrangles, H, W)
    crop_masks: list[np.ndarray] = []
    for start in range(0, len(quadrangles), TOGETHER):
        some = quadrangles[start : start + TOGETHER]
        found = scores([crop(photo, quadrangle, size) for quadrangle in some])
        for number, (quadrangle, one) in enumerate(zip(some, found, strict=True), start + 1):
            look = Look(quadrangle, one)
            look.fill(number, owner, mask)
            crop_masks.append(look.mask())
            if soft is not None and probabilities is not None:
                look.fill_probabilities(number, owner, soft, probabilities)
    clothes = clothes_of(labels)
    for number, quadrangle in enumerate(quadrangles, 1):
        fill_around(photo, Square(widened(quadrangle, REACH)), number, mask, around, owner, clothes)
    if soft is not None:
        soft[owner == 0] = np.eye(1, len(labels), dtype=np.uint8) * 255
    owner[mask == 0] = 0
    return People(mask, owner, crop_masks)
