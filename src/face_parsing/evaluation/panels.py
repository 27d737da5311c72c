"""Pictures of the faces that were evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.photos import read_photo
from face_parsing.drawing.pictures import save_panel
from face_parsing.evaluation.evaluator import EvaluationItem, EvaluationResult, Predictor, read_truth


def choose_faces(f_score: np.ndarray, count: int, how: str) -> list[int]:
    """The indices of count faces: the ``worst`` or ``best`` by F-Score (N,), that one first, or ``random`` ones."""
    order = np.argsort(f_score, kind="stable")
    if how == "best":
        order = order[::-1]
    if how == "random":
        order = np.sort(np.random.default_rng(0).permutation(len(f_score))[:count])
    return order[:count].tolist()


def draw_faces(
    result: EvaluationResult,
    items: Sequence[EvaluationItem],
    predictor: Predictor,
    indices: Sequence[int],
    path: Path,
    *,
    full: bool,
    rule: IdRule = USUAL,
) -> None:
    """A panel of truth and prediction; with full, the photo where it is known and where the two differ as well."""
    by_stem = {item.stem: item for item in items}
    chosen = [by_stem[result.stems[i]] for i in indices]
    captions = [
        f"{result.stems[i]}   F-Score {result.f_score[i]:.3f}   corrected {result.lr_corrected[i]:.3f}" for i in indices
    ]
    photos = [read_photo(item.photo) for item in chosen if full and item.photo is not None]
    truths = [read_truth(item, result.labels, rule) for item in chosen]
    predicted = [predictor(item) for item in chosen]
    save_panel(path, photos or None, truths, predicted, captions, differences=full, labels=result.labels)
