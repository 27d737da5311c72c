"""Backgrounds, hair and clothes of a training face that look like another's.

800 faces show few backgrounds and few clothes, and a network comes to know them by heart. Where one stands for
another, its outline and its label stay: what the network then learns is that a color says little of what it covers.
Faces of the data set are aligned, so that one's background mostly lies where another's lies; what it does not cover is
continued smoothly. Hair keeps its strands, and takes the other's colors alone: smooth, it would be a cap.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from face_parsing.augmentation.face_geometry import ImageAndMask
from face_parsing.labels import class_ids

(HAIR,) = class_ids("hair")
TEXTURED = class_ids("background", "hair", "cloth")
"""The classes that can look like anything: no two of them are told apart by color alone."""
CONTRAST_RANGE = (0.5, 2.0)
EDGE_SIGMA = 0.8  # pixels


def continued(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Image (S, S, 3) float32 that is ``image`` in region (S, S) bool, and smoothly goes on from there elsewhere.

    Push-pull (Gortler et al. 1996, The Lumigraph): halved until the region's colors have spread over all of it, then
    enlarged again, each size filling the gaps of the next larger one. A region without a pixel gives zeros.
    """
    known = region.view(np.uint8)
    inside = cv2.copyTo(image, known).astype(np.float32)
    if len(image) == 1:
        return inside
    color, share = _halved(inside), _halved(known.astype(np.float32))
    levels = [np.dstack([color, share])]  # color, weighted by how much of a pixel is known, and that
    while len(levels[-1]) > 1:
        levels.append(_halved(levels[-1]))
    last = levels.pop()
    result = last[..., :3] / np.maximum(last[..., 3:], 1e-12)
    for level in reversed(levels):
        result = cv2.resize(result, (len(level), len(level)), interpolation=cv2.INTER_LINEAR)
        # A part of the pixel is known: its mean is that of this part and of what it is continued by.
        result = level[..., :3] + (1 - level[..., 3:]) * result
    result = cv2.resize(result, (len(image), len(image)), interpolation=cv2.INTER_LINEAR)
    return cv2.copyTo(inside, known, result)


def _halved(image: np.ndarray) -> np.ndarray:
    half = (len(image) + 1) // 2
    return cv2.resize(image, (half, half), interpolation=cv2.INTER_AREA)


def recolored(image: np.ndarray, region: np.ndarray, donor: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Image (S, S, 3) float32 whose region has, in each channel, the mean and the contrast of the donor's region.

    Reinhard et al. (2001, Color Transfer between Images), in RGB. Contrast changes by CONTRAST_RANGE at most.
    """
    mean, std = cv2.meanStdDev(image, mask=region.view(np.uint8))  # (3, 1)
    their_mean, their_std = cv2.meanStdDev(donor, mask=theirs.view(np.uint8))
    gain = np.clip((their_std + 1) / (std + 1), *CONTRAST_RANGE)
    levels = (np.arange(256) - mean) * gain + their_mean
    return cv2.LUT(image, levels.astype(np.float32).T.reshape(1, 256, 3))


def retexture(pair: ImageAndMask, donor: ImageAndMask, label: int) -> ImageAndMask:
    """Image (S, S, 3) and mask (S, S), uint8, with the class ``label`` looking as in the donor's, a pair of this size.

    The arguments are not written to. Where either has no pixel of that class, the pair itself is given back.
    """
    image, mask = pair
    region, theirs = mask == label, donor[1] == label
    if not region.any() or not theirs.any():
        return pair
    look = recolored(image, region, donor[0], theirs) if label == HAIR else continued(donor[0], theirs)
    # A hard edge would give it away.
    alpha = cv2.GaussianBlur(region.astype(np.float32), (0, 0), EDGE_SIGMA)
    mixed = cv2.blendLinear(look, image.astype(np.float32), alpha, 1 - alpha)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8), mask


@dataclass(frozen=True)
class Texture:
    """The class ``label`` looks as on the pair with index ``donor``."""

    donor: int
    label: int

    def __call__(self, pair: ImageAndMask, donor: ImageAndMask) -> ImageAndMask:
        """``retexture`` of the pair by the donor's."""
        return retexture(pair, donor, self.label)


class TextureChoice:
    """Chooses, for each class of TEXTURED by itself, whether it looks as on another face, and on which.

    ``presence`` (N, 19) says which classes each pair holds.
    """

    def __init__(self, presence: np.ndarray, *, probability: float) -> None:
        self.presence = presence
        self.probability = probability
        self._wearers = {label: np.flatnonzero(presence[:, label]) for label in TEXTURED}

    def __call__(self, index: int, *, seed: int) -> list[Texture]:
        """What the face with that index gets. The same seed gives the same."""
        rng = np.random.default_rng(seed)
        found = []
        for label, wearers in self._wearers.items():
            chosen, share = rng.random(2)
            if chosen < self.probability and self.presence[index, label]:
                found.append(Texture(int(wearers[int(share * len(wearers))]), label))
        return found
