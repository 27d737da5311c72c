"""AdamW and Muon."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of a step that brings singular values of 0 to 1 to about 1 within five (Jordan et al. 2024)."""
NEWTON_SCHULZ_STEPS = 5
MUON_MOMENTUM = 0.95


def orthogonalised(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Matrices (A, B) of any sizes with all singular values near 1, 0.7 to 1.2, and the same singular vectors.

    A step of Newton-Schulz multiplies a matrix X, with its shorter side for rows, by P = a + b G + c G^2, G = X X^T.
    P commutes with G: so the steps are taken on G alone, which is small, and X is multiplied once, by the product of
    all P. Those with equally many rows are stepped together, or a GPU would spend its time on starting small ones.
    """
    a, b, c = NEWTON_SCHULZ
    wide = [m.mT if m.shape[0] > m.shape[1] else m for m in matrices]
    by_rows: dict[int, list[int]] = {}
    for i, m in enumerate(wide):
        by_rows.setdefault(m.shape[0], []).append(i)
    for places in by_rows.values():
        gram = torch.stack([torch.mm(wide[i], wide[i].mT) for i in places])
        # Of a matrix divided by its norm, whose square is the trace.
        shrink = gram.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=1e-14).rsqrt()[:, None, None]
        gram = gram * shrink.square()
        product: Tensor | None = None
        for step in range(NEWTON_SCHULZ_STEPS):
            rest = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # P without a
            if product is None:
                product = rest.clone()
                product.diagonal(dim1=-2, dim2=-1).add_(a)
            else:
                product = torch.baddbmm(product, rest, product, beta=a)
            if step < NEWTON_SCHULZ_STEPS - 1:
                half = torch.baddbmm(gram, rest, gram, beta=a)
                gram = torch.baddbmm(half, half, rest, beta=a)  # P G P
        for i, factor in zip(places, product * shrink, strict=True):  # type: ignore[operator]
            wide[i] = torch.mm(factor, wide[i])
    return [w.mT if m.shape[0] > m.shape[1] else w for m, w in zip(matrices, wide, strict=True)]


class Muon(torch.optim.AdamW):
    """Muon (Jordan et al. 2024) for the groups with ``matrices`` true, AdamW for the others.

    The update of a weight (out, ...), seen as a matrix of out rows, is its Nesterov momentum with all singular values
    made equal, so that no direction of a layer is learnt later because others have larger gradients. Its entries
    have a root mean square of ``scale`` times the learning rate, which it so shares with AdamW, as it does the weight
    decay (Liu et al. 2025, who take 0.2). torch.optim.Muon takes no convolutions.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float], scale: float) -> None:
        super().__init__(groups, lr=lr, betas=betas, fused=True)
        self.scale = scale
        self._step_supports_amp_scaling = False  # a loss scaler shall unscale, and skip steps, for us

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of all groups."""
        for group in self.param_groups:
            if group.get("matrices"):
                self._step_matrices(group)
        return super().step(closure)

    def _step_matrices(self, group: dict[str, Any]) -> None:
        weights = [p for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in weights]
        if not weights:
            return
        for p in weights:
            if not self.state[p]:
                # The count is what AdamW expects to find when it loads a state.
                self.state[p] = {"step": torch.zeros(()), "momentum_buffer": torch.zeros_like(p)}
            p.grad = None  # so that AdamW's step leaves it alone
        momenta = [self.state[p]["momentum_buffer"] for p in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - MUON_MOMENTUM)
        ahead = torch._foreach_lerp(gradients, momenta, MUON_MOMENTUM)
        updates = orthogonalised([u.flatten(1).float() for u in ahead])
        # An orthogonal matrix of n columns has entries with a mean square of 1 / n.
        lengths = [self.scale * max(u.shape) ** 0.5 for u in updates]
        shaped = torch._foreach_mul([u.reshape(p.shape) for u, p in zip(updates, weights, strict=True)], lengths)
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_mul_(shaped, group["lr"])  # not as alpha, which cannot be a tensor
        torch._foreach_sub_(weights, shaped)


def build_optimizer(
    model: nn.Module,
    *,
    name: str,
    lr: float,
    weight_decay: float,
    betas: Sequence[float],
    muon_scale: float,
    head_lr_scale: float,
) -> torch.optim.AdamW:
    """``adamw`` (Loshchilov and Hutter 2019) or ``muon``; only weights with two or more dimensions decay.

    Muon's matrices are the weights of convolutions, but for depthwise ones, whose rows are single kernels, and for
    those with a bias: classifiers and gates, which as usual are left to AdamW. The weight of the last of these, the
    network's head, gets a rate of its own from ``set_learning_rate``.
    """
    matrices: list[Tensor] = []
    head: list[Tensor] = []
    if name == "muon":
        convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
        matrices = [m.weight for m in convolutions if m.groups == 1 and m.bias is None]
        head = [m.weight for m in convolutions if m.bias is not None][-1:]
    elif name != "adamw":
        raise ValueError(f"optimiser {name!r} is unknown; choose adamw or muon")
    apart = {*matrices, *head}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if p.ndim >= 2 and p not in apart], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    if not matrices:
        return torch.optim.AdamW(groups, lr=lr, betas=(betas[0], betas[1]), fused=True)
    groups.append({"params": head, "weight_decay": weight_decay, "lr_scale": head_lr_scale})
    groups.append({"params": matrices, "weight_decay": weight_decay, "matrices": True})
    return Muon(groups, lr=lr, betas=(betas[0], betas[1]), scale=muon_scale)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give each group of an optimiser from ``build_optimizer`` its rate for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


@contextlib.contextmanager
def rates_from(optimizer: torch.optim.Optimizer, rates: Tensor) -> Iterator[None]:
    """Within, the steps of an optimiser from ``build_optimizer`` read the rates of its groups from rates (groups,).

    A step that a GPU records in a CUDA graph so takes those that it finds there whenever it is replayed.
    """
    before = [(group["lr"], group["capturable"]) for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates.unbind(), strict=True):
        group["lr"], group["capturable"] = rate, True
    try:
        yield
    finally:
        for group, (rate, capturable) in zip(optimizer.param_groups, before, strict=True):
            group["lr"], group["capturable"] = rate, capturable
