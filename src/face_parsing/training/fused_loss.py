"""The loss that training uses: the values of ``losses.combined_loss`` with their gradient written out.

No term builds one-hot targets: what a sum over the true class needs is gathered. The gradient is not left to autograd:
at 256 px a CPU needs half the time, and nothing is kept for the way back but the gradient itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from face_parsing.training.losses import Terms


def terms_and_gradient(
    logits: Tensor, target: Tensor, weights: Tensor | None, terms: Terms, *, at_once: int | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """``ce``, ``dice`` and ``focal``, scalars, and the gradient (B, C, H, W) of their weighted sum, without autograd.

    logits (B, C, H, W) of any floating dtype, target (B, H, W) integer, weights (C,) or None. ``at_once`` images are
    gone through together, by default one on a CPU, which so finds its probabilities in the cache, and all on a GPU,
    which would wait for each small job.

    The terms are those of ``losses.combined_loss``, up to rounding.
    """
    B, C, H, W = logits.shape
    wide = torch.promote_types(logits.dtype, torch.float32)
    known = (target != terms.ignore_index).view(B, 1, H * W)
    gaps = logits.device.type != "cpu" or not known.all()  # a GPU would be waited for
    label = torch.where(known, target.reshape(B, 1, H * W), 0).long()
    valid = known.to(wide)
    weights = torch.ones(C, device=logits.device) if weights is None else weights
    weights = weights.to(wide)
    weight = weights[label] * valid
    total = terms.process_mean(weight.sum()).clamp(min=1e-12)
    images = terms.process_mean(known.any(2).sum().to(wide)).clamp(min=1e-12)
    smoothing = terms.label_smoothing / C / total

    sums = {name: total.new_zeros(()) for name in ("ce", "dice", "focal")}
    # Unscaled gradients of single pixels are too small for fp16.
    kept = wide if logits.dtype is torch.float16 else logits.dtype
    gradient = torch.empty(B, C, H * W, dtype=kept, device=logits.device)
    n = at_once or (1 if logits.device.type == "cpu" else B)
    for first in range(0, B, n):
        rows = slice(first, first + n)
        y, v, w = label[rows], valid[rows], weight[rows] / total  # (n, 1, P)
        log_p = torch.log_softmax(logits[rows].to(wide, memory_format=torch.contiguous_format).flatten(2), 1)
        log_true = log_p.gather(1, y)
        everywhere: Tensor | float = 0.0
        if terms.ce and terms.label_smoothing:
            everywhere = (weights * (log_p * v if gaps else log_p).sum(2)).sum()
        p, true = log_p.exp_(), log_true.exp()
        if gaps:
            p *= v
        # A pixel's gradient is p * at_all, and at_true more for its true class.
        at_all = (terms.ce * smoothing * weights.sum()).expand_as(v).clone()
        at_true = torch.zeros_like(v)
        if terms.ce:
            sums["ce"] -= (1 - terms.label_smoothing) * (w * log_true).sum() + smoothing * everywhere
            at_true -= terms.ce * (1 - terms.label_smoothing) * w
        if terms.focal:
            rest = (1 - true).clamp_(min=1e-7)
            power = rest**terms.focal_gamma
            sums["focal"] -= (w * power * log_true).sum()
            steep = terms.focal_gamma * true * rest ** (terms.focal_gamma - 1) * log_true
            at_true -= terms.focal * w * (power - steep)
        at_all -= at_true
        if terms.dice:
            # Row by row: one fp32 sum over a large image would lose what its last bits cannot hold.
            zeros, lines = p.new_zeros(len(y) * H, C), y.view(-1, W)
            overlap = zeros.scatter_add(1, lines, (true * v).view(-1, W)).view(-1, H, C).sum(1)  # (n, C)
            actual = zeros.scatter_add(1, lines, v.view(-1, W)).view(-1, H, C).sum(1)
            size = p.sum(2) + actual + terms.dice_eps
            dice = (2 * overlap + terms.dice_eps) / size
            present = (actual > 0).to(wide)
            mean = present / present.sum(1, keepdim=True).clamp(min=1) / images
            sums["dice"] += (mean * (1 - dice)).sum()
            by_class = (terms.dice * mean * dice / size)[:, None]  # (n, 1, C)
            by_overlap = true * (-2 * terms.dice * mean / size)[:, None].gather(2, y)
            at_true += by_overlap
            at_all -= by_class @ p + by_overlap
            pixels = (by_class.mT + at_all).mul_(p)
        else:
            pixels = at_all * p
        pixels.scatter_add_(1, y, at_true)
        if terms.ce and terms.label_smoothing:
            pixels -= (terms.ce * smoothing * weights)[:, None]
        torch.mul(pixels, v, out=gradient[rows])
    found = {name: value for name, value in sums.items() if getattr(terms, name)}
    return found, gradient.view(B, C, H, W)


class _WeightedSum(torch.autograd.Function):
    """Of the terms; its gradient is found on the way forward."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, weights: Tensor | None, terms: Terms) -> Any:
        found, gradient = terms_and_gradient(logits, target, weights, terms)
        ctx.save_for_backward(gradient)
        ctx.dtype = logits.dtype
        values = tuple(found.values())
        ctx.mark_non_differentiable(*values)
        total = logits.new_zeros((), dtype=torch.promote_types(logits.dtype, torch.float32))
        for name, value in found.items():
            total = total + getattr(terms, name) * value
        return total, tuple(found), *values

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (ctx.saved_tensors[0] * gradients[0]).to(ctx.dtype), None, None, None


class CombinedLoss(nn.Module):
    """ce * cross-entropy + dice * Dice + focal * focal loss (``losses.combined_loss``).

    ``forward(logits, target)`` takes logits (B, C, H, W) of any floating dtype and target (B, H, W)
    integer, and returns a dict of scalars: ``loss``, the weighted sum, and ``ce``, ``dice``, ``focal``,
    unweighted and without gradients. A term of weight 0 is not computed and not returned.
    """

    def __init__(self, *, weights: Sequence[float] | Tensor | None = None, **terms: Any) -> None:
        super().__init__()
        self.terms = Terms(**terms)
        self.weights: Tensor | None
        self.register_buffer("weights", None if weights is None else torch.as_tensor(weights, dtype=torch.float32))

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        with torch.autocast(logits.device.type, enabled=False):
            total, names, *values = _WeightedSum.apply(logits, target, self.weights, self.terms)
        return {"loss": total, **dict(zip(names, values, strict=True))}
