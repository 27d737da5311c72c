"""What happens to a pair on its way into training: geometry, color, noise and occlusion.

albumentations 2 does the work on (image, mask) together; masks are always resampled by nearest
neighbour. Its horizontal flip knows nothing of left and right, so ours swaps the labels.
"""

from __future__ import annotations

import os
from typing import Any

import albumentations as A
import cv2
import numpy as np

from face_parsing.labels import FLIP_TABLE

# Its import otherwise asks the network for a newer version, which takes seconds and warns without one.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

# What no config key says of the augmentation, here and in batch_transforms.
SIGMA_RANGE = (0.3, 1.5)  # of the blur, pixels
STD_RANGE = (0.01, 0.06)  # of the noise, in shares of 255
QUALITY_RANGE = (40, 90)  # of the JPEG
MOST_BOXES = 4
BOX_RANGE = (0.05, 0.2)  # a side, as a share of the image's

# One process each has its cores already: threads inside OpenCV would only compete with them.
cv2.setNumThreads(0)


class FlipWithLabels(A.HorizontalFlip):  # type: ignore[misc]
    """Mirror image and mask, and swap left and right labels in the mask by flip_table (256,) uint8."""

    def __init__(self, flip_table: np.ndarray = FLIP_TABLE, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.flip_table = flip_table

    def apply_to_mask(self, mask: np.ndarray, *args: Any, **params: Any) -> np.ndarray:
        """Mask (H, W) uint8 to its mirrored and relabelled copy."""
        return self.flip_table[np.ascontiguousarray(mask[:, ::-1])]


def build_augmentation(
    *,
    flip: float,
    geometric: float,
    rotate: float,
    scale: tuple[float, float],
    shift: float,
    color: float,
    color_strength: float,
    grey: float,
    noise: float,
    occlusion: float,
    flip_table: np.ndarray = FLIP_TABLE,
) -> A.Compose:
    """The training transform of ``transform(image=..., mask=...)``, uint8 in and out, size unchanged.

    Probabilities and strengths are those of the config's augmentation section. Outside its borders a
    moved image is continued by its own reflection, and so are the labels. Call ``set_random_seed``
    of each of its transforms before each use: the dataset does, so that a draw depends on nothing but seed, epoch
    and index.
    """
    strength = (1 - color_strength, 1 + color_strength)
    hue = color_strength / 10
    return A.Compose(
        [
            FlipWithLabels(flip_table, p=flip),
            A.Affine(
                rotate=(-rotate, rotate),
                scale=scale,
                keep_ratio=True,
                translate_percent=(-shift, shift),
                border_mode=cv2.BORDER_REFLECT_101,
                interpolation=cv2.INTER_LINEAR,
                mask_interpolation=cv2.INTER_NEAREST,
                p=geometric,
            ),
            A.ColorJitter(brightness=strength, contrast=strength, saturation=strength, hue=(-hue, hue), p=color),
            A.ToGray(p=grey),
            A.GaussianBlur(blur_limit=0, sigma_limit=SIGMA_RANGE, p=noise / 2),
            A.GaussNoise(std_range=STD_RANGE, noise_scale_factor=0.5, p=noise),
            A.ImageCompression(quality_range=QUALITY_RANGE, p=noise / 2),
            A.CoarseDropout(
                num_holes_range=(1, MOST_BOXES),
                hole_height_range=BOX_RANGE,
                hole_width_range=BOX_RANGE,
                fill="random_uniform",
                fill_mask=None,
                p=occlusion,
            ),
        ]
    )
