"""What an audit leaves: its summary, tables and pictures."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.audit.inspection import (
    SPLITS,
    ClassShares,
    InspectedPair,
    class_shares,
    count,
    find_faces,
    inspect_faces,
    rate_oddness,
)
from face_parsing.audit.near_duplicates import CANDIDATE, DUPLICATE, Likeness, find_duplicates
from face_parsing.data.masks import read_mask
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import PROBLEMS_SHOWN
from face_parsing.drawing.overlays import overlay
from face_parsing.drawing.pictures import contact_sheet, save_picture
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, NUM_CLASSES, PALETTE
from face_parsing.system.files import atomic_path

REPORT_FILES = (
    "audit.json",
    "files.csv",
    "class_balance.png",
    "oddest_masks.png",
    "mirrored.png",
    "near_duplicates.png",
)
MIRRORED_SHOWN = 100
PAIRS_SHOWN = 12
REASONS_SHOWN = 3


def _split_summary(faces: Sequence[InspectedPair]) -> dict[str, Any]:
    """What one split holds, as plain values."""
    photos = [face.photo_facts for face in faces if face.photo_facts is not None]
    masks = [face.mask_facts for face in faces if face.mask_facts is not None]
    with_masks = [face for face in faces if face.mask_facts is not None]
    held = {str(c): sum(bool(mask.pixels[c]) for mask in masks) for c in range(NUM_CLASSES)}
    held[str(IGNORE_INDEX)] = sum(mask.ignored > 0 for mask in masks)
    return {
        "images": sum(face.image is not None for face in faces),
        "masks": sum(face.mask is not None for face in faces),
        "image_sizes": count(f"{w}x{h}" for w, h in (photo.size for photo in photos)),
        "image_modes": count(photo.mode for photo in photos),
        "image_formats": count(photo.format for photo in photos),
        "mask_sizes": count(f"{w}x{h}" for w, h in (mask.size for mask in masks)),
        "mask_modes": count(mask.mode for mask in masks),
        "ids": {c: number for c, number in held.items() if number},
        "mirrored": [face.stem for face, mask in zip(with_masks, masks, strict=True) if mask.mirrored],
        "not_mirrored": sum(mask.mirrored is False for mask in masks),
        "undecided": [face.stem for face, mask in zip(with_masks, masks, strict=True) if mask.mirrored is None],
        "undecided_looks_mirrored": [
            face.stem
            for face, mask in zip(with_masks, masks, strict=True)
            if mask.mirrored is None and mask.looks_mirrored
        ],
        "contradictory": [face.stem for face, mask in zip(with_masks, masks, strict=True) if mask.contradictory],
    }


def _likeness_summary(likeness: Likeness, faces: Sequence[InspectedPair]) -> dict[str, Any]:
    return {
        "first": faces[likeness.first].name,
        "second": faces[likeness.second].name,
        "mirrored": likeness.mirrored,
        "correlation": round(likeness.correlation, 4),
    }


def _class_summary(shares: ClassShares, per_split: dict[str, ClassShares]) -> dict[str, Any]:
    return {
        "masks": shares.masks,
        "images": dict(zip(CLASS_NAMES, shares.images.tolist(), strict=True)),
        "pixels": dict(zip(CLASS_NAMES, shares.pixels.tolist(), strict=True)),
        "per_split": {
            split: {
                "masks": part.masks,
                "images": dict(zip(CLASS_NAMES, part.images.tolist(), strict=True)),
                "pixels": dict(zip(CLASS_NAMES, part.pixels.tolist(), strict=True)),
            }
            for split, part in per_split.items()
        },
        "imbalance": shares.imbalance if shares.pixels.any() else None,
        "effective_classes": shares.effective_classes if shares.pixels.any() else None,
    }


def _listed(lines: Sequence[str]) -> list[str]:
    more = len(lines) - PROBLEMS_SHOWN
    return [f"  {line}" for line in lines[:PROBLEMS_SHOWN]] + ([f"  ... and {more} more"] if more > 0 else [])


def _counted(values: dict[str, int]) -> str:
    return ", ".join(f"{number} {value}" for value, number in values.items()) or "none"


def _class_lines(report: dict[str, Any]) -> list[str]:
    classes = report["classes"]
    if classes["imbalance"] is None:
        return []
    splits = classes["per_split"]
    lines = ["", "classes: masks that hold each, in every split, and the share of all pixels"]
    lines.append(f"  {'':12}" + "".join(f"{split:>8}" for split in splits) + f"{'of all':>9}{'pixels':>10}")
    for name in CLASS_NAMES:
        each = "".join(f"{part['images'][name]:>8}" for part in splits.values())
        share = classes["images"][name] / classes["masks"]
        lines.append(f"  {name:12}{each}{share:>9.1%}{classes['pixels'][name]:>10.3%}")
    lines.append(
        f"  the most frequent class has {classes['imbalance']:.0f} times the pixels of the least frequent one present; "
        f"exp(entropy) of the pixel shares: {classes['effective_classes']:.1f} of {NUM_CLASSES} classes"
    )
    return lines


def readable(report: dict[str, Any]) -> str:
    """The report of ``audit`` for the terminal, with at most 30 lines of each kind."""
    lines: list[str] = []
    for split, part in report["splits"].items():
        lines.append(f"{split}: {part['images']} images, {part['masks']} masks")
        for what, of in (("image", ("sizes", "modes", "formats")), ("mask", ("sizes", "modes"))):
            if part[f"{what}s"]:
                lines.append(f"  {what}s: " + "; ".join(_counted(part[f"{what}_{kind}"]) for kind in of))
        if part["masks"]:
            lines.append("  ids: " + " ".join(part["ids"]))
            lines.append(
                f"  left and right: {part['not_mirrored']} right, {len(part['mirrored'])} mirrored without labels "
                f"swapped, {len(part['undecided'])} undecided (no pair of eyes, brows or ears)"
            )
            if part["undecided_looks_mirrored"]:
                stems = ", ".join(part["undecided_looks_mirrored"])
                lines.append(f"  undecided, but mirrored to judge by where the one side lies: {stems}")
    for kind in ("problems", "notes"):
        lines += ["", f"{kind}: {len(report[kind])}", *_listed(report[kind])]
    mirrored = [f"{split}/{stem}" for split, part in report["splits"].items() for stem in part["mirrored"]]
    lines += ["", f"mirrored without their labels swapped: {len(mirrored)}", *_listed(mirrored)]
    pairs = [
        f"{pair['first']}  {pair['second']}  {pair['correlation']:.3f}{'  mirrored' * pair['mirrored']}"
        for pair in report["near_duplicates"]
    ]
    between = Counter(
        " with ".join(pair[end].split("/")[0] for end in ("first", "second")) for pair in report["near_duplicates"]
    )
    lines += ["", f"near-duplicates: {len(pairs)}" + (f" ({_counted(between)})" if pairs else ""), *_listed(pairs)]
    if report["most_alike_others"]:
        lines.append(f"  the most alike that is none: {report['most_alike_others'][0]['correlation']:.3f}")
    lines += _class_lines(report)
    odd = [
        f"{odd['score']:5.1f}  {odd['name']}: {'; '.join(odd['reasons'][:REASONS_SHOWN])}" for odd in report["oddest"]
    ]
    lines += ["", "oddest masks", *_listed(odd)]
    return "\n".join(lines)


def audit(
    root: Path, *, val_stems: Path | None = None, worst: int = 20, progress: bool = True
) -> tuple[dict[str, Any], list[InspectedPair], dict[str, float]]:
    """Everything that is to be said about a data set as plain values, its faces, and the oddness of each mask by name.

    Raises DataError where there is nothing to look at; bad files are told in the report.
    """
    faces, problems, notes = find_faces(root, val_stems)
    inspect_faces(faces, progress=progress)
    # A constant image is like every other constant one, which its note says already.
    seen = [face for face in faces if face.photo_facts is not None and not face.photo_facts.constant]
    thumbnails = np.stack([face.photo_facts.thumbnail for face in seen if face.photo_facts] or [np.zeros((64, 64))])
    found, others = find_duplicates(thumbnails.astype(np.uint8), progress=progress)
    masked = [(face, face.mask_facts) for face in faces if face.mask_facts is not None]
    rated = rate_oddness([mask for _, mask in masked])
    oddness = {face.name: score for (face, _), (score, _) in zip(masked, rated, strict=True)}
    odd = sorted(zip(rated, (face.name for face, _ in masked), strict=True), key=lambda each: -each[0][0])
    splits = [split for split in SPLITS if any(face.split == split for face in faces)]
    per_split = {
        split: class_shares([mask for face, mask in masked if face.split == split])
        for split in splits
        if any(face.split == split for face, _ in masked)
    }
    report = {
        "root": str(root),
        "val_stems": None if val_stems is None else str(val_stems),
        "splits": {split: _split_summary([face for face in faces if face.split == split]) for split in splits},
        "problems": problems + [problem for face in faces for problem in face.problems],
        "notes": notes + [note for face in faces for note in face.notes],
        "near_duplicates": [_likeness_summary(likeness, seen) for likeness in found],
        "most_alike_others": [_likeness_summary(likeness, seen) for likeness in others],
        "thresholds": {"candidate": CANDIDATE, "duplicate": DUPLICATE},
        "classes": _class_summary(class_shares([mask for _, mask in masked]), per_split),
        "oddest": [
            {"name": name, "score": round(score, 2), "reasons": reasons}
            for (score, reasons), name in odd[:worst]
            if score > 0
        ],
    }
    return report, faces, oddness


def write_table(faces: Sequence[InspectedPair], oddness: dict[str, float], path: Path) -> None:
    """One CSV line a face: files, sizes, modes, mirrored, oddness, problems, and the pixels of each class."""
    columns = ["split", "stem", "image", "mask", "image_size", "image_mode", "image_format", "mask_size", "mask_mode",
               "mirrored", "oddness", "problems", "notes", *CLASS_NAMES, "ignored"]  # fmt: skip
    answers = {True: "yes", False: "no", None: "undecided"}
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        table = csv.DictWriter(file, columns, restval="")
        table.writeheader()
        for face in faces:
            row: dict[str, object] = {"split": face.split, "stem": face.stem}
            row |= {"image": face.image or "", "mask": face.mask or ""}
            row |= {"problems": " | ".join(face.problems), "notes": " | ".join(face.notes)}
            if photo := face.photo_facts:
                row |= {"image_size": "{}x{}".format(*photo.size), "image_mode": photo.mode}
                row["image_format"] = photo.format
            if mask := face.mask_facts:
                row |= {"mask_size": "{}x{}".format(*mask.size), "mask_mode": mask.mode, "ignored": mask.ignored}
                row |= {"mirrored": answers[mask.mirrored], "oddness": f"{oddness[face.name]:.2f}"}
                row |= dict(zip(CLASS_NAMES, mask.pixels.tolist(), strict=True))
            table.writerow(row)


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


def draw_oddest(report: dict[str, Any], faces: dict[str, InspectedPair], path: Path) -> None:
    """The oddest masks with their photos, one row each, the reasons beneath."""
    rows, captions = [], []
    for rank, odd in enumerate(report["oddest"], 1):
        face = faces[odd["name"]]
        assert face.mask is not None
        mask = read_mask(face.mask)
        photo = read_photo(face.image) if face.image and face.photo_facts else np.zeros((*mask.shape, 3), np.uint8)
        same = photo.shape[:2] == mask.shape
        rows.append([photo, mask, overlay(photo, mask) if same else photo])
        captions.append(f"{rank}. {_short(face.name)}  {odd['score']:.1f}: {'; '.join(odd['reasons'][:2])}")
    save_picture(contact_sheet(rows, ["photo", "mask", "overlay"], captions), path)


def draw_mirrored(faces: Sequence[InspectedPair], path: Path) -> None:
    """Photos and masks of mirrored pairs, two pairs a row; at most MIRRORED_SHOWN."""
    shown = [face for face in faces if face.image and face.mask and face.photo_facts][:MIRRORED_SHOWN]
    rows, captions = [], []
    for i in range(0, len(shown), 2):
        both = shown[i : i + 2]
        rows.append(
            [picture for f in both if f.image and f.mask for picture in (read_photo(f.image), read_mask(f.mask))]
        )
        captions.append("   |   ".join(face.name for face in both))
    save_picture(contact_sheet(rows, ["photo", "mask"] * 2, captions), path)


def draw_duplicates(report: dict[str, Any], faces: dict[str, InspectedPair], path: Path) -> None:
    """The near-duplicates and, where they leave room, the most alike pairs that are none, with their masks."""
    rows, captions = [], []
    found = [(pair, "duplicate") for pair in report["near_duplicates"]]
    for pair, what in (found + [(pair, "not counted") for pair in report["most_alike_others"]])[:PAIRS_SHOWN]:
        row: list[np.ndarray] = []
        for face in (faces[pair["first"]], faces[pair["second"]]):
            assert face.image is not None
            row.append(read_photo(face.image))
            blank = np.full_like(row[-1], 255)
            row.append(read_mask(face.mask) if face.mask is not None and face.mask_facts is not None else blank)
        rows.append(row)
        flip = ", mirrored" if pair["mirrored"] else ""
        captions.append(f"{what}{flip} {pair['correlation']:.3f}:  {pair['first']}  {pair['second']}")
    save_picture(contact_sheet(rows, ["first", "its mask", "second", "its mask"], captions), path)


def write_report(
    report: dict[str, Any], faces: Sequence[InspectedPair], oddness: dict[str, float], output: Path
) -> None:
    """Write the files of REPORT_FILES for which there is something to show; older ones of the others go."""
    by_name = {face.name: face for face in faces}
    for name in REPORT_FILES:
        (output / name).unlink(missing_ok=True)
    write_table(faces, oddness, output / "files.csv")
    if report["classes"]["imbalance"] is not None:
        plot_classes(report["classes"], output / "class_balance.png")
    if report["oddest"]:
        draw_oddest(report, by_name, output / "oddest_masks.png")
    mirrored = [face for face in faces if face.mask_facts is not None and face.mask_facts.mirrored]
    if mirrored:
        draw_mirrored(mirrored, output / "mirrored.png")
    if report["near_duplicates"] or report["most_alike_others"]:
        draw_duplicates(report, by_name, output / "near_duplicates.png")
    with atomic_path(output / "audit.json") as temporary:  # last: who finds it finds all
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
