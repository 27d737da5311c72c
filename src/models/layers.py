"""What the networks share. It is copied as it is, with the network, into a submission's ``run.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
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


class PlainUNet(nn.Module):
    """The U-Net's shape (Ronneberger et al. 2015): image (B, 3, H, W) to logits (B, num_classes, H, W).

    ``stage(in, out)`` is what the encoder and the decoder have at each size; ``first`` stands for the
    encoder's first. ``channels[i]`` belong to the stages at 1/2^i of the input's size.
    """

    def __init__(
        self,
        num_classes: int,
        channels: Sequence[int],
        *,
        first: nn.Module,
        stage: Callable[[int, int], nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        steps = list(pairwise(channels))
        self.encoder = nn.ModuleList([first, *(stage(above, below) for above, below in steps)])
        self.decoder = nn.ModuleList(stage(below + above, above) for above, below in reversed(steps))
        self.head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels[0], num_classes, 1))
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        skips: list[Tensor] = []
        x = image
        for stage in self.encoder:
            x = stage(F.max_pool2d(x, 2) if skips else x)  # (B, channels[i], H/2^i, W/2^i)
            skips.append(x)
        skips.pop()
        for stage in self.decoder:
            skip = skips.pop()
            x = stage(torch.cat([resize(x, like=skip), skip], 1))
        return self.head(x)  # type: ignore[no-any-return]
