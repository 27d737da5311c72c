"""The CSV of run lengths in which a Kaggle course wants masks.

The header is ``ID,Usage,label,segmentation``, with 19 rows an image below it. Images are numbered from 0 in the order
of their names (numbers by value, before words); ID is image * 19 + class id, label the class's name. A segmentation
lists the runs of the class in a mask of 256x256, row by row from the top left: ``start_length`` of each, joined by
``_``, the first pixel being 1; ``0`` where there is none. Pixels to ignore are in no run.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.masks import read_mask
from face_parsing.data.problems import DataError
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, NUM_CLASSES
from face_parsing.system.files import atomic_path

HEADER = ["ID", "Usage", "label", "segmentation"]
SIZE = 256
LARGEST_SIZE = 4096
MAX_IMAGES = 100_000
# Masks that are read are all held until the last row is known to be sound.
MAX_PIXELS = 2**30
EMPTY = "0"


def encode_runs(region: np.ndarray) -> str:
    """The runs of a region (h, w) bool, row by row: ``start_length`` joined by ``_``, from 1 on; else ``0``."""
    padded = np.concatenate([[False], region.ravel(), [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])  # starts and ends by turns
    runs = np.stack([edges[::2] + 1, edges[1::2] - edges[::2]], axis=1)
    return "_".join(map(str, runs.ravel().tolist())) or EMPTY


def decode_runs(text: str, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """First pixel, from 0, and length of each run (N,) int64 of a segmentation.

    Raises ValueError, to be preceded by where the text stands, for anything but ascending runs within the pixels.
    """
    if text == EMPTY:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if not re.fullmatch(r"[0-9]{1,9}(?:_[0-9]{1,9})*", text):
        shown = text if len(text) <= 30 else f"{text[:30]}..."
        raise ValueError(f"the segmentation {shown!r} is not numbers joined by '_', nor {EMPTY!r} for none")
    numbers = np.array(text.split("_"), dtype=np.int64)
    if len(numbers) % 2:
        raise ValueError(f"the segmentation has {len(numbers)} numbers; each run needs two, start and length")
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    wrong = (starts < 0) | (lengths < 1) | (starts + lengths > pixels)
    if wrong.any():
        start, length = numbers[::2][wrong][0], lengths[wrong][0]
        raise ValueError(f"the run {start}_{length} is not within pixels 1 to {pixels}")
    bad = np.flatnonzero(starts[1:] < (starts + lengths)[:-1])
    if len(bad):
        first = "_".join(map(str, numbers[2 * bad[0] : 2 * bad[0] + 4].tolist()))
        raise ValueError(f"the runs {first} overlap or are not in ascending order")
    return starts, lengths


def rows_of(mask: np.ndarray, image: int, *, usage: str, size: int = SIZE) -> Iterator[list[str]]:
    """The 19 rows of a mask (H, W) of class ids, brought to size x size by nearest neighbour."""
    if mask.shape != (size, size):
        mask = cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    for c, name in enumerate(CLASS_NAMES):
        yield [str(image * NUM_CLASSES + c), usage, name, encode_runs(mask == c)]


def write_kaggle(
    masks: Sequence[Path], path: Path, *, usage: str = "Public", size: int = SIZE, rule: IdRule = USUAL
) -> None:
    """Write the CSV of mask files, numbered as they come. Raises DataError for what is no mask."""
    log = MaskLog()
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for image, mask in enumerate(tqdm(masks, unit="mask", leave=False)):
            writer.writerows(rows_of(read_mask(mask, rule, log), image, usage=usage, size=size))
    log.tell_palettes()


def _rows(path: Path, limit: int) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line. A line that cannot be read as text or CSV, or is longer than limit, has none."""
    before = csv.field_size_limit(limit)
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            number = 0
            while text := file.readline(limit + 1):
                number += 1
                try:
                    # A field with a line break inside cannot be meant, and would hide where the next row starts.
                    row = next(csv.reader([text], strict=True)) if len(text) <= limit else []
                except csv.Error:
                    row = []
                yield number, row
    finally:
        csv.field_size_limit(before)


def _row_of(row: list[str], seen: set[int], size: int) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Image, class and runs of a row. Raises ValueError that says what is wrong with it."""
    if len(row) != len(HEADER):
        raise ValueError(f"{len(row) or 'no readable'} fields; a row has {len(HEADER)}: {','.join(HEADER)}")
    if not re.fullmatch(r"[0-9]{1,12}", row[0]):
        raise ValueError(f"the ID {row[0][:30]!r} is not a whole number")
    number = int(row[0])
    image, c = divmod(number, NUM_CLASSES)
    if image >= MAX_IMAGES:
        raise ValueError(f"the ID {number} is of image {image}; at most {MAX_IMAGES} images are read")
    if number in seen:
        raise ValueError(f"the ID {number} has a row already")
    seen.add(number)
    if row[2] not in (CLASS_NAMES[c], str(c)):
        raise ValueError(f"the label {row[2][:30]!r}; ID {number} is of class {c}, {CLASS_NAMES[c]}")
    return image, c, *decode_runs(row[3], size * size)


def _paint(mask: np.ndarray, c: int, starts: np.ndarray, lengths: np.ndarray) -> None:
    """Give the runs of class c to mask (pixels,). Raises ValueError where another class has a pixel already."""
    steps = np.zeros(len(mask) + 1, dtype=np.int8)
    steps[starts] += 1
    steps[starts + lengths] -= 1
    region = steps[:-1].cumsum() > 0
    taken = np.flatnonzero(region & (mask != IGNORE_INDEX))
    if len(taken):
        other = CLASS_NAMES[mask[taken[0]]]
        raise ValueError(f"pixel {taken[0] + 1} is given to {CLASS_NAMES[c]}, but {other} has it already")
    mask[region] = c


def read_kaggle(path: Path, *, size: int = SIZE) -> list[np.ndarray]:
    """The masks (size, size) uint8 of a CSV, by image; pixels that no class has are 255.

    Rows may be in any order. Raises DataError, naming file and line, for anything malformed, twice there or missing.
    """
    masks: dict[int, np.ndarray] = {}
    seen: set[int] = set()
    line = 0
    try:
        # The longest sound row is every second pixel by itself; a longer one never fills the memory.
        for line, row in tqdm(_rows(path, size * size * 6 + 256), unit="row", leave=False):
            if line == 1:
                if row != HEADER:
                    raise ValueError(f"the header is {','.join(row)[:80]!r}; it must be {','.join(HEADER)}")
                continue
            image, c, starts, lengths = _row_of(row, seen, size)
            if image not in masks:
                if (len(masks) + 1) * size * size > MAX_PIXELS:
                    raise ValueError(f"more images than {MAX_PIXELS // size**2}, the most that are read at {size}")
                masks[image] = np.full(size * size, IGNORE_INDEX, dtype=np.uint8)
            _paint(masks[image], c, starts, lengths)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {error}.") from None
    if not masks:
        raise DataError(f"{path} holds no image; below its header it needs {NUM_CLASSES} rows an image.")
    count = max(masks) + 1
    if len(seen) < count * NUM_CLASSES:
        missing = next(number for number in range(count * NUM_CLASSES) if number not in seen)
        raise DataError(
            f"{path} lacks {count * NUM_CLASSES - len(seen)} of the {count * NUM_CLASSES} rows of {count} images, "
            f"the first: ID {missing} (image {missing // NUM_CLASSES}, {CLASS_NAMES[missing % NUM_CLASSES]})."
        )
    return [masks[image].reshape(size, size) for image in range(count)]
