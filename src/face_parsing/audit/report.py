"""The files that an audit leaves: its summary, a table and pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from face_parsing.audit.figures import draw_duplicates, draw_mirrored, draw_oddest, plot_classes
from face_parsing.audit.inspection import InspectedPair
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.labels import CLASS_NAMES
from face_parsing.system.files import atomic_path

REPORT_FILES = (
    "audit.json",
    "files.csv",
    "class_balance.png",
    "oddest_masks.png",
    "mirrored.png",
    "near_duplicates.png",
)


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


def write_report(
    report: dict[str, Any],
    faces: Sequence[InspectedPair],
    oddness: dict[str, float],
    output: Path,
    rule: IdRule = USUAL,
) -> None:
    """Write the files of REPORT_FILES for which there is something to show; older ones of the others go."""
    by_name = {face.name: face for face in faces}
    for name in REPORT_FILES:
        (output / name).unlink(missing_ok=True)
    write_table(faces, oddness, output / "files.csv")
    if report["classes"]["imbalance"] is not None:
        plot_classes(report["classes"], output / "class_balance.png")
    if report["oddest"]:
        draw_oddest(report, by_name, output / "oddest_masks.png", rule)
    mirrored = [face for face in faces if face.mask_facts is not None and face.mask_facts.mirrored]
    if mirrored:
        draw_mirrored(mirrored, output / "mirrored.png", rule)
    if report["near_duplicates"] or report["most_alike_others"]:
        draw_duplicates(report, by_name, output / "near_duplicates.png", rule)
    with atomic_path(output / "audit.json") as temporary:  # last: who finds it finds all
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
