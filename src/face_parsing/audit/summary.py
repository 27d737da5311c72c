"""All that an audit finds, as plain values, and for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.audit.agreement import agreement
from face_parsing.audit.inspection import (
    SPLITS,
    ClassShares,
    InspectedPair,
    class_shares,
    count,
    find_faces,
    inspect_faces,
)
from face_parsing.audit.near_duplicates import CANDIDATE, DUPLICATE, Likeness, find_duplicates
from face_parsing.audit.oddness import rate_oddness
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.problems import PROBLEMS_SHOWN
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, NUM_CLASSES

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
                lines.append(f"  undecided, but mirrored to go by where the one side lies: {stems}")
    for kind in ("problems", "notes"):
        lines += ["", f"{kind}: {len(report[kind])}", *_listed(report[kind])]
    mirrored = [f"{split}/{stem}" for split, part in report["splits"].items() for stem in part["mirrored"]]
    lines += ["", f"mirrored without their labels swapped: {len(mirrored)}", *_listed(mirrored)]
    pairs = [
        f"{pair['first']}  {pair['second']}  {pair['correlation']:.3f}{'  mirrored' * pair['mirrored']}"
        + (f"  masks {pair['masks_agree']:.3f}" if pair["masks_agree"] is not None else "")
        for pair in report["near_duplicates"]
    ]
    between = Counter(
        " with ".join(pair[end].split("/")[0] for end in ("first", "second")) for pair in report["near_duplicates"]
    )
    lines += ["", f"near-duplicates: {len(pairs)}" + (f" ({_counted(between)})" if pairs else ""), *_listed(pairs)]
    if agreeing := report["masks_agree"]:
        lines.append(
            f"  {agreeing['pairs']} of them are one photo with two masks, which agree by an F-Score of "
            f"{agreeing['f_score']:.3f}"
        )
        lines.append("  by class: " + ", ".join(f"{name} {f1:.2f}" for name, f1 in agreeing["f1"].items()))
    if report["most_alike_others"]:
        lines.append(f"  the most alike that is none: {report['most_alike_others'][0]['correlation']:.3f}")
    lines += _class_lines(report)
    odd = [
        f"{odd['score']:5.1f}  {odd['name']}: {'; '.join(odd['reasons'][:REASONS_SHOWN])}" for odd in report["oddest"]
    ]
    lines += ["", "oddest masks", *(_listed(odd) or ["  none is odd"])]
    return "\n".join(lines)


def audit(
    root: Path, *, val_stems: Path | None = None, worst: int = 20, rule: IdRule = USUAL, progress: bool = True
) -> tuple[dict[str, Any], list[InspectedPair], dict[str, float]]:
    """Everything that is to be said about a data set as plain values, its faces, and the oddness of each mask by name.

    Raises DataError where there is nothing to look at; bad files are named in the report.
    """
    faces, problems, notes = find_faces(root, val_stems)
    of_all, said = inspect_faces(faces, rule, progress=progress)
    problems, notes = problems + of_all, notes + said
    # A constant image is like every other constant one, which its note says already.
    seen = [face for face in faces if face.photo_facts is not None and not face.photo_facts.constant]
    thumbnails = np.stack([face.photo_facts.thumbnail for face in seen if face.photo_facts] or [np.zeros((64, 64))])
    found, others = find_duplicates(thumbnails.astype(np.uint8), progress=progress)
    alike = [(seen[one.first], seen[one.second], one.mirrored) for one in found]
    agreeing, each = agreement(alike, rule) if alike else ({}, [])
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
        "near_duplicates": [
            _likeness_summary(likeness, seen) | {"masks_agree": agree}
            for likeness, agree in zip(found, each, strict=True)
        ],
        "masks_agree": agreeing,
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
