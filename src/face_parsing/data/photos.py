"""Reading a photo of any common format, upright and as RGB."""

from __future__ import annotations

import os
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Stays below Pillow's own limit, so that what is refused is refused here, with a sentence, and never half-way.
MAX_PIXELS = 80_000_000
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

# Whatever a file is called. Of Pillow's other formats some are read by other programs: EPS is run by Ghostscript.
# The common ones first: Pillow loads all that it has, which takes a while, once it comes to one that it has not loaded.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "JPEG2000", "TIFF", "WEBP")

COPIED_PIXELS = 2**18  # of a photo that leave Pillow at a time


class PhotoError(ValueError):
    """A photo that cannot be used; the message names the file and says why."""


def read_photo(path: str | os.PathLike[str]) -> np.ndarray:
    """The pixels of an image file of any common mode, (H, W, 3) uint8 RGB, upright; of an animation the first frame.

    Transparent pixels are laid over white, as viewers show them: what lies beneath is arbitrary, and dark hair
    would lose its outline over black. 16-bit greys are scaled to 8 bits. The rotation in the EXIF data is
    applied. Raises PhotoError for what is missing, damaged, no image, or larger than MAX_PIXELS.
    """
    try:
        with open_image(path) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return pixels_of(to_rgb(image))
    except PhotoError as error:
        raise PhotoError(f"{os.fspath(path)}: {error}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PhotoError(f"{os.fspath(path)}: more than {MAX_PIXELS // 10**6} megapixels; make it smaller") from None
    except FileNotFoundError:
        raise PhotoError(f"{os.fspath(path)}: there is no such file") from None
    except Exception as error:  # decoders raise anything at all on damaged bytes
        reason = f"none of {', '.join(sorted(FORMATS))}" if isinstance(error, UnidentifiedImageError) else str(error)
        reason = " ".join(reason.split()) or type(error).__name__
        raise PhotoError(f"{os.fspath(path)}: cannot be read as a photo ({reason}); replace or remove it") from None


def open_image(source: str | os.PathLike[str] | BytesIO) -> Image.Image:
    """An image file's header, its pixels not yet read. Raises PhotoError, and whatever Pillow raises."""
    # Opening a pipe would wait for ever for somebody to write to it.
    if not isinstance(source, BytesIO) and Path(source).exists() and not Path(source).is_file():
        raise OSError("it is no file")
    image = Image.open(source, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise PhotoError(
            f"{image.width}x{image.height} are more than {MAX_PIXELS // 10**6} megapixels; make it smaller"
        )
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB, what is transparent laid over white; itself if it is so already.

    Raises PhotoError for an unknown range.
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        # Pillow's own conversion clips 16 bits instead of scaling them, so that all becomes white.
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise PhotoError(f"its pixels (Pillow's mode {image.mode}) have no known range; save it with 8 or 16 bits")
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")
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
