"""BatchNorm of a network that several processes train together, each on its own share of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from face_parsing.system.distributed import mean, world_size


def average_statistics(model: nn.Module) -> None:
    """Give all processes the mean of their BatchNorm statistics: each has seen its own images alone."""
    statistics = [value for value in model.buffers() if value.is_floating_point()]
    if world_size() == 1 or not statistics:
        return
    sizes = [value.numel() for value in statistics]
    whole = mean(torch.cat([value.flatten() for value in statistics]))
    torch._foreach_copy_(
        statistics, [part.view_as(value) for part, value in zip(torch.split(whole, sizes), statistics, strict=True)]
    )


class _Mean(torch.autograd.Function):
    """The mean over the processes, differentiated: each value counts in the losses of all of them."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return mean(value)

    @staticmethod
    def backward(context: Any, *gradient: Tensor) -> Tensor:
        return mean(gradient[0])


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """BatchNorm (Ioffe and Szegedy 2015) by the statistics of all processes, which hold equally many pixels.

    For CPUs: torch's own SyncBatchNorm is for GPUs.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float()  # (B, C, H, W)
        centre = _Mean.apply(x.mean((0, 2, 3)))  # (C,)
        x = x - centre[:, None, None]
        variance = _Mean.apply(x.square().mean((0, 2, 3)))  # (C,)
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            count = world_size() * x.numel() / x.shape[1]
            self.running_mean.lerp_(centre, self.momentum or 0.0)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum or 0.0)
            self.num_batches_tracked += 1
        y = x * ((variance + self.eps).rsqrt() * self.weight)[:, None, None] + self.bias[:, None, None]
        return y.to(input.dtype)


def synchronise(model: nn.Module, device: torch.device) -> nn.Module:
    """The model with BatchNorm layers that see the images of all processes; names and weights stay as they are."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-any-return, no-untyped-call]
    for layer in model.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = SynchronisedBatchNorm
    return model
