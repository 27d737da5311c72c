"""The loss that training uses: the definition's values and gradients, ignored pixels, precisions, extremes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from loss_cases import draw
from torch import Tensor

from face_parsing.labels import IGNORE_INDEX, NUM_CLASSES
from face_parsing.training.fused_loss import CombinedLoss, terms_and_gradient
from face_parsing.training.losses import Terms, combined_loss

TERMS = ("ce", "dice", "focal")


def gradients(logits: Tensor, target: Tensor, loss: CombinedLoss) -> tuple[dict[str, Tensor], Tensor]:
    logits = logits.detach().clone().requires_grad_()
    terms = loss(logits, target)
    terms["loss"].backward()
    assert logits.grad is not None
    return {name: value.detach() for name, value in terms.items()}, logits.grad


# --- against the definition -------------------------------------------------------------------------


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
    wanted = combined_loss(logits, target, weights, terms)
    (wanted_gradient,) = torch.autograd.grad(wanted.pop("loss"), logits)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradient, wanted_gradient, rtol=1e-8, atol=1e-13)


def test_means_over_processes_count_as_the_definition_has_them() -> None:
    logits, target = draw(3)
    terms = Terms(label_smoothing=0.1, process_mean=lambda count: 1.5 * count)
    found, gradient = terms_and_gradient(logits, target, None, terms)
    logits.requires_grad_()
    wanted = combined_loss(logits, target, None, terms)
    (wanted_gradient,) = torch.autograd.grad(wanted.pop("loss"), logits)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradient, wanted_gradient, rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_module_is_the_definition_in_any_precision(dtype: torch.dtype) -> None:
    logits, target = draw(4)
    logits = logits.to(dtype)
    loss = CombinedLoss(label_smoothing=0.05, weights=[0.2, 1.0, 5.0, 0.7, 1.3])
    values, gradient = gradients(logits, target, loss)
    plain = logits.detach().clone().requires_grad_()
    wanted = combined_loss(plain, target, loss.weights, loss.terms)
    wanted["loss"].backward()
    torch.testing.assert_close(values, {name: value.detach() for name, value in wanted.items()}, rtol=1e-5, atol=1e-6)
    assert plain.grad is not None
    assert gradient.dtype == plain.grad.dtype == dtype
    torch.testing.assert_close(gradient, plain.grad)


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


# --- extremes ---------------------------------------------------------------------------------------


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


def test_dice_in_fp32_adds_up_a_large_image() -> None:
    def dice_loss(probabilities: Tensor, target: Tensor) -> Tensor:
        only = Terms(ce=0, dice=1, focal=0)
        return terms_and_gradient(probabilities.log(), target, None, only)[0]["dice"]

    probabilities = torch.tensor([0.99, 0.01]).view(1, 2, 1, 1).expand(1, 2, 512, 512).contiguous()
    target = torch.zeros(1, 512, 512, dtype=torch.int64)
    exact = float(dice_loss(probabilities.double(), target))
    assert exact == pytest.approx(1 - (2 * 0.99 + 2**-18) / (1.99 + 2**-18))
    assert float(dice_loss(probabilities, target)) == pytest.approx(exact, rel=0.01)


# --- ignored pixels, dtypes, gradients --------------------------------------------------------------


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
    wanted = 2 * terms["ce"] + 0.5 * terms["dice"] + 3 * terms["focal"]
    torch.testing.assert_close(terms["loss"], wanted, rtol=1e-6, atol=1e-7)


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


def test_losses_of_shares_have_the_mean_of_the_batch() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(4, NUM_CLASSES, 8, 8, generator=rng)
    target = torch.randint(NUM_CLASSES, (4, 8, 8), generator=rng)
    target[0, :5] = IGNORE_INDEX
    target[3] = IGNORE_INDEX  # holds no class, so that it is not in Dice's mean
    weights = torch.rand(NUM_CLASSES, generator=rng) + 0.5
    logits.requires_grad_()

    def gradient(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss, logits)[0]

    options: dict[str, Any] = {"weights": weights, "label_smoothing": 0.1}
    whole = CombinedLoss(**options)(logits, target)
    counts: list[list[Tensor]] = [[], []]
    for half in (0, 1):  # what each process would tell the other
        tell = counts[half].append
        CombinedLoss(**options, process_mean=lambda c, tell=tell: (tell(c), c)[1])(logits[half::2], target[half::2])
    means = [torch.stack(pair).mean(0) for pair in zip(*counts, strict=True)]
    assert all(not torch.equal(*pair) for pair in zip(*counts, strict=True))
    parts = []
    for half in (0, 1):
        told = iter(means)
        parts.append(
            CombinedLoss(**options, process_mean=lambda c, told=told: next(told))(logits[half::2], target[half::2])
        )
    for name, value in whole.items():
        torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, value, rtol=1e-6, atol=1e-7)
    both = gradient((parts[0]["loss"] + parts[1]["loss"]) / 2)
    torch.testing.assert_close(both, gradient(CombinedLoss(**options)(logits, target)["loss"]), rtol=1e-5, atol=1e-8)
