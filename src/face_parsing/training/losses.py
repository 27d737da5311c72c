"""What training minimises: cross-entropy, Dice and focal loss on (logits, target), and their weighted sum.

These functions are the definition, written to be read and differentiated by autograd. Training takes the same values
and gradients from ``fused_loss``, which is faster; the tests compare the two. All of it is fp32 or wider, whatever
the autocast. Pixels of ``ignore_index`` count in no term.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from face_parsing.labels import IGNORE_INDEX

WEIGHT_RANGE = (0.2, 5.0)

ProcessMean = Callable[[Tensor], Tensor]
"""Averages a count over all processes, so that the mean of their losses is the loss of the whole batch."""


def identity(count: Tensor) -> Tensor:
    """The mean of one process's count."""
    return count


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The weights of the loss's terms, and what else these depend on beside logits, target and class weights."""

    ce: float = 1.0
    dice: float = 1.0
    focal: float = 0.5
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    dice_eps: float = 1.0
    ignore_index: int = IGNORE_INDEX
    process_mean: ProcessMean = identity


def _wide(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _labels_and_weights(logits: Tensor, target: Tensor, weights: Tensor | None, terms: Terms) -> tuple[Tensor, Tensor]:
    """Of each pixel (B, H, W) its class and that one's weight; class 0 and weight 0 where it is ignored."""
    known = target != terms.ignore_index
    label = torch.where(known, target, 0).long()
    of_class = logits.new_ones(logits.shape[1]) if weights is None else weights.to(logits.dtype)
    return label, of_class[label] * known


def cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None, terms: Terms) -> Tensor:
    """-log p of each pixel's class: the mean over the valid pixels, weighted by their classes' weights; 0 without any.

    logits (B, C, H, W), target (B, H, W) integer, weights (C,) or None. Labels are smoothed as torch does it: a share
    of the target's mass is spread over all classes.
    """
    logits = _wide(logits)
    _, weight = _labels_and_weights(logits, target, weights, terms)
    summed = F.cross_entropy(
        logits,
        target.long(),
        weight=None if weights is None else weights.to(logits.dtype),
        ignore_index=terms.ignore_index,
        label_smoothing=terms.label_smoothing,
        reduction="sum",
    )
    return summed / terms.process_mean(weight.sum()).clamp(min=1e-12)


def focal_loss(logits: Tensor, target: Tensor, weights: Tensor | None, terms: Terms) -> Tensor:
    """-(1 - p)^gamma log p (Lin et al. 2017), p the probability of a pixel's class; a mean as ``cross_entropy``'s."""
    logits = _wide(logits)
    label, weight = _labels_and_weights(logits, target, weights, terms)
    log_p = torch.log_softmax(logits, 1).gather(1, label[:, None])[:, 0]  # (B, H, W)
    rest = (1 - log_p.exp()).clamp(min=1e-7)  # a root of 0, for a gamma below 1, has no gradient
    summed = (weight * rest**terms.focal_gamma * -log_p).sum()
    return summed / terms.process_mean(weight.sum()).clamp(min=1e-12)


def dice_loss(logits: Tensor, target: Tensor, terms: Terms) -> Tensor:
    """1 - soft Dice (Milletari et al. 2016), logits (B, C, H, W), target (B, H, W) integer.

    The Dice of a class in an image is (2 o + eps) / (q + a + eps): it has a pixels there, q is the sum of its
    probabilities over the valid pixels, and o that over its a pixels alone. The mean is taken over the classes that an
    image holds, as in the challenge's metric, then over the images that hold any; 0 without one.
    """
    logits = _wide(logits)
    label, known = _labels_and_weights(logits, target, None, terms)
    p = logits.softmax(1) * known[:, None]  # (B, C, H, W)
    one_hot = F.one_hot(label, logits.shape[1]).permute(0, 3, 1, 2) * known[:, None]
    overlap, predicted, actual = ((p * one_hot).sum((2, 3)), p.sum((2, 3)), one_hot.sum((2, 3)))  # (B, C)
    dice = (2 * overlap + terms.dice_eps) / (predicted + actual + terms.dice_eps)
    present = (actual > 0).to(p.dtype)
    of_image = ((1 - dice) * present).sum(1) / present.sum(1).clamp(min=1)
    images = terms.process_mean(present.amax(1).sum())
    return of_image.sum() / images.clamp(min=1e-12)


def combined_loss(logits: Tensor, target: Tensor, weights: Tensor | None, terms: Terms) -> dict[str, Tensor]:
    """``loss``, the weighted sum, and its terms ``ce``, ``dice`` and ``focal``; those of weight 0 are left out."""
    values: dict[str, Tensor] = {}
    if terms.ce:
        values["ce"] = cross_entropy(logits, target, weights, terms)
    if terms.dice:
        values["dice"] = dice_loss(logits, target, terms)
    if terms.focal:
        values["focal"] = focal_loss(logits, target, weights, terms)
    total = torch.stack([getattr(terms, name) * value for name, value in values.items()]).sum()
    return {"loss": total, **values}


def class_weights(pixel_counts: Tensor, scheme: str, *, beta: float = 0.9999999) -> Tensor | None:
    """Weights (C,) for pixel_counts (C,), with mean 1 before they are clipped to WEIGHT_RANGE.

    ``sqrt`` is the inverse square root of a class's share. ``effective`` is the inverse of the effective
    number of pixels, (1 - beta^n) / (1 - beta) (Cui et al. 2019). ``none`` gives None. A class without a
    pixel weighs 1, and does not move the others. Raises ValueError for any other scheme.
    """
    counts = pixel_counts.double()
    present = counts > 0
    if scheme == "none":
        return None
    if scheme == "sqrt":
        raw = counts.clamp(min=1).rsqrt()
    elif scheme == "effective":
        raw = (1 - beta) / (1 - beta ** counts.clamp(min=1))
    else:
        raise ValueError(f"class weights {scheme!r} are unknown; choose none, sqrt or effective")
    weights = torch.ones_like(raw)
    weights[present] = raw[present] / raw[present].mean()
    return weights.clamp(*WEIGHT_RANGE).float()


def distillation_loss(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean over pixels of KL(teacher || student) (Hinton et al. 2015); both logits (B, C, H, W). Open track only."""
    with torch.autocast(logits.device.type, enabled=False):
        log_student = torch.log_softmax(logits.float(), 1)
        log_teacher = torch.log_softmax(teacher_logits.float(), 1)
        return (log_teacher.exp() * (log_teacher - log_student)).sum(1).mean()
