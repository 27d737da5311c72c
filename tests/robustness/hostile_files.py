"""Files that nobody should trust: what the tests of ``test_hostile.py`` are given, each with what must become of it."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from face_parsing.labels import CELEBAMASK, NUM_CLASSES
from face_parsing.models import build_model
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


# --- checkpoints ----------------------------------------------------------------------------------

TINY: dict[str, Any] = {"name": "unet", "channels": [8, 8, 8], "blocks": [0, 0, 1], "plain_stages": 2, "expansion": 2.0}
TRACE = "code-was-run"


@cache
def _weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return build_model(TINY, NUM_CLASSES).state_dict()


def content(**changes: Any) -> dict[str, Any]:
    """A sound checkpoint's content, but for the changes; a value of ... leaves the key out."""
    values: dict[str, Any] = {
        "format": 1, "classes": CELEBAMASK.groups, "state_dict": dict(_weights()), "model": TINY, "image_size": 64,
        "inference": {"scales": [1.0], "flip": True}, "track": "challenge", "scores": {"f_score": 0.5},
    }  # fmt: skip
    return {key: value for key, value in {**values, **changes}.items() if value is not ...}


def packed(values: Any, *, zipped: bool = True) -> bytes:
    """What torch.save writes of the values."""
    buffer = io.BytesIO()
    torch.save(values, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def _would_run(function: Callable[..., Any], *arguments: str, form: str, where: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        filled = [argument.replace("TRACE", str(folder / TRACE)) for argument in arguments]
        evil = Runs(function, *filled)
        values = content(**{where: {"x": evil}}) if where else evil
        path = folder / "model.pth"
        path.write_bytes(pickle.dumps(values, 2) if form == "pickle" else packed(values, zipped=form == "zip"))
        return path

    return make


def _old_tar(folder: Path) -> Path:
    path = folder / "model.pth"
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(Runs(os.mkdir, str(folder / TRACE)), 2)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def _repacked(change: Callable[[zipfile.ZipFile, str, bytes], None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A sound checkpoint's archive, each member of which went through change(archive, name, data)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed(content()))) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for name in old.namelist():
            change(new, name, old.read(name))
    return buffer.getvalue()


def _inflating() -> bytes:
    def change(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
        archive.writestr(name, data)
        if name.endswith("data.pkl"):
            archive.writestr(name.replace("data.pkl", "data/9999"), bytes(64 * 2**20))

    return _repacked(change, zipfile.ZIP_DEFLATED)


def _extra_pickle(folder: Path) -> Path:
    def change(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
        archive.writestr(name, data)
        if name.endswith("data.pkl"):
            evil = pickle.dumps(Runs(os.mkdir, str(folder / TRACE)), 2)
            archive.writestr(name.replace("data.pkl", "constants.pkl"), evil)
            archive.writestr(name.replace("data.pkl", "../../escaped.pkl"), evil)

    return written("model.pth", _repacked(change))(folder)


def _laughs(leaf: Any, depth: int = 9) -> Any:
    """Ten times the same, ten times over: 10**depth leaves in some bytes."""
    for _ in range(depth):
        leaf = [leaf] * 10
    return leaf


def _looped() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _stretched() -> dict[str, torch.Tensor]:
    """Weights whose tensors claim 10**12 elements of one stored number."""
    return {name: torch.zeros(1).expand(10**12) for name in _weights()}


NO_CHECKPOINT = "is no checkpoint of this project"
NO_FIT = "do not fit its own description"

_CODE: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "os.system": (os.system, ("touch TRACE",)),
    "eval": (eval, ("__import__('os').mkdir('TRACE')",)),
    "exec": (exec, ("import os; os.mkdir('TRACE')",)),
    "os.mkdir": (os.mkdir, ("TRACE",)),
    "torch.load": (torch.load, ("TRACE",)),
}

_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "image_size a text": ({"image_size": "64"}, "image_size is '64', not a whole number from 32 to 4096"),
    "image_size negative": ({"image_size": -64}, "image_size is -64, not"),
    "image_size zero": ({"image_size": 0}, "image_size is 0, not"),
    "image_size huge": ({"image_size": 10**9}, "image_size is 1000000000, not"),
    "image_size beyond 64 bits": ({"image_size": 10**40}, "a whole number of more than 64 bits"),
    "image_size a fraction": ({"image_size": 64.0}, "image_size is 64.0, not"),
    "image_size nan": ({"image_size": float("nan")}, "image_size is nan, not"),
    "image_size true": ({"image_size": True}, "image_size is True, not"),
    "image_size none": ({"image_size": None}, "image_size is None, not"),
    "image_size a tensor": ({"image_size": torch.tensor(64)}, r"image_size is tensor\(64\), not"),
    "format a text": ({"format": "1"}, "has format '1', this version reads format 1"),
    "format from the future": ({"format": 2}, "has format 2"),
    "format a list": ({"format": [1]}, r"has format \[1\]"),
    "model a text": ({"model": "unet"}, "model is 'unet', not a description"),
    "model none": ({"model": None}, "model is None, not a description"),
    "model a list": ({"model": ["unet"]}, "model is .*, not a description"),
    "model with numbers for keys": ({"model": {1: 2}}, "model is .*, not a description"),
    "model without a name": ({"model": {}}, NO_FIT),
    "model of no known name": ({"model": {"name": "os.system"}}, NO_FIT),
    "model whose name is a list": ({"model": {"name": ["unet"]}}, NO_FIT),
    "a million channels": ({"model": {**TINY, "channels": [10**6, 10**6, 10**6]}}, f"{NO_FIT}.*far larger network"),
    "10**15 channels": ({"model": {**TINY, "channels": [10**15] * 3}}, NO_FIT),
    "no channels": ({"model": {**TINY, "channels": []}}, NO_FIT),
    "negative channels": ({"model": {**TINY, "channels": [-8, 8, 8]}}, NO_FIT),
    "channels of zero": ({"model": {**TINY, "channels": [0, 0, 0]}}, NO_FIT),
    "channels of text": ({"model": {**TINY, "channels": ["8", "8", "8"]}}, NO_FIT),
    "a billion blocks": ({"model": {**TINY, "blocks": [10**9, 0, 0]}}, f"{NO_FIT}.*far larger network"),
    "blocks one too few": ({"model": {**TINY, "blocks": [0, 0]}}, NO_FIT),
    "endless expansion": ({"model": {**TINY, "expansion": float("inf")}}, NO_FIT),
    "expansion of 10**9": ({"model": {**TINY, "expansion": 1e9}}, NO_FIT),
    "dropout of 7": ({"model": {**TINY, "dropout": 7.0}}, NO_FIT),
    "another network, huge": ({"model": {"name": "light_unet", "channels": [10**6] * 6}}, f"{NO_FIT}.*far larger"),
    "a third network, wide": ({"model": {"name": "deeplabv3plus", "width": 1e5}}, f"{NO_FIT}.*far larger"),
    "a pyramid of a million": ({"model": {"name": "deeplabv3plus", "rates": [1] * 9000}}, f"{NO_FIT}.*far larger"),
    "an argument too many": ({"model": {**TINY, "num_classes": 3}}, NO_FIT),
    "a description ten times itself": ({"model": {**TINY, "blocks": _laughs(1)}}, "holds more than 10,000 values"),
    "a description within itself": ({"model": {"name": "unet", "blocks": _looped()}}, "nested more than 30 deep"),
    "a description 200 deep": ({"model": {"name": "unet", "blocks": _deep(200)}}, "nested more than 30 deep"),
    "a description of 10**6 letters": ({"model": {"name": "u" * 10**6}}, "more than 100,000 characters"),
    "classes ten times themselves": ({"classes": {"a": _laughs("skin")}}, "holds more than 10,000 values"),
    "classes within themselves": ({"classes": _looped()}, "nested more than 30 deep"),
    "classes that do not exist": ({"classes": {"a": ["no_class"], "b": []}}, "was trained on other classes"),
    "classes a number": ({"classes": 19}, "was trained on other classes: 19"),
    "classes of numbers": ({"classes": {1: [2], 3: [4]}}, "was trained on other classes"),
    "classes of nothing": ({"classes": {"a": None}}, "was trained on other classes"),
    "classes that are missing": ({"classes": ...}, "was trained on other classes: None"),
    "scales of a thousand": ({"inference": {"scales": [1000.0], "flip": True}}, "inference is .*, not flip and scales"),
    "scales without end": ({"inference": {"scales": [1.0] * 5000, "flip": True}}, "inference is .*, not flip and"),
    "no scales": ({"inference": {"scales": [], "flip": True}}, "inference is .*, not flip and scales"),
    "scales of nan": ({"inference": {"scales": [float("nan")], "flip": True}}, "inference is .*, not flip and scales"),
    "flip a text": ({"inference": {"scales": [1.0], "flip": "no"}}, "inference is .*, not flip and scales"),
    "inference a list": ({"inference": [1.0]}, "inference is .*, not flip and scales"),
    "track a list": ({"track": ["challenge"]}, "track is .*, not a name"),
    "scores a text": ({"scores": "1.0"}, "scores is '1.0', not figures by name"),
    "state_dict a list": ({"state_dict": [torch.zeros(1)]}, "state_dict is .*, not tensors by name"),
    "state_dict none": ({"state_dict": None}, "state_dict is None, not tensors by name"),
    "state_dict of numbers": ({"state_dict": {"a": 1.0}}, "state_dict is .*, not tensors by name"),
    "state_dict by number": ({"state_dict": {1: torch.zeros(1)}}, "state_dict is .*, not tensors by name"),
    "state_dict of sparse tensors": (
        {"state_dict": {"a": torch.eye(3).to_sparse()}}, "state_dict is .*, not tensors by name",
    ),
    "state_dict empty": ({"state_dict": {}}, NO_FIT),
    "state_dict of another network": ({"state_dict": {"weight": torch.zeros(3)}}, NO_FIT),
    "weights of 10**12 elements": ({"state_dict": _stretched()}, NO_FIT),
    "weights of complex numbers": ({"state_dict": {k: v.to(torch.complex64) for k, v in _weights().items()}}, None),
    "weights of nothing": ({"state_dict": {k: torch.empty(0) for k in _weights()}}, NO_FIT),
    "weights on no device": ({"state_dict": {k: torch.empty_like(v, device="meta") for k, v in _weights().items()}},
                             NO_FIT),
    "weights of the wrong shape": ({"state_dict": {k: v[None] for k, v in _weights().items()}}, NO_FIT),
    "weights of nan": ({"state_dict": {k: v * float("nan") for k, v in _weights().items()}}, "not all finite numbers"),
    "one weight infinite": (
        {"state_dict": {**_weights(), "head.1.bias": _weights()["head.1.bias"] + float("inf")}},
        r"not all finite numbers \(head\.1\.bias\)",
    ),
}  # fmt: skip


def checkpoints() -> Iterator[Case]:
    """Checkpoints."""
    yield Case("sound", written("model.pth", lambda: packed(content())), "")
    for name, (function, arguments) in _CODE.items():
        for form in ("zip", "legacy", "pickle"):
            for where in ("", "scores"):
                made = _would_run(function, *arguments, form=form, where=where)
                yield Case(f"{name} in {where or 'place of all'}, {form}", made, "refused without running any of it")
    yield Case("an old tar archive", _old_tar, "is damaged|refused without running any of it")
    yield Case("more pickles in the archive", _extra_pickle, "is damaged|" + NO_CHECKPOINT + "|^$")
    yield Case("an archive that inflates", written("model.pth", _inflating), "unpack to .* but training compresses")
    for name, (changes, expected) in _FIELDS.items():
        values = content(**changes)
        yield Case(name, written("model.pth", lambda values=values: packed(values)), expected)
    for values, name in ([], "a list"), (7, "a number"), ({}, "nothing"), (_weights(), "bare weights"):
        yield Case(f"{name} for a checkpoint", written("model.pth", packed(values)), NO_CHECKPOINT)
    for name, data in {
        "empty": b"",
        "text": b"no checkpoint\n",
        "zip": b"PK\x03\x04",
        "pickle": b"\x80\x02]q\x00.",
    }.items():
        yield Case(f"{name} file", written("model.pth", data), "is damaged|" + NO_CHECKPOINT + "|refused without")
    whole = packed(content())
    for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999):
        data = whole[: int(share * len(whole))]
        yield Case(f"cut at {share:%}", written("model.pth", data), "is damaged|" + NO_CHECKPOINT)
    rng = np.random.default_rng(0)
    for i in range(24):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 8):
            damaged[place] ^= 1 << int(rng.integers(8))
        yield Case(f"turned bits {i}", written("model.pth", bytes(damaged)), None)
    yield Case("a folder", lambda folder: folder, "There is no checkpoint")
    yield Case("nothing there", lambda folder: folder / "none.pth", "There is no checkpoint")
    yield Case("a pipe", _pipe("model.pth"), "There is no checkpoint")


# --- photos ---------------------------------------------------------------------------------------


def _pipe(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return make


def _folder(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).mkdir()
        return folder / name

    return make


def _link(name: str, target: str) -> Callable[[Path], Path]:
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
NO_FORMAT = r"cannot be read as a photo \(none of BMP, GIF"


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
    yield Case("a folder", _folder("folder.jpg"), r"cannot be read as a photo \(it is no file\)")
    yield Case("a pipe", _pipe("pipe.jpg"), r"cannot be read as a photo \(it is no file\)")
    yield Case("nothing there", lambda folder: folder / "none.jpg", "there is no such file")
    yield Case("link to nothing", _link("dangling.jpg", "nowhere.jpg"), "there is no such file")
    yield Case("link to itself", _link("loop.jpg", "loop.jpg"), CANNOT)
    yield Case("link out of the folder", _link("away.jpg", "../outside.jpg"), "")
    yield Case("link to a device", _link("zero.jpg", "/dev/zero"), r"cannot be read as a photo \(it is no file\)")
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


# --- masks ----------------------------------------------------------------------------------------

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
    yield Case("16 bits", written("m.png", encoded(deep, "PNG")), "mode I;16; a mask is single-channel")
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
    yield Case("a folder", _folder("m.png"), rf"{NO_MASK} \(it is no file\)")
    yield Case("a pipe", _pipe("m.png"), rf"{NO_MASK} \(it is no file\)")
    yield Case("nothing there", lambda folder: folder / "none.png", NO_MASK)


# --- zips of predictions --------------------------------------------------------------------------

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
    yield Case("a pipe", _pipe("p.zip"), "There is no folder .* and no zip")


# --- configs --------------------------------------------------------------------------------------


def _yaml_laughs() -> bytes:
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return "\n".join(lines).encode()


def _yaml_merges() -> bytes:
    lines = ["a0: &a0 {k: 1, l: 2}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    return "\n".join(lines).encode()


_CONFIGS: dict[str, tuple[bytes, str]] = {
    "aliases ten times over": (_yaml_laughs(), "holds more than 10,000 values"),
    "merges ten times over": (_yaml_merges(), "holds more than 10,000 values"),
    "a list in itself": (b"data: &d [*d]", "nested more than 30 deep, or inside itself"),
    "a mapping in itself": (b"&d data: &e {root: x, more: *e}", "nested more than 30 deep, or inside itself"),
    "a key that is itself": (b"? &a [*a]\n: 1", "nested more than 30 deep, or inside itself"),
    "an object": (b"run: !!python/object/apply:os.mkdir ['code-was-run']", "not valid YAML.*python/object"),
    "an object by name": (b"run: !!python/name:os.system", "not valid YAML"),
    "a module": (b"run: !!python/module:os", "not valid YAML"),
    "an own tag": (b"run: !run {seed: 1}", "not valid YAML"),
    "brackets 2000 deep": (b"[" * 2000, "nested too deeply|not valid YAML"),
    "brackets 100 deep": (b"data: " + b"[" * 100 + b"]" * 100, "nested more than 30 deep"),
    "mappings 900 deep": (b"{a: " * 900 + b"1" + b"}" * 900, "nested"),
    "more than a megabyte": (b"# " + b"x" * 2_000_000, "has more than 100,000 characters"),
    "6000 keys": (b"\n".join(b"k%d: 1" % i for i in range(6_000)), "holds more than 10,000 values"),
    "a number of 5000 digits": (b"run: {seed: " + b"9" * 5000 + b"}", "cannot be used: Exceeds the limit"),
    "a number of 9000 hex digits": (b"run: {seed: 0x" + b"f" * 9000 + b"}", "cannot be used: Exceeds the limit"),
    "a number of 30 digits": (b"run: {seed: " + b"9" * 30 + b"}", r"run\.seed = 9+: input should be less than"),
    "an empty whole number": (b"run: {seed: !!int ''}", "cannot be used"),
    "a wrong truth": (b"run: {seed: !!bool maybe}", "cannot be used"),
    "a wrong time": (b"run: {seed: !!timestamp x}", "cannot be used"),
    "no such day": (b"run: {seed: 2001-99-99}", "cannot be used: month must be in 1..12"),
    "a day for a key": (b"2001-01-01: 1", "cannot be used"),
    "a list for a key": (b"? [a]\n: 1", "not valid YAML"),
    "half a surrogate": (b'run: {output: "\\ud800"}', "half of a surrogate pair"),
    "binary for text": (b"run: {output: !!binary aGk=}", ""),
    "a set": (b"run: {seed: !!set {1, 2}}", "run.seed"),
    "nan": (b"optimizer: {lr: .nan}", r"optimizer\.lr"),
    "infinity": (b"optimizer: {lr: .inf}", r"optimizer\.lr"),
    "1e999": (b"optimizer: {lr: 1e999}", r"optimizer\.lr"),
    "image size of 10**9": (b"schedule: {stages: [{image_size: 1000000000, epochs: 3}]}", "image_size"),
    "a section that is a list": (b"run: [1]", "run"),
    "a section that is nothing": (b"run:", "run"),
    "a name that is a mapping": (b"model: {name: {a: b}}", r"model\.name"),
    "no text": (bytes(range(256)), "not a UTF-8 text file|not valid YAML"),
    "zeros": (bytes(1000), "not valid YAML"),
    "two documents": (b"run: {seed: 1}\n---\nrun: {seed: 2}", "not valid YAML"),
    "another encoding": ("run: {seed: 1}".encode("utf-16"), "not a UTF-8 text file|not valid YAML"),
    "tabs": (b"run:\n\tseed: 1", "not valid YAML"),
    "keys twice": (b"run: {seed: 1, seed: 2}", "'seed' is given twice"),
    "a key of the class": (b"__class__: {a: 1}", "unknown key"),
    "nothing": (b"", ""),
}


def configs() -> Iterator[Case]:
    """Configs."""
    for name, (data, expected) in _CONFIGS.items():
        yield Case(name, written("c.yaml", data), expected)
    yield Case("a device without end", _link("c.yaml", "/dev/zero"), "has more than 100,000|not valid YAML")
    yield Case("a folder", _folder("c.yaml"), "cannot be read")
    yield Case("nothing there", lambda folder: folder / "c.yaml", "cannot be read")
