"""A set with mirrored copies of its training pairs, left and right labels swapped."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from face_parsing.data.mask_palettes import USUAL, IdRule, MaskIds
from face_parsing.data.masks import save_mask
from face_parsing.data.pairs import size_difference
from face_parsing.data.photo_files import photos_in
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.data.provenance import broken_rule, refuse_grouped
from face_parsing.labels import is_mirrored, swap_left_right
from face_parsing.preparation.copying import Job, Plan, each_result
from face_parsing.preparation.layouts import OWN_LAYOUT, copy_job, find_splits, output_files, plan_pairs, recipe_of
from face_parsing.preparation.pair_files import FORMATS, JPEG_QUALITY, read_ids
from face_parsing.system.files import atomic_path

ENDING = "_flipped"
MIRRORED_SHOWN = 30


def mirror_pair(photo: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Photo (H, W, 3) and mask (H, W), both uint8, mirrored; left labels become right ones. Its own inverse."""
    return np.ascontiguousarray(photo[:, ::-1]), swap_left_right(np.ascontiguousarray(mask[:, ::-1]))


def _encoding(source: Path) -> dict[str, Any]:
    """How a mirrored image is saved: in its format, JPEG with the source's own tables, which loses next to nothing."""
    kind = FORMATS.get(source.suffix.lower())
    if kind is not None:
        return {"format": kind, "quality": JPEG_QUALITY}
    with Image.open(source) as image:
        tables = getattr(image, "quantization", None)
        if tables and image.mode == "RGB":
            return {"format": "JPEG", "qtables": tables, "subsampling": get_sampling(image)}
    return {"format": "JPEG", "quality": JPEG_QUALITY}


def flip_pair(image: Path, mask: Path, outputs: tuple[Path, ...], rule: IdRule = USUAL) -> None:
    """Write the mirrored image as outputs[0] and the mirrored mask, read by the rule, as outputs[1]."""
    photo, ids = read_photo(image), read_ids(mask, rule=rule)
    if ids.shape != photo.shape[:2]:
        raise DataError(f"{mask}: {size_difference(ids.shape, photo.shape)}")
    photo, ids = mirror_pair(photo, ids)
    encoding = _encoding(image)
    if not outputs[1].exists():
        save_mask(ids, outputs[1])
    with atomic_path(outputs[0]) as temporary:
        Image.fromarray(photo).save(temporary, **encoding)


def plan_flip(source: Path, output: Path, *, link: bool = False, mask_ids: MaskIds = "auto") -> Plan:
    """Copy a prepared set and add the mirrored copy of every training pair under its stem plus ENDING."""
    splits = find_splits(source, OWN_LAYOUT)
    refuse_grouped(source)
    rule = IdRule(mask_ids=mask_ids)

    def jobs_of(split: str, image: Path, mask: Path | None) -> list[Job]:
        jobs = [copy_job(output, split, image, mask, link=link, rule=rule)]
        if split == "train" and mask is not None:
            outputs = output_files(output, split, image, mask, ENDING)
            jobs.append(Job(outputs, partial(flip_pair, image, mask, outputs, rule)))
        return jobs

    return plan_pairs(splits, jobs_of, recipe={"subcommand": "flip", **recipe_of(mask_ids)}, breaks=broken_rule(source))


def _is_mirrored_file(path: Path, rule: IdRule = USUAL) -> bool:
    return is_mirrored(read_ids(path, rule=rule))


def mirrored_masks(masks: Iterable[Path], workers: int, rule: IdRule = USUAL) -> list[Path]:
    """Those masks whose left labels lie left of the right ones; unreadable ones are left out."""
    paths = sorted(masks)
    results = each_result([partial(_is_mirrored_file, path, rule) for path in paths], workers)
    return [paths[i] for i in sorted(i for i, result in results if result is True)]


def mirrored_note(source: Path, workers: int, mask_ids: MaskIds = "auto") -> str | None:
    """That the training masks of a flipped set had left and right out of order before, and which; None for none."""
    found = mirrored_masks(photos_in(source / "train" / "masks"), workers, IdRule(mask_ids=mask_ids))
    if not found:
        return None
    rest = len(found) - MIRRORED_SHOWN
    lines = [path.name for path in found[:MIRRORED_SHOWN]] + ([f"... and {rest} more"] if rest > 0 else [])
    head = (
        f"{len(found)} masks of {source / 'train'} had left and right out of order before; so have their "
        "mirrored copies. Training repairs both (data.repair_mirrored):"
    )
    return "\n  ".join([head, *lines])
