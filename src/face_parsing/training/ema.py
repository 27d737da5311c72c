"""The averaged model."""

from __future__ import annotations

import copy
from itertools import compress

import torch
from torch import Tensor, nn

_Matched = tuple[list[Tensor], list[Tensor]]
"""Tensors of the average, and those of the model in the same order."""


class AveragedModel:
    """Exponential moving average of a model's weights and BatchNorm statistics (Polyak and Juditsky 1992).

    The statistics are averaged along with the weights: those of the live model do not fit the average.
    ``model`` is the average, in evaluation mode.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._matched: tuple[nn.Module, list[_Matched]] | None = None

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards model; early updates move further, so that the first weights are soon forgotten."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        floating, counts = self._matched_with(model)
        # All in one call each: one call a tensor would take a GPU longer to launch than to do.
        torch._foreach_lerp_(*floating, 1 - decay)
        if counts[0]:
            torch._foreach_copy_(*counts)

    def _matched_with(self, model: nn.Module) -> list[_Matched]:
        """Tensors of fractions, and those of whole numbers: looked up once, as it takes as long as a step's start."""
        if self._matched is None or self._matched[0] is not model:
            ours, theirs = _state(self.model), _state(model)
            floating = [tensor.is_floating_point() for tensor in ours]
            kinds = floating, [not is_floating for is_floating in floating]
            self._matched = model, [(list(compress(ours, kind)), list(compress(theirs, kind))) for kind in kinds]
        return self._matched[1]


def _state(model: nn.Module) -> list[Tensor]:
    """Weights and statistics; one by one as in another model of that kind."""
    return [*model.parameters(), *model.buffers()]
