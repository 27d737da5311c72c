"""The challenge's F-Score and its relatives, from one confusion matrix an image.

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

    Pixels whose target is IGNORE_INDEX are left out. Runs on the masks' device without a synchronisation.
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


def _ratios(confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    counts = confusion.double()
    hit = counts.diagonal(dim1=-2, dim2=-1)
    precision = hit / (counts.sum(-2) + EPS)
    recall = hit / (counts.sum(-1) + EPS)
    return precision, recall, 2 * precision * recall / (precision + recall + EPS)


def f_scores(confusion: Tensor) -> Tensor:
    """The F-Score of each image (B,) float64 from confusion matrices (B, C, C)."""
    f1 = _ratios(confusion)[2]
    present = confusion.sum(-1) > 0
    return (f1 * present).sum(-1) / present.sum(-1).clamp(min=1)


def class_f1(confusion: Tensor) -> Tensor:
    """F1 of each class of each image (B, C) float64 from confusion matrices (B, C, C); nan where it is not scored."""
    return torch.where(confusion.sum(-1) > 0, _ratios(confusion)[2], torch.nan)


def set_f1(confusion: Tensor) -> Tensor:
    """F1 of each class (C,) float64 over a whole set, as papers report it: 2 TP / (2 TP + FP + FN).

    The counts are those of all images' matrices (N, C, C) together, so that large faces weigh more and a class
    found where there is none costs. nan for a class that no image's truth holds. Papers give the mean over the
    foreground, which is every class but class 0.
    """
    total = confusion.sum(0).double()
    hit, predicted, actual = total.diagonal(), total.sum(0), total.sum(1)
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
    """Collects predictions batch by batch on their device; the sums cross to the CPU once, in ``scores``."""

    def __init__(self, labels: LabelSet = CELEBAMASK) -> None:
        self.labels = labels
        self._confusions: list[Tensor] = []
        self._sides: list[Tensor] = []  # (B, 2, 2, C): of the prediction and of the target, _places

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

    @classmethod
    def merged(cls, keepers: Sequence[ScoreKeeper]) -> ScoreKeeper:
        """One keeper of all updates, where keeper i of n has made the updates i, i + n, i + 2n and so on."""
        if len(keepers) == 1:
            return keepers[0]
        whole = cls(keepers[0].labels)
        for place in range(max(len(keeper._confusions) for keeper in keepers)):
            for keeper in keepers:
                whole._confusions += keeper._confusions[place : place + 1]
                whole._sides += keeper._sides[place : place + 1]
        return whole

    def __getstate__(self) -> dict[str, object]:
        # Another process may have no such GPU.
        on_cpu = {name: [part.cpu() for part in getattr(self, name)] for name in ("_confusions", "_sides")}
        return {"labels": self.labels, **on_cpu}

    def confusion(self) -> Tensor:
        """Counts (N, C, C) int64 of all images so far, on the CPU."""
        return torch.cat(self._confusions).cpu()

    def ordered(self) -> Tensor:
        """The same after left and right were put in order."""
        predicted, true = (_left_of_right(places, self.labels) for places in torch.cat(self._sides).cpu().unbind(1))
        return in_order(self.confusion(), predicted, true, self.labels)

    def scores(self) -> Scores:
        """All figures; images without a pixel to score are left out. Raises ValueError where none is left."""
        scored = self.confusion().sum((1, 2)) > 0 if self._confusions else torch.zeros(0, dtype=torch.bool)
        if not scored.any():
            raise ValueError("no image was scored: the validation set is empty, or all its pixels are ignored")
        confusion, ordered = self.confusion()[scored], self.ordered()[scored]
        precision, recall, f1 = _ratios(confusion)
        present = confusion.sum(-1) > 0  # (N, C)
        names = self.labels.names
        total = confusion.sum(0)
        hit = total.diagonal().double()
        union = (total.sum(0) + total.sum(1)).double() - hit
        seen = [c for c in range(len(names)) if bool(present[:, c].any())]

        def per_class(values: Tensor) -> dict[str, float]:
            return {names[c]: float(values[present[:, c], c].mean()) for c in seen}

        iou = {names[c]: float(hit[c] / union[c]) for c in seen}
        return Scores(
            images=len(confusion),
            f_score=float(f_scores(confusion).mean()),
            f_score_in_order=float(f_scores(ordered).mean()),
            miou=sum(iou.values()) / len(iou),
            pixel_accuracy=float(hit.sum() / total.sum()),
            f1=per_class(f1),
            precision=per_class(precision),
            recall=per_class(recall),
            iou=iou,
        )
