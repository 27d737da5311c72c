"""A U-Net of depthwise-separable convolutions (Howard et al. 2017) for CPUs, about 1 GMAC at 256 pixels.

The shape of the plain U-Net, but each 3x3 convolution is split into one for each channel alone and a
1x1 convolution across them, which takes about an eighth of the work.
It is copied as it is into a submission's ``run.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import conv_norm, initialise, resize, separable_conv


def double_separable(in_channels: int, out_channels: int) -> nn.Sequential:
    """A stage: two separable 3x3 convolutions."""
    return nn.Sequential(separable_conv(in_channels, out_channels), separable_conv(out_channels, out_channels))


class SeparableUNet(nn.Module):
    """Separable U-Net: image (B, 3, H, W) to logits (B, num_classes, H, W), for any H and W of 32 pixels or more.

    ``channels[i]`` belong to the stages at 1/2^i of the input's size.
    """

    def __init__(
        self, num_classes: int, *, channels: Sequence[int] = (16, 32, 96, 224, 320), dropout: float = 0.1
    ) -> None:
        super().__init__()
        # Three colours are too few to be taken one by one: the first convolution is a full one.
        first = nn.Sequential(conv_norm(3, channels[0], 3), separable_conv(channels[0], channels[0]))
        self.encoder = nn.ModuleList([first, *(double_separable(a, b) for a, b in pairwise(channels))])
        self.decoder = nn.ModuleList(
            double_separable(deep + skip, skip) for skip, deep in reversed(list(pairwise(channels)))
        )
        self.head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels[0], num_classes, 1))
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        skips: list[Tensor] = []
        x = image
        for stage in self.encoder:
            x = stage(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        skips.pop()
        for stage in self.decoder:
            skip = skips.pop()
            x = stage(torch.cat([resize(x, like=skip), skip], 1))
        return self.head(x)  # type: ignore[no-any-return]
