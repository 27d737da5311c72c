"""Masks as they go to other projects: the ids of a label set, at the size of the photo where there is one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import IdRule
from face_parsing.data.masks import read_mask
from face_parsing.data.photo_files import find_photos, photos_in
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.drawing.matching import match_stems, note_subfolders
from face_parsing.labels import IGNORE_INDEX, LabelSet


def read_ids(path: Path, labels: LabelSet, rule: IdRule, log: MaskLog) -> np.ndarray:
    """The ids (H, W) uint8 of a mask. Raises DataError for one that the label set does not have."""
    mask = read_mask(path, rule, log)
    unknown = mask[(mask >= len(labels)) & (mask != IGNORE_INDEX)]
    if len(unknown):
        raise DataError(f"{path}: label {unknown[0]}; the ids of these classes are 0 to {len(labels) - 1}")
    return mask


def enlarged(mask: np.ndarray, mask_path: Path, photo: np.ndarray, photo_path: Path) -> np.ndarray:
    """The mask at the photo's size. Raises DataError where their shapes differ."""
    (h, w), (H, W) = mask.shape, photo.shape[:2]
    if h * W != H * w:
        raise DataError(f"{mask_path} is {w}x{h} and its photo {photo_path} {W}x{H}, of another shape")
    if h == H:
        return mask
    # The full data set's masks are half as large as its photos.
    return np.array(Image.fromarray(mask).resize((W, H), Image.Resampling.NEAREST))


def numeric_order(paths: Iterable[Path]) -> list[Path]:
    """Names that are numbers by value, then the others by name."""

    def key(path: Path) -> tuple[bool, int, str]:
        number = path.stem.isascii() and path.stem.isdigit()
        return not number, int(path.stem) if number else 0, path.stem

    return sorted(paths, key=key)


def masks_in(folder: Path) -> list[Path]:
    """The masks of a folder, in any format that is read, in numeric order, or the one mask that it is.

    A note names its subfolders. Raises ValueError where there is no mask.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} of PNG masks.")
    note_subfolders(folder)
    if not photos_in(folder):
        raise DataError(f"There are no PNG masks in {folder}.")
    return numeric_order(find_photos(folder))


def _refuse_other_names(paths: Iterable[Path]) -> None:
    """Raise DataError for a name of bytes that are no UTF-8: no list and no JSON can hold it."""
    for path in paths:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise DataError(f"{path}: the name is not UTF-8, so that no list can hold it; rename the file") from None


class Labelled(NamedTuple):
    """A mask and, where it is known, the photo that it lies on."""

    mask: Path
    photo: Path | None

    def ids(self, labels: LabelSet, rule: IdRule, log: MaskLog) -> np.ndarray:
        """Class ids (H, W) uint8, at the upright photo's size. Raises ValueError that names the file."""
        mask = read_ids(self.mask, labels, rule, log)
        return mask if self.photo is None else enlarged(mask, self.mask, read_photo(self.photo), self.photo)


def labelled_in(masks: Path, images: Path | None) -> list[Labelled]:
    """The masks of a folder, each with its photo of the folder ``images`` unless that is None, in numeric order.

    Photos without a mask are left out, and a note names them. Raises ValueError for a missing folder, for a mask
    without its photo and for a name that is not UTF-8.
    """
    found = masks_in(masks)
    _refuse_other_names(found)
    if images is None:
        return [Labelled(mask, None) for mask in found]
    photos = {stem: photo for stem, (_, photo) in match_stems([masks, images], spare=True).items()}
    _refuse_other_names(photos.values())
    return [Labelled(mask, photos[mask.stem]) for mask in found]
