"""The plain U-Net (Ronneberger et al. 2015), made thin enough for the challenge's limit.

Each stage is two 3x3 convolutions with BatchNorm and ReLU; max-pooling between the encoder's, bilinear
enlargement and concatenation with the encoder's map before the decoder's. Unlike the paper's, the
convolutions pad, so that the logits have the photo's size.
It is copied as it is into a submission's ``run.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from face_parsing.models.layers import Merge, PlainUNet, conv_norm, depth_to_space


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """A stage: two 3x3 convolutions."""
    return nn.Sequential(conv_norm(in_channels, out_channels, 3), conv_norm(out_channels, out_channels, 3))


class LightUNet(PlainUNet):
    """Light U-Net: image (B, 3, H, W) to logits (B, num_classes, H, W), for any H and W.

    ``channels[i]`` belong to the stages at 1/(space_to_depth * 2^i) of the input's size. With ``space_to_depth`` s
    above 1, blocks of s x s pixels become channels at the entry, and the classifier predicts each block at once
    (sub-pixel convolution, Shi et al. 2016): no detail is lost, and nothing is computed at the full size, where maps
    are dear.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        channels: Sequence[int] = (32, 64, 80, 96, 112, 128),
        space_to_depth: int = 2,
        dropout: float = 0.0,
        merge: Merge = "concat",
    ) -> None:
        first = double_conv(3 * space_to_depth**2, channels[0])
        super().__init__(
            num_classes * space_to_depth**2, channels, first=first, stage=double_conv, dropout=dropout, merge=merge
        )
        # At first, no class is wrong loudly. Not 0, or nothing behind the classifier would learn from the first step.
        nn.init.normal_(self.head[1].weight, std=0.01)  # type: ignore[arg-type]
        self.space_to_depth = space_to_depth
        self.step = space_to_depth * 2 ** (len(channels) - 1)

    def _block_logits(self, image: Tensor) -> Tensor:
        """Logits (B, num_classes * s^2, h, w) of blocks of s x s pixels, of which the last ones may lie outside."""
        H, W = image.shape[2:]
        # Where a map cannot be halved, pooling drops a row, and enlarging what is left moves all that it says.
        padded = F.pad(image, (0, -W % self.step, 0, -H % self.step), mode="replicate")
        if self.space_to_depth > 1:
            padded = F.pixel_unshuffle(padded, self.space_to_depth)
        return super().forward(padded)

    def forward(self, image: Tensor) -> Tensor:
        H, W = image.shape[2:]
        logits = self._block_logits(image)
        if self.space_to_depth > 1:
            logits = depth_to_space(logits, self.space_to_depth)
        return logits[:, :, :H, :W]

    def largest_class(self, image: Tensor) -> Tensor:
        """``forward(image).argmax(1)``, masks (B, H, W), for exported graphs.

        The class is chosen while pixels are in blocks: what is brought to the full size then is one map, not C.
        """
        H, W = image.shape[2:]
        logits = self._block_logits(image)
        B, _, h, w = logits.shape
        classes = logits.reshape(B, -1, self.space_to_depth**2, h, w).argmax(1)
        return depth_to_space(classes.int(), self.space_to_depth)[:, 0, :H, :W]
