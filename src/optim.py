"""AdamW's parameter groups, the learning rate along a run, and the averaged model."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn


def build_optimizer(model: nn.Module, *, lr: float, weight_decay: float, betas: Sequence[float]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019); only weights with two or more dimensions decay."""
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    kept = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(betas[0], betas[1]), fused=True)


def learning_rate(
    step: float, *, steps: float, warmup_steps: float, peak: float, final_ratio: float, decay: str = "cosine"
) -> float:
    """The rate of step (from 0) of steps: linear warm-up to peak, then down to final_ratio * peak.

    ``decay`` is ``cosine``, ``poly`` (power 0.9, Chen et al. 2018), or ``plateau``, which stays at the peak
    because a ``Plateau`` lowers it.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if decay == "plateau":
        return peak
    progress = min((step - warmup_steps) / max(steps - 1 - warmup_steps, 1), 1.0)
    left = (1 - progress) ** 0.9 if decay == "poly" else 0.5 * (1 + math.cos(math.pi * progress))
    return peak * (final_ratio + (1 - final_ratio) * left)


class Plateau:
    """``scale`` for the learning rate: multiplied by factor after patience scores in a row that were no new best.

    It never falls below smallest. The three numbers of ``state`` are all that resuming needs.
    """

    def __init__(self, *, factor: float, patience: int, smallest: float) -> None:
        self.factor = factor
        self.patience = patience
        self.smallest = smallest
        self.scale = 1.0
        self.best = -math.inf
        self.waited = 0

    def update(self, score: float) -> None:
        """Take note of a validation's score; higher is better."""
        if score > self.best:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.scale, self.waited = max(self.scale * self.factor, self.smallest), 0

    def state(self) -> dict[str, float]:
        """What ``load_state`` takes."""
        return {"scale": self.scale, "best": self.best, "waited": self.waited}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Go on where another one was."""
        self.scale, self.best, self.waited = state["scale"], state["best"], int(state["waited"])


class AveragedModel:
    """Exponential moving average of a model's weights and BatchNorm statistics (Polyak and Juditsky 1992).

    The statistics are averaged along with the weights: those of the live model do not fit the average.
    ``model`` is the average, in evaluation mode.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards model; early updates move further, so that the first weights are soon forgotten."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        ours, theirs = self.model.state_dict(), model.state_dict()
        floating = [name for name, value in ours.items() if value.is_floating_point()]
        torch._foreach_lerp_([ours[name] for name in floating], [theirs[name] for name in floating], 1 - decay)
        for name in ours.keys() - set(floating):
            ours[name].copy_(theirs[name])
