"""Masks as files: class ids in single-channel PNGs."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from face_parsing.data.photos import open_image
from face_parsing.data.problems import DataError
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, NUM_CLASSES, LabelSet, palette_bytes
from face_parsing.system.files import atomic_path


def decode_mask(source: Path | BytesIO, name: str) -> np.ndarray:
    """The values (H, W) uint8, whatever they are, of a P- or L-mode image. Raises DataError that begins with name."""
    try:
        with open_image(source) as image:
            if image.mode not in ("L", "P"):
                raise DataError(f"{name}: mode {image.mode}; a mask is single-channel, mode L or P, with class ids")
            image.load()
            return np.array(image)
    except DataError:
        raise
    except Exception as error:  # decoders raise anything at all on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: cannot be read as an image ({reason})") from None


def read_mask(path: Path) -> np.ndarray:
    """Class ids (H, W) uint8 of a P- or L-mode mask. Raises DataError that names the file."""
    mask = decode_mask(path, str(path))
    unknown = np.setdiff1d(np.flatnonzero(np.bincount(mask.ravel())), [*range(NUM_CLASSES), IGNORE_INDEX])
    if len(unknown):
        raise DataError(f"{path}: label {unknown[0]}; ids are 0 to {NUM_CLASSES - 1}, or {IGNORE_INDEX} to ignore")
    return mask


def save_mask(mask: np.ndarray, path: Path, labels: LabelSet = CELEBAMASK) -> None:
    """Write class ids (H, W) uint8 as a PNG of mode P: ids when read, the usual colors when looked at."""
    picture = Image.fromarray(mask)
    picture.putpalette(palette_bytes(labels))
    with atomic_path(path) as temporary:
        # Masks are runs of one id: looking for runs alone makes the same size, and takes a third of the time.
        picture.save(temporary, format="PNG", compress_type=zlib.Z_RLE)


def _packed(colors: np.ndarray) -> np.ndarray:
    """Colors (..., 3) uint8 as one number each, (...) int32."""
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def ids_of_colors(picture: np.ndarray, labels: LabelSet = CELEBAMASK) -> tuple[np.ndarray, np.ndarray]:
    """The class ids (H, W) uint8 of a picture (H, W, 3) uint8 in the palette's colors, and which are exact (H, W).

    Where a color is none of the palette's, the id is that of the nearest one (Euclid in RGB; ties to the lower id).
    """
    palette = np.array(labels.palette, dtype=np.int32)
    colors, places = np.unique(_packed(picture), return_inverse=True)
    parts = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=1)
    distance = ((parts[:, None] - palette) ** 2).sum(-1)  # (colors, C)
    nearest = distance.argmin(1).astype(np.uint8)
    shape = picture.shape[:2]
    return nearest[places].reshape(shape), (distance.min(1) == 0)[places].reshape(shape)
