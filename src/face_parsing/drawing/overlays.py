"""A mask in its colors, alone or over its photo, as arrays and as files: strip by strip, from tables of 8 bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from face_parsing.labels import CELEBAMASK, LabelSet, palette_bytes
from face_parsing.system.files import atomic_path

STRIP_PIXELS = 2**17  # at a time: what is made of them stays in a core's own memory, and does not outgrow the photo
UP = 2
"""PNG's name for rows that are written as their difference from the row above."""


def overlay(photo: np.ndarray, mask: np.ndarray, alpha: float = 0.5, labels: LabelSet = CELEBAMASK) -> np.ndarray:
    """The photo (H, W, 3) uint8 under the colors of mask (H, W), alpha parts of them; class 0 is left as it is.

    So are ids that are no class. A pixel is looked up by its class and value: each pair of them is blended once.
    """
    drawn = np.empty_like(photo)
    for rows, strip in _overlaid(photo, mask, alpha, labels):
        drawn[rows] = strip
    return drawn


def save_overlay(photo: np.ndarray, mask: np.ndarray, path: Path, labels: LabelSet = CELEBAMASK) -> None:
    """Write ``overlay`` of the same arguments as JPEG, without holding it beside what Pillow writes."""
    H, W = mask.shape
    picture = Image.new("RGB", (W, H))
    for rows, strip in _overlaid(photo, mask, 0.5, labels):
        picture.paste(Image.fromarray(strip), (0, rows.start))
    with atomic_path(path) as temporary:
        picture.save(temporary, format="JPEG", quality=92)


def save_colors(mask: np.ndarray, path: Path, labels: LabelSet = CELEBAMASK) -> None:
    """Write ``labels.colorize`` of mask (H, W) uint8 as an RGB PNG.

    By hand, because Pillow tries five filters on every row. The difference from the row above is nearly all zeros.
    """
    H, W = mask.shape
    header = struct.pack(">IIBBBBB", W, H, 8, 2, 0, 0, 0)  # 8 bits, RGB, deflated, not interlaced
    packing = zlib.compressobj(6, strategy=zlib.Z_RLE)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header))
        for strip in _colored(mask, labels):
            if packed := packing.compress(strip.data):
                file.write(_chunk(b"IDAT", packed))
        file.write(_chunk(b"IDAT", packing.flush()) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file: length, kind, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _strips(height: int, width: int) -> Iterator[slice]:
    """Rows, from the top, of STRIP_PIXELS together."""
    count = max(1, STRIP_PIXELS // width)
    return (slice(top, min(height, top + count)) for top in range(0, height, count))


def _colored(mask: np.ndarray, labels: LabelSet) -> Iterator[np.ndarray]:
    """The rows of a PNG in strips, (h, 1 + 3 * W) uint8: UP, then the colors less those of the row above."""
    H, W = mask.shape
    table = np.array(palette_bytes(labels), dtype=np.uint8).reshape(256, 3)
    above = np.zeros(3 * W, dtype=np.uint8)
    for rows in _strips(H, W):
        colors = np.take(table, mask[rows], axis=0, mode="clip").reshape(-1, 3 * W)
        strip = np.empty((len(colors), 1 + 3 * W), dtype=np.uint8)
        strip[:, 0] = UP
        np.subtract(colors[0], above, out=strip[0, 1:])
        np.subtract(colors[1:], colors[:-1], out=strip[1:, 1:])
        above = colors[-1]
        yield strip


def _overlaid(
    photo: np.ndarray, mask: np.ndarray, alpha: float, labels: LabelSet
) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows, and the overlay's part (h, W, 3) uint8 of them."""
    tables = _blended(alpha, labels)
    colored = any(((mask[rows] > 0) & (mask[rows] < len(labels))).any() for rows in _strips(*mask.shape))
    kept = np.array_equal(tables[0, :256], np.arange(256))  # what has no color, but for rounding at some alpha
    for rows in _strips(*mask.shape):
        if not colored or (kept and not mask[rows].any()):
            yield rows, photo[rows]
            continue
        first = mask[rows].astype(np.intp) * 256  # of the table, where the values of its class begin
        drawn = np.empty_like(photo[rows])
        for channel, table in enumerate(tables):
            drawn[..., channel] = np.take(table, first + photo[rows, :, channel], mode="clip")
        yield rows, drawn


def _blended(alpha: float, labels: LabelSet) -> np.ndarray:
    """For each channel, class id and value of a photo the value under the class's color: (3, 256 * 256) uint8."""
    photo = np.arange(256, dtype=np.float32)
    color = np.broadcast_to(photo, (3, 256, 256)).copy()  # (channel, id, value): ids of no color draw the photo itself
    color[:, 1 : len(labels)] = np.array(labels.palette[1:], dtype=np.float32).T[:, :, None]
    blended = photo * np.float32(1 - alpha) + color * np.float32(alpha)
    return blended.astype(np.uint8).reshape(3, -1)
