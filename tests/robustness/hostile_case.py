"""One file that nobody should trust, and what such files are made of."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from face_parsing.synthetic.dataset import make_pair


@dataclass(frozen=True)
class Case:
    """One file: ``make(folder)`` writes it and gives its path.

    ``expected`` is a regular expression of the sentence that refuses it, "" where it must be read, None where
    either will do: a turned bit may hit nothing that matters.
    """

    name: str
    make: Callable[[Path], Path]
    expected: str | None

    def __str__(self) -> str:
        return self.name


def written(name: str, data: bytes | Callable[[], bytes]) -> Callable[[Path], Path]:
    """A maker of a file of that name and content."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data() if callable(data) else data)
        return path

    return make


def packed(values: Any, *, zipped: bool = True) -> bytes:
    """What torch.save writes of the values."""
    buffer = io.BytesIO()
    torch.save(values, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def pipe_named(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return make


def folder_named(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).mkdir()
        return folder / name

    return make


def link_named(name: str, target: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder.parent / "outside.jpg").write_bytes(encoded(face(), "JPEG"))
        (folder / name).symlink_to(target)
        return folder / name

    return make


@cache
def face(size: int = 48) -> Image.Image:
    """A synthetic face."""
    return Image.fromarray(make_pair(0, size=size)[0])


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, *, depth: int = 8, color: int = 2) -> bytes:
    """A PNG whose header says what it is told to, around any compressed data."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header), png_chunk(b"IDAT", data), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@cache
def flat_png(width: int, height: int, *, color: int = 0) -> bytes:
    """A PNG of one color whose pixels, one bit or one palette entry each, really are as many as it says."""
    rows = zlib.compressobj(9)
    row = b"\0" + bytes((width + 7) // 8)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    return png(width, height, data, depth=1, color=color)
