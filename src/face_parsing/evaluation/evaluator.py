"""The faces that are scored, and what is counted of their predictions, which ``predictors.py`` brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import find_pairs
from face_parsing.data.photo_files import photos_in
from face_parsing.data.problems import DataError
from face_parsing.data.split import load_split, make_split
from face_parsing.evaluation.boundary import boundary_f1
from face_parsing.evaluation.metrics import ScoreKeeper, Scores, class_f1, f_scores, set_f1
from face_parsing.labels import CELEBAMASK, LabelSet


@dataclass(frozen=True)
class EvaluationItem:
    """A true mask and, where it is known, its photo."""

    stem: str
    mask: Path
    photo: Path | None = None


Predictor = Callable[[EvaluationItem], np.ndarray]
"""Gives the predicted mask (H, W) uint8 of a face, in the classes that are evaluated. Raises DataError."""


def items_in(truth: Path, images: Path | None = None) -> list[EvaluationItem]:
    """The masks of a folder, by name, with their photos from the folder images. Raises DataError."""
    if not truth.is_dir():
        raise DataError(f"There is no folder {truth} of PNG masks.")
    masks = sorted(path for path in truth.glob("*.png") if not path.name.startswith("."))
    if not masks:
        raise DataError(f"There are no PNG masks in {truth}.")
    if images is None:
        return [EvaluationItem(path.stem, path) for path in masks]
    if not images.is_dir():
        raise DataError(f"There is no folder {images} of photos.")
    photos = {path.stem: path for path in photos_in(images)}
    missing = [path.stem for path in masks if path.stem not in photos]
    if missing:
        raise DataError(f"{images} lacks the photos of {len(missing)} of {len(masks)} masks, the first: {missing[0]}.")
    return [EvaluationItem(path.stem, path, photos[path.stem]) for path in masks]


def items_of(root: Path, split: str, val_stems: Path | None) -> list[EvaluationItem]:
    """The faces of a data set's split ``val``, ``train`` or ``test``; val_stems as make_split, or a run's split.json.

    Raises DataError; also where nothing says which of the training pairs are validated on.
    """
    if split == "test" or (split == "train" and val_stems is None):
        pairs = find_pairs(root / split)
    elif val_stems is None and not (root / "val").is_dir():
        raise DataError(
            f"There is no folder {root / 'val'}; name the faces by --val_stems (a run's split.json will do), or take "
            "another --split."
        )
    else:
        if val_stems is not None and val_stems.suffix == ".json":
            chosen = load_split(val_stems, root)
        else:
            chosen = make_split(root, val_stems=val_stems, val_fraction=0.1, seed=0)
        pairs = chosen.val if split == "val" else chosen.train
        if not pairs:
            raise DataError(f"{val_stems} keeps no pair to judge by: its run was trained on all; choose another split.")
    return [EvaluationItem(pair.stem, pair.mask, pair.image) for pair in pairs]


def read_truth(item: EvaluationItem, labels: LabelSet, rule: IdRule = USUAL, log: MaskLog | None = None) -> np.ndarray:
    """The true mask (H, W) uint8, whose 19 ids become the classes of labels; rule and log as ``read_mask``'s."""
    mask = read_mask(item.mask, rule, log)
    return mask if labels is CELEBAMASK else labels.table[mask]


def refuse_background_truth(items: Sequence[EvaluationItem], place: object, rule: IdRule = USUAL) -> None:
    """Raise DataError where no true mask holds any class but background. Of a sound set it reads one mask."""
    log = MaskLog()
    for item in items:
        read_truth(item, CELEBAMASK, rule, log)
        if len(log.empty) < len(log.seen):
            return
    log.refuse_background_alone(place)


def _mean(values: np.ndarray) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


@dataclass(frozen=True)
class EvaluationResult:
    """What was counted of N faces; a face without a pixel to score is left out."""

    labels: LabelSet
    stems: list[str]
    scores: Scores
    f_score: np.ndarray
    """(N,); the mean is the challenge's F-Score."""
    lr_corrected: np.ndarray
    """(N,); the same, left/right corrected."""
    class_f1: np.ndarray
    """(N, C) F1; nan where a face's truth lacks the class."""
    boundary: np.ndarray
    """(N, C) boundary F1, nan where a face's truth has no boundary of the class."""
    confusion: Tensor
    """(C, C) int64, [true class, predicted class], of all faces."""
    set_f1: dict[str, float]
    """F1 a class over the whole set; classes that no face's truth holds are left out."""

    empty: tuple[str, ...] = ()
    """The faces whose prediction is background all over."""

    @property
    def foreground(self) -> dict[str, float]:
        """set_f1 of every class but class 0."""
        return {name: value for name, value in self.set_f1.items() if name != self.labels.names[0]}

    @property
    def set_f1_mean(self) -> float:
        """The mean over the foreground classes, as papers report it; nan where no truth holds one."""
        return float(np.mean(list(self.foreground.values()))) if self.foreground else float("nan")

    @property
    def face_boundary(self) -> np.ndarray:
        """(N,) mean boundary F1 over the classes of each face; nan for one without any boundary."""
        counts = (~np.isnan(self.boundary)).sum(1)
        return np.where(counts > 0, np.nansum(self.boundary, 1) / np.maximum(counts, 1), np.nan)

    @property
    def boundary_f1(self) -> float:
        """The mean of face_boundary; nan where no face has a boundary."""
        return _mean(self.face_boundary)

    @property
    def class_boundary(self) -> dict[str, float]:
        """Mean boundary F1 of each class over the faces that hold it; classes without a boundary are left out."""
        means = {name: _mean(self.boundary[:, c]) for c, name in enumerate(self.labels.names)}
        return {name: mean for name, mean in means.items() if not np.isnan(mean)}

    @property
    def faces_with(self) -> dict[str, int]:
        """How many faces' truth holds each class."""
        return dict(zip(self.labels.names, (~np.isnan(self.class_f1)).sum(0).tolist(), strict=True))


def evaluate_predictions(
    items: Sequence[EvaluationItem],
    predictor: Predictor,
    labels: LabelSet = CELEBAMASK,
    *,
    tolerance: float | None = None,
    rule: IdRule = USUAL,
    log: MaskLog | None = None,
    progress: bool = True,
) -> EvaluationResult:
    """Predict and count each face, one after the other. tolerance (pixels) is boundary_f1's, rule and log the truth's.

    Raises DataError for a prediction of another size than its truth, ValueError where no face has a pixel to score.
    """
    keeper = ScoreKeeper(labels)
    boundary = np.empty((len(items), len(labels)))
    empty: list[str] = []
    for i, item in enumerate(tqdm(items, desc="evaluating", unit="face", disable=not progress, leave=False)):
        target, predicted = read_truth(item, labels, rule, log), predictor(item)
        if not predicted.any():
            empty.append(item.stem)
        if target.shape != predicted.shape:
            size, expected = ("x".join(map(str, mask.shape[::-1])) for mask in (predicted, target))
            raise DataError(f"The prediction of {item.mask.name} is {size}, its ground truth is {expected}.")
        keeper.update(torch.from_numpy(predicted)[None], torch.from_numpy(target)[None])
        boundary[i] = boundary_f1(predicted, target, tolerance=tolerance, num_classes=len(labels))
    scores, counts = keeper.scores(), keeper.counts()
    scored = counts[:, 2].sum(1) > 0
    counts, ordered = counts[scored], keeper.lr_corrected_counts()[scored]
    pooled = set_f1(counts).tolist()
    return EvaluationResult(
        labels=labels,
        stems=[item.stem for item, kept in zip(items, scored.tolist(), strict=True) if kept],
        scores=scores,
        f_score=f_scores(counts).numpy(),
        lr_corrected=f_scores(ordered).numpy(),
        class_f1=class_f1(counts).numpy(),
        boundary=boundary[scored.numpy()],
        confusion=keeper.confusion(),
        empty=tuple(empty),
        set_f1={name: value for name, value in zip(labels.names, pooled, strict=True) if name in scores.f1},
    )
