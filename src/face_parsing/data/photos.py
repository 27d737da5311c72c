"""Reading a photo of any common format, upright and as RGB."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from face_parsing.data.deep_photos import (
    DARK,
    FULL,
    PhotoWarning,
    darkness,
    declared_bits,
    is_deep,
    lower_bytes,
    to_8_bits,
    used_bits,
)
from face_parsing.data.raw_photos import DEVELOP, INTERLEAVE, begins_raw, has_deep_planes, raw_reason

# Stays below Pillow's own limit, so that what is refused is refused here, with a sentence, and never half-way.
MAX_PIXELS = 80_000_000
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

# Whatever a file is called. Of Pillow's other formats some are read by other programs: EPS is run by Ghostscript.
# The common ones first: Pillow loads all that it has, which takes a while, once it comes to one that it has not loaded.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "JPEG2000", "TIFF", "WEBP", "AVIF")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1")
READ = ", ".join(sorted((*FORMATS, "HEIF")))
"""What is read, in words."""

COPIED_PIXELS = 2**18  # of a photo that leave Pillow at a time


class PhotoError(ValueError):
    """A photo that cannot be used; the message names the file and says why."""


def read_photo(path: str | os.PathLike[str], *, bits: int | None = None) -> np.ndarray:
    """The pixels of an image file of any common mode, (H, W, 3) uint8 RGB, upright; of an animation the first frame.

    Transparent pixels are laid over white, as viewers show them: what lies beneath is arbitrary, and dark hair
    would lose its outline over black. The rotation in the EXIF data is applied. HEIC files need pillow-heif.

    Samples of 16 bits are scaled to 8. Where they hold fewer, ``bits`` or what the file says of it counts; a photo that
    holds nothing bright, and does not say why, gives a PhotoWarning. Raises PhotoError for what is missing, damaged, no
    image, a camera's raw file, or larger than MAX_PIXELS.
    """
    try:
        with open_image(path) as image:
            deep = is_deep(image)
            declared = declared_bits(image, os.fspath(path)) if deep and bits is None else bits
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            shown, odd = _brightened(image, path, declared, given=bits is not None) if deep else (image, None)
            pixels = pixels_of(to_rgb(shown))
    except PhotoError as error:
        raise PhotoError(f"{os.fspath(path)}: {error}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PhotoError(f"{os.fspath(path)}: more than {MAX_PIXELS // 10**6} megapixels; make it smaller") from None
    except FileNotFoundError:
        raise PhotoError(f"{os.fspath(path)}: there is no such file") from None
    except Exception as error:  # decoders raise anything at all on damaged bytes
        reason = f"none of {READ}" if isinstance(error, UnidentifiedImageError) else str(error)
        reason = " ".join(reason.split()) or type(error).__name__
        raise PhotoError(f"{os.fspath(path)}: cannot be read as a photo ({reason}); replace or remove it") from None
    if odd:
        warnings.warn(f"{os.fspath(path)}: {odd}.", PhotoWarning, stacklevel=2)
    return pixels


def open_image(source: str | os.PathLike[str] | BytesIO) -> ImageFile.ImageFile:
    """An image file's header, its pixels not yet read. Raises PhotoError, and whatever Pillow raises."""
    # Opening a pipe would wait for ever for somebody to write to it.
    if not isinstance(source, BytesIO) and Path(source).exists() and not Path(source).is_file():
        raise OSError("it is no file")
    try:
        image = Image.open(source, formats=FORMATS)
    except UnidentifiedImageError:
        image = _open_other(source)
    refusal = raw_reason(image, _head(source)) if image.format == "TIFF" else None
    if image.width * image.height > MAX_PIXELS:
        refusal = f"{image.width}x{image.height} are more than {MAX_PIXELS // 10**6} megapixels; make it smaller"
    if refusal is not None:
        image.close()
        raise PhotoError(refusal)
    return image


def _head(source: str | os.PathLike[str] | BytesIO) -> bytes:
    """The first 32 bytes of a file."""
    if isinstance(source, BytesIO):
        return source.getvalue()[:32]
    with Path(source).open("rb") as file:
        return file.read(32)


def _open_other(source: str | os.PathLike[str] | BytesIO) -> ImageFile.ImageFile:
    """A HEIF file's header. Raises PhotoError without pillow-heif and for raw files, else UnidentifiedImageError."""
    head = _head(source)
    if begins_raw(head):
        raise PhotoError(f"it is a camera's raw file; {DEVELOP}")
    if head[4:8] != b"ftyp" or head[8:12] not in HEIF_BRANDS:
        raise UnidentifiedImageError
    try:
        # By name, because run.py holds this file as well and needs torch, NumPy and Pillow alone.
        import_module("pillow_heif").register_heif_opener()
    except ImportError:
        raise PhotoError('reading HEIC takes pillow-heif: pip install "face-parsing[heif]"') from None
    try:
        return Image.open(source, formats=("HEIF",))
    except UnidentifiedImageError:
        raise OSError("a HEIF file that is damaged, or not coded as HEVC") from None


def _brightened(
    image: Image.Image, path: str | os.PathLike[str], declared: int | None, *, given: bool
) -> tuple[Image.Image, str | None]:
    """A loaded and upright image of 16-bit samples at 8 bits, if they hold fewer than 16; and what is odd about it.

    ``declared`` is how many they hold, by the file or, ``given``, by the user.
    """
    values = np.asarray(image)
    if values.size and values.dtype == np.uint8 and (given or declared or int(values.max()) < DARK >> 8):
        with open_image(path) as lower:
            if has_deep_planes(lower):  # of which Pillow gives the upper bytes alone
                raise PhotoError(INTERLEAVE)
            lower_bytes(lower)
            lower.load()
            ImageOps.exif_transpose(lower, in_place=True)
            values = values.astype(np.uint16) << 8 | np.asarray(lower)
    if values.dtype == np.uint8 or values.min() < 0 or values.max() >= 2**FULL:
        return image, None
    values = values.astype(np.uint16)
    used = declared if given and declared else used_bits(values, declared, shifted=image.format == "PNG")
    if used < FULL:
        return Image.fromarray(to_8_bits(values, used)), None
    return image, None if given or declared else darkness(values)


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB, what is transparent laid over white; itself if it is so already.

    Raises PhotoError for an unknown range.
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        # Pillow's own conversion clips 16 bits instead of scaling them, so that all becomes white.
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise PhotoError(f"its pixels (Pillow's mode {image.mode}) have no known range; save it with 8 or 16 bits")
        return Image.fromarray(to_8_bits(values, FULL)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def pixels_of(image: Image.Image) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of an RGB image, in strips: at once, Pillow would copy them twice on the way."""
    W, H = image.size
    pixels = np.empty((H, W, 3), dtype=np.uint8)
    count = max(1, COPIED_PIXELS // W)
    for top in range(0, H, count):
        bottom = min(H, top + count)
        pixels[top:bottom] = np.asarray(image.crop((0, top, W, bottom)))
    return pixels
