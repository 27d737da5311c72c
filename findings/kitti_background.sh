#!/usr/bin/env bash
# Guess:     pixels that no mask covers come back from datumaro's KITTI export as no class, as they do from VOC's.
# Behaviour: where the categories have no background, the index of such pixels, 0, is that of the first class: all the
#            background comes back as skin.
# Matters:   face parsing's background is often left out of the categories, as in COCO. Put it first.
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
skin[8:40, 8:40] = True
hair = np.zeros((64, 64), dtype=bool)
hair[40:56, 8:40] = True


def skin_after(kind):
    item = DatasetItem(
        id="a",
        media=Image.from_numpy(np.zeros((64, 64, 3), np.uint8)),
        annotations=[Mask(image=skin, label=0), Mask(image=hair, label=1)],
    )
    path = os.path.join(os.environ["PLACE"], f"out_{kind}")
    Dataset.from_iterable([item], categories=["skin", "hair"]).export(path, kind, save_media=True)
    back = Dataset.import_from(path, kind)
    labels = [label.name for label in back.categories()[AnnotationType.label]]
    return sum(
        int(mask.image.sum())
        for each in back
        for mask in each.annotations
        if mask.type == AnnotationType.mask and labels[mask.label] == "skin"
    )


pixels = {kind: skin_after(kind) for kind in ("voc_segmentation", "kitti_segmentation")}
for kind, count in pixels.items():
    print(f"{kind}: {count} pixels of skin, of {skin.sum()} that were exported")
assert pixels["voc_segmentation"] == skin.sum(), "VOC keeps the skin"
assert pixels["kitti_segmentation"] == (~hair).sum(), "KITTI no longer adds the background to the skin"
PY
