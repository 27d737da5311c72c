"""Folders of masks in the formats of other projects, and back: the Kaggle course's CSV, mmsegmentation's id PNGs.

``kaggle.py`` says what the CSV holds. Id PNGs are of mode L: ids 0 to 18, 255 for pixels to ignore. Nothing is
replaced unless ``overwrite`` says so, and nothing is half-written.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.masks import read_mask, save_mask
from face_parsing.data.photo_files import PHOTO_SUFFIXES, photos_in
from face_parsing.data.problems import DataError
from face_parsing.drawing.kaggle import SIZE, read_kaggle, write_kaggle
from face_parsing.drawing.labelled import masks_in, numeric_order
from face_parsing.system.commands import refuse_existing
from face_parsing.system.files import atomic_path


def _names(source: Path | None, count: int) -> list[str]:
    """The name of each image: from a folder's files, from the lines of a text file, else its number."""
    if source is None:
        return [str(image) for image in range(count)]
    if source.is_dir():
        names = [path.stem for path in numeric_order(photos_in(source))]
    else:
        try:
            lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"The names {source} cannot be read: {error}.") from None
        names = [Path(line).stem if Path(line).suffix.lower() in PHOTO_SUFFIXES else line for line in lines if line]
    if len(names) != count:
        raise DataError(f"{source} gives {len(names)} names, but the CSV holds {count} images.")
    for name, times in Counter(names).items():
        if times > 1 or name in (".", "..") or "/" in name or "\0" in name:
            raise DataError(f"{source}: {name!r} cannot name a mask; names must differ and be plain file names.")
    return names


def masks_to_kaggle(
    folder: Path,
    output: Path,
    *,
    usage: str = "Public",
    size: int = SIZE,
    rule: IdRule = USUAL,
    overwrite: bool = False,
) -> int:
    """A folder of masks to the CSV, at size x size pixels. Gives the number of images."""
    refuse_existing([output], overwrite=overwrite)
    masks = masks_in(folder)
    write_kaggle(masks, output, usage=usage, size=size, rule=rule)
    return len(masks)


def kaggle_to_masks(
    csv: Path, folder: Path, *, names: Path | None = None, size: int = SIZE, overwrite: bool = False
) -> int:
    """The CSV to a folder of masks, named by a folder or list of ``names`` in their order, or numbered from 0.

    Gives the number of images.
    """
    masks = read_kaggle(csv, size=size)
    paths = [folder / f"{name}.png" for name in _names(names, len(masks))]
    refuse_existing(paths, overwrite=overwrite)
    for mask, path in zip(masks, paths, strict=True):
        save_mask(mask, path)
    return len(masks)


def masks_to_ids(folder: Path, output: Path, *, rule: IdRule = USUAL, overwrite: bool = False) -> int:
    """Masks with a palette to plain id PNGs of the same names. Gives their number."""
    masks = masks_in(folder)
    paths = [output / f"{path.stem}.png" for path in masks]
    refuse_existing(paths, overwrite=overwrite)
    log = MaskLog()
    for source, path in zip(tqdm(masks, unit="mask", leave=False), paths, strict=True):
        with atomic_path(path) as temporary:
            Image.fromarray(read_mask(source, rule, log)).save(temporary, format="PNG")
    log.tell_palettes()
    return len(masks)
