"""A model's tensors, set aside."""

from __future__ import annotations

from torch import Tensor, nn


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}
