"""What parsing gives for a photo, and the files that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from face_parsing.data.masks import save_mask
from face_parsing.drawing.overlays import save_colors, save_overlay
from face_parsing.labels import CELEBAMASK, LabelSet

Parse = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""From photos of one size, each (H, W, 3) uint8, to their masks (H, W) uint8."""

RESULTS = ("masks", "color", "overlay", "submission.zip")
"""All that is written into an output folder."""

SIDE_BY_SIDE = 2**21  # pixels of a photo from which on its files are written at the same time


def output_paths(output: Path, stem: str, *, color: bool = False, overlay: bool = False) -> dict[str, Path]:
    """Where the pictures of one photo go: ``mask`` and, where asked for, ``color`` and ``overlay``."""
    paths = {"mask": output / "masks" / f"{stem}.png"}
    if color:
        paths["color"] = output / "color" / f"{stem}.png"
    if overlay:
        paths["overlay"] = output / "overlay" / f"{stem}.jpg"
    return paths


def written_places(output: Path, sources: Sequence[Path]) -> list[Path]:
    """What the command writes, so that it never reads it as photos: the output folder, if it lies in a source.

    Where photos lie in the output folder itself, these are the folders and files that it puts there.
    """
    place = output.resolve()
    sources_in_it = [source for source in sources if place == source.resolve() or place in source.resolve().parents]
    results = [output / name for name in RESULTS]
    return results if sources_in_it else [output, *results]


def write_outputs(
    photo: np.ndarray, mask: np.ndarray, paths: Mapping[str, Path], labels: LabelSet = CELEBAMASK
) -> None:
    """Write the files of output_paths for a photo (H, W, 3) and its mask (H, W); those that exist are replaced."""
    writers: dict[str, Callable[[Path], None]] = {
        "mask": lambda path: save_mask(mask, path, labels),
        "color": lambda path: save_colors(mask, path, labels),
        "overlay": lambda path: save_overlay(photo, mask, path, labels),
    }
    if len(paths) == 1 or mask.size < SIDE_BY_SIDE:
        for name, path in paths.items():
            writers[name](path)
        return
    from concurrent.futures import ThreadPoolExecutor  # not at every start: it takes its milliseconds

    with ThreadPoolExecutor(len(paths)) as pool:
        for done in [pool.submit(writers[name], path) for name, path in paths.items()]:
            done.result()
