"""Masks in the folders of Pascal VOC.

    labelmap.txt                          name, color, parts and actions of each class, as CVAT and datumaro read it
    ImageSets/Segmentation/train.txt      the names, one a line
    SegmentationClass/<name>.png          indices with VOC's palette: class ids, 255 where nothing is known (void)
    JPEGImages/<name>.jpg                 the photos, where they are given

Readers go by the index (torchvision, mmsegmentation) or by the color (datumaro, CVAT). VOC's palette serves both.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from tqdm import tqdm

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.masks import nearest_color
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.drawing.labelled import Labelled
from face_parsing.drawing.pictures import save_picture
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, LabelSet
from face_parsing.system.commands import refuse_existing
from face_parsing.system.files import atomic_path

VOID = "void"


def voc_palette() -> np.ndarray:
    """VOC's 256 colors (256, 3) uint8: the bits of an index, three at a time, are the high bits of R, G and B."""
    index = np.arange(256)
    color = np.zeros((256, 3), dtype=np.uint8)
    for place in range(8):
        for channel in range(3):
            color[:, channel] |= ((index >> (3 * place + channel) & 1) << (7 - place)).astype(np.uint8)
    return color


def labelmap(labels: LabelSet, *, void: bool) -> str:
    """The text of labelmap.txt; with ``void`` also the color of pixels to ignore, which datumaro else refuses.

    Raises DataError for a name that the file cannot hold.
    """
    names = [*labels.names, *([VOID] if void else [])]
    for name in names:
        if names.count(name) > 1 or not name.strip() or re.search(r"[:\n]|^#", name):
            raise DataError(f"The class {name!r} cannot stand in labelmap.txt; rename it.")
    colors = voc_palette()[[*range(len(labels)), *([IGNORE_INDEX] if void else [])]].tolist()
    lines = [f"{name}:{','.join(map(str, color))}::" for name, color in zip(names, colors, strict=True)]
    return "\n".join(["# label:color_rgb:parts:actions", *lines, ""])


@dataclass(frozen=True)
class ColorIds:
    """Which color means which id."""

    palette: np.ndarray
    """(n, 3) uint8"""
    table: np.ndarray
    """(n,) uint8: class ids, or IGNORE_INDEX"""

    def ids(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ids (H, W) uint8 of a picture (H, W, 3) uint8 by the nearest color, and which are exact (H, W)."""
        index, exact = nearest_color(picture, self.palette)
        return self.table[index], exact


def read_labelmap(path: Path, labels: LabelSet = CELEBAMASK) -> ColorIds:
    """The colors of a labelmap.txt, by the names of the classes. Raises DataError that names the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The colors {path} cannot be read: {error}.") from None
    known = {**{name: c for c, name in enumerate(labels.names)}, "background": 0, VOID: IGNORE_INDEX}
    ids: dict[tuple[int, ...], int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"([^:]+):(\d{1,3}),(\d{1,3}),(\d{1,3})(:.*)?", line.strip())
        if found is None or max(map(int, found.group(2, 3, 4))) > 255:
            raise DataError(f"{path}, line {number}: {line[:60]!r} is not as 'skin:128,0,0::'.")
        if found[1] not in known:
            raise DataError(f"{path}, line {number}: {found[1]!r} is no class; rename it to one of {', '.join(known)}.")
        color = tuple(map(int, found.group(2, 3, 4)))
        if ids.setdefault(color, known[found[1]]) != known[found[1]]:
            raise DataError(f"{path}, line {number}: another class has the color {color} as well.")
    if not ids:
        raise DataError(f"{path} names no color; its lines are as 'skin:128,0,0::'.")
    return ColorIds(np.array(list(ids), dtype=np.uint8), np.array(list(ids.values()), dtype=np.uint8))


def _save_text(text: str, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _save_indices(ids: np.ndarray, path: Path) -> None:
    picture = Image.fromarray(ids)
    picture.putpalette(voc_palette().tobytes())
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def _upright_jpeg(path: Path) -> bool:
    with Image.open(path) as image:
        return image.format == "JPEG" and image.getexif().get(ExifTags.Base.Orientation, 1) == 1


def _save_photo(source: Path, path: Path) -> None:
    """Copy an upright JPEG; make one of all else, since readers look for .jpg and few of them turn photos."""
    if not _upright_jpeg(source):
        save_picture(read_photo(source), path)
        return
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)


def write_voc(
    masks: Sequence[Labelled],
    folder: Path,
    labels: LabelSet = CELEBAMASK,
    *,
    subset: str = "train",
    rule: IdRule = USUAL,
    overwrite: bool = False,
) -> int:
    """Write the folders of masks. Gives their number. Raises ValueError for what is no mask, or would be replaced."""
    stems = [one.mask.stem for one in masks]
    listed, described = folder / "ImageSets" / "Segmentation" / f"{subset}.txt", folder / "labelmap.txt"
    indices = [folder / "SegmentationClass" / f"{stem}.png" for stem in stems]
    photos = [folder / "JPEGImages" / f"{one.mask.stem}.jpg" for one in masks if one.photo]
    without, with_void = labelmap(labels, void=False), labelmap(labels, void=True)
    present = described.read_text(encoding="utf-8", errors="replace") if described.is_file() else None
    own = present in (without, with_void)  # of another subset, written before
    refuse_existing([listed, *indices, *photos, *([] if own else [described])], overwrite=overwrite)
    log, void = MaskLog(), present == with_void
    for one, path in zip(tqdm(masks, unit="mask", leave=False), indices, strict=True):
        ids = one.ids(labels, rule, log)
        void = void or bool((ids == IGNORE_INDEX).any())
        _save_indices(ids, path)
        if one.photo is not None:
            _save_photo(one.photo, folder / "JPEGImages" / f"{one.mask.stem}.jpg")
    _save_text("".join(f"{stem}\n" for stem in stems), listed)
    _save_text(with_void if void else without, described)
    log.tell_palettes()
    return len(masks)
