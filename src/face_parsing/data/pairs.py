"""Pairs of a photo and its mask: finding, reading and resizing them."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.masks import read_mask
from face_parsing.data.photo_files import SUFFIXES_IN_WORDS, photos_in
from face_parsing.data.photos import PhotoError, read_photo
from face_parsing.data.problems import LAYOUT_HINT, DataError, problems_message
from face_parsing.data.provenance import refuse_grouped


def resize_pair(
    image: np.ndarray, mask: np.ndarray, size: int, *, rounding: tuple[bool, bool] = (False, False)
) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) and mask (H, W), both uint8, at size x size: image by area or linearly, mask by nearest.

    Where a pixel's middle lies just between two labels, as for all pixels of half the size, OpenCV's rounding takes the
    one or, in the direction (down, across) in which ``rounding`` is true, the other one. Always the same would move
    the mask against the image, by half a pixel of the larger one.
    """
    if image.shape[:2] == (size, size):
        return image, mask
    interpolation = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_LINEAR
    image = cv2.resize(image, (size, size), interpolation=interpolation)
    turned = tuple(slice(None, None, -1 if other else 1) for other in rounding)
    mask = cv2.resize(np.ascontiguousarray(mask[turned]), (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return image, mask[turned]


@dataclass(frozen=True)
class Pair:
    """A photo and its mask."""

    stem: str
    image: Path
    mask: Path


def folders_of(pairs: Iterable[Pair]) -> str:
    """The folders that pairs lie in, those that hold images/ and masks/, for people."""
    return " and ".join(dict.fromkeys(str(pair.image.parent.parent) for pair in pairs))


def no_image(stem: str, folder: Path) -> str:
    """That a folder has no image of that name and, where a file of another kind has it, which kinds are read."""
    others = sorted(path.name for path in folder.glob(f"{glob.escape(stem)}.*") if path.stem == stem)
    if not others:
        return f"no image of this name in {folder}"
    return f"{folder} holds {', '.join(others)} alone, but {SUFFIXES_IN_WORDS} are read; convert it"


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs of folder/images and folder/masks, by stem.

    Raises DataError for missing folders, for a grouped set, and for every file without its partner or with two.
    """
    for part in ("images", "masks"):
        if not (folder / part).is_dir():
            raise DataError(f"There is no folder {folder / part}; {LAYOUT_HINT}")
    refuse_grouped(folder.parent)
    problems: list[str] = []
    found: dict[str, dict[str, Path]] = {}
    for part in ("images", "masks"):
        found[part] = {}
        for path in photos_in(folder / part):
            if path.stem in found[part]:
                problems.append(f"{path}: {found[part][path.stem].name} has the same stem")
            found[part][path.stem] = path
    images, masks = found["images"], found["masks"]
    problems += [
        f"{images[stem]}: no mask {folder / 'masks' / stem}.png" for stem in sorted(images.keys() - masks.keys())
    ]
    problems += [f"{masks[stem]}: {no_image(stem, folder / 'images')}" for stem in sorted(masks.keys() - images.keys())]
    if problems:
        raise DataError(problems_message(folder, problems))
    if not images:
        raise DataError(f"There are no photos in {folder / 'images'}; {SUFFIXES_IN_WORDS} are read.")
    return [Pair(stem, images[stem], masks[stem]) for stem in sorted(images)]


def size_difference(mask: tuple[int, ...], image: tuple[int, ...]) -> str:
    """That a mask and its image, of these shapes (H, W, ...), are not of one size, and what makes them so."""
    return (
        f"{mask[1]}x{mask[0]}, but its image is {image[1]}x{image[0]}; "
        "'prepare.py layout --size' makes all pairs one size"
    )


def read_pair(pair: Pair, size: int, rule: IdRule = USUAL, log: MaskLog | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Image (size, size, 3) and mask (size, size), uint8, rule and log as ``read_mask`` takes them.

    Raises DataError that names what is wrong.
    """
    try:
        image = read_photo(pair.image)
    except PhotoError as error:
        raise DataError(str(error)) from None
    mask = read_mask(pair.mask, rule, log)
    if image.shape[:2] != mask.shape:
        raise DataError(f"{pair.mask}: {size_difference(mask.shape, image.shape)}")
    return resize_pair(image, mask, size)
