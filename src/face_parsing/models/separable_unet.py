"""A U-Net of depthwise-separable convolutions (Howard et al. 2017) for CPUs, a quarter of a GMAC at 256 pixels.

The shape of the plain U-Net, but each 3x3 convolution is split into one for each channel alone and a
1x1 convolution across them, which takes about an eighth of the work. A CPU spends more time on moving
the maps of the former than on its products, so the network works at half the photo's size at most.
It is copied as it is into a submission's ``run.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from face_parsing.models.layers import PlainUNet, conv_norm, resize, separable_conv


def double_separable(in_channels: int, out_channels: int) -> nn.Sequential:
    """A stage: two separable 3x3 convolutions."""
    return nn.Sequential(separable_conv(in_channels, out_channels), separable_conv(out_channels, out_channels))


class SeparableUNet(PlainUNet):
    """Separable U-Net: image (B, 3, H, W) to logits (B, num_classes, H, W), for any H and W of 32 pixels or more.

    ``channels[i]`` belong to the stages at 1/2^(i+1) of the input's size.
    """

    def __init__(
        self, num_classes: int, *, channels: Sequence[int] = (24, 48, 96, 192, 320), dropout: float = 0.1
    ) -> None:
        # Three colors are too few to be taken one by one: the first convolution is a full one.
        first = nn.Sequential(conv_norm(3, channels[0], 3, stride=2), separable_conv(channels[0], channels[0]))
        super().__init__(num_classes, channels, first=first, stage=double_separable, dropout=dropout)

    def forward(self, image: Tensor) -> Tensor:
        return resize(super().forward(image), like=image)
