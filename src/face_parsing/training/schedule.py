"""The learning rate along a run."""

from __future__ import annotations

import math
from collections.abc import Mapping


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
    remaining = (1 - progress) ** 0.9 if decay == "poly" else 0.5 * (1 + math.cos(math.pi * progress))
    return peak * (final_ratio + (1 - final_ratio) * remaining)


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
