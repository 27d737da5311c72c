#!/usr/bin/env bash
# Guess:     an instance mask with a hole, written by supervision as COCO, is evaluated as any other.
# Behaviour: it is written with iscrowd 1 (so that its run lengths may be kept), and COCOeval leaves crowds out: the
#            class has no score at all (-1), and the mean over the classes is silent about it.
# Matters:   the skin of a face has holes, where eyes and mouth are. Its largest class goes unmeasured.
# Versions:  supervision 0.31.2, pycocotools 2.0.11, numpy 2.4.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place" supervision==0.31.2 pycocotools==2.0.11 numpy==2.4.6
cd "$place"
PYTHONPATH="$place" python3 -W ignore - <<'PY'
import contextlib
import io
import json

import numpy as np
import supervision as sv
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

skin = np.zeros((96, 96), dtype=bool)
skin[8:88, 8:88] = True
skin[30:40, 30:40] = False  # an eye
hair = np.zeros((96, 96), dtype=bool)
hair[0:8, 8:88] = True
masks = np.stack([skin, hair])
Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save("photo.png")
found = sv.Detections(xyxy=sv.mask_to_xyxy(masks), mask=masks, class_id=np.array([0, 1]))
sv.DetectionDataset(["skin", "hair"], ["photo.png"], {"photo.png": found}).as_coco(annotations_path="truth.json")
with open("truth.json") as file:
    truth = json.load(file)
names = {category["id"]: category["name"] for category in truth["categories"]}
crowd = {names[one["category_id"]]: one["iscrowd"] for one in truth["annotations"]}
with contextlib.redirect_stdout(io.StringIO()):
    known = COCO("truth.json")
    results = []
    for category, name in names.items():
        runs = coco_mask.encode(np.asfortranarray((skin if name == "skin" else hair).astype(np.uint8)))
        runs["counts"] = runs["counts"].decode()
        results.append({"image_id": truth["images"][0]["id"], "category_id": category, "segmentation": runs, "score": 0.9})
    judged = COCOeval(known, known.loadRes(results), "segm")
    judged.evaluate()
    judged.accumulate()
precision = judged.eval["precision"]
score = {names[c]: float(precision[:, :, k, 0, 2].mean()) for k, c in enumerate(judged.params.catIds)}
for name in crowd:
    print(f"{name}: iscrowd {crowd[name]}, average precision of the same mask {score[name]:.2f}")
assert (crowd["hair"], crowd["skin"]) == (0, 1), "a hole no longer makes a crowd"
assert score["hair"] > 0.5 and score["skin"] == -1, "the skin is evaluated"
PY
