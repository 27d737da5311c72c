"""Masks as Label Studio's brush: tasks to import, and the labeling interface that they need.

A region is the run lengths of an image of four channels, all 255 inside and 0 outside, row by row; Label Studio looks
at the fourth. The bits: 32 for the number of values, 5 for the bits of a value less 1, four times 4 for the bits of
a length less 1; then for each run 1, two bits for which of these four sizes, the length less 1, and the value. The
last byte is filled up with zeros.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from tqdm import tqdm

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.drawing.labelled import Labelled
from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.system.commands import refuse_existing
from face_parsing.system.files import atomic_path

Kind = Literal["predictions", "annotations"]
PREFIX = "/data/local-files/?d="
"""How Label Studio addresses a file below its document root (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT)."""
IMAGE, BRUSH = "image", "brush"
CHANNELS = 4
SIZES = (3, 4, 8, 16)
"""Bits of a length less 1."""


def _run(length: int, value: int) -> str:
    """The bits of a run of up to 2**16 equal values."""
    place = next(i for i, size in enumerate(SIZES) if length <= 2**size)
    return f"1{place:02b}{length - 1:0{SIZES[place]}b}{value:08b}"


def encode_brush(region: np.ndarray) -> list[int]:
    """The bytes of a region (H, W) bool."""
    flat = region.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], edges])
    lengths = (np.diff(np.concatenate([starts, [flat.size]])) * CHANNELS).tolist()
    longest = 2 ** SIZES[-1]
    bits = [f"{flat.size * CHANNELS:032b}{8 - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    for length, inside in zip(lengths, flat[starts].tolist(), strict=True):
        whole, rest = divmod(length, longest)
        bits += [_run(longest, 255 * inside)] * whole + ([_run(rest, 255 * inside)] if rest else [])
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 8)
    return list(int(joined, 2).to_bytes(len(joined) // 8, "big"))


def regions_of(ids: np.ndarray, labels: LabelSet) -> list[dict[str, Any]]:
    """Label Studio's regions of a mask (H, W): one for each class but background."""
    height, width = ids.shape
    return [
        {
            "id": labels.names[c],
            "type": "brushlabels",
            "from_name": BRUSH,
            "to_name": IMAGE,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": encode_brush(ids == c), "brushlabels": [labels.names[c]]},
        }
        for c in range(1, len(labels))
        if (ids == c).any()
    ]


def interface(labels: LabelSet) -> str:
    """The labeling interface: an image, and a brush for each class but background in its color."""
    rows = [
        f'    <Label value={quoteattr(labels.names[c])} background="#{bytes(labels.palette[c]).hex()}"/>'
        for c in range(1, len(labels))
    ]
    head = f'<View>\n  <Image name="{IMAGE}" value="${IMAGE}"/>\n  <BrushLabels name="{BRUSH}" toName="{IMAGE}">\n'
    return head + "\n".join(rows) + "\n  </BrushLabels>\n</View>\n"


def _task(one: Labelled, regions: list[dict[str, Any]], kind: Kind, prefix: str) -> dict[str, Any]:
    made_by = {"model_version": "face_parsing"} if kind == "predictions" else {}
    address = prefix + quote((one.photo or one.mask).name)
    return {"data": {IMAGE: address}, kind: [{**made_by, "result": regions}]}


def write_label_studio(
    masks: Sequence[Labelled],
    folder: Path,
    labels: LabelSet = CELEBAMASK,
    *,
    kind: Kind = "predictions",
    prefix: str = PREFIX,
    rule: IdRule = USUAL,
    overwrite: bool = False,
) -> int:
    """Write tasks.json and interface.xml. Gives the number of tasks. Raises ValueError for what is no mask."""
    tasks, view = folder / "tasks.json", folder / "interface.xml"
    refuse_existing([tasks, view], overwrite=overwrite)
    log = MaskLog()
    with atomic_path(tasks) as temporary, temporary.open("w", encoding="utf-8") as file:
        for number, one in enumerate(tqdm(masks, unit="mask", leave=False)):
            task = _task(one, regions_of(one.ids(labels, rule, log), labels), kind, prefix)
            file.write(("[" if number == 0 else ",\n") + json.dumps(task))
        file.write("]\n")
    with atomic_path(view) as temporary:
        temporary.write_text(interface(labels), encoding="utf-8")
    log.tell_palettes()
    return len(masks)
