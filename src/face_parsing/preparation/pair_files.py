"""A pair on its way into a prepared set: read, checked, its ids translated, written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.masks import read_mask, save_mask
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.system.files import atomic_path

JPEG_QUALITY = 95
FORMATS = {
    ".png": "PNG", ".apng": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".dib": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
    ".jp2": "JPEG2000", ".ppm": "PPM", ".avif": "AVIF",
}  # fmt: skip
"""Of photos, by suffix, as Pillow calls them; all others are JPEG."""
UNKNOWN = -1  # in a table of ids: the source has no such id


def size_text(picture: np.ndarray) -> str:
    """Width x height."""
    return f"{picture.shape[1]}x{picture.shape[0]}"


def resize_photo(photo: np.ndarray, size: int) -> np.ndarray:
    """Photo (H, W, 3) uint8 at size x size, by area where it shrinks."""
    interpolation = cv2.INTER_AREA if photo.shape[0] > size else cv2.INTER_LINEAR
    return cv2.resize(photo, (size, size), interpolation=interpolation)


def resize_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Mask (H, W) uint8 at size x size, by nearest neighbour."""
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)


def translate(mask: np.ndarray, table: np.ndarray, path: Path) -> np.ndarray:
    """table[mask] as (H, W) uint8, for table (256,) int16. Raises DataError where the table says UNKNOWN."""
    ids = np.unique(mask)
    unknown = ids[table[ids] == UNKNOWN]
    if len(unknown):
        listed = ", ".join(map(str, unknown))
        raise DataError(f"{path}: holds the id {listed}, which is not in the source's order of classes")
    return table.astype(np.uint8)[mask]


def copy_photo(source: Path, target: Path, *, link: bool = False) -> None:
    """Copy a file byte for byte or, with link, give it a second name where both are on one file system."""
    with atomic_path(target) as temporary:
        if link:
            try:
                os.link(source.resolve(), temporary)
                return
            except OSError:
                temporary.unlink(missing_ok=True)
        shutil.copyfile(source, temporary)


def save_photo(photo: np.ndarray, target: Path) -> None:
    """Write a photo (H, W, 3) uint8 in the format of target's suffix."""
    kind = FORMATS.get(target.suffix.lower(), "JPEG")
    with atomic_path(target) as temporary:
        Image.fromarray(photo).save(temporary, format=kind, quality=JPEG_QUALITY)


def copy_pair(
    image: Path,
    mask: Path | None,
    outputs: tuple[Path, ...],
    *,
    table: np.ndarray | None = None,
    labels: LabelSet = CELEBAMASK,
    size: int | None = None,
    link: bool = False,
    rule: IdRule = USUAL,
) -> MaskLog:
    """Write the image as outputs[0] and the mask, its ids translated by table (256,) int16, as outputs[1].

    With ``size`` both become size x size; an image that is so already is copied byte for byte. ``labels`` gives the
    palette, ``rule`` says what the source's values mean. Gives what is worth a word of the mask. Raises PhotoError and
    DataError, and writes nothing, for files that cannot be read or do not fit.
    """
    photo = read_photo(image)  # also a file that is only copied must be whole
    log = MaskLog()
    ids = None if mask is None else read_ids(mask, table, rule, log)
    if ids is not None and size is None and ids.shape != photo.shape[:2]:
        raise DataError(f"{mask}: {size_text(ids)}, but its image is {size_text(photo)}; --size makes both one size")
    if ids is not None and not outputs[1].exists():
        save_mask(ids if size is None else resize_mask(ids, size), outputs[1], labels)
    if size is None or photo.shape[:2] == (size, size):
        copy_photo(image, outputs[0], link=link)
    else:
        save_photo(resize_photo(photo, size), outputs[0])
    return log


def read_ids(
    path: Path, table: np.ndarray | None = None, rule: IdRule = USUAL, log: MaskLog | None = None
) -> np.ndarray:
    """Class ids (H, W) uint8 of a mask, translated by table. Raises DataError that names the file."""
    if path.suffix.lower() != ".png":
        raise DataError(f"{path}: a mask must be a PNG; JPEG compression changes ids")
    mask = read_mask(path, rule, log)
    return mask if table is None else translate(mask, table, path)
