"""What was measured, for people and for files: a table, JSON, CSV, and the comparison of two systems.

Intervals and p-values are explained in ``significance.py``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.config.sections import as_dict
from face_parsing.evaluation.boundary import BOUNDARY_TOLERANCE
from face_parsing.evaluation.evaluator import EvaluationResult
from face_parsing.evaluation.significance import bootstrap_interval, sign_flip_p
from face_parsing.system.files import atomic_path

LEVEL = 0.05  # a difference of a smaller p-value is called distinguishable from chance


def report(result: EvaluationResult, tolerance: float | None) -> str:
    """A row a class, then the single figures, as text."""
    scores, boundary = result.scores, result.class_boundary
    lines = [
        f"{'class':<12}{'faces':>6}{'F1':>8}{'precision':>11}{'recall':>8}{'IoU':>8}{'F1 of set':>11}{'boundary':>10}"
    ]
    for name, f1 in scores.f1.items():
        lines.append(
            f"{name:<12}{result.faces_with[name]:6}{f1:8.4f}{scores.precision[name]:11.4f}{scores.recall[name]:8.4f}"
            f"{scores.iou[name]:8.4f}{result.set_f1[name]:11.4f}{boundary.get(name, float('nan')):10.4f}"
        )
    raw, ordered = (bootstrap_interval(values) for values in (result.f_score, result.lr_corrected))
    absent = [name for name in result.labels.names if name not in scores.f1]
    left_out = f" (in no truth, left out: {', '.join(absent)})" if absent else ""
    near = f"{tolerance:g} px" if tolerance else f"{BOUNDARY_TOLERANCE:.2%} of the diagonal"
    lines += [
        "",
        f"F-Score {scores.f_score:.4f} [{raw[0]:.4f}, {raw[1]:.4f}]   left/right corrected "
        f"{scores.f_score_lr_corrected:.4f} [{ordered[0]:.4f}, {ordered[1]:.4f}]   ({scores.images} images; "
        "95 % intervals, bootstrap over images)",
        f"F1 of the whole set, mean of {len(result.foreground)} foreground classes {result.set_f1_mean:.4f}{left_out}",
        f"mIoU {scores.miou:.4f}   pixel accuracy {scores.pixel_accuracy:.4f}   "
        f"boundary F1 {result.boundary_f1:.4f} (within {near})",
    ]
    return "\n".join(lines)


def figures(result: EvaluationResult) -> dict[str, Any]:
    """All figures as plain values, for JSON."""
    return {
        **as_dict(result.scores),
        "f_score_interval": bootstrap_interval(result.f_score),
        "f_score_lr_corrected_interval": bootstrap_interval(result.lr_corrected),
        "set_f1_mean": result.set_f1_mean,
        "boundary_f1": result.boundary_f1,
        "set_f1": result.set_f1,
        "boundary_f1_of_class": result.class_boundary,
    }


def write_csv(result: EvaluationResult, path: Path) -> None:
    """A row a class; the last row, ``all``, has the single figures, and for precision, recall, F1 the class means."""
    scores, found = result.scores, figures(result)
    rows: list[dict[str, Any]] = []
    for name in scores.f1:
        row = {key: getattr(scores, key)[name] for key in ("f1", "precision", "recall", "iou")}
        boundary = result.class_boundary.get(name, "")
        faces = result.faces_with[name]
        rows.append({"class": name, "faces": faces, **row, "set_f1": result.set_f1[name], "boundary_f1": boundary})
    total: dict[str, Any] = {"class": "all", "faces": scores.images}
    total |= {key: float(np.mean([row[key] for row in rows])) for key in ("f1", "precision", "recall", "iou")}
    total |= {"set_f1": found["set_f1_mean"], "boundary_f1": found["boundary_f1"]}
    for key in ("f_score", "f_score_lr_corrected"):
        total[key] = found[key]
        total[f"{key}_low"], total[f"{key}_high"] = found[f"{key}_interval"]
    total["pixel_accuracy"] = found["pixel_accuracy"]
    _write_rows([*rows, total], list(total), path)


def write_per_image(result: EvaluationResult, other: EvaluationResult | None, path: Path) -> None:
    """A row a face with its F-Scores and boundary F1, and those of the other system beside them."""
    columns = {"stem": result.stems}
    for prefix, one in (("", result), ("other_", other)):
        if one is not None:
            values = {
                "f_score": one.f_score,
                "f_score_lr_corrected": one.lr_corrected,
                "boundary_f1": one.face_boundary,
            }
            columns |= {f"{prefix}{key}": each.tolist() for key, each in values.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    _write_rows(rows, list(columns), path)


def _write_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], path: Path) -> None:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


@dataclass(frozen=True)
class Difference:
    """This system's figure of each face less the other's."""

    mean: float
    low: float
    high: float
    """The ends of the mean's 95 % interval, by bootstrap over the faces."""
    p: float
    """Of the paired sign-flip test."""
    better: int
    worse: int
    """Faces on which this system is better, and worse."""

    @classmethod
    def of(cls, this: np.ndarray, other: np.ndarray) -> Difference:
        """The difference of figures (N,) of the same faces."""
        each = this - other
        low, high = bootstrap_interval(each)
        better, worse = int((each > 0).sum()), int((each < 0).sum())
        return cls(float(each.mean()), low, high, sign_flip_p(each), better, worse)


class Comparison:
    """Two evaluations of the same faces, and what to call the two systems."""

    def __init__(self, this: EvaluationResult, other: EvaluationResult, name: str, other_name: str) -> None:
        assert this.stems == other.stems
        self.this, self.other, self.name, self.other_name = this, other, name, other_name
        self.f_score = Difference.of(this.f_score, other.f_score)
        self.lr_corrected = Difference.of(this.lr_corrected, other.lr_corrected)

    def _verdict(self, figure: str, found: Difference) -> str:
        if found.mean == 0:
            return f"{figure}: both are equal."
        side = "higher" if found.mean > 0 else "lower"
        known = "distinguishable" if found.p < LEVEL else "NOT distinguishable"
        return (
            f"{figure}: {self.name} scores {abs(found.mean):.4f} {side} than {self.other_name}; "
            f"that is {known} from chance at {LEVEL:.0%} (p = {found.p:.2g})."
        )

    def report(self) -> str:
        """Both systems' F1 a class, the paired differences, and, last, whether they can be told from chance."""
        lines = ["", f"this:  {self.name}", f"other: {self.other_name}", ""]
        lines.append(f"{'class':<12}{'faces':>6}{'F1 this':>9}{'other':>9}{'difference':>12}")
        for name, f1 in self.this.scores.f1.items():
            theirs = self.other.scores.f1[name]
            lines.append(f"{name:<12}{self.this.faces_with[name]:6}{f1:9.4f}{theirs:9.4f}{f1 - theirs:+12.4f}")
        lines.append("")
        for label, this, other, found in (
            ("F-Score", self.this.f_score, self.other.f_score, self.f_score),
            ("corrected", self.this.lr_corrected, self.other.lr_corrected, self.lr_corrected),
        ):
            lines.append(
                f"{label:<11}{this.mean():.4f} - {other.mean():.4f} = {found.mean:+.4f} [{found.low:+.4f}, "
                f"{found.high:+.4f}]   better on {found.better} faces, worse on {found.worse}"
            )
        verdicts = (self._verdict("F-Score", self.f_score), self._verdict("Left/right corrected", self.lr_corrected))
        return "\n".join([*lines, "", *verdicts])

    def figures(self) -> dict[str, Any]:
        """The differences as plain values, for JSON."""
        of_class = {name: f1 - self.other.scores.f1[name] for name, f1 in self.this.scores.f1.items()}
        return {
            "this": self.name,
            "other": self.other_name,
            "other_figures": figures(self.other),
            "f_score": as_dict(self.f_score),
            "f_score_lr_corrected": as_dict(self.lr_corrected),
            "f1": of_class,
        }


def write_json(
    result: EvaluationResult, comparison: Comparison | None, path: Path, groups: dict[str, Any] | None = None
) -> None:
    """All figures, what the comparison found, and those of groups of faces."""
    content = figures(result)
    if groups is not None:
        content["groups"] = groups
    if comparison is not None:
        content["comparison"] = comparison.figures()
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
