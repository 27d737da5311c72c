"""Cross-validation of a recipe: one training a fold, and their scores together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.system.files import atomic_path
from face_parsing.training.run_folder import RunFolder

SCORES = {"f_score": "F-Score", "f_score_lr_corrected": "left/right corrected", "miou": "mIoU"}
"""What is compared between folds, as scores.json names it and as a person does."""


def fold_folder(output: Path, k: int) -> Path:
    """The run folder of the k-th fold (from 1)."""
    return output / f"fold_{k}"


def fold_overrides(output: Path, k: int, n: int) -> list[str]:
    """What makes a recipe the run of the k-th (from 1) of n folds."""
    return [f"data.fold=[{k}, {n}]", f"run.output={fold_folder(output, k)}"]


def is_done(output: Path, k: int) -> bool:
    """Whether the k-th fold was trained to its end."""
    return RunFolder(fold_folder(output, k)).scores.is_file()


def read_folds(output: Path, n: int) -> list[dict[str, Any]]:
    """The scores.json of each of n folds."""
    return [json.loads(RunFolder(fold_folder(output, k)).scores.read_text(encoding="utf-8")) for k in range(1, n + 1)]


def summary(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over folds, and F1 of each class over all images that hold it.

    ``folds`` are the contents of their scores.json. Each pair was judged by the network that was not trained on it.
    """
    values = {name: np.array([fold[name] for fold in folds]) for name in SCORES}
    holders: dict[str, int] = {}
    sums: dict[str, float] = {}
    for fold in folds:
        for name, count in fold["classes"]["holders"].items():
            holders[name] = holders.get(name, 0) + count
            sums[name] = sums.get(name, 0.0) + count * fold["classes"]["f1"][name]
    return {
        "folds": len(folds),
        "images": sum(fold["images"] for fold in folds),
        **{name: {"mean": float(some.mean()), "sd": float(some.std(ddof=1))} for name, some in values.items()},
        "classes": {name: {"f1": sums[name] / holders[name], "images": holders[name]} for name in holders},
    }


def table(folds: Sequence[Mapping[str, Any]]) -> str:
    """A row a fold, their mean and spread, and a row a class, as text."""
    found = summary(folds)
    lines = [f"{'':<10}" + "".join(f"{title:>22}" for title in SCORES.values())]
    lines += [f"fold {k:<5}" + "".join(f"{fold[name]:22.4f}" for name in SCORES) for k, fold in enumerate(folds, 1)]
    for what in ("mean", "sd"):
        lines.append(f"{what:<10}" + "".join(f"{found[name][what]:22.4f}" for name in SCORES))
    lines.append(f"\n{'class':<12}{'F1':>8}{'images':>8}")
    lines += [f"{name:<12}{one['f1']:8.4f}{one['images']:8d}" for name, one in found["classes"].items()]
    lines.append(f"Of {found['images']} images, each judged by the network that was not trained on it.")
    return "\n".join(lines)


def write_summary(output: Path, n: int) -> str:
    """Write folds.json of n folds, and give their table."""
    folds = read_folds(output, n)
    with atomic_path(output / "folds.json") as path:
        path.write_text(json.dumps(summary(folds), indent=1) + "\n", encoding="utf-8")
    return table(folds)
