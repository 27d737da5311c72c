"""Seeds, and where the generators stand."""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Stream(IntEnum):
    """What a seed is for: the part of ``mix_seeds`` that keeps draws for different ends apart.

    ROUNDING and DEVICE_AUGMENTATION share a number, as they have since the first runs, whose results another one would
    change. They do not meet: rounding reads two bits of the seed itself, the other one draws from a generator.
    """

    AUGMENTATION = 1
    DROPOUT = 2
    ACCESSORIES = 3
    DEVICE_AUGMENTATION = 4
    ROUNDING = 4
    TEXTURES = 5
    HOODS = 6
    PEOPLE = 7
    DEGRADATION = 8


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still draw from it; ours draw from generators
    torch.manual_seed(seed)


def mix_seeds(*parts: int) -> int:
    """One 32-bit seed from several numbers such as (seed, epoch, index): any change gives an unrelated one."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Where torch's generators stand, that of the CPU and, if it is another, the device's."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on drawing from where they stood; a generator that the state does not hold stays as it is."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
