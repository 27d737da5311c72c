"""A line of a run's history: what an epoch of training and its validation have measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from face_parsing.evaluation.metrics import Scores
from face_parsing.training.trainer import EpochReport


def history_row(
    epoch: int, image_size: int, report: EpochReport, scores: Scores | None, seconds: float
) -> dict[str, Any]:
    """The figures by name, as history.csv has them. ``epoch`` counts from 1, ``seconds`` are those of the whole run.

    Without pairs to validate on there are no ``scores``, and the line has none.
    """
    return {
        "epoch": epoch,
        "image_size": image_size,
        "lr": report.lr,
        **{name if name == "loss" else f"loss_{name}": value for name, value in report.losses.items()},
        **(scores.summary() if scores else {}),
        "seconds": seconds,
        "images_per_second": report.images / report.seconds,
        **({f"f1_{name}": value for name, value in scores.f1.items()} if scores else {}),
    }


def history_line(row: Mapping[str, Any], *, better: bool) -> str:
    """The same for a person to read, without the classes."""
    scores = f"F-Score {row['f_score']:.4f}  corrected {row['f_score_lr_corrected']:.4f}  " if "f_score" in row else ""
    return (
        f"epoch {row['epoch']:4d}  {row['image_size']} px  loss {row['loss']:.4f}  {scores}"
        f"{row['images_per_second']:.1f} images/s  {row['seconds'] / 60:.1f} min{'  best' if better else ''}"
    )
