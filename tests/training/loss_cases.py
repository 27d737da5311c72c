"""Logits and targets that the tests of the losses share."""

from __future__ import annotations

import torch
from torch import Tensor

from face_parsing.labels import IGNORE_INDEX


def draw(
    seed: int = 0,
    *,
    images: int = 3,
    classes: int = 5,
    size: int = 9,
    ignored: float = 0.2,
    absent: tuple[int, ...] = (),
) -> tuple[Tensor, Tensor]:
    """Logits (B, C, H, W) float64 and target (B, H, W) int64 with ignored pixels and without the absent classes."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, classes, size, size + 1, generator=generator, dtype=torch.float64)
    ids = torch.tensor([c for c in range(classes) if c not in absent])
    target = ids[torch.randint(len(ids), (images, size, size + 1), generator=generator)]
    target[torch.rand(target.shape, generator=generator) < ignored] = IGNORE_INDEX
    return logits, target
