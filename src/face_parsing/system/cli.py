"""What the commands share: numbers above 0, and outputs that are not replaced unasked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from face_parsing.sizes import LARGEST_SIDE, SMALLEST_SIDE


class UsageError(ValueError):
    """A command that cannot be carried out; the message says why and what to do."""


def positive(text: str) -> int:
    """An argument's whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def refuse_existing(wanted: Sequence[Path], *, overwrite: bool) -> None:
    """Raise UsageError where files would be replaced that nobody asked to replace."""
    existing = [path for path in wanted if path.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]}{more} would be replaced; add --overwrite or choose another output.")


def refuse_for_onnx(path: Path, asked: Mapping[str, object], *, alone: bool) -> None:
    """Raise UsageError where an ONNX file shall do what only checkpoints do.

    ``asked`` are these options, true where they were given; ``alone`` is whether the file is the only model.
    """
    refused = [option for option, given in asked.items() if given]
    if refused or not alone:
        much = ", ".join(refused) or "the other models"
        raise UsageError(f"{path} predicts as it is, by itself, on the CPU: leave out {much}, or name a checkpoint.")


def image_side(text: str) -> int:
    """An argument's image size, as a checkpoint may have it."""
    value = int(text)
    if not SMALLEST_SIDE <= value <= LARGEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text} is not from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    return value
