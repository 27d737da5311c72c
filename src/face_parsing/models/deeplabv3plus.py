"""DeepLab v3+ (Chen et al. 2018) over a MobileNet v2 (Sandler et al. 2018).

The encoder stops shrinking at 1/16 and widens its view with dilated convolutions instead. Atrous
spatial pyramid pooling looks at the last map at several distances and at its mean; the decoder
refines that at 1/4 with the encoder's early map, and the logits are enlarged four times.
All 3x3 convolutions behind the stem are depthwise-separable. Unlike the papers' it has ReLU for ReLU6.
It is copied as it is into a submission's ``run.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from face_parsing.models.layers import conv_norm, initialise, resize, separable_conv

# Expansion, channels at width 1, blocks, stride and dilation of each stage: MobileNet v2's, with the last
# stride taken out, which leaves 1/16, and dilated behind it so that each block sees what it saw.
STAGES = (
    (1, 16, 1, 1, 1),
    (6, 24, 2, 2, 1),  # 1/4: what the decoder takes
    (6, 32, 3, 2, 1),
    (6, 64, 4, 2, 1),
    (6, 96, 3, 1, 1),
    (6, 160, 3, 1, 2),
    (6, 320, 1, 1, 2),
)
LOW_STAGES = 2
LOW_CHANNELS = 48


def scaled(channels: int, width: float) -> int:
    """Channels times width as a multiple of 8, never less than nine tenths of it."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels * width else rounded + 8


class InvertedResidual(nn.Module):
    """1x1 widening, 3x3 depthwise convolution, 1x1 narrowing; the input is added where the shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        layers = [conv_norm(in_channels, wide, 1)] if expansion > 1 else []
        layers.append(conv_norm(wide, wide, 3, stride=stride, dilation=dilation, groups=wide))
        layers.append(conv_norm(wide, out_channels, 1, act=False))
        self.body = nn.Sequential(*layers)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.adds else y


class PyramidPooling(nn.Module):
    """Atrous spatial pyramid pooling: the map itself, its surroundings at each rate, and its mean."""

    def __init__(self, in_channels: int, channels: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList([conv_norm(in_channels, channels, 1)])
        self.branches.extend(separable_conv(in_channels, channels, dilation=rate) for rate in rates)
        # No BatchNorm over the mean: one value an image has no statistics in a batch of one.
        self.mean = nn.Sequential(nn.Conv2d(in_channels, channels, 1), nn.ReLU(inplace=True))
        self.project = conv_norm((len(rates) + 2) * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = [branch(x) for branch in self.branches]
        mean = self.mean(x.mean((2, 3), keepdim=True)).expand_as(maps[0])
        return self.project(torch.cat([*maps, mean], 1))  # type: ignore[no-any-return]


class DeepLabV3Plus(nn.Module):
    """DeepLab v3+: image (B, 3, H, W) to logits (B, num_classes, H, W), for any H and W of 32 pixels or more.

    ``width`` scales the channels of the MobileNet v2, ``aspp_channels`` are those of the pyramid and the
    decoder, ``rates`` the pyramid's dilations in steps of 16 pixels.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        width: float = 0.85,
        aspp_channels: int = 160,
        rates: Sequence[int] = (3, 6, 9),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        channels = scaled(32, width)
        stages: list[nn.Module] = []
        self.stem = conv_norm(3, channels, 3, stride=2)
        for expansion, base, blocks, stride, dilation in STAGES:
            stage: list[nn.Module] = []
            for index in range(blocks):
                out = scaled(base, width)
                stage.append(InvertedResidual(channels, out, expansion, stride if index == 0 else 1, dilation))
                channels = out
            stages.append(nn.Sequential(*stage))
        self.low = nn.Sequential(*stages[:LOW_STAGES])
        self.high = nn.Sequential(*stages[LOW_STAGES:])
        self.aspp = PyramidPooling(channels, aspp_channels, rates)
        self.skip = conv_norm(scaled(STAGES[LOW_STAGES - 1][1], width), LOW_CHANNELS, 1)
        self.decoder = nn.Sequential(
            separable_conv(aspp_channels + LOW_CHANNELS, aspp_channels),
            separable_conv(aspp_channels, aspp_channels),
        )
        self.head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(aspp_channels, num_classes, 1))
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        low = self.low(self.stem(image))  # (B, C, H/4, W/4)
        deep = self.aspp(self.high(low))  # (B, A, H/16, W/16)
        skip = self.skip(low)
        logits = self.head(self.decoder(torch.cat([resize(deep, like=skip), skip], 1)))
        return F.interpolate(logits, size=image.shape[2:], mode="bilinear", align_corners=False)
