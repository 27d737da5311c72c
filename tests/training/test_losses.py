"""Losses: hand-computed values, torch's own cross-entropy, and a slow reference with one-hot targets."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from face_parsing.labels import IGNORE_INDEX
from face_parsing.training.losses import (
    WEIGHT_RANGE,
    CombinedLoss,
    Terms,
    class_weights,
    distillation_loss,
    terms_and_gradient,
)

TERMS = ("ce", "dice", "focal")


def draw(
    seed: int = 0,
    *,
    images: int = 3,
    classes: int = 5,
    size: int = 9,
    ignored: float = 0.2,
    absent: tuple[int, ...] = (),
) -> tuple[Tensor, Tensor]:
    """Logits (B, C, H, W) float64 and target (B, H, W) int64 with ignored pixels and without the absent classes."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, classes, size, size + 1, generator=generator, dtype=torch.float64)
    ids = torch.tensor([c for c in range(classes) if c not in absent])
    target = ids[torch.randint(len(ids), (images, size, size + 1), generator=generator)]
    target[torch.rand(target.shape, generator=generator) < ignored] = IGNORE_INDEX
    return logits, target


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
    found, _ = terms_and_gradient(logits, target, weights, Terms(ce=1, dice=0, focal=1, **options))
    return [found["ce"], found["focal"]]


def dice_loss(probabilities: Tensor, target: Tensor, *, eps: float = 1.0) -> Tensor:
    """Dice of given probabilities, which add up to 1."""
    only = Terms(ce=0, dice=1, focal=0, dice_eps=eps)
    return terms_and_gradient(probabilities.log(), target, None, only)[0]["dice"]


def slow_loss(logits: Tensor, target: Tensor, weights: Tensor | None, terms: Terms) -> Tensor:
    """The weighted sum by torch's cross-entropy and one-hot targets, for autograd."""
    C = logits.shape[1]
    ignored = {"weight": weights, "ignore_index": IGNORE_INDEX}
    ce = F.cross_entropy(logits, target, label_smoothing=terms.label_smoothing, **ignored)
    valid = target != IGNORE_INDEX
    label = target * valid
    log_true = logits.log_softmax(1).gather(1, label[:, None])[:, 0]
    weight = valid * (torch.ones(C, dtype=logits.dtype) if weights is None else weights)[label]
    focal = (weight * (1 - log_true.exp()) ** terms.focal_gamma * -log_true).sum() / weight.sum()
    one_hot = F.one_hot(label, C).permute(0, 3, 1, 2) * valid[:, None]
    p = logits.softmax(1) * valid[:, None]
    overlap, size, actual = (p * one_hot).sum((2, 3)), (p + one_hot).sum((2, 3)), one_hot.sum((2, 3))
    dice = (2 * overlap + terms.dice_eps) / (size + terms.dice_eps)
    present = actual > 0
    images = [1 - dice[i][present[i]].mean() for i in range(len(p)) if present[i].any()]
    return terms.ce * ce + terms.focal * focal + terms.dice * torch.stack(images).mean()


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
def test_the_module_in_fp32_is_torchs_too(weighted: bool) -> None:
    logits, target = draw()
    weights = [0.2, 1.0, 5.0, 0.7, 1.3] if weighted else None
    loss = CombinedLoss(ce=1, dice=0, focal=0, label_smoothing=0.1, weights=weights)
    found = loss(logits.float(), target)["ce"]
    wanted = F.cross_entropy(
        logits.float(), target, weight=loss.weights, label_smoothing=0.1, ignore_index=IGNORE_INDEX
    )
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


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


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_has_finite_gradients_where_the_network_is_certain(gamma: float) -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[:, 0] = 60.0  # its probability rounds to 1
    logits.requires_grad_()
    target = torch.tensor([[[0, 0], [0, 1]]])
    terms = CombinedLoss(ce=0, dice=0, focal=1, focal_gamma=gamma)(logits, target)
    terms["loss"].backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert float(terms["focal"].detach()) == pytest.approx(60 / 4)


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


def test_dice_in_fp32_adds_up_a_large_image() -> None:
    probabilities = torch.tensor([0.99, 0.01]).view(1, 2, 1, 1).expand(1, 2, 512, 512).contiguous()
    target = torch.zeros(1, 512, 512, dtype=torch.int64)
    exact = float(dice_loss(probabilities.double(), target))
    assert exact == pytest.approx(1 - (2 * 0.99 + 2**-18) / (1.99 + 2**-18))
    assert float(dice_loss(probabilities, target)) == pytest.approx(exact, rel=0.01)


# --- ignored pixels, dtypes, gradients --------------------------------------------------------------


def gradients(logits: Tensor, target: Tensor, loss: CombinedLoss) -> tuple[dict[str, Tensor], Tensor]:
    logits = logits.detach().clone().requires_grad_()
    terms = loss(logits, target)
    terms["loss"].backward()
    assert logits.grad is not None
    return {name: value.detach() for name, value in terms.items()}, logits.grad


@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 5.0, 0.7, 1.3]])
def test_ignored_pixels_change_nothing(weights: list[float] | None) -> None:
    logits, target = draw()
    loss = CombinedLoss(label_smoothing=0.1, weights=weights)
    ignored = (target == IGNORE_INDEX)[:, None].expand_as(logits)
    assert ignored.any()
    changed = torch.where(ignored, 20 * torch.randn_like(logits), logits)
    before, gradient = gradients(logits.float(), target, loss)
    after, changed_gradient = gradients(changed.float(), target, loss)
    assert set(before) == {"loss", *TERMS}
    for name in before:
        torch.testing.assert_close(after[name], before[name], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(changed_gradient, gradient, rtol=1e-5, atol=1e-8)
    assert (gradient[ignored] == 0).all()
    assert (gradient[~ignored] != 0).any()


def test_a_batch_without_a_valid_pixel_costs_nothing() -> None:
    logits, target = draw()
    terms, gradient = gradients(
        logits.float(), torch.full_like(target, IGNORE_INDEX), CombinedLoss(label_smoothing=0.1)
    )
    assert {name: float(value) for name, value in terms.items()} == dict.fromkeys(("loss", *TERMS), 0.0)
    assert (gradient == 0).all()


def test_bf16_logits_are_computed_in_fp32_under_autocast() -> None:
    logits, target = draw()
    loss = CombinedLoss(label_smoothing=0.05, weights=[0.2, 1.0, 5.0, 0.7, 1.3])
    short = logits.bfloat16()
    wanted = loss(short.float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(short, target)
    assert all(value.dtype == torch.float32 for value in found.values())
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_masks_may_have_any_integer_type(dtype: torch.dtype) -> None:
    logits, target = draw()
    loss = CombinedLoss()
    assert torch.equal(loss(logits, target.to(dtype))["loss"], loss(logits, target)["loss"])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [0.0, 0.3])
@pytest.mark.parametrize("kept", [("ce", "dice", "focal"), ("ce",), ("dice",), ("focal",), ("dice", "focal")])
def test_the_gradient_is_autograds(kept: tuple[str, ...], ignored: float, weighted: bool, smoothing: float) -> None:
    logits, target = draw(ignored=ignored, absent=(2,))
    if ignored:
        target[1] = IGNORE_INDEX
    scale = {"ce": 0.7, "dice": 1.3, "focal": 0.4}
    terms = Terms(**{name: scale[name] * (name in kept) for name in TERMS}, focal_gamma=1.5, label_smoothing=smoothing)
    weights = torch.tensor([0.2, 1.0, 5.0, 0.7, 1.3], dtype=torch.float64) if weighted else None
    found, gradient = terms_and_gradient(logits, target, weights, terms)
    together = terms_and_gradient(logits, target, weights, terms, at_once=2)
    torch.testing.assert_close((found, gradient), together, rtol=1e-12, atol=1e-15)
    logits.requires_grad_()
    wanted = slow_loss(logits, target, weights, terms)
    total = torch.stack([getattr(terms, name) * value for name, value in found.items()]).sum()
    torch.testing.assert_close(total, wanted.detach(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, logits)[0], rtol=1e-8, atol=1e-13)


def test_the_gradient_reaches_what_made_the_logits() -> None:
    logits, target = draw()
    loss = CombinedLoss()
    _, direct = gradients(logits.float(), target, loss)
    x = logits.float().requires_grad_()
    (3 * loss(2 * x, target)["loss"]).backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 6 * gradients(2 * logits.float(), target, loss)[1])
    assert not torch.equal(x.grad, direct)


def test_fp16_gradients_are_scaled_before_they_are_rounded() -> None:
    logits, target = draw(size=200, images=1)
    _, exact = gradients(logits.half().float(), target, CombinedLoss())
    half = logits.half().requires_grad_()
    (2.0**16 * CombinedLoss()(half, target)["loss"]).backward()
    assert half.grad is not None
    torch.testing.assert_close(half.grad.float() / 2**16, exact, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("term", TERMS)
def test_good_beats_bad(term: str) -> None:
    _, target = draw(absent=(3,))
    one_hot = F.one_hot(target.clamp(max=4), 5).permute(0, 3, 1, 2).float()
    weights: dict[str, Any] = {**dict.fromkeys(TERMS, 0.0), term: 1.0}
    loss = CombinedLoss(**weights, label_smoothing=0.05)
    costs = [float(loss(sharpness * one_hot, target)["loss"]) for sharpness in (4.0, 2.0, 1.0, 0.0, -1.0, -4.0)]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


# --- the sum ----------------------------------------------------------------------------------------


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    logits, target = draw()
    terms = CombinedLoss(ce=2.0, dice=0.5, focal=3.0, focal_gamma=1.0, label_smoothing=0.1)(logits, target)
    ce, focal = pixel_losses(logits, target, focal_gamma=1.0, label_smoothing=0.1)
    wanted = {"ce": ce, "dice": dice_loss(logits.softmax(1), target), "focal": focal}
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(terms["loss"], 2 * ce + 0.5 * wanted["dice"] + 3 * focal, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kept", [("ce",), ("dice",), ("focal",), ("ce", "dice"), ("dice", "focal")])
def test_a_term_of_weight_0_is_absent(kept: tuple[str, ...]) -> None:
    logits, target = draw()
    weights: dict[str, Any] = {name: float(name in kept) for name in TERMS}
    terms = CombinedLoss(**weights)(logits, target)
    assert set(terms) == {"loss", *kept}
    torch.testing.assert_close(terms["loss"], sum(terms[name] for name in kept), rtol=1e-6, atol=1e-7)


def test_class_weights_move_with_the_module_and_are_not_saved_elsewhere() -> None:
    loss = CombinedLoss(weights=[1.0, 2.0])
    assert loss.to(torch.float64).weights is not None
    assert loss.weights is not None
    assert loss.weights.dtype == torch.float64
    assert list(loss.parameters()) == []


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
