"""Photos as they come out of poor cameras and poor light: out of focus, tiny, dark and noisy, too dark or too bright.

Training photos are sharp and well lit. A network that has seen nothing else loses glasses, brows and hair where these
are missing. A mask stays as it is: what it says is there, if hardly to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from face_parsing.augmentation.face_geometry import ImageAndMask

Kind = Literal["blurred", "small", "dark", "gamma"]

SIGMAS = (0.5, 4.0)
"""Of a Gaussian blur, in pixels of a photo of 512."""
SIDES = (48.0, 256.0)
"""What a photo is shrunk to before it is enlarged again, pixels."""
EXPOSURES, ELECTRONS, READ_NOISE = (0.08, 0.5), (60.0, 600.0), (0.0, 3.0)
"""Light that is left, over a good photo's; electrons that a white pixel of that photo would hold, whose square root is
its noise; and the noise of reading them, in levels of 255."""
GAMMAS = (0.33, 4.0)
REFERENCE_SIZE = 512


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """The image (H, W, 3) uint8, out of focus by sigma pixels."""
    done: np.ndarray = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return done


def small(image: np.ndarray, side: int) -> np.ndarray:
    """The image (H, W, 3) uint8, shrunk to side x side pixels and enlarged again."""
    H, W = image.shape[:2]
    shrunk = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    done: np.ndarray = cv2.resize(shrunk, (W, H), interpolation=cv2.INTER_LINEAR)
    return done


def with_gamma(image: np.ndarray, gamma: float) -> np.ndarray:
    """The image (H, W, 3) uint8, its levels, over 255, raised to gamma."""
    levels = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return levels[image]


def dark(
    image: np.ndarray, *, exposure: float, electrons: float, read_noise: float, gain: float, rng: np.random.Generator
) -> np.ndarray:
    """The image (H, W, 3) uint8 with a share of its light, noisy as a sensor is, then brightened by gain.

    Light is counted before a display's gamma of 2.2. The noise of a pixel is the root of what light it gets (Poisson,
    taken as normal) and that of reading it.
    """
    linear = ((np.arange(256) / 255) ** 2.2).astype(np.float32)[image] * exposure
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    seen = linear + noise * np.sqrt(linear / electrons + (read_noise / 255) ** 2)
    done: np.ndarray = np.round(255 * np.clip(seen * gain, 0, 1) ** np.float32(1 / 2.2)).astype(np.uint8)
    return done


@dataclass(frozen=True)
class Degradation:
    """What becomes of one photo: a kind, drawn from all alike, at a strength that seed draws."""

    kind: Kind
    seed: int

    def __call__(self, pair: ImageAndMask) -> ImageAndMask:
        """The pair, image (S, S, 3) and mask (S, S) uint8, with a poorer image."""
        image, mask = pair
        size = len(mask)
        rng = np.random.default_rng(self.seed)
        if self.kind == "blurred":
            return blurred(image, rng.uniform(*SIGMAS) * size / REFERENCE_SIZE), mask
        if self.kind == "small":
            return small(image, min(round(_log_uniform(rng, *SIDES)), size)), mask
        if self.kind == "gamma":
            return with_gamma(image, _log_uniform(rng, *GAMMAS)), mask
        exposure = _log_uniform(rng, *EXPOSURES)
        gain = exposure ** -rng.uniform(0, 1)
        electrons, read_noise = _log_uniform(rng, *ELECTRONS), rng.uniform(*READ_NOISE)
        return dark(image, exposure=exposure, electrons=electrons, read_noise=read_noise, gain=gain, rng=rng), mask


class DegradationChoice:
    """Which photos are made poorer, and how: ``probability`` of them, each kind as often as the others."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, *, seed: int) -> Degradation | None:
        """What becomes of the photo that draws this seed, or None."""
        rng = np.random.default_rng(seed)
        if rng.random() >= self.probability:
            return None
        kinds: tuple[Kind, ...] = get_args(Kind)
        return Degradation(kinds[int(rng.integers(len(kinds)))], int(rng.integers(2**31)))
