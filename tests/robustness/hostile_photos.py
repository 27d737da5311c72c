"""Photos that nobody should trust, each with what must become of it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from hostile_case import (
    Case,
    encoded,
    face,
    flat_png,
    folder_named,
    link_named,
    packed,
    pipe_named,
    png,
    png_chunk,
    written,
)
from PIL import Image


def _bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    )


def _modes() -> Iterator[tuple[str, bytes]]:
    rgb = face()
    grey16 = Image.fromarray(np.arange(48 * 48, dtype=np.uint16).reshape(48, 48) * 20)
    palette = rgb.quantize(16)
    yield "CMYK.jpg", encoded(rgb.convert("CMYK"), "JPEG")
    yield "CMYK.tif", encoded(rgb.convert("CMYK"), "TIFF")
    yield "YCbCr.jpg", encoded(rgb.convert("YCbCr"), "JPEG")
    yield "LAB.tif", encoded(rgb.convert("LAB"), "TIFF")
    yield "progressive.jpg", encoded(rgb, "JPEG", progressive=True)
    yield "grey.jpg", encoded(rgb.convert("L"), "JPEG")
    yield "black and white.png", encoded(rgb.convert("1"), "PNG")
    yield "16 bits.png", encoded(grey16, "PNG")
    yield "16 bits.tif", encoded(grey16, "TIFF")
    big = np.asarray(grey16).astype(">u2")
    yield "16 bits, other end.tif", encoded(Image.frombytes("I;16B", (48, 48), big.tobytes()), "TIFF")
    yield "32 bits that fit.tif", encoded(Image.fromarray(np.asarray(grey16).astype(np.int32)), "TIFF")
    yield "grey and alpha.png", encoded(rgb.convert("LA"), "PNG")
    yield "RGBA.png", encoded(rgb.convert("RGBA"), "PNG")
    yield "RGBA.webp", encoded(rgb.convert("RGBA"), "WEBP")
    yield "RGBA.tif", encoded(rgb.convert("RGBA"), "TIFF")
    yield "palette.png", encoded(palette, "PNG")
    yield "palette, one entry clear.png", encoded(palette, "PNG", transparency=3)
    yield "palette, all clear.png", encoded(palette, "PNG", transparency=bytes(16))
    yield "color key.png", encoded(rgb, "PNG", transparency=(0, 0, 0))
    yield "interlaced.gif", encoded(palette, "GIF", interlace=1)
    yield "clear.gif", encoded(palette, "GIF", transparency=0)
    yield "plain.bmp", encoded(rgb, "BMP")
    yield "palette.bmp", encoded(palette, "BMP")
    yield "lossless.webp", encoded(rgb, "WEBP", lossless=True)
    yield "packed.tif", encoded(rgb, "TIFF", compression="packbits")
    yield "deflated.tif", encoded(rgb, "TIFF", compression="tiff_adobe_deflate")
    yield "plain.ppm", encoded(rgb, "PPM")
    frames = [rgb.rotate(angle) for angle in (90, 180)]
    for suffix, kind in (("gif", "GIF"), ("webp", "WEBP"), ("png", "PNG"), ("tif", "TIFF")):
        yield f"of three frames.{suffix}", encoded(rgb, kind, save_all=True, append_images=frames)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        yield f"turned {turn}.jpg", encoded(rgb, "JPEG", exif=exif)
    exif[0x0112] = 77
    yield "turned to nowhere.jpg", encoded(rgb, "JPEG", exif=exif)
    yield "one pixel.png", encoded(rgb.resize((1, 1)), "PNG")
    yield "one pixel.jpg", encoded(rgb.resize((1, 1)), "JPEG")
    yield "one row.png", encoded(rgb.resize((300, 1)), "PNG")
    yield "one column.jpg", encoded(rgb.resize((1, 300)), "JPEG")


CANNOT = r"cannot be read as a photo \(.+\); replace or remove it"
TOO_LARGE = "more than 80 megapixels; make it smaller"
NO_FORMAT = r"cannot be read as a photo \(none of AVIF, BMP, GIF, HEIF, JPEG"


def photos() -> Iterator[Case]:
    """Photos."""
    for name, data in _modes():
        yield Case(name, written(name, data), "")
    rgb = face()
    cut = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "gif": "GIF", "bmp": "BMP"}
    for suffix, kind in cut.items():
        whole = encoded(rgb, kind)
        for share in (0.02, 0.2, 0.5, 0.8):
            name = f"cut at {share:.0%}.{suffix}"
            yield Case(name, written(name, whole[: int(share * len(whole))]), CANNOT)
        rng = np.random.default_rng(1)
        for i in range(4):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(whole), 12):
                damaged[place] = int(rng.integers(256))
            yield Case(f"damaged {i}.{suffix}", written(f"damaged {i}.{suffix}", bytes(damaged)), None)
    small = zlib.compress(b"\0" + bytes(3 * 8))
    lies: dict[str, tuple[bytes | Callable[[], bytes], str | None]] = {
        "header says 2**31 squared.png": (png(2**31 - 1, 2**31 - 1, small), TOO_LARGE),
        "header says 20000 squared.png": (png(20_000, 20_000, small), TOO_LARGE),
        "header says 13000 squared.png": (png(13_000, 13_000, small), TOO_LARGE),
        "header says 8000 squared.png": (png(8_000, 8_000, small), CANNOT),
        "header says 0 squared.png": (png(0, 0, small), CANNOT),
        "header says 99 bits.png": (png(8, 8, small, depth=99), CANNOT),
        "header says color 77.png": (png(8, 8, small, color=77), CANNOT),
        "no pixels.png": (png(8, 8, b""), CANNOT),
        "pixels that inflate.png": (lambda: png(8, 8, zlib.compress(bytes(10**8))), None),
        "text that inflates.png": (
            lambda: encoded(rgb, "PNG")[:33] + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 * 10**8))), CANNOT),
        "20000 squared of one color.png": (lambda: flat_png(20_000, 20_000), TOO_LARGE),
        "80 million in a row.png": (png(80_000_001, 1, small), TOO_LARGE),
        "header says 30000 squared.bmp": (_bmp(30_000, 30_000), TOO_LARGE),
        "header says less than nothing.bmp": (_bmp(-5, 10), CANNOT + "|" + TOO_LARGE),
        "header says 65000 squared.gif": (b"GIF89a" + struct.pack("<HH", 65_000, 65_000) + bytes(3), CANNOT),
    }  # fmt: skip
    for name, (data, expected) in lies.items():
        yield Case(name, written(name, data), expected)
    others = {
        "nothing.jpg": b"",
        "one byte.jpg": b"\xff",
        "text.jpg": b"no image at all\n",
        "web page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
        "drawing.jpg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "document.jpg": b"%PDF-1.4\n%%EOF\n",
        # Would have Ghostscript run it, for ever.
        "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{ } loop\n%%EOF\n",
        "icon.png": encoded(rgb, "ICO"),
        "zip.png": packed({}),
        "noise.webp": np.random.default_rng(2).bytes(4000),
    }
    for name, data in others.items():
        yield Case(name, written(name, data), CANNOT if name == "nothing.jpg" else NO_FORMAT)
    yield Case("JPEG in the name of PNG", written("really a jpeg.png", encoded(rgb, "JPEG")), "")
    unranged = encoded(Image.fromarray(np.full((8, 8), 1e9, np.float32)), "TIFF")
    yield Case("32 bits without a range", written("float.tif", unranged), "have no known range")
    yield Case("a folder", folder_named("folder.jpg"), r"cannot be read as a photo \(it is no file\)")
    yield Case("a pipe", pipe_named("pipe.jpg"), r"cannot be read as a photo \(it is no file\)")
    yield Case("nothing there", lambda folder: folder / "none.jpg", "there is no such file")
    yield Case("link to nothing", link_named("dangling.jpg", "nowhere.jpg"), "there is no such file")
    yield Case("link to itself", link_named("loop.jpg", "loop.jpg"), CANNOT)
    yield Case("link out of the folder", link_named("away.jpg", "../outside.jpg"), "")
    yield Case("link to a device", link_named("zero.jpg", "/dev/zero"), r"cannot be read as a photo \(it is no file\)")
    yield Case("a name too long", lambda folder: folder / ("x" * 300 + ".jpg"), CANNOT)
    yield Case("a name with a zero in it", lambda folder: folder / "a\0b.jpg", CANNOT + "|there is no such file")


# Names that a file may have. No folder shows those that begin with a dot.
NAMES = (
    "with space.jpg", " leading.jpg", "trailing .jpg", "NFC \u00e9.jpg", "NFD e\u0301.jpg", "\U0001f600.jpg",
    "right \u202e to left.jpg", "new\nline.jpg", "tab\t.jpg", "\x1b[31mred.jpg", "-dash.jpg", "--input.jpg",
    "dots..in..it.jpg", "two.suffixes.png.jpg", "percent %s%n.jpg", "$(touch x).jpg", "quote'\".jpg", "back\\slash.jpg",
    "star*.jpg", "[brackets].jpg", "CON.jpg", "null.jpg", "1e5.jpg", "x" * 251 + ".jpg", "\u00e9" * 125 + ".jpg",
    "not utf-8 \udcff.jpg",
)  # fmt: skip
