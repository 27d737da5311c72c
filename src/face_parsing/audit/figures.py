"""The pictures of an audit: class shares, odd masks, mirrored pairs and near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.audit.inspection import InspectedPair
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.masks import read_mask
from face_parsing.data.photos import read_photo
from face_parsing.drawing.overlays import overlay
from face_parsing.drawing.pictures import contact_sheet, save_picture
from face_parsing.labels import CLASS_NAMES, NUM_CLASSES, PALETTE
from face_parsing.system.files import atomic_path

MIRRORED_SHOWN = 100
PAIRS_SHOWN = 12


def plot_classes(classes: dict[str, Any], path: Path) -> None:
    """Draw the report's class shares as bars: of masks, and of pixels on a log scale."""
    # Half a second to import, which a refusal need not wait for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.5), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    colors = [[value / 255 for value in color] for color in PALETTE]
    names = list(CLASS_NAMES)
    images = [100 * classes["images"][name] / classes["masks"] for name in names]
    pixels = [100 * classes["pixels"][name] for name in names]
    for axes, values in ((left, images), (right, pixels)):
        axes.barh(names, values, color=colors, edgecolor="black", linewidth=0.8)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    left.invert_yaxis()
    left.set_xlim(0, 112)
    right.set_xscale("log")
    smallest = min(value for value in pixels if value > 0)
    right.set_xlim(smallest / 3, 250)
    for i in range(NUM_CLASSES):
        left.annotate(f" {images[i]:.1f}", (images[i], i), va="center", fontsize=8)
        right.annotate(f" {pixels[i]:.2g}", (max(pixels[i], smallest / 3), i), va="center", fontsize=8)
    left.set_xlabel(f"% of the {classes['masks']} masks that hold the class")
    right.set_xlabel("% of all pixels, log scale")
    figure.suptitle(
        f"Pixels, most to least frequent: {classes['imbalance']:.0f} to 1; "
        f"effective number of classes {classes['effective_classes']:.1f}"
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"


def draw_oddest(report: dict[str, Any], faces: dict[str, InspectedPair], path: Path, rule: IdRule = USUAL) -> None:
    """The oddest masks with their photos, one row each, the reasons beneath."""
    rows, captions = [], []
    for rank, odd in enumerate(report["oddest"], 1):
        face = faces[odd["name"]]
        assert face.mask is not None
        mask = read_mask(face.mask, rule)
        photo = read_photo(face.image) if face.image and face.photo_facts else np.zeros((*mask.shape, 3), np.uint8)
        same = photo.shape[:2] == mask.shape
        rows.append([photo, mask, overlay(photo, mask) if same else photo])
        captions.append(f"{rank}. {_short(face.name)}  {odd['score']:.1f}: {'; '.join(odd['reasons'][:2])}")
    save_picture(contact_sheet(rows, ["photo", "mask", "overlay"], captions), path)


def draw_mirrored(faces: Sequence[InspectedPair], path: Path, rule: IdRule = USUAL) -> None:
    """Photos and masks of mirrored pairs, two pairs a row; at most MIRRORED_SHOWN."""
    shown = [face for face in faces if face.image and face.mask and face.photo_facts][:MIRRORED_SHOWN]
    rows, captions = [], []
    for i in range(0, len(shown), 2):
        both = shown[i : i + 2]
        rows.append(
            [picture for f in both if f.image and f.mask for picture in (read_photo(f.image), read_mask(f.mask, rule))]
        )
        captions.append("   |   ".join(face.name for face in both))
    save_picture(contact_sheet(rows, ["photo", "mask"] * 2, captions), path)


def draw_duplicates(report: dict[str, Any], faces: dict[str, InspectedPair], path: Path, rule: IdRule = USUAL) -> None:
    """The near-duplicates and, where they leave room, the most alike pairs that are none, with their masks."""
    rows, captions = [], []
    found = [(pair, "duplicate") for pair in report["near_duplicates"]]
    for pair, what in (found + [(pair, "not counted") for pair in report["most_alike_others"]])[:PAIRS_SHOWN]:
        row: list[np.ndarray] = []
        for face in (faces[pair["first"]], faces[pair["second"]]):
            assert face.image is not None
            row.append(read_photo(face.image))
            blank = np.full_like(row[-1], 255)
            row.append(read_mask(face.mask, rule) if face.mask is not None and face.mask_facts is not None else blank)
        rows.append(row)
        flip = ", mirrored" if pair["mirrored"] else ""
        captions.append(f"{what}{flip} {pair['correlation']:.3f}:  {pair['first']}  {pair['second']}")
    save_picture(contact_sheet(rows, ["first", "its mask", "second", "its mask"], captions), path)
