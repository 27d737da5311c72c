"""The challenge's F-Score and its relatives, from what a confusion matrix an image says of each class.

F-Score: for one image, for every class that occurs in its ground truth (background included),
F1 = 2PR / (P + R) over pixels, averaged over those classes; then the mean over images. A class that is
absent from an image's ground truth is not scored there.

"In order" is the same after left and right labels of each mask, prediction and truth alike, have been
swapped where the left eye (brow, ear) lies left of the right one: about 7 % of the ground truth was
mirrored without its labels being swapped, and no network can know which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from labels import CELEBAMASK, IGNORE_INDEX, LabelSet

# Csurka et al. 2013: how far a boundary may lie from the true one, as a share of the image's diagonal.
BOUNDARY_TOLERANCE = 0.0075

# Matrices of so many images wait to be reduced to what is kept of them, which is quicker together.
WAITING = 256

# The referee's guard against 0 / 0, to the letter: a class that is never right scores 0.
EPS = 1e-7


def _few_set(flags: np.ndarray) -> np.ndarray:
    """np.flatnonzero of flags (N,) bool, N a multiple of 8; where few are set in half the time, eight at a look."""
    words = flags.view(np.uint64)
    found = np.flatnonzero(words != 0)
    within = np.flatnonzero(words[found].view(bool))
    return found[within >> 3] * 8 + (within & 7)


def _count_runs(prediction: np.ndarray, target: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """What a CPU counts of masks (B, H, W): pixels, and the sum of their columns, (B, C + 1, C + 1) int64 each.

    Entry [image, t, p] is of the pixels that target calls t and prediction p; the last row and column are of
    IGNORE_INDEX. Masks are a few thousand runs of a row along which neither changes: counting these instead of
    pixels is some twenty times as fast, and as exact.
    """
    B, H, W = target.shape
    side = num_classes + 1
    counts, columns = (np.zeros((B, side, side), dtype=np.int64) for _ in range(2))
    begins = np.zeros(-(-H * W // 8) * 8, dtype=bool)
    changes = begins[1 : H * W]
    for i in range(B):
        truth, guess = np.ravel(target[i]), np.ravel(prediction[i])
        np.not_equal(truth[1:], truth[:-1], out=changes)
        changes |= guess[1:] != guess[:-1]
        begins[: H * W : W] = True
        start = _few_set(begins)  # (R,), the first pixel of each run
        length = np.diff(start, append=H * W)
        cell = np.minimum(truth[start], num_classes).astype(np.int64) * side + np.minimum(guess[start], num_classes)
        total = length * (2 * (start % W) + length - 1) >> 1  # of the columns of each run
        # Through float64, which holds whole numbers up to 2**53.
        counts[i] = np.bincount(cell, weights=length, minlength=side * side).reshape(side, side)
        columns[i] = np.bincount(cell, weights=total, minlength=side * side).reshape(side, side)
    return counts, columns


def _count_pixels(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """``confusion_matrices`` on any device."""
    B, C = target.shape[0], num_classes
    cells = C * C
    index = target.long() * C + prediction.long()
    index += torch.arange(B, device=target.device)[:, None, None] * (cells + 1)
    # Ignored pixels are counted in one bin behind each image's cells.
    bins = torch.arange(B, device=target.device)[:, None, None] * (cells + 1) + cells
    index = torch.where(target == IGNORE_INDEX, bins, index)
    counts = torch.bincount(index.flatten(), minlength=B * (cells + 1))
    return counts.view(B, cells + 1)[:, :cells].reshape(B, C, C)


def confusion_matrices(prediction: Tensor, target: Tensor, num_classes: int = len(CELEBAMASK)) -> Tensor:
    """Counts (B, C, C) int64, [image, true class, predicted class], of masks (B, H, W) of any integer dtype.

    Pixels whose target is IGNORE_INDEX are left out. Runs on the masks' device.
    """
    if target.device.type != "cpu":
        return _count_pixels(prediction, target, num_classes)
    counts, _ = _count_runs(prediction.numpy(), target.numpy(), num_classes)
    return torch.from_numpy(counts[:, :num_classes, :num_classes].copy())


def _place_pixels(masks: Tensor, labels: LabelSet) -> Tensor:
    """``_places`` on any device, of the left and right classes; 0 of the others."""
    B, _, W = masks.shape
    across = torch.arange(W, device=masks.device, dtype=torch.float64)
    places = torch.zeros(B, 2, len(labels), device=masks.device, dtype=torch.float64)
    for label in (label for pair in labels.pairs for label in pair):
        count = (masks == label).sum(1).double()  # (B, W)
        places[:, 0, label], places[:, 1, label] = count.sum(1), count @ across
    return places


def _places(masks: Tensor, labels: LabelSet) -> Tensor:
    """Each class's pixels and the sum of their columns (B, 2, C) float64, of masks (B, H, W)."""
    if masks.device.type != "cpu":
        return _place_pixels(masks, labels)
    found = _count_runs(masks.numpy(), masks.numpy(), len(labels))
    return torch.from_numpy(np.stack(found, 1).sum(2)[..., :-1]).double()


def _left_of_right(places: Tensor, labels: LabelSet) -> Tensor:
    """``mirrored``, (B,) bool, from each class's pixels and the sum of their columns (B, 2, C)."""
    pixels, columns = places.unbind(1)
    means = columns / pixels  # nan where there is no pixel
    answer = torch.zeros(len(pixels), dtype=torch.bool, device=pixels.device)
    decided = torch.zeros_like(answer)
    for left, right in labels.pairs:
        both = (pixels[:, left] > 0) & (pixels[:, right] > 0)
        answer = torch.where(both & ~decided, means[:, left] < means[:, right], answer)
        decided |= both
    return answer


def mirrored(masks: Tensor, labels: LabelSet = CELEBAMASK) -> Tensor:
    """Whether each mask (B, H, W) has its left labels left of its right ones: (B,) bool, as ``labels.is_mirrored``."""
    return _left_of_right(_places(masks, labels), labels)


def in_order(
    confusion: Tensor, prediction_mirrored: Tensor, target_mirrored: Tensor, labels: LabelSet = CELEBAMASK
) -> Tensor:
    """The confusion matrices (B, C, C) after left and right labels of the mirrored masks were swapped.

    Swapping the labels of a mask permutes the rows or columns of its matrix, so masks need not be counted again.
    """
    swap = torch.tensor(labels.flipped_ids, device=confusion.device)
    rows = torch.where(target_mirrored[:, None, None], confusion[:, swap], confusion)
    return torch.where(prediction_mirrored[:, None, None], rows[:, :, swap], rows)


def class_counts(confusion: Tensor) -> Tensor:
    """Counts (B, 3, C) of confusion matrices (B, C, C): pixels rightly given to a class, given to it, truly of it."""
    return torch.stack((confusion.diagonal(dim1=-2, dim2=-1), confusion.sum(-2), confusion.sum(-1)), -2)


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


def _boundary(mask: np.ndarray) -> np.ndarray:
    """The pixels of a binary mask (H, W) uint8 that have a neighbour outside; the image's edge is no boundary."""
    inside: np.ndarray = cv2.erode(mask, np.ones((3, 3), np.uint8))
    return mask - inside


def boundary_f1(
    prediction: np.ndarray, target: np.ndarray, *, tolerance: float | None = None, num_classes: int = len(CELEBAMASK)
) -> np.ndarray:
    """Boundary F1 of each class (C,) of one image's masks (H, W) uint8: Csurka et al. 2013, "What is a good
    evaluation measure for semantic segmentation?".

    Precision is the share of the predicted boundary's pixels that lie within tolerance pixels (Euclid; without one
    BOUNDARY_TOLERANCE of the diagonal) of the true boundary, recall the share of the true one's that lie as near
    to the predicted one. nan for a class whose truth has no boundary in the image; 0 where it was not predicted.
    Where the target is IGNORE_INDEX, the prediction counts as ignored too.
    """
    if tolerance is None:
        tolerance = BOUNDARY_TOLERANCE * math.hypot(*target.shape)
    prediction = np.where(target == IGNORE_INDEX, target, prediction)
    scores = np.full(num_classes, np.nan)
    for c in np.unique(target).tolist():
        edges = [_boundary((mask == c).view(np.uint8)) for mask in (target, prediction)]
        if c == IGNORE_INDEX or not edges[0].any():
            continue
        if not edges[1].any():
            scores[c] = 0.0
            continue
        shares = []
        for edge, other in (edges, edges[::-1]):
            distance = cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            shares.append(float((distance[edge > 0] <= tolerance).mean()))
        scores[c] = 2 * shares[0] * shares[1] / (sum(shares) or 1)
    return scores


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What validation found. The dicts have a class's name for key and lack the classes no image held."""

    images: int
    f_score: float
    f_score_in_order: float
    miou: float
    """Mean over classes of the IoU of all pixels of the set."""
    pixel_accuracy: float
    f1: dict[str, float]
    """Mean F1 over the images that hold the class; precision and recall alike."""
    precision: dict[str, float]
    recall: dict[str, float]
    iou: dict[str, float]
    """IoU of all pixels of the set."""

    def summary(self) -> dict[str, float]:
        """The four single figures."""
        return {
            "f_score": self.f_score,
            "f_score_in_order": self.f_score_in_order,
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
            f"F-Score {self.f_score:.4f}   with left/right in order {self.f_score_in_order:.4f}   "
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
        self._counts: list[Tensor] = []  # (M, 2, 3, C) int32: class_counts as they are and in order
        self._total: Tensor | None = None  # (C, C) int64
        # What waits to be reduced to these:
        self._confusions: list[Tensor] = []  # (B, C, C)
        self._sides: list[Tensor] = []  # (B, 2, 2, C): of the prediction and of the target, _places
        self._waiting = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count masks (B, H, W), integer, of one device."""
        C = len(self.labels)
        if target.device.type == "cpu":
            counts, columns = _count_runs(prediction.numpy(), target.numpy(), C)
            self._confusions.append(torch.from_numpy(counts[:, :C, :C]))
            sides = [np.stack((counts.sum(axis), columns.sum(axis)), 1)[..., :C] for axis in (1, 2)]
            self._sides.append(torch.from_numpy(np.stack(sides, 1)).double())
        else:
            self._confusions.append(confusion_matrices(prediction, target, C))
            self._sides.append(torch.stack([_places(masks, self.labels) for masks in (prediction, target)], 1))
        self._sizes.append(len(target))
        self._waiting += len(target)
        if self._waiting >= WAITING:
            self._reduce()

    def _reduce(self) -> None:
        if not self._confusions:
            return
        confusion = torch.cat(self._confusions)
        predicted, true = (_left_of_right(places, self.labels) for places in torch.cat(self._sides).unbind(1))
        ordered = in_order(confusion, predicted, true, self.labels)
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

    def ordered(self) -> Tensor:
        """The same after left and right were put in order."""
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
            f_score_in_order=float(f_scores(ordered).mean()),
            miou=sum(iou.values()) / len(iou),
            pixel_accuracy=float(hit.sum() / total.sum()),
            f1=per_class(f1),
            precision=per_class(precision),
            recall=per_class(recall),
            iou=iou,
        )
