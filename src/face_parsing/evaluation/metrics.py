"""The challenge's F-Score and its relatives, from one confusion matrix per image.

F-Score: for one image, for every class that occurs in its ground truth (background included),
F1 = 2PR / (P + R) over pixels, averaged over those classes; then the mean over images. A class that is
absent from an image's ground truth is not scored there.

"Left/right corrected" is the same after left and right labels of each mask, prediction and truth alike, have been
swapped where the left eye (brow, ear) lies left of the right one: about 7 % of the ground truth was
mirrored without its labels being swapped, and no network can know which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from face_parsing.evaluation.confusion import (
    EPS,
    WAITING,
    class_counts,
    confusion_matrices,
    count_runs,
    left_of_right,
    lr_corrected,
    side_ids,
)
from face_parsing.labels import CELEBAMASK, LabelSet


def _ratios(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    hit, predicted, actual = counts.double().unbind(-2)
    precision = hit / (predicted + EPS)
    recall = hit / (actual + EPS)
    return precision, recall, 2 * precision * recall / (precision + recall + EPS)


def f_scores(counts: Tensor) -> Tensor:
    """The F-Score of each image (B,) float64 from its ``class_counts`` (B, 3, C)."""
    f1 = _ratios(counts)[2]
    present = counts[..., 2, :] > 0
    return (f1 * present).sum(-1) / present.sum(-1).clamp(min=1)


def class_f1(counts: Tensor) -> Tensor:
    """F1 of each class of each image (B, C) float64 from ``class_counts`` (B, 3, C); nan where it is not scored."""
    return torch.where(counts[..., 2, :] > 0, _ratios(counts)[2], torch.nan)


def set_f1(counts: Tensor) -> Tensor:
    """F1 of each class (C,) float64 over a whole set, as papers report it: 2 TP / (2 TP + FP + FN).

    The ``class_counts`` are those of all images (N, 3, C) together, so that large faces weigh more and a class
    found where there is none costs. nan for a class that no image's truth holds. Papers give the mean over the
    foreground, which is every class but class 0.
    """
    hit, predicted, actual = counts.sum(0).double()
    return torch.where(actual > 0, 2 * hit / (predicted + actual), torch.nan)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What validation found. The dicts have a class's name for key and lack the classes no image held."""

    images: int
    f_score: float
    f_score_lr_corrected: float
    miou: float
    """Mean over classes of the IoU of all pixels of the set."""
    pixel_accuracy: float
    f1: dict[str, float]
    """Mean F1 over the images that hold the class; precision and recall alike."""
    precision: dict[str, float]
    recall: dict[str, float]
    iou: dict[str, float]
    """IoU of all pixels of the set."""
    holders: dict[str, int]
    """Images that hold the class."""

    def summary(self) -> dict[str, float]:
        """The four single figures."""
        return {
            "f_score": self.f_score,
            "f_score_lr_corrected": self.f_score_lr_corrected,
            "miou": self.miou,
            "pixel_accuracy": self.pixel_accuracy,
        }

    def table(self) -> str:
        """A row a class, then the single figures, as text."""
        lines = [f"{'class':<12}{'F1':>8}{'precision':>11}{'recall':>8}{'IoU':>8}"]
        lines += [
            f"{name:<12}{f1:8.4f}{self.precision[name]:11.4f}{self.recall[name]:8.4f}{self.iou[name]:8.4f}"
            for name, f1 in self.f1.items()
        ]
        lines.append(
            f"F-Score {self.f_score:.4f}   left/right corrected {self.f_score_lr_corrected:.4f}   "
            f"mIoU {self.miou:.4f}   pixel accuracy {self.pixel_accuracy:.4f}   ({self.images} images)"
        )
        return "\n".join(lines)


class ScoreKeeper:
    """Collects predictions batch by batch on their device; the sums cross to the CPU once, in ``scores``.

    Of each image it keeps the counts of its classes, 24 bytes each, and of all together one confusion matrix.
    """

    def __init__(self, labels: LabelSet = CELEBAMASK) -> None:
        self.labels = labels
        self._sizes: list[int] = []  # images of each update
        self._counts: list[Tensor] = []  # (M, 2, 3, C) int32: class_counts as they are, and left/right corrected
        self._total: Tensor | None = None  # (C, C) int64
        # What waits to be reduced to these:
        self._confusions: list[Tensor] = []  # (B, C, C)
        self._sides: list[Tensor] = []  # (B, 2, 2, C): of the prediction and of the target, side_ids
        self._waiting = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count masks (B, H, W), integer, of one device."""
        C = len(self.labels)
        if target.device.type == "cpu":
            counts, columns = count_runs(prediction.numpy(), target.numpy(), C)
            self._confusions.append(torch.from_numpy(counts[:, :C, :C]))
            sides = [np.stack((counts.sum(axis), columns.sum(axis)), 1)[..., :C] for axis in (1, 2)]
            self._sides.append(torch.from_numpy(np.stack(sides, 1)).double())
        else:
            self._confusions.append(confusion_matrices(prediction, target, C))
            self._sides.append(torch.stack([side_ids(masks, self.labels) for masks in (prediction, target)], 1))
        self._sizes.append(len(target))
        self._waiting += len(target)
        if self._waiting >= WAITING:
            self._reduce()

    def _reduce(self) -> None:
        if not self._confusions:
            return
        confusion = torch.cat(self._confusions)
        predicted, true = (left_of_right(places, self.labels) for places in torch.cat(self._sides).unbind(1))
        ordered = lr_corrected(confusion, predicted, true, self.labels)
        self._counts.append(torch.stack([class_counts(confusion), class_counts(ordered)], 1).int())
        total = confusion.sum(0)
        self._total = total if self._total is None else self._total + total
        self._confusions, self._sides, self._waiting = [], [], 0

    @classmethod
    def merged(cls, keepers: Sequence[ScoreKeeper]) -> ScoreKeeper:
        """One keeper of all updates, where keeper i of n has made the updates i, i + n, i + 2n and so on."""
        if len(keepers) == 1:
            return keepers[0]
        whole = cls(keepers[0].labels)
        parts = [torch.split(keeper._all(), keeper._sizes) for keeper in keepers]
        for place in range(max(map(len, parts))):
            whole._counts += [part for each in parts for part in each[place : place + 1]]
        whole._sizes = [len(part) for part in whole._counts]
        whole._total = torch.stack([keeper.confusion() for keeper in keepers]).sum(0)
        return whole

    def __getstate__(self) -> dict[str, object]:
        # Another process may have no such GPU.
        return {**self.__dict__, "_counts": [self._all()], "_total": self.confusion(), "_confusions": [], "_sides": []}

    def _all(self) -> Tensor:
        """(N, 2, 3, C) int32, on the CPU."""
        self._reduce()
        empty = torch.zeros(0, 2, 3, len(self.labels), dtype=torch.int32)
        return torch.cat([part.cpu() for part in self._counts] or [empty])

    def confusion(self) -> Tensor:
        """The confusion matrix (C, C) int64 of all images so far, [true class, predicted class], on the CPU."""
        self._reduce()
        C = len(self.labels)
        return torch.zeros(C, C, dtype=torch.int64) if self._total is None else self._total.cpu()

    def counts(self) -> Tensor:
        """The ``class_counts`` (N, 3, C) int32 of each image so far, on the CPU."""
        return self._all()[:, 0]

    def lr_corrected_counts(self) -> Tensor:
        """The same, left/right corrected."""
        return self._all()[:, 1]

    def scores(self) -> Scores:
        """All figures; images without a pixel to score are left out. Raises ValueError where none is left."""
        kept = self._all()
        scored = kept[:, 0, 2].sum(1) > 0  # (N,)
        if not scored.any():
            raise ValueError("no image was scored: the validation set is empty, or all its pixels are ignored")
        counts, ordered = kept[scored].unbind(1)
        precision, recall, f1 = _ratios(counts)
        present = counts[:, 2] > 0  # (N, C)
        names = self.labels.names
        total = self.confusion()
        hit = total.diagonal().double()
        union = (total.sum(0) + total.sum(1)).double() - hit
        seen = [c for c in range(len(names)) if bool(present[:, c].any())]

        def per_class(values: Tensor) -> dict[str, float]:
            return {names[c]: float(values[present[:, c], c].mean()) for c in seen}

        iou = {names[c]: float(hit[c] / union[c]) for c in seen}
        return Scores(
            images=len(counts),
            f_score=float(f_scores(counts).mean()),
            f_score_lr_corrected=float(f_scores(ordered).mean()),
            miou=sum(iou.values()) / len(iou),
            pixel_accuracy=float(hit.sum() / total.sum()),
            f1=per_class(f1),
            precision=per_class(precision),
            recall=per_class(recall),
            iou=iou,
            holders={names[c]: int(present[:, c].sum()) for c in seen},
        )
