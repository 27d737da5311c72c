"""Convolutions that the networks share. Copied, as they are, with the network into a submission's ``run.py``."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    act: bool = True,
) -> nn.Sequential:
    """Convolution without bias, BatchNorm and, with act, ReLU; same padding."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(out_channels)]
    if act:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def separable_conv(in_channels: int, out_channels: int, *, dilation: int = 1) -> nn.Sequential:
    """3x3 convolution of each channel alone, then a 1x1 convolution across them (Howard et al. 2017)."""
    return nn.Sequential(
        conv_norm(in_channels, in_channels, 3, dilation=dilation, groups=in_channels),
        conv_norm(in_channels, out_channels, 1),
    )


def resize(x: Tensor, like: Tensor) -> Tensor:
    """x brought to the height and width of another map, bilinearly."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


def initialise(model: nn.Module) -> None:
    """Draw the weights of the convolutions for ReLU (He et al. 2015), biases 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
