"""Masks, and zips of predictions, that nobody should trust, each with what must become of it."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
from hostile_case import Case, encoded, face, flat_png, folder_named, pipe_named, png, written
from PIL import Image

from face_parsing.synthetic.dataset import make_pair

NO_MASK = "cannot be read as an image"


def masks() -> Iterator[Case]:
    """Masks of 48x48 in a data set."""
    ids = make_pair(0, size=48)[1]
    grey = Image.fromarray(ids)
    palette = grey.copy()
    palette.putpalette([value for i in range(256) for value in (i, 0, 0)])
    yield Case("grey", written("m.png", encoded(grey, "PNG")), "")
    yield Case("palette", written("m.png", encoded(palette, "PNG")), "")
    yield Case("palette of clear entries", written("m.png", encoded(palette, "PNG", transparency=bytes(19))), "")
    ignoring = ids.copy()
    ignoring[0, 0] = 255
    yield Case("a pixel to ignore", written("m.png", encoded(Image.fromarray(ignoring), "PNG")), "")
    for value in (19, 20, 77, 128, 254):
        wrong = ids.copy()
        wrong[5, 7] = value
        yield Case(f"id {value}", written("m.png", encoded(Image.fromarray(wrong), "PNG")), f"label {value}; ids are 0")
    for mode in ("RGB", "RGBA", "LA", "1"):
        yield Case(
            f"mode {mode}", written("m.png", encoded(grey.convert(mode), "PNG")), f"mode {mode}; a mask is single"
        )
    deep = Image.fromarray(ids.astype(np.uint16))
    yield Case("16 bits", written("m.png", encoded(deep, "PNG")), "")
    scaled = Image.fromarray(ids.astype(np.uint16) * 257)
    yield Case("16 bits, scaled", written("m.png", encoded(scaled, "PNG")), "label 257; ids are 0")
    yield Case(
        "JPEG in the name of PNG", written("m.png", encoded(face(), "JPEG")), "mode RGB; a mask is single-channel"
    )
    whole = encoded(palette, "PNG")
    for share in (0.0, 0.05, 0.3, 0.6, 0.9):
        yield Case(f"cut at {share:.0%}", written("m.png", whole[: int(share * len(whole))]), NO_MASK)
    rng = np.random.default_rng(3)
    for i in range(8):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 8):
            damaged[place] = int(rng.integers(256))
        yield Case(f"damaged {i}", written("m.png", bytes(damaged)), None)
    small = zlib.compress(b"\0" + bytes(8))
    for side in (2**31 - 1, 20_000, 13_000, 9_000):
        said = png(side, side, small, color=0)
        yield Case(
            f"header says {side} squared", written("m.png", said), f"{NO_MASK} .*more than 80 megapixels|{NO_MASK}"
        )
    yield Case("12000 squared of one id", written("m.png", lambda: flat_png(12_000, 12_000, color=0)), NO_MASK)
    yield Case("text", written("m.png", b"no mask"), NO_MASK)
    yield Case("a folder", folder_named("m.png"), rf"{NO_MASK} \(it is no file\)")
    yield Case("a pipe", pipe_named("m.png"), rf"{NO_MASK} \(it is no file\)")
    yield Case("nothing there", lambda folder: folder / "none.png", NO_MASK)


LEADS_OUT = "a path that leads out of the zip; pack it anew"


def _zip(*members: tuple[str, bytes, int | None]) -> bytes:
    """A zip of members: name, content and, for a link or a folder, its Unix mode."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in members:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (mode or 0o100644) << 16
            archive.writestr(entry, data, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _lying_size(data: bytes, size: int) -> bytes:
    """The zip with another unpacked size in its directory of one member."""
    changed = bytearray(data)
    place = changed.rindex(b"PK\x01\x02") + 24
    changed[place : place + 4] = struct.pack("<I", size)
    return bytes(changed)


def zips() -> Iterator[Case]:
    """Zips that are to hold the one prediction 0.png, of 48x48."""
    mask = encoded(Image.fromarray(make_pair(0, size=48)[1]), "PNG")
    good = ("masks/0.png", mask, None)
    yield Case("sound", written("p.zip", _zip(good)), "")
    yield Case("sound, masks at the root", written("p.zip", _zip(("0.png", mask, None))), "")
    yield Case("more that is not asked for", written("p.zip", _zip(good, ("solution/run.py", b"boom", None))), "")
    outside = ("../0.png", "masks/../../0.png", "/masks/0.png", "/etc/x.png", "..\\0.png", "C:\\0.png", "a/../../../b")
    for name in outside:
        yield Case(f"member {name}", written("p.zip", _zip(good, (name, mask, None))), LEADS_OUT)
    link = ("masks/0.png", b"/etc/passwd", 0o120777)
    yield Case("a member that is a link", written("p.zip", _zip(link)), NO_MASK)
    yield Case("a folder for a mask", written("p.zip", _zip(("masks/0.png/", b"", 0o40755))), "There are no masks")
    yield Case("other capitals", written("p.zip", _zip(("MASKS/0.PNG", mask, None))), "There are no masks")
    yield Case("no members", written("p.zip", _zip()), "There are no masks")
    bomb = ("masks/0.png", bytes(40 * 2**20), None)
    yield Case("a member that inflates", written("p.zip", lambda: _zip(bomb)), "unpacks to 40 MiB; a mask takes less")
    inner = ("masks/0.png", flat_png(12_000, 12_000), None)
    yield Case("a mask that inflates", written("p.zip", lambda: _zip(inner)), "more than 80 megapixels")
    yield Case("a size that is a lie", written("p.zip", _lying_size(_zip(good), 10)), "cannot be unpacked|" + NO_MASK)
    yield Case("a size of 4 GB", written("p.zip", _lying_size(_zip(good), 2**32 - 2)), "unpacks to 4096 MiB")
    yield Case(
        "an unknown method", written("p.zip", _zip(good).replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x63\0")), None
    )
    others = {
        "of another size": (Image.new("L", (40, 40)), "is 40x40, its ground truth is 48x48"),
        "in colors": (face(), "mode RGB"),
        "of pixels to ignore": (Image.new("L", (48, 48), 255), "holds the label 255"),
    }
    for name, (image, expected) in others.items():
        data = _zip(("masks/0.png", encoded(image, "PNG"), None))
        yield Case(f"a mask {name}", written("p.zip", data), expected)
    yield Case("text", written("p.zip", b"no zip"), "is neither a folder nor a zip")
    whole = _zip(good)
    for share in (0.3, 0.9):
        data = whole[: int(share * len(whole))]
        yield Case(f"cut at {share:.0%}", written("p.zip", data), "is neither a folder nor a zip")
    yield Case("a pipe", pipe_named("p.zip"), "There is no folder .* and no zip")
