"""A residual U-Net of few multiply-adds, which never works at full resolution and predicts at it.

The input goes 2x2 into channels, so that no detail is lost and the widest maps are a quarter of
the photo; the classifier predicts each 2x2 group of pixels and is brought back (sub-pixel
convolution, Shi et al. 2016). Early stages are residual blocks of full 3x3 convolutions (He et al.
2016), which hardware runs fast; the deep ones are inverted residuals (Sandler et al. 2018) with 5x5
depthwise kernels and squeeze-and-excitation (Hu et al. 2018), which buy context for few parameters.
It is copied as it is into a submission's ``run.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from face_parsing.models.layers import conv_norm, resize


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_norm(channels, channels, 3),
            conv_norm(channels, channels, 3, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from the means of all."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1), nn.ReLU(inplace=True), nn.Conv2d(squeezed, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3), keepdim=True))


class InvertedResidual(nn.Module):
    """1x1 widening, 5x5 depthwise convolution, squeeze-and-excitation, 1x1 narrowing; the input is added."""

    def __init__(self, channels: int, expansion: float) -> None:
        super().__init__()
        wide = int(channels * expansion)
        self.body = nn.Sequential(
            conv_norm(channels, wide, 1),
            conv_norm(wide, wide, 5, groups=wide),
            SqueezeExcitation(wide, max(channels // 8, 8)),
            conv_norm(wide, channels, 1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class UpBlock(nn.Module):
    """Bring the deeper map to the size of the skip, add both and refine with a residual block."""

    def __init__(self, deep_channels: int, channels: int, block: nn.Module) -> None:
        super().__init__()
        self.deep = conv_norm(deep_channels, channels, 1, act=False)
        self.skip = conv_norm(channels, channels, 1, act=False)
        self.block = block

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        up = resize(self.deep(deep), like=skip)
        return self.block(F.relu(up + self.skip(skip)))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Residual U-Net: image (B, 3, H, W) to logits (B, num_classes, H, W), for any H and W of 32 pixels or more.

    ``channels[i]`` and ``blocks[i]`` belong to the encoder stage at 1/2^(i+1) of the input's size. The
    first ``plain_stages`` use residual blocks of full convolutions, the others inverted residuals.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        channels: Sequence[int] = (32, 48, 80, 128, 160),
        blocks: Sequence[int] = (0, 1, 1, 3, 3),
        plain_stages: int = 3,
        expansion: float = 3.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()

        def block(stage: int) -> nn.Module:
            if stage < plain_stages:
                return ResidualBlock(channels[stage])
            return InvertedResidual(channels[stage], expansion)

        self.stem = nn.Sequential(nn.PixelUnshuffle(2), conv_norm(12, channels[0], 3))
        self.downs = nn.ModuleList(
            conv_norm(channels[i - 1], channels[i], 3, stride=2) if i else nn.Identity() for i in range(len(channels))
        )
        self.stages = nn.ModuleList(nn.Sequential(*[block(i) for _ in range(count)]) for i, count in enumerate(blocks))
        self.ups = nn.ModuleList(
            UpBlock(channels[i + 1], channels[i], block(i)) for i in reversed(range(len(channels) - 1))
        )
        self.head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels[0], 4 * num_classes, 1), nn.PixelShuffle(2))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            # A block that starts as the identity trains faster (Goyal et al. 2017).
            if isinstance(module, ResidualBlock | InvertedResidual):
                norm = module.get_submodule("body")[-1][1]  # type: ignore[index]
                nn.init.zeros_(norm.weight)

    def forward(self, image: Tensor) -> Tensor:
        H, W = image.shape[2:]
        x = self.stem(F.pad(image, (0, W % 2, 0, H % 2), mode="replicate"))  # (B, C0, H/2, W/2)
        skips: list[Tensor] = []
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(down(x))
            skips.append(x)
        skips.pop()
        for up in self.ups:
            x = up(x, skips.pop())
        logits: Tensor = self.head(x)  # (B, num_classes, H or H+1, W or W+1)
        return logits[:, :, :H, :W]
