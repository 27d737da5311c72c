"""What parsing gives for a photo, and the files that it becomes."""

from __future__ import annotations

import errno
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, PngImagePlugin

from face_parsing.data.masks import INSTANCES, save_mask
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

NUMBERS = re.compile(r'\[\n([^]\[{}"]+)\]')
"""A list of numbers as indented JSON has it; no string holds a line's end."""

RECORD = ".face_parsing.json"
"""The hidden file in which an output folder remembers how its results were made."""

RESULTS = (*(folder for folder, _ in KINDS.values()), CROPS, CROP_MASKS, "submission.zip", RECORD)
"""All that is written into an output folder."""

SIDE_BY_SIDE = 2**21  # pixels of a photo from which on its files are written at the same time


@dataclass(frozen=True, eq=False)
class Extras:
    """What is written beside the mask where it is asked for.

    ``instances`` is (H, W) uint16: 0, or the number of the face that a pixel belongs to. ``facts`` becomes the JSON
    file. ``probabilities`` is (H, W, C) uint8.
    """

    instances: np.ndarray | None = None
    facts: Mapping[str, object] | None = None
    probabilities: np.ndarray | None = None


T = TypeVar("T")

NOTHING = Extras()


@dataclass(frozen=True, kw_only=True)
class Files:
    """Which files a photo becomes beside its mask."""

    color: bool = False
    overlay: bool = False
    instances: bool = False
    json: bool = False
    soft: bool = False
    crops: bool = False

    def paths(self, output: Path, name: str) -> dict[str, Path]:
        """Where those go that a photo becomes one of, by KINDS. ``name`` may have folders in front."""
        asked = {"mask": True, **asdict(self)}
        return {kind: output / folder / f"{name}{end}" for kind, (folder, end) in KINDS.items() if asked[kind]}

    def wanted(self, output: Path, name: str) -> list[Path]:
        """The files by which a photo is known to be done. With crops, one without a face never is."""
        return [*self.paths(output, name).values(), *(crop_paths(output, name, 1) if self.crops else ())]

    def places(self, output: Path, names: Mapping[Path, str]) -> list[Path]:
        """All that may be written of photos of these names, and the photos that lie where crops go."""
        places = [path for name in names.values() for path in self.paths(output, name).values()]
        if not self.crops:
            return places
        folders = {(output / folder).resolve() for folder in (CROPS, CROP_MASKS)}
        return places + [photo for photo in names if folders.intersection(photo.resolve().parents)]

    def why_not(self, output: Path, name: str, photo: Path) -> str | None:
        """Why the files of a photo cannot be called by its name, or None."""
        if self.json and printable(str(photo)) != str(photo):
            return f"{printable(str(photo))}: its name is not in UTF-8, as JSON must be; rename it or leave out --json"
        wanted = self.wanted(output, name)
        there = next(place for place in (output, *output.absolute().parents) if place.is_dir())
        if too_long := next((path.name for path in wanted if _is_too_long(there / path.name)), None):
            return (
                f"{printable(str(photo))}: {printable(too_long)} is longer than names of files may be here; rename it"
            )
        return None

    def replaced(self, output: Path, name: str) -> list[Path]:
        """All that are there and would be written anew."""
        there = [path for path in self.paths(output, name).values() if is_there(path)]
        return there + (existing_crops(output, name) if self.crops else [])

    def are_there(self, output: Path, name: str) -> bool:
        """Whether a photo is done; else it is looked at again."""
        return all(is_there(path) for path in self.wanted(output, name))


def printable(name: str) -> str:
    """A name as a terminal and a text file take it: bytes that are not in UTF-8 become signs."""
    return name.encode(errors="backslashreplace").decode()


def is_there(path: Path) -> bool:
    """Whether a file exists; one of a name that no file can have does not."""
    try:
        return path.exists()
    except OSError:
        return False


def _is_too_long(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def output_paths(output: Path, stem: str, *, color: bool = False, overlay: bool = False) -> dict[str, Path]:
    """Where the pictures of one photo go: ``mask`` and, where asked for, ``color`` and ``overlay``."""
    return Files(color=color, overlay=overlay).paths(output, stem)


def crop_paths(output: Path, stem: str, number: int) -> tuple[Path, Path]:
    """Where the crop of a photo's face and its mask go; faces are numbered from 1, the largest."""
    return output / CROPS / f"{stem}_{number}.png", output / CROP_MASKS / f"{stem}_{number}.png"


def existing_crops(output: Path, stem: str) -> list[Path]:
    """The crops and their masks of a photo that are there already, numbered from 1 without a gap."""
    found: list[Path] = []
    for number in itertools.count(1):
        there = [path for path in crop_paths(output, stem, number) if is_there(path)]
        if not there:
            break
        found += there
    return found


def write_crops(
    output: Path,
    stem: str,
    crops: Iterable[tuple[np.ndarray, np.ndarray]],
    labels: LabelSet = CELEBAMASK,
    *,
    keep: bool = False,
) -> dict[str, Path]:
    """Write the crops of a photo's faces, each (S, S, 3), and their masks (S, S), in the place of those there.

    With ``keep`` these stay, and only the others are written. Returns what was written, under ``crop_1``,
    ``crop_mask_1`` and so on.
    """
    before, written = existing_crops(output, stem), dict[str, Path]()
    for number, (crop, mask) in enumerate(crops, 1):
        path, mask_path = crop_paths(output, stem, number)
        if not (keep and path in before):
            with atomic_path(path) as temporary:
                Image.fromarray(crop).save(temporary, format="PNG")
            written[f"crop_{number}"] = path
        if not (keep and mask_path in before):
            save_mask(mask, mask_path, labels)
            written[f"crop_mask_{number}"] = mask_path
    for path in before:  # of a run that found more faces
        if not keep and path not in written.values():
            path.unlink()
    return written


def written_places(output: Path, sources: Sequence[Path]) -> list[Path]:
    """What the command writes, so that it never reads it as photos: the output folder, if it lies in a source.

    Where photos lie in the output folder itself, these are the folders and files that it puts there.
    """
    place = output.resolve()
    sources_in_it = [source for source in sources if place == source.resolve() or place in source.resolve().parents]
    results = [output / name for name in RESULTS]
    return results if sources_in_it else [output, *results]


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
    """Write whose each pixel is, (H, W) uint16, as a grey PNG of 16 bits that says so."""
    text = PngImagePlugin.PngInfo()
    for key, value in INSTANCES.items():
        text.add_text(key, value)
    with atomic_path(path) as temporary:
        Image.fromarray(instances.astype(np.uint16)).save(temporary, format="PNG", pnginfo=text)


def save_facts(facts: Mapping[str, object], path: Path) -> None:
    """Write what is known of a photo as JSON, a list of numbers on one line."""
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    text = NUMBERS.sub(lambda numbers: f"[{' '.join(numbers[1].split())}]", text)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def save_probabilities(probabilities: np.ndarray, path: Path, labels: LabelSet = CELEBAMASK) -> None:
    """Write class probabilities as a compressed file of NumPy's, ``numpy.load(path)``.

    ``probabilities`` (H, W, C) is uint8, of which 255 is certain; ``classes`` (C,) are the names.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, probabilities=probabilities, classes=np.array(labels.names))
