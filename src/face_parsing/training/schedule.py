"""The learning rate along a run."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any


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


class Cycles:
    """The learning rate of several cycles, one after the other, each a warm-up and a fall.

    ``lengths`` are their steps, ``peaks`` their highest rates (warm restarts, Loshchilov and Hutter 2017).
    """

    def __init__(
        self,
        lengths: Sequence[float],
        peaks: Sequence[float],
        *,
        warmup_steps: float,
        final_ratio: float,
        decay: str = "cosine",
    ) -> None:
        self.lengths = list(lengths)
        self.peaks = list(peaks)
        self.starts = [0.0, *accumulate(lengths)][:-1]
        self._shape: dict[str, Any] = {"warmup_steps": warmup_steps, "final_ratio": final_ratio, "decay": decay}

    def rate(self, step: float) -> float:
        """The rate of step (from 0) of all cycles together."""
        # Steps of larger images are fractions, whose sum may stay a little below where a cycle begins.
        cycle = bisect_right(self.starts, step + 1e-3) - 1
        within = max(step - self.starts[cycle], 0.0)
        return learning_rate(within, steps=self.lengths[cycle], peak=self.peaks[cycle], **self._shape)


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
