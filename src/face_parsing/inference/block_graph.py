"""The light U-Net in floating point, for exported graphs: what it gives is left in blocks of pixels.

It computes what the network computes, to rounding, without what an ordinary graph spends at the photo's full size: the
first convolution reads pixels, and blocks of logits are opened by whoever reads them. Where the decoder's maps are
large, they are enlarged behind a convolution instead of before it.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from face_parsing.inference.byte_graph import first_convolution
from face_parsing.inference.enlarging_convolution import EnlargingConvolution
from face_parsing.inference.predict import MEAN
from face_parsing.models.light_unet import LightUNet

LARGE = 2  # of the decoder's stages, the last, whose maps are the largest


class JoiningConvolution(nn.Module):
    """A decoder's convolution of an enlarged map beside a skip, from the map as it is: the sum of one of each.

    ``conv`` is the one of both, with ReLU after it, and ``below`` how many of its channels are the enlarged map's.
    """

    def __init__(self, conv: nn.Conv2d, below: int) -> None:
        super().__init__()
        self.below = EnlargingConvolution(conv.weight[:, :below])
        self.beside = nn.Conv2d(conv.in_channels - below, conv.out_channels, 3, padding=1)
        assert conv.bias is not None, "its BatchNorm must be part of it"
        self.beside.load_state_dict({"weight": conv.weight[:, below:], "bias": conv.bias})

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return F.relu(self.beside(skip) + self.below(x))


class BlockNetwork(nn.Module):
    """Photos (B, H, W, 3) uint8 to logits (B, C*s*s, h, w) float32 of blocks of s x s pixels.

    ``network`` is a LightUNet without BatchNorm behind its first convolution. Its channels are ordered by class and
    then by row and column in the block. With half, weights and maps are float16.
    """

    mean: Tensor

    def __init__(self, network: LightUNet, *, half: bool) -> None:
        super().__init__()
        self.precision = torch.float16 if half else torch.float32
        mean = torch.tensor(MEAN).mul(255)
        self.register_buffer("mean", mean.view(1, 3, 1, 1))
        self.network = copy.deepcopy(network).requires_grad_(False)
        stage: Any = self.network.encoder[0]
        stage[0][0] = first_convolution(stage[0][0], network.space_to_depth, level=mean.double())
        self.joining = nn.ModuleList()
        for decoding in list(self.network.decoder)[-LARGE:] if network.merge == "concat" else ():
            joint: Any = decoding
            conv = joint[0][0]
            self.joining.append(JoiningConvolution(conv, conv.in_channels - conv.out_channels))
            joint[0] = nn.Identity()
        self.requires_grad_(False).to(self.precision)

    def forward(self, image: Tensor) -> Tensor:
        _, H, W, _ = image.shape
        # Less the mean, so that the first convolution's padding is 0: the mean color, as where the network learned.
        pixels = (image.permute(0, 3, 1, 2).float() - self.mean).to(self.precision)
        step = self.network.step
        padded = F.pad(pixels, (0, -W % step, 0, -H % step), mode="replicate")
        return self._logits(padded).float()

    def _logits(self, pixels: Tensor) -> Tensor:
        """``PlainUNet.forward``, but for the last stages of the decoder."""
        skips: list[Tensor] = []
        x = pixels
        for stage in self.network.encoder:
            x = stage(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        skips.pop()
        plain = len(self.network.decoder) - len(self.joining)
        for i, stage in enumerate(self.network.decoder):
            skip = skips.pop()
            x = stage(self.network.merged(i, x, skip) if i < plain else self.joining[i - plain](x, skip))
        return self.network.head(x)  # type: ignore[no-any-return]
