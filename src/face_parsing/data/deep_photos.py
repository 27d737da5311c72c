"""Photos of more than 8 bits a sample, of which a file may use the lower ones alone. Copied into ``run.py``.

Cameras and microscopes put 10 to 14 bits into files of 16. Read as 16 bits they come out almost black.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from face_parsing.data.raw_photos import BITS_PER_SAMPLE, tags_of

FULL = 16  # bits
DARK = 2**14  # of 2**16: a photo without a sample this bright was hardly exposed for 16 bits
USUAL_BITS = (8, 10, 12, 14)

LARGEST_VALUES = (341, 281)  # TIFF's SMaxSampleValue and MaxSampleValue


class PhotoWarning(UserWarning):
    """Something odd about a photo that was read; the message names the file."""


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether an image, opened and not yet loaded, is of a file with more than 8 bits a sample that Pillow keeps raw.

    That is 16-bit grey, and 16-bit color, of which Pillow gives the upper 8 bits. Formats that say how many bits they
    use (JPEG 2000, PPM, AVIF, HEIF) are scaled by Pillow.
    """
    if image.format not in ("PNG", "TIFF"):
        return False
    return image.mode.startswith("I") or any(";16" in _raw_mode(tile) for tile in image.tile)


def _raw_mode(tile: Any) -> str:
    args = tile[3]
    return str(args if isinstance(args, str) else args[0] if args else "")


def lower_bytes(image: ImageFile.ImageFile) -> None:
    """Have an image of 16-bit color, opened and not yet loaded, give the lower 8 bits of its samples."""
    other = {";16L": ";16B", ";16B": ";16L", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
    tiles = []
    for tile in image.tile:
        mode = _raw_mode(tile)
        swapped = mode[:-4] + other.get(mode[-4:], mode[-4:])
        args = (swapped, *tile[3][1:]) if isinstance(tile[3], tuple) else swapped
        tiles.append(type(tile)(*tile[:3], args))
    image.tile = tiles


def declared_bits(image: Image.Image, path: str | Path) -> int | None:
    """How many bits a sample of a PNG or TIFF has by what the file says, where it says fewer than 16."""
    bits = None
    if image.format == "TIFF":
        tags = tags_of(image)
        stored = _largest(tags.get(BITS_PER_SAMPLE))
        largest = next((value for tag in LARGEST_VALUES if (value := _largest(tags.get(tag)))), 0)
        bits = stored if 8 < stored < FULL else int(largest).bit_length()
    elif image.format == "PNG":
        bits = max(_significant_bits(Path(path)), default=0)
    return bits if bits and 8 <= bits < FULL else None


def _largest(value: object) -> int:
    """The largest of a tag's numbers, 0 for none."""
    values = value if isinstance(value, tuple) else (value,)
    return max((int(one) for one in values if isinstance(one, int | float) and 0 <= one < 2**FULL), default=0)


def _significant_bits(path: Path) -> bytes:
    """What a PNG's chunk sBIT holds: a byte for each channel. Pillow passes it over."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"PLTE"):  # it stands before them
            length = int.from_bytes(head[:4])
            if head[4:] == b"sBIT":
                return file.read(min(length, 4))
            file.seek(length + 4, 1)
    return b""


def to_8_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Samples of so many bits as 8 bits, rounded; larger ones are white."""
    if bits == FULL:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    top = 2**bits - 1
    scaled = (np.minimum(values, top).astype(np.uint32) * 510 + top) // (2 * top)
    return scaled.astype(np.uint8)


def used_bits(values: np.ndarray, declared: int | None, *, shifted: bool) -> int:
    """How many bits samples of 16 are to be read as, where a file declares some.

    A PNG's standard wants the declared bits to be the upper ones (``shifted``); many writers leave them the lower ones.
    """
    if declared is None or int(values.max()) >= 2**declared:
        return FULL
    spare = 2 ** (FULL - declared) - 1
    return FULL if shifted and not (values & spare).any() else declared


def darkness(values: np.ndarray) -> str | None:
    """What is odd about samples of 16 bits none of which is bright, or None."""
    brightest = int(values.max())
    if not 0 < brightest < DARK:
        return None
    fitting = next(bits for bits in USUAL_BITS if brightest < 2**bits)
    return (
        f"the brightest of its 16-bit samples is {brightest} of 65535, so it is read as almost black; if it holds "
        f"{fitting} bits, '--bits {fitting}' of inference.py or face-parsing scales them; other commands need it saved "
        "with 8 bits"
    )
