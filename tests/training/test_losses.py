"""The loss's definition: hand-computed values, torch's own cross-entropy, and a slow Dice with loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from loss_cases import draw
from torch import Tensor

from face_parsing.labels import IGNORE_INDEX
from face_parsing.training import losses
from face_parsing.training.losses import (
    WEIGHT_RANGE,
    Terms,
    class_weights,
    combined_loss,
    cross_entropy,
    distillation_loss,
    focal_loss,
)


def slow_dice(probabilities: Tensor, target: Tensor, eps: float) -> float:
    """1 - Dice with loops and one-hot targets, averaged over the classes that an image holds, then over the images."""
    images = []
    for p, t in zip(probabilities, target, strict=True):
        valid = t != IGNORE_INDEX
        scores = []
        for c in range(len(p)):
            one_hot = ((t == c) & valid).to(p.dtype)
            if one_hot.sum() > 0:
                overlap = (p[c] * one_hot).sum()
                scores.append((2 * overlap + eps) / ((p[c] * valid).sum() + one_hot.sum() + eps))
        if scores:
            images.append(1 - torch.stack(scores).mean())
    return float(torch.stack(images).mean())


def pixel_losses(logits: Tensor, target: Tensor, *, weights: Tensor | None = None, **options: Any) -> list[Tensor]:
    """Cross-entropy and focal loss."""
    terms = Terms(**options)
    return [cross_entropy(logits, target, weights, terms), focal_loss(logits, target, weights, terms)]


def dice_loss(probabilities: Tensor, target: Tensor, *, eps: float = 1.0) -> Tensor:
    """Dice of given probabilities, which add up to 1."""
    return losses.dice_loss(probabilities.log(), target, Terms(dice_eps=eps))


# --- cross-entropy and focal ------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_cross_entropy_is_torchs(smoothing: float, weighted: bool, ignored: float) -> None:
    logits, target = draw(ignored=ignored)
    weights = torch.tensor([0.2, 1.0, 5.0, 0.7, 1.3], dtype=torch.float64) if weighted else None
    ce, _ = pixel_losses(logits, target, weights=weights, label_smoothing=smoothing)
    wanted = F.cross_entropy(logits, target, weight=weights, label_smoothing=smoothing, ignore_index=IGNORE_INDEX)
    torch.testing.assert_close(ce, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_focal_with_gamma_0_is_cross_entropy(weighted: bool) -> None:
    logits, target = draw(1)
    weights = torch.linspace(0.2, 5, 5, dtype=torch.float64) if weighted else None
    ce, focal = pixel_losses(logits, target, weights=weights, focal_gamma=0.0)
    torch.testing.assert_close(focal, ce, rtol=1e-12, atol=1e-12)


def test_focal_by_hand() -> None:
    probabilities = torch.tensor([[0.8, 0.2], [0.5, 0.5]], dtype=torch.float64).T.reshape(1, 2, 1, 2)
    target = torch.tensor([[[0, 1]]])  # p of the true class: 0.8 and 0.5
    ce, focal = pixel_losses(probabilities.log(), target, focal_gamma=2.0)
    assert float(ce) == pytest.approx((0.2231435513 + 0.6931471806) / 2)
    assert float(focal) == pytest.approx((0.04 * 0.2231435513 + 0.25 * 0.6931471806) / 2)
    weights = torch.tensor([3.0, 1.0], dtype=torch.float64)
    _, focal = pixel_losses(probabilities.log(), target, focal_gamma=2.0, weights=weights)
    assert float(focal) == pytest.approx((3 * 0.04 * 0.2231435513 + 0.25 * 0.6931471806) / 4)


# --- Dice -------------------------------------------------------------------------------------------


def test_dice_by_hand() -> None:
    # Class 0 is true in the upper row, class 1 in the lower one, class 2 nowhere.
    probabilities = torch.tensor(
        [[[0.8, 0.6], [0.1, 0.3]], [[0.1, 0.2], [0.7, 0.6]], [[0.1, 0.2], [0.2, 0.1]]], dtype=torch.float64
    )[None]
    target = torch.tensor([[[0, 0], [1, 1]]])
    # Class 0: overlap 1.4, predicted 1.8, actual 2. Class 1: overlap 1.3, predicted 1.6, actual 2.
    assert float(dice_loss(probabilities, target, eps=0.0)) == pytest.approx(1 - (2.8 / 3.8 + 2.6 / 3.6) / 2)
    assert float(dice_loss(probabilities, target)) == pytest.approx(1 - (3.8 / 4.8 + 3.6 / 4.6) / 2)
    # Without the lower right pixel: overlap 1.4 of 1.5 + 2 and 0.7 of 1.0 + 1.
    target[0, 1, 1] = IGNORE_INDEX
    assert float(dice_loss(probabilities, target, eps=0.0)) == pytest.approx(1 - (2.8 / 3.5 + 1.4 / 2) / 2)


@pytest.mark.parametrize("absent", [(), (0,), (4,), (1, 2, 3), (0, 1, 2, 3)])
def test_a_perfect_prediction_has_no_dice_loss_whatever_is_absent(absent: tuple[int, ...]) -> None:
    _, target = draw(absent=absent)
    perfect = F.one_hot(target.clamp(max=4), 5).permute(0, 3, 1, 2).double()
    assert float(dice_loss(perfect, target)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("eps", [0.0, 1.0])
def test_dice_is_the_slow_reference(seed: int, eps: float) -> None:
    logits, target = draw(seed, absent=(seed,))
    target[0][target[0] == 1] = 2  # classes that only some of the images hold
    probabilities = logits.softmax(1)
    assert float(dice_loss(probabilities, target, eps=eps)) == pytest.approx(
        slow_dice(probabilities, target, eps), rel=1e-12
    )


def test_an_image_without_a_valid_pixel_is_left_out_of_the_dice_mean() -> None:
    logits, target = draw()
    target[1] = IGNORE_INDEX
    rest = [0, 2]
    both = dice_loss(logits.softmax(1), target)
    torch.testing.assert_close(both, dice_loss(logits[rest].softmax(1), target[rest]), rtol=1e-12, atol=0)


# --- the sum ----------------------------------------------------------------------------------------


def test_the_sum_is_weighted_and_a_term_of_weight_0_absent() -> None:
    logits, target = draw()
    terms = Terms(ce=2.0, dice=0.5, focal=3.0, focal_gamma=1.0, label_smoothing=0.1)
    found = combined_loss(logits, target, None, terms)
    ce, focal = pixel_losses(logits, target, focal_gamma=1.0, label_smoothing=0.1)
    dice = dice_loss(logits.softmax(1), target)
    torch.testing.assert_close(found, {"loss": 2 * ce + 0.5 * dice + 3 * focal, "ce": ce, "dice": dice, "focal": focal})
    assert combined_loss(logits, target, None, Terms(ce=0, focal=0)).keys() == {"loss", "dice"}


def test_without_a_valid_pixel_it_is_0() -> None:
    logits, target = draw()
    found = combined_loss(logits, torch.full_like(target, IGNORE_INDEX), None, Terms(label_smoothing=0.1))
    assert {name: float(value) for name, value in found.items()} == dict.fromkeys(("loss", "ce", "dice", "focal"), 0.0)


# --- class weights ----------------------------------------------------------------------------------


def test_square_root_weights_by_hand() -> None:
    # 1 / sqrt: 0.1 and 0.05, of mean 0.075; the absent class weighs 1 and moves nothing.
    weights = class_weights(torch.tensor([100, 400, 0]), "sqrt")
    assert weights is not None
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx([4 / 3, 2 / 3, 1.0])


def test_effective_weights_by_hand() -> None:
    # beta 0.9: (1 - 0.9) / (1 - 0.9) and 0.1 / (1 - 0.81), of mean 0.7631579.
    weights = class_weights(torch.tensor([1, 2, 0]), "effective", beta=0.9)
    assert weights is not None
    assert weights.tolist() == pytest.approx([1 / 0.76315789, 0.52631579 / 0.76315789, 1.0])


@pytest.mark.parametrize("scheme", ["sqrt", "effective"])
def test_rarer_classes_weigh_more_within_limits(scheme: str) -> None:
    counts = torch.tensor([10, 10**3, 10**5, 10**7, 10**9, 0])
    weights = class_weights(counts, scheme)
    assert weights is not None
    values = weights.tolist()
    assert values[:5] == sorted(values[:5], reverse=True)
    assert values[0] > values[3]
    assert values[5] == 1.0
    assert WEIGHT_RANGE[0] - 1e-6 < min(values)
    assert max(values) < WEIGHT_RANGE[1] + 1e-6


def test_weights_are_clipped() -> None:
    weights = class_weights(torch.tensor([1, *[10**6] * 9]), "sqrt")
    assert weights is not None
    assert weights.tolist() == pytest.approx([5.0, *[0.2] * 9])


def test_no_weights_and_an_unknown_scheme() -> None:
    assert class_weights(torch.tensor([1, 2]), "none") is None
    with pytest.raises(ValueError, match="'inverse' are unknown; choose none, sqrt or effective"):
        class_weights(torch.tensor([1, 2]), "inverse")


# --- distillation -----------------------------------------------------------------------------------


def test_distillation_by_hand() -> None:
    teacher = torch.tensor([0.75, 0.25]).log().view(1, 2, 1, 1)
    student = torch.zeros(1, 2, 1, 1)
    wanted = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(distillation_loss(student, teacher)) == pytest.approx(wanted, rel=1e-6)
    assert float(distillation_loss(teacher, teacher)) == pytest.approx(0, abs=1e-7)
    assert float(distillation_loss(teacher.bfloat16(), teacher.bfloat16())) == 0.0
