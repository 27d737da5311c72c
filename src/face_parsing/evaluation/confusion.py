"""One confusion matrix per image, and the left/right correction of it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, LabelSet

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


def count_runs(prediction: np.ndarray, target: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
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
    counts, _ = count_runs(prediction.numpy(), target.numpy(), num_classes)
    return torch.from_numpy(counts[:, :num_classes, :num_classes].copy())


def _place_pixels(masks: Tensor, labels: LabelSet) -> Tensor:
    """``side_ids`` on any device, of the left and right classes; 0 of the others."""
    B, _, W = masks.shape
    across = torch.arange(W, device=masks.device, dtype=torch.float64)
    places = torch.zeros(B, 2, len(labels), device=masks.device, dtype=torch.float64)
    for label in (label for pair in labels.left_right for label in pair):
        count = (masks == label).sum(1).double()  # (B, W)
        places[:, 0, label], places[:, 1, label] = count.sum(1), count @ across
    return places


def side_ids(masks: Tensor, labels: LabelSet) -> Tensor:
    """Each class's pixels and the sum of their columns (B, 2, C) float64, of masks (B, H, W)."""
    if masks.device.type != "cpu":
        return _place_pixels(masks, labels)
    found = count_runs(masks.numpy(), masks.numpy(), len(labels))
    return torch.from_numpy(np.stack(found, 1).sum(2)[..., :-1]).double()


def left_of_right(places: Tensor, labels: LabelSet) -> Tensor:
    """``mirrored``, (B,) bool, from each class's pixels and the sum of their columns (B, 2, C)."""
    pixels, columns = places.unbind(1)
    means = columns / pixels  # nan where there is no pixel
    answer = torch.zeros(len(pixels), dtype=torch.bool, device=pixels.device)
    decided = torch.zeros_like(answer)
    for left, right in labels.left_right:
        both = (pixels[:, left] > 0) & (pixels[:, right] > 0)
        answer = torch.where(both & ~decided, means[:, left] < means[:, right], answer)
        decided |= both
    return answer


def mirrored(masks: Tensor, labels: LabelSet = CELEBAMASK) -> Tensor:
    """Whether each mask (B, H, W) has its left labels left of its right ones: (B,) bool, as ``labels.is_mirrored``."""
    return left_of_right(side_ids(masks, labels), labels)


def lr_corrected(
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
