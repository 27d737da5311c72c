"""Masks as files: class ids in single-channel PNGs."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from face_parsing.data.mask_log import MaskLog, SeenMask
from face_parsing.data.mask_order import is_upright
from face_parsing.data.mask_palettes import USUAL, IdRule, PaletteKind, reading_of
from face_parsing.data.mask_seams import smoothing_of
from face_parsing.data.photos import open_image, read_photo
from face_parsing.data.problems import DataError
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, NUM_CLASSES, PALETTE, LabelSet, palette_bytes
from face_parsing.system.files import atomic_path

OWN_PALETTE = bytes(palette_bytes()[: 3 * NUM_CLASSES])
"""The colors of the 19 ids, as the palettes of our own masks begin."""
MASK_SUFFIXES = (".png", ".webp", ".bmp", ".tif", ".tiff")
INSTANCES = {"Title": "instances: numbers of faces"}
"""The text in a PNG that holds whose each pixel is, as --instances writes it, and no class ids."""
COLORED = ("RGB", "RGBA", "LA", "PA")
"""Modes that ``draw.py ids`` turns into ids."""


def decode_mask(
    source: Path | BytesIO, name: str, rule: IdRule = USUAL, *, wide: bool = True
) -> tuple[np.ndarray, PaletteKind]:
    """The values (H, W) uint8, whatever they are, of a single-channel image by the rule, and what its palette is.

    Without ``wide``, 16 and 32 bits are refused, as by the judges. Raises DataError that begins with name.
    """
    try:
        with open_image(source) as image:
            image.load()
            _refuse_instances(image, name)
            values = _single_channel(image, name, wide=wide)
            palette = _palette(image)
    except DataError:
        raise
    except Exception as error:  # decoders raise anything at all on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: cannot be read as an image ({reason})") from None
    if palette is None:
        return values, PaletteKind.OWN
    return _by_rule(values, palette, name, rule)


def _refuse_instances(image: Image.Image, name: str) -> None:
    """Raise DataError for a loaded picture that says of itself that its numbers are people."""
    if INSTANCES.items() <= image.info.items():
        raise DataError(f"{name}: its numbers are faces, as --instances writes them; name a mask of class ids")


def _single_channel(image: Image.Image, name: str, *, wide: bool) -> np.ndarray:
    """The indices or greys (H, W) uint8 of a loaded image. Raises DataError for one with other pixels."""
    if image.mode in ("L", "P"):
        return np.array(image)
    if image.mode.startswith("I") and wide:
        return _in_bytes(np.asarray(image), name)
    if image.mode == "1" and image.getbbox() is None:  # what an optimizer makes of a mask of background alone
        return np.zeros((image.height, image.width), dtype=np.uint8)
    hint = "; 'draw.py ids' turns colors into ids" if image.mode in COLORED else ""
    raise DataError(f"{name}: mode {image.mode}; a mask is single-channel, mode L or P, with class ids{hint}")


def _in_bytes(values: np.ndarray, name: str) -> np.ndarray:
    """Whole numbers (H, W) of 16 or 32 bits as uint8: some tools save ids so. Raises DataError for larger ones."""
    wrong = values[(values < 0) | (values > IGNORE_INDEX)]
    if len(wrong):
        raise DataError(f"{name}: label {wrong.min()}; ids are 0 to {NUM_CLASSES - 1}, or {IGNORE_INDEX} to ignore")
    return values.astype(np.uint8)


def _palette(image: Image.Image) -> np.ndarray | None:
    """The palette (n, 3) uint8 of a loaded image; None where it has none, or our own, whose indices are ids."""
    if image.mode != "P":
        return None
    colors = bytes(image.getpalette("RGB") or ())
    return None if colors[: len(OWN_PALETTE)] == OWN_PALETTE else np.frombuffer(colors, np.uint8).reshape(-1, 3)


def _by_rule(values: np.ndarray, palette: np.ndarray, name: str, rule: IdRule) -> tuple[np.ndarray, PaletteKind]:
    """The ids of indices (H, W) with a palette (n, 3), and what that is. Raises DataError."""
    reading = reading_of(palette, np.flatnonzero(np.bincount(values.ravel())), rule)
    if reading.strange is not None:
        index, color = reading.strange
        raise DataError(
            f"{name}: the palette's color {color} at index {index} is no id's; read it by --mask_ids index"
            if color
            else f"{name}: the palette ends before index {index}; read it by --mask_ids index"
        )
    return (values if reading.table is None else reading.table[values]), reading.kind


def read_mask(path: Path, rule: IdRule = USUAL, log: MaskLog | None = None) -> np.ndarray:
    """Class ids (H, W) uint8 of a single-channel mask, by the rule; ``log`` is told what is worth a word.

    Raises DataError that names the file.
    """
    mask, kind = decode_mask(path, str(path), rule)
    counts = np.bincount(mask.ravel(), minlength=256)
    unknown = np.setdiff1d(np.flatnonzero(counts), [*range(NUM_CLASSES), IGNORE_INDEX])
    if len(unknown):
        why = "; it seems to have been resized, blurred or compressed as a photo" if smoothing_of(mask) else ""
        raise DataError(f"{path}: label {unknown[0]}; ids are 0 to {NUM_CLASSES - 1}, or {IGNORE_INDEX} to ignore{why}")
    if log is not None:
        empty, ignored = not counts[1:NUM_CLASSES].any(), bool(counts[IGNORE_INDEX])
        upright = is_upright(mask) if rule.palette == PALETTE else None
        log.seen[str(path)] = SeenMask(kind, empty=empty, ignored=ignored, upright=upright)
    return mask


def mask_files(folder: Path) -> dict[str, Path]:
    """The masks of a folder by stem, in order: PNGs, whatever the case of their suffix, and other lossless formats.

    Where two files have one stem, the PNG is the mask. JPEGs are none: photos may lie beside their masks.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.suffix.lower() != ".png"):
        if path.suffix.lower() in MASK_SUFFIXES and not path.name.startswith(".") and path.is_file():
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


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


def _whole_numbers(path: Path) -> np.ndarray | None:
    """The greys (H, W) uint8 of an image of 16 or 32 bits; None for others. Raises DataError for greys above 255."""
    try:
        with open_image(path) as image:
            if not image.mode.startswith("I"):
                return None
            values = np.asarray(image)
            _refuse_instances(image, str(path))
    except DataError:
        raise
    except Exception:  # read_photo says what is wrong
        return None
    return _in_bytes(values, str(path))


def read_colors(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose colors or greys mean classes, (H, W, 3) uint8, and where it is wholly transparent, (H, W) bool.

    Greys of 16 or 32 bits are taken as they are and not scaled. What is transparent is black. Raises PhotoError and
    DataError.
    """
    greys = _whole_numbers(path)
    if greys is not None:
        return np.repeat(greys[..., None], 3, axis=2), np.zeros(greys.shape, dtype=bool)
    picture = read_photo(path)
    with open_image(path) as image:
        if not image.has_transparency_data:
            return picture, np.zeros(picture.shape[:2], dtype=bool)
        pixels = np.asarray(ImageOps.exif_transpose(image.convert("RGBA")))
    clear = pixels[..., 3] == 0
    # Where some light shines through, the color is not the one that was meant: white shows, as in viewers.
    picture[pixels[..., 3] == 255] = pixels[pixels[..., 3] == 255][:, :3]
    picture[clear] = 0
    return picture, clear


def nearest_color(picture: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each pixel (H, W, 3) uint8 the nearest of up to 256 colors (n, 3), (H, W) uint8, and which are exact (H, W).

    By Euclid in RGB; ties go to the first.
    """
    colors, places = np.unique(_packed(picture), return_inverse=True)
    parts = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=1)
    distance = ((parts[:, None] - palette.astype(np.int32)) ** 2).sum(-1)  # (colors, n)
    nearest = distance.argmin(1).astype(np.uint8)
    shape = picture.shape[:2]
    return nearest[places].reshape(shape), (distance.min(1) == 0)[places].reshape(shape)


def ids_of_colors(picture: np.ndarray, labels: LabelSet = CELEBAMASK) -> tuple[np.ndarray, np.ndarray]:
    """The class ids (H, W) uint8 of a picture (H, W, 3) uint8 in the palette's colors, and which are exact (H, W).

    A picture of greys (g, g, g) that are ids is read as these: optimizers make such ones of masks of mode L. Where a
    color is none of the palette's, the id is that of the nearest one.
    """
    grey = picture[..., 0]
    if (picture == grey[..., None]).all() and np.isin(grey, [*range(len(labels)), IGNORE_INDEX]).all():
        return grey.copy(), np.ones(grey.shape, dtype=bool)
    return nearest_color(picture, np.array(labels.palette))
