#!/usr/bin/env bash
# Guess:     datumaro's COCO panoptic export draws masks by their z_order, as its VOC export does.
# Behaviour: it draws them in the order of the list. A nose that is listed first and lies on top (z_order 1) vanishes
#            under the skin; VOC from the same items keeps it.
# Matters:   parts of a face overlap: a class can be lost from every image without a word. Sort by z_order before.
# Versions:  datumaro 1.13.12, numpy 2.4.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place" datumaro==1.13.12 numpy==2.4.6
PLACE="$place" PYTHONPATH="$place" python3 - 2>/dev/null <<'PY'
import os

import numpy as np
from datumaro.components.annotation import AnnotationType, Mask
from datumaro.components.dataset import Dataset
from datumaro.components.dataset_base import DatasetItem
from datumaro.components.media import Image

skin = np.zeros((64, 64), dtype=bool)
skin[8:56, 8:56] = True
nose = np.zeros((64, 64), dtype=bool)
nose[24:40, 28:36] = True


def exported(kind, first):
    masks = [Mask(image=skin, label=1, z_order=0, id=1, group=1), Mask(image=nose, label=2, z_order=1, id=2, group=2)]
    item = DatasetItem(
        id="a",
        media=Image.from_numpy(np.zeros((64, 64, 3), np.uint8)),
        annotations=masks if first == "skin" else masks[::-1],
    )
    path = os.path.join(os.environ["PLACE"], f"out_{kind}_{first}")
    names = ["background", "skin", "nose"]
    Dataset.from_iterable([item], categories=names).export(path, kind, save_media=True)
    back = Dataset.import_from(path, kind)
    labels = [label.name for label in back.categories()[AnnotationType.label]]
    return sum(
        int(mask.image.sum())
        for each in back
        for mask in each.annotations
        if mask.type == AnnotationType.mask and labels[mask.label] == "nose"
    )


pixels = {(kind, first): exported(kind, first) for kind in ("voc_segmentation", "coco_panoptic") for first in ("skin", "nose")}
for (kind, first), count in pixels.items():
    print(f"{kind}, {first} listed first: {count} of {nose.sum()} pixels of the nose, which lies on top")
lost = pixels.pop(("coco_panoptic", "nose"))
assert set(pixels.values()) == {int(nose.sum())}, "the other exports keep the nose"
assert lost == 0, "the panoptic export keeps the nose as well"
PY
