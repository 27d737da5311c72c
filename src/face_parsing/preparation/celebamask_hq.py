"""The full CelebAMask-HQ (Lee et al. 2020): 30,000 photos of 1024 px, one 512 px picture for each part of a face."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from face_parsing.data.masks import save_mask
from face_parsing.data.photo_files import photos_in
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.labels import CLASS_NAMES
from face_parsing.preparation.copying import Job, Plan, PreparationError
from face_parsing.preparation.pair_files import copy_photo, resize_mask, resize_photo, save_photo, size_text

IMAGES = "CelebA-HQ-img"
PARTS = "CelebAMask-HQ-mask-anno"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
PER_FOLDER = 2000

# CelebA's own split, by the number of the photo there: train below the first, val below the second, test above.
FIRST_VAL, FIRST_TEST = 162771, 182638


def split_of(original: int) -> str:
    """The split of the photo with this number in CelebA (the mapping's second column)."""
    if original < FIRST_VAL:
        return "train"
    return "val" if original < FIRST_TEST else "test"


def read_mapping(path: Path) -> dict[int, int]:
    """Each photo's number in CelebA-HQ with its number in CelebA.

    The file has the columns idx, orig_idx and orig_file, any number of spaces between them, and a header. Raises
    PreparationError, naming the line, for anything else.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PreparationError(f"The mapping {path} cannot be read: {error}.") from None
    mapping: dict[int, int] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or (number == 1 and not fields[0].isdecimal()):
            continue
        if len(fields) < 2 or not (fields[0].isdecimal() and fields[1].isdecimal()):
            raise PreparationError(
                f"{path}, line {number}: {line.strip()!r} does not begin with two numbers, idx and orig_idx."
            )
        if int(fields[0]) in mapping:
            raise PreparationError(f"{path}, line {number}: the photo {fields[0]} is listed twice.")
        mapping[int(fields[0])] = int(fields[1])
    if not mapping:
        raise PreparationError(f"The mapping {path} lists no photo.")
    return mapping


def _read_part(path: Path) -> tuple[tuple[int, int], tuple[int, int, int, int] | None, np.ndarray] | None:
    """(height, width), the box that holds all of a part, and the part (h, w) bool in it; None without the file."""
    try:
        with Image.open(path) as picture:
            image = picture if picture.mode in ("1", "L", "P", "RGB") else picture.convert("RGB")
            box = image.getbbox()
            # Most parts are small, and what lies outside the box costs nothing.
            part = np.asarray(image.crop(box)) if box else np.zeros((0, 0), dtype=np.uint8)
            return (image.height, image.width), box, np.asarray(np.atleast_3d(part).any(2))
    except FileNotFoundError:
        return None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as an image ({error})") from None


def merge_parts(prefix: Path) -> np.ndarray:
    """The mask (H, W) uint8 of the parts prefix_skin.png, prefix_nose.png, ...; of two, the higher id lies on top.

    Raises DataError for unreadable parts, for parts of different sizes, and where there is none.
    """
    mask: np.ndarray | None = None
    for c, name in enumerate(CLASS_NAMES[1:], 1):
        path = prefix.with_name(f"{prefix.name}_{name}.png")
        found = _read_part(path)
        if found is None:
            continue
        size, box, part = found
        if mask is None:
            mask = np.zeros(size, dtype=np.uint8)
        if mask.shape != size:
            raise DataError(f"{path}: {size[1]}x{size[0]}, but the other parts of this face are {size_text(mask)}")
        if box:
            left, top, right, bottom = box
            mask[top:bottom, left:right][part] = c
    if mask is None:
        raise DataError(f"{prefix}_*.png: there is no part of this face")
    return mask


def make_pair(image: Path, prefix: Path, outputs: tuple[Path, ...], *, size: int, link: bool = False) -> None:
    """Write the image as outputs[0] and its merged parts as outputs[1], both size x size."""
    photo = read_photo(image)
    mask = merge_parts(prefix)
    if not outputs[1].exists():
        save_mask(mask if mask.shape == (size, size) else resize_mask(mask, size), outputs[1])
    if photo.shape[:2] == (size, size):
        copy_photo(image, outputs[0], link=link)
    else:
        save_photo(resize_photo(photo, size), outputs[0])


def plan_celebamask_hq(
    source: Path, output: Path, *, size: int, mapping: Path | None = None, link: bool = False
) -> Plan:
    """Merge the parts of every photo and split by CelebA's own split; mapping is source/MAPPING unless given."""
    path = mapping or source / MAPPING
    missing = [str(folder) for folder in (source / IMAGES, source / PARTS / "0") if not folder.is_dir()]
    if not path.is_file():
        missing.append(f"{path} (the numbers of the photos in CelebA, which give the split; or name it with --mapping)")
    if missing:
        raise PreparationError(f"{source} is not the full CelebAMask-HQ; looked in vain for {', '.join(missing)}.")
    originals = read_mapping(path)
    jobs: list[Job] = []
    problems: list[str] = []
    for image in photos_in(source / IMAGES):
        if not re.fullmatch(r"\d+", image.stem, flags=re.ASCII):
            problems.append(f"{image}: its name is no number, so its parts are not known")
            continue
        number = int(image.stem)
        if number not in originals:
            problems.append(f"{image}: {path.name} does not list {number}, so its split is not known")
            continue
        folder, stem = output / split_of(originals[number]), f"{number:05d}"
        outputs = (folder / "images" / f"{stem}{image.suffix}", folder / "masks" / f"{stem}.png")
        prefix = source / PARTS / str(number // PER_FOLDER) / stem
        jobs.append(Job(outputs, partial(make_pair, image, prefix, outputs, size=size, link=link)))
    if not jobs:
        raise PreparationError(f"{source / IMAGES} holds no photos such as 0.jpg that {path.name} lists.")
    recipe = {"subcommand": "celebamask-hq", "size": size, "mapping": str(path.resolve())}
    return Plan(recipe, "external_data", jobs, [source / IMAGES, source / PARTS], problems)
