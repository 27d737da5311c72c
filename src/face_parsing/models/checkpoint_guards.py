"""What a stranger's checkpoint may not do: inflate, hold what training never writes, or describe a giant."""

from __future__ import annotations

import reprlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from face_parsing.sizes import LARGEST_SIDE, SMALLEST_SIDE

MOST_STEMS = 1_000_000
"""Of the pairs that a checkpoint says it was trained on."""


class InflatedError(ValueError):
    """A file that unpacks to more than it holds."""


def refuse_inflation(path: Path) -> None:
    """Raise InflatedError for an archive that unpacks to more than its size; torch stores without compressing."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked, size = sum(member.file_size for member in archive.infolist()), path.stat().st_size
    if unpacked > size:
        raise InflatedError(f"its {size:,} bytes unpack to {unpacked:,}, but training compresses nothing")


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) and tensor.layout is torch.strided
        for name, tensor in value.items()
    )


def _is_augmentation(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("flip"), bool):
        return False
    scales = value.get("scales")
    return (
        isinstance(scales, list | tuple)
        and 0 < len(scales) <= 100
        and all(isinstance(scale, int | float) and 0.1 < scale <= 4 for scale in scales)
    )


def _are_stems(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MOST_STEMS
        and all(isinstance(stem, str) and len(stem) <= 255 for stem in value)
    )


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "state_dict": (_is_state_dict, "tensors by name"),
    "model": (lambda value: isinstance(value, dict) and all(isinstance(key, str) for key in value), "a description"),
    # As the config has them.
    "image_size": (
        lambda value: type(value) is int and SMALLEST_SIDE <= value <= LARGEST_SIDE,
        f"a whole number from {SMALLEST_SIDE} to {LARGEST_SIDE}",
    ),
    "inference": (_is_augmentation, "flip and scales above 0.1 and up to 4"),
    "track": (lambda value: isinstance(value, str), "a name"),
    "trained_on": (_are_stems, f"at most {MOST_STEMS:,} names"),
    "scores": (lambda value: isinstance(value, dict), "figures by name"),
}
"""What a checkpoint's fields must be."""


def check_fields(content: Mapping[str, Any]) -> None:
    """Raise ValueError where a field of a checkpoint is not what FIELDS says."""
    for name, (sound, meaning) in FIELDS.items():
        if name in content and not sound(content[name]):
            raise ValueError(f"{name} is {reprlib.repr(content[name])}, not {meaning}")


@contextmanager
def no_larger_than(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Raise ValueError as soon as a network that is built has far more weights than these.

    A description of a million channels or blocks is short. Parameters are registered before they are filled, so that
    no memory is touched. Networks may make some parameters and throw them away.
    """
    held = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in weights.values()}
    tensors, elements = 2 * len(weights) + 1000, sum(held.values()) + 10**7

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal tensors, elements
        tensors -= 1
        elements -= parameter.numel() if parameter is not None else 0
        if tensors < 0 or elements < 0:
            raise ValueError("it describes a far larger network")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
