"""The plain U-Net (Ronneberger et al. 2015), made thin enough for the challenge's limit.

Each stage is two 3x3 convolutions with BatchNorm and ReLU; max-pooling between the encoder's, bilinear
enlargement and concatenation with the encoder's map before the decoder's. Unlike the paper's, the
convolutions pad, so that the logits have the photo's size.
It is copied as it is into a submission's ``run.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import conv_norm, initialise, resize


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """A stage: two 3x3 convolutions."""
    return nn.Sequential(conv_norm(in_channels, out_channels, 3), conv_norm(out_channels, out_channels, 3))


class LightUNet(nn.Module):
    """Plain U-Net: image (B, 3, H, W) to logits (B, num_classes, H, W), for any H and W of 32 pixels or more.

    ``channels[i]`` belong to the stages at 1/2^i of the input's size.
    """

    def __init__(
        self, num_classes: int, *, channels: Sequence[int] = (16, 32, 64, 128, 224), dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(double_conv(a, b) for a, b in pairwise((3, *channels)))
        self.decoder = nn.ModuleList(double_conv(deep + skip, skip) for skip, deep in reversed(list(pairwise(channels))))
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
