#!/usr/bin/env bash
# Guess:     the ids in a COCO file are names, so that an annotation with the id 0 is judged as any other.
# Behaviour: COCOeval writes the id of the annotation that a result matches, and reads 0 as "none": the annotation is
#            missed, and its perfect result counts as false. Label Studio's COCO export of brushes numbers from 0.
#            (It also writes outer contours, so that holes are filled.)
# Matters:   results equal to the truth score 0.0 for the first class of the file where it has one face, and below 1 in
#            any set. Add 1 to the ids.
# Versions:  label-studio-sdk 2.1.2, pycocotools 2.0.11, numpy 2.2.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place/packages" label-studio-sdk==2.1.2 pycocotools==2.0.11 numpy==2.2.6
cd "$place"
PYTHONPATH="$place/packages" python3 -W ignore - 2>/dev/null <<'PY'
import contextlib
import io
import json
import os

import numpy as np
from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.brush import mask2rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

VIEW = """<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">
<Label value="skin"/><Label value="hair"/></BrushLabels></View>"""
masks = {name: np.zeros((96, 96), np.uint8) for name in ("skin", "hair")}
masks["skin"][20:88, 8:88] = masks["hair"][0:20, 8:88] = 255
masks["skin"][40:50, 30:40] = 0  # an eye


def region(name):
    value = {"format": "rle", "rle": mask2rle(masks[name]), "brushlabels": [name]}
    size = {"original_width": 96, "original_height": 96, "image_rotation": 0}
    return {"id": name, "type": "brushlabels", "from_name": "brush", "to_name": "image", **size, "value": value}


answer = {"id": 1, "completed_by": {"email": "a@example.org"}, "result": [region("skin"), region("hair")]}
with open("labelled.json", "w") as file:
    json.dump([{"id": 1, "data": {"image": "photo.png"}, "annotations": [answer], "predictions": []}], file)
os.mkdir("out")
Converter(VIEW, ".", download_resources=False).convert("labelled.json", "out", "BRUSH_TO_COCO", is_dir=False)
with open("out/result_coco.json") as file:
    truth = json.load(file)


def scores():
    """Average precision, by class, of results that are the annotations themselves."""
    with open("truth.json", "w") as file:
        json.dump(truth, file)
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO("truth.json")
        results = [
            {"image_id": one["image_id"], "category_id": one["category_id"], "segmentation": known.annToRLE(one), "score": 0.9}
            for one in truth["annotations"]
        ]
        judged = COCOeval(known, known.loadRes(results), "segm")
        judged.evaluate()
        judged.accumulate()
    names = [known.cats[c]["name"] for c in judged.params.catIds]
    return {name: round(float(judged.eval["precision"][:, :, k, 0, 2].mean()), 6) for k, name in enumerate(names)}


as_exported = scores()
with contextlib.redirect_stdout(io.StringIO()):
    skin = COCO("truth.json").annToMask(truth["annotations"][0])
print(f"skin in the {masks['skin'][40:50, 30:40].size} pixels of the eye, as exported: {skin[40:50, 30:40].sum()}")
ids = [one["id"] for one in truth["annotations"]]
for one in truth["annotations"]:
    one["id"] += 1
from_one = scores()
print(f"ids {ids} as exported: {as_exported}")
print(f"ids {[i + 1 for i in ids]}: {from_one}")
assert ids == [0, 1], "Label Studio no longer numbers from 0"
assert from_one == {"skin": 1.0, "hair": 1.0}, "the same results are perfect with ids from 1"
assert as_exported == {"skin": 0.0, "hair": 1.0}, "the annotation with the id 0 is found"
PY
