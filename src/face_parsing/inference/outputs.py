"""What parsing gives for a photo, and the files that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from face_parsing.data.masks import save_mask
from face_parsing.drawing.pictures import overlay as blend
from face_parsing.drawing.pictures import save_picture
from face_parsing.labels import CELEBAMASK, LabelSet, colorize

Parse = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""From photos of one size, each (H, W, 3) uint8, to their masks (H, W) uint8."""


def output_paths(output: Path, stem: str, *, color: bool = False, overlay: bool = False) -> dict[str, Path]:
    """Where the pictures of one photo go: ``mask`` and, where asked for, ``color`` and ``overlay``."""
    paths = {"mask": output / "masks" / f"{stem}.png"}
    if color:
        paths["color"] = output / "color" / f"{stem}.png"
    if overlay:
        paths["overlay"] = output / "overlay" / f"{stem}.jpg"
    return paths


def write_outputs(
    photo: np.ndarray, mask: np.ndarray, paths: Mapping[str, Path], labels: LabelSet = CELEBAMASK
) -> None:
    """Write the files of output_paths for a photo (H, W, 3) and its mask (H, W); those that exist are replaced."""
    save_mask(mask, paths["mask"], labels)
    if "color" in paths:
        save_picture(colorize(mask, labels), paths["color"])
    if "overlay" in paths:
        save_picture(blend(photo, mask, labels=labels), paths["overlay"])
