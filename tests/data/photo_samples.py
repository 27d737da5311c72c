"""Photos as phones and cameras write them, made without either."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

Tags = dict[int, tuple[int, Sequence[int]]]
"""Of a TIFF's directory: tag, then type (1 byte, 3 short, 4 long) and values."""

SIZES = {1: 1, 3: 2, 4: 4}
CODES = {1: "B", 3: "H", 4: "I"}
SUB_IFDS = 330


def corners(height: int = 64, width: int = 96) -> np.ndarray:
    """Red above left, green above right, blue below left, black below right: (H, W, 3) uint8."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[: height // 2, : width // 2, 0] = 255
    photo[: height // 2, width // 2 :, 1] = 255
    photo[height // 2 :, : width // 2, 2] = 255
    return photo


def save_heif(path: Path, photo: np.ndarray, **options: Any) -> Path:
    pillow_heif.register_heif_opener()
    Image.fromarray(photo).save(path, format="HEIF", quality=100, **options)
    return path


def turned(orientation: int) -> bytes:
    """EXIF data with an orientation. As bytes: of an Image.Exif pillow-heif 1.8.1 writes no rotation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _directory(tags: Tags, place: int, following: int) -> bytes:
    """A directory that begins at that byte, with its longer values behind it."""
    entries, values = b"", b""
    behind = place + 2 + 12 * len(tags) + 4
    for tag, (kind, numbers) in sorted(tags.items()):
        data = struct.pack(f"<{len(numbers)}{CODES[kind]}", *numbers)
        if len(data) > 4:
            entries += struct.pack("<HHII", tag, kind, len(numbers), behind + len(values))
            values += data
        else:
            entries += struct.pack("<HHI", tag, kind, len(numbers)) + data.ljust(4, b"\0")
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + values


def _picture(pixels: np.ndarray, offset: int, tags: Tags) -> Tags:
    """Tags of an uncompressed RGB picture (H, W, 3) whose samples begin at that byte."""
    H, W = pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    return {
        256: (4, [W]), 257: (4, [H]), 258: (3, [bits] * 3), 259: (3, [1]), 262: (3, [2]), 273: (4, [offset]),
        277: (3, [3]), 278: (4, [H]), 279: (4, [pixels.nbytes]), **tags,
    }  # fmt: skip


def write_tiff(path: Path, first: np.ndarray, tags: Tags | None = None, *, inner: np.ndarray | None = None,
               following: np.ndarray | None = None, head: bytes = b"") -> Path:  # fmt: skip
    """A TIFF of one RGB picture, with tags of its own, perhaps another one in its SubIFDs and another one after it.

    ``head`` stands behind the eight bytes that every TIFF begins with.
    """
    data = bytearray(b"II*\0\0\0\0\0" + head)
    places: dict[str, int] = {}
    for name, pixels in (("inner", inner), ("following", following)):
        if pixels is not None:
            offset = len(data)
            data += pixels.tobytes()
            places[name] = len(data)
            data += _directory(_picture(pixels, offset, {}), places[name], 0)
    offset = len(data)
    data += first.tobytes()
    own = dict(tags or {})
    if "inner" in places:
        own[SUB_IFDS] = (4, [places["inner"]])
    struct.pack_into("<I", data, 4, len(data))
    data += _directory(_picture(first, offset, own), len(data), places.get("following", 0))
    path.write_bytes(data)
    return path


def write_png(path: Path, samples: np.ndarray, *, significant: int | None = None) -> Path:
    """A PNG of 16 bits, grey (H, W) or color (H, W, 3) or with alpha (H, W, 4), perhaps with the chunk sBIT."""
    H, W = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", W, H, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0))]
    chunks += [] if significant is None else [(b"sBIT", bytes([significant] * channels))]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path
