"""Masks as COCO's JSON: one annotation for each class of an image but background, as compressed run lengths.

The ids of categories are class ids. Ids of images and annotations begin at 1: COCOeval takes 0 for "not matched".
``iscrowd`` is 0 also where a class has holes or several parts, because COCOeval leaves crowds out. Pixels to ignore
are in no annotation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from tqdm import tqdm

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.drawing.labelled import Labelled
from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.system.commands import UsageError
from face_parsing.system.files import atomic_path


def coco_runs() -> ModuleType:
    """pycocotools' run lengths. Raises UsageError where it is not installed."""
    try:
        from pycocotools import mask
    except ImportError:
        raise UsageError("COCO's run lengths need pycocotools; pip install -r requirements-coco.txt") from None
    return mask


def annotations_of(ids: np.ndarray, labels: LabelSet) -> Iterator[dict[str, Any]]:
    """The annotation of each class but background in a mask (H, W); ids of image and annotation are left out."""
    runs = coco_runs()
    for c in range(1, len(labels)):
        region = ids == c
        if not region.any():
            continue
        rle = runs.encode(np.asfortranarray(region.astype(np.uint8)))
        yield {
            "category_id": c,
            "segmentation": {"size": list(region.shape), "counts": rle["counts"].decode("ascii")},
            "area": int(region.sum()),
            "bbox": runs.toBbox(rle).tolist(),
            "iscrowd": 0,
        }


def coco_of(
    masks: Sequence[Labelled], labels: LabelSet = CELEBAMASK, *, rule: IdRule = USUAL, log: MaskLog | None = None
) -> dict[str, Any]:
    """The content of the JSON. An image has the name of its photo, else that of its mask."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, one in enumerate(tqdm(masks, unit="mask", leave=False), 1):
        ids = one.ids(labels, rule, log or MaskLog())
        height, width = ids.shape
        images.append({"id": number, "file_name": (one.photo or one.mask).name, "width": width, "height": height})
        for annotation in annotations_of(ids, labels):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
    categories = [{"id": c, "name": labels.names[c], "supercategory": "face"} for c in range(1, len(labels))]
    return {
        "info": {"description": "face parsing: one annotation for each class of an image"},
        "licenses": [],
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }


def write_coco(
    masks: Sequence[Labelled], path: Path, labels: LabelSet = CELEBAMASK, *, rule: IdRule = USUAL
) -> tuple[int, int]:
    """Write the JSON of masks. Gives the numbers of images and annotations. Raises ValueError for what is no mask."""
    log = MaskLog()
    coco_runs()
    content = coco_of(masks, labels, rule=rule, log=log)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file)
    log.tell_palettes()
    return len(content["images"]), len(content["annotations"])
