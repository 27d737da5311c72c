"""Cross-entropy, Dice and focal loss on (logits, target), and their weighted sum.

All of it is fp32, whatever the autocast. Pixels of ``ignore_index`` count in no term. No term builds
one-hot targets: what a sum over the true class needs is gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from labels import IGNORE_INDEX

WEIGHT_RANGE = (0.2, 5.0)

Over = Callable[[Tensor], Tensor]
"""The mean of a count over the processes that share a batch, of whose losses the mean is then that of the batch."""


def alone(count: Tensor) -> Tensor:
    """The mean of one process's count."""
    return count


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


def dice_loss(
    probabilities: Tensor,
    target: Tensor,
    *,
    ignore_index: int = IGNORE_INDEX,
    eps: float = 1.0,
    over: Over = alone,
) -> Tensor:
    """1 - soft Dice (Milletari et al. 2016), of each image over the classes it holds, then over the images.

    probabilities (B, C, H, W) fp32 and target (B, H, W) integer give a scalar. Classes that an image's
    target lacks are left out of its mean, as the challenge's metric does. ``eps`` pixels smooth the ratio.
    An image without a valid pixel is left out.
    """
    B, C, H = probabilities.shape[:3]
    valid = target != ignore_index  # (B, H, W)
    label = torch.where(valid, target, 0).long()
    p_true = probabilities.gather(1, label[:, None])[:, 0] * valid  # (B, H, W)
    # Row by row: one fp32 sum over a large image would lose what its last bits cannot hold.
    zeros = probabilities.new_zeros(B * H, C)
    rows = label.flatten(0, 1)  # (B * H, W)
    overlap = zeros.scatter_add(1, rows, p_true.flatten(0, 1)).view(B, H, C).sum(1)  # (B, C)
    actual = zeros.scatter_add(1, rows, valid.flatten(0, 1).to(zeros.dtype)).view(B, H, C).sum(1)
    predicted = (probabilities * valid[:, None]).sum((2, 3))
    dice = (2 * overlap + eps) / (predicted + actual + eps)
    present = actual > 0
    per_image = 1 - (dice * present).sum(1) / present.sum(1).clamp(min=1)  # (B,)
    holds_any = present.any(1)
    return (per_image * holds_any).sum() / over(holds_any.sum().float()).clamp(min=1e-12)


def pixel_losses(
    log_probabilities: Tensor,
    target: Tensor,
    *,
    weights: Tensor | None = None,
    gamma: float = 2.0,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
    over: Over = alone,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and focal loss (Lin et al. 2017) in one pass, as two scalars.

    log_probabilities (B, C, H, W) fp32, target (B, H, W) integer, weights (C,) or None. Both are means
    over the valid pixels, weighted by the true class, as ``torch.nn.functional.cross_entropy`` has it.
    Focal is -(1 - p)^gamma log p of the true class. Without a valid pixel both are 0.
    """
    C = log_probabilities.shape[1]
    valid = target != ignore_index
    label = torch.where(valid, target, 0).long()
    log_p = log_probabilities.gather(1, label[:, None])[:, 0]  # (B, H, W)
    pixel_weight = valid.to(log_p.dtype) if weights is None else weights[label] * valid
    total = over(pixel_weight.sum()).clamp(min=1e-12)
    focal = ((1 - log_p.exp()).clamp(min=1e-7) ** gamma * -log_p * pixel_weight).sum() / total
    ce = -(log_p * pixel_weight).sum() / total
    if label_smoothing:
        if weights is None:
            everywhere = log_probabilities.sum(1) * valid
        else:
            everywhere = (log_probabilities * weights[:, None, None]).sum(1) * valid
        ce = (1 - label_smoothing) * ce - label_smoothing / C * everywhere.sum() / total
    return ce, focal


class CombinedLoss(nn.Module):
    """ce * cross-entropy + dice * Dice + focal * focal loss.

    ``forward(logits, target)`` takes logits (B, C, H, W) of any floating dtype and target (B, H, W)
    integer, and returns a dict of scalars: ``loss``, the weighted sum, and ``ce``, ``dice``, ``focal``,
    unweighted. A term of weight 0 is not computed and not returned. ``over`` is for a batch of several processes.
    """

    def __init__(
        self,
        *,
        ce: float = 1.0,
        dice: float = 1.0,
        focal: float = 0.5,
        focal_gamma: float = 2.0,
        label_smoothing: float = 0.0,
        weights: Sequence[float] | Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
        over: Over = alone,
    ) -> None:
        super().__init__()
        self.term_weights = {"ce": ce, "dice": dice, "focal": focal}
        self.gamma = focal_gamma
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.over = over
        self.weights: Tensor | None
        self.register_buffer("weights", None if weights is None else torch.as_tensor(weights, dtype=torch.float32))

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        with torch.autocast(logits.device.type, enabled=False):
            log_probabilities = torch.log_softmax(logits.float(), 1)
            terms: dict[str, Tensor] = {}
            if self.term_weights["ce"] or self.term_weights["focal"]:
                ce, focal = pixel_losses(
                    log_probabilities,
                    target,
                    weights=self.weights,
                    gamma=self.gamma,
                    label_smoothing=self.label_smoothing,
                    ignore_index=self.ignore_index,
                    over=self.over,
                )
                terms = {"ce": ce, "focal": focal}
            if self.term_weights["dice"]:
                probabilities = log_probabilities.exp()
                terms["dice"] = dice_loss(probabilities, target, ignore_index=self.ignore_index, over=self.over)
            terms = {name: value for name, value in terms.items() if self.term_weights[name]}
            total = sum(
                (self.term_weights[name] * value for name, value in terms.items()), logits.new_zeros(()).float()
            )
            return {"loss": total, **terms}


def distillation_loss(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean over pixels of KL(teacher || student) (Hinton et al. 2015); both logits (B, C, H, W). Open track only."""
    with torch.autocast(logits.device.type, enabled=False):
        log_student = torch.log_softmax(logits.float(), 1)
        log_teacher = torch.log_softmax(teacher_logits.float(), 1)
        return (log_teacher.exp() * (log_teacher - log_student)).sum(1).mean()
