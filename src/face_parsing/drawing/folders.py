"""Pictures of whole folders: masks to colors and back, photos under their masks, masks side by side.

Each function takes files or folders, writes its pictures, and raises ValueError for what cannot be drawn, before or
while it writes; no picture is half-written, and none replaces a file unless ``overwrite`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from face_parsing.data.mask_log import MaskLog, SeenMask
from face_parsing.data.mask_palettes import USUAL, IdRule, PaletteKind
from face_parsing.data.masks import ids_of_colors, read_colors, save_mask
from face_parsing.data.photo_files import find_photos
from face_parsing.data.photos import read_photo
from face_parsing.drawing.labelled import enlarged, read_ids
from face_parsing.drawing.matching import match_shared, note_subfolders, refuse_empty, refuse_replacing
from face_parsing.drawing.pictures import contact_sheet, overlay_with_legend, save_picture
from face_parsing.drawing.voc import ColorIds
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, LabelSet, colorize
from face_parsing.system.commands import UsageError


def _each(source: Path, folder: Path, make: Callable[[Path, Path], None], *, overwrite: bool) -> int:
    """make(input, output) of each picture of source, to PNGs in the folder. Gives their number."""
    refuse_empty(source)
    note_subfolders(source)
    inputs = find_photos(source)
    outputs = [folder / f"{path.stem}.png" for path in inputs]
    refuse_replacing(outputs, inputs, overwrite=overwrite)
    for path, output in zip(tqdm(inputs, unit="picture", leave=False), outputs, strict=True):
        make(path, output)
    return len(inputs)


def color_masks(
    source: Path, folder: Path, labels: LabelSet = CELEBAMASK, *, rule: IdRule = USUAL, overwrite: bool = False
) -> int:
    """Masks of class ids to RGB pictures in the palette. Gives their number."""
    log = MaskLog()

    def make(path: Path, output: Path) -> None:
        save_picture(colorize(read_ids(path, labels, rule, log), labels), output)

    count = _each(source, folder, make, overwrite=overwrite)
    log.tell_palettes()
    return count


def _index_hint(path: Path) -> str:
    with Image.open(path) as image:
        return " If its palette's indices are the ids, 'draw.py to-ids' takes these." if image.mode == "P" else ""


def ids_of_pictures(
    source: Path,
    folder: Path,
    labels: LabelSet = CELEBAMASK,
    *,
    colors: ColorIds | None = None,
    nearest: bool = False,
    overwrite: bool = False,
) -> list[float]:
    """Pictures in the palette's colors, or in other ``colors``, back to masks of class ids.

    What is wholly transparent is class 0. With ``nearest`` a pixel of another color takes the class of the nearest
    one. Gives each picture's share of them.
    """
    guessed: list[float] = []
    known = "the palette's" if colors is None else "labelmap.txt's"

    log = MaskLog()

    def make(path: Path, output: Path) -> None:
        picture, clear = read_colors(path)
        mask, exact = ids_of_colors(picture, labels) if colors is None else colors.ids(picture)
        mask[clear], exact[clear] = 0, True
        if not exact.all() and not nearest:
            y, x = np.argwhere(~exact)[0].tolist()
            raise UsageError(
                f"{path}: the color {tuple(picture[y, x].tolist())} at column {x}, row {y} is none of {known}; "
                f"mend the picture, or add --nearest to take the nearest one.{_index_hint(path)}"
            )
        guessed.append(1 - float(exact.mean()))
        seen = SeenMask(
            PaletteKind.OWN, empty=not (mask % IGNORE_INDEX).any(), ignored=bool((mask == IGNORE_INDEX).any())
        )
        log.seen[str(path)] = seen
        save_mask(mask, output, labels)

    _each(source, folder, make, overwrite=overwrite)
    log.tell()
    return guessed


def overlay_photos(
    images: Path,
    masks: Path,
    folder: Path,
    labels: LabelSet = CELEBAMASK,
    *,
    alpha: float = 0.5,
    rule: IdRule = USUAL,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Photos under their masks' colors, ``alpha`` parts of them, with a legend.

    Gives their number, and that of the faces that were left out, since their photo or their mask is not there.
    """
    note_subfolders(masks)
    matched, left_out = match_shared([images, masks])
    outputs = [folder / f"{stem}.jpg" for stem in matched]
    refuse_replacing(outputs, [path for paths in matched.values() for path in paths], overwrite=overwrite)
    log = MaskLog()
    for (image, mask), output in zip(tqdm(matched.values(), unit="picture", leave=False), outputs, strict=True):
        photo = read_photo(image)
        ids = enlarged(read_ids(mask, labels, rule, log), mask, photo, image)
        save_picture(overlay_with_legend(photo, ids, alpha, labels), output)
    log.tell_palettes()
    return len(outputs), left_out


def column_title(place: Path) -> str:
    """What a column is called: inference.py's folders are all called masks, their parents are not."""
    return place.resolve().parent.name if place.name == "masks" else place.stem


def panel_of_masks(
    images: Path | None,
    masks: Sequence[Path],
    output: Path,
    labels: LabelSet = CELEBAMASK,
    *,
    titles: Sequence[str] | None = None,
    stems: Sequence[str] | None = None,
    faces: int = 8,
    rule: IdRule = USUAL,
    overwrite: bool = False,
) -> tuple[int, int, int]:
    """One sheet: a row a face, with its photo where ``images`` are given, and a column for each of ``masks``.

    The faces are those of ``stems``, or the first so many that have all of these. Gives how many are shown, how many
    have all, and how many were left out, since they lack some.
    """
    titles = titles or [column_title(place) for place in masks]
    if len(titles) != len(masks):
        raise UsageError(f"--titles names {len(titles)} columns, --masks {len(masks)}; give each one its title.")
    photos = [] if images is None else [images]
    matched, left_out = match_shared([*photos, *masks], stems)
    refuse_replacing([output], [path for paths in matched.values() for path in paths], overwrite=overwrite)
    shown = dict(list(matched.items())[: None if stems else faces])
    rows: list[list[np.ndarray]] = []
    log = MaskLog()
    for paths in tqdm(shown.values(), unit="face", leave=False):
        row = [read_photo(path) for path in paths[: len(photos)]]
        rows.append(row + [read_ids(path, labels, rule, log) for path in paths[len(photos) :]])
    log.tell_palettes()
    present = {c for row in rows for picture in row[len(photos) :] for c in np.unique(picture).tolist()}
    classes = sorted(present - {IGNORE_INDEX})
    sheet = contact_sheet(rows, ["image"] * len(photos) + list(titles), list(shown), labels=labels, classes=classes)
    save_picture(sheet, output)
    return len(rows), len(matched), left_out
