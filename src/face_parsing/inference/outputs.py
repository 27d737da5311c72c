"""What parsing gives for a photo, and the files that it becomes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from face_parsing.data.masks import save_mask
from face_parsing.drawing.overlays import save_colors, save_overlay
from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.system.files import atomic_path

Parse = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""From photos of one size, each (H, W, 3) uint8, to their masks (H, W) uint8."""

KINDS = {
    "mask": ("masks", ".png"),
    "color": ("color", ".png"),
    "overlay": ("overlay", ".jpg"),
    "instances": ("instances", ".png"),
    "json": ("json", ".json"),
    "soft": ("soft", ".npz"),
}
"""The folder of each kind of file that a photo becomes one of, and its suffix."""

CROPS, CROP_MASKS = "crops", "crop_masks"
"""The folders of what a photo becomes several of: a file a face."""

SIDE_BY_SIDE = 2**21  # pixels of a photo from which on its files are written at the same time


@dataclass(frozen=True, eq=False)
class Extras:
    """What is written beside the mask where it is asked for.

    ``instances`` is (H, W) uint16: 0, or the number of the face that a pixel belongs to. ``facts`` becomes the JSON
    file. ``probabilities`` is (H, W, C) uint8. ``crops`` are the aligned (S, S, 3) photo and (S, S) mask of each face.
    """

    instances: np.ndarray | None = None
    facts: Mapping[str, object] | None = None
    probabilities: np.ndarray | None = None
    crops: Sequence[tuple[np.ndarray, np.ndarray]] = ()


T = TypeVar("T")

NOTHING = Extras()


def output_paths(
    output: Path,
    stem: str,
    *,
    color: bool = False,
    overlay: bool = False,
    instances: bool = False,
    json: bool = False,
    soft: bool = False,
) -> dict[str, Path]:
    """Where the files of one photo go: ``mask`` and, where asked for, the other KINDS."""
    asked = {"mask": True, "color": color, "overlay": overlay, "instances": instances, "json": json, "soft": soft}
    return {kind: output / folder / f"{stem}{end}" for kind, (folder, end) in KINDS.items() if asked[kind]}


def crop_paths(output: Path, stem: str, number: int) -> tuple[Path, Path]:
    """Where the crop of a photo's face and its mask go; faces are numbered from 1, the largest."""
    return output / CROPS / f"{stem}_{number}.png", output / CROP_MASKS / f"{stem}_{number}.png"


def existing_crops(output: Path, stem: str) -> list[Path]:
    """The crops and their masks of a photo that are there already, numbered from 1 without a gap."""
    found: list[Path] = []
    for number in itertools.count(1):
        there = [path for path in crop_paths(output, stem, number) if path.exists()]
        if not there:
            break
        found += there
    return found


def write_crops(
    output: Path, stem: str, crops: Sequence[tuple[np.ndarray, np.ndarray]], labels: LabelSet = CELEBAMASK
) -> None:
    """Write the crops of a photo's faces and their masks in the place of those that are there."""
    more = existing_crops(output, stem)
    for number, (crop, mask) in enumerate(crops, 1):
        paths = crop_paths(output, stem, number)
        with atomic_path(paths[0]) as temporary:
            Image.fromarray(crop).save(temporary, format="PNG")
        save_mask(mask, paths[1], labels)
        more = [path for path in more if path not in paths]
    for path in more:  # of a run that found more faces
        path.unlink()


def write_outputs(
    photo: np.ndarray,
    mask: np.ndarray,
    paths: Mapping[str, Path],
    labels: LabelSet = CELEBAMASK,
    extras: Extras = NOTHING,
) -> None:
    """Write the files of output_paths for a photo (H, W, 3) and its mask (H, W); those that exist are replaced."""
    writers: dict[str, Callable[[Path], None]] = {
        "mask": lambda path: save_mask(mask, path, labels),
        "color": lambda path: save_colors(mask, path, labels),
        "overlay": lambda path: save_overlay(photo, mask, path, labels),
        "instances": lambda path: save_instances(_there(extras.instances), path),
        "json": lambda path: save_facts(_there(extras.facts), path),
        "soft": lambda path: save_probabilities(_there(extras.probabilities), path, labels),
    }
    if len(paths) == 1 or mask.size < SIDE_BY_SIDE:
        for name, path in paths.items():
            writers[name](path)
        return
    from concurrent.futures import ThreadPoolExecutor  # not at every start: it takes its milliseconds

    with ThreadPoolExecutor(len(paths)) as pool:
        for done in [pool.submit(writers[name], path) for name, path in paths.items()]:
            done.result()


def _there(value: T | None) -> T:
    assert value is not None, "a file was asked for without what goes into it"
    return value


def save_instances(instances: np.ndarray, path: Path) -> None:
    """Write whose each pixel is, (H, W) uint16, as a grey PNG of 16 bits."""
    with atomic_path(path) as temporary:
        Image.fromarray(instances.astype(np.uint16)).save(temporary, format="PNG")


def save_facts(facts: Mapping[str, object], path: Path) -> None:
    """Write what is known of a photo as JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def save_probabilities(probabilities: np.ndarray, path: Path, labels: LabelSet = CELEBAMASK) -> None:
    """Write class probabilities as a compressed file of NumPy's, ``numpy.load(path)``.

    ``probabilities`` (H, W, C) is uint8, of which 255 is certain; ``classes`` (C,) are the names.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, probabilities=probabilities, classes=np.array(labels.names))
