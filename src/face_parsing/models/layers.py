"""What the networks share. It is copied as it is, with the network, into a submission's ``run.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

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


class _WholeGradient(torch.autograd.Function):
    """x itself, whose gradient is copied to memory of its own if it is a part of a larger map's.

    That is what a concatenation hands down, and torch's way back through an enlargement is ten times slower on it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        ctx.layout = torch.channels_last if channels_last else torch.contiguous_format
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return gradient.contiguous(memory_format=ctx.layout)


def resize(x: Tensor, like: Tensor) -> Tensor:
    """x brought to the height and width of another map, bilinearly."""
    enlarged = F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
    if not enlarged.requires_grad:
        return enlarged
    return _WholeGradient.apply(enlarged)  # type: ignore[no-any-return,no-untyped-call]


class _DepthToSpace(torch.autograd.Function):
    """``F.pixel_shuffle`` from channels-last memory to planes, and back again, each in one copy of whole words.

    A group's pixels that lie side by side are side by side in both. torch's own takes a channels-last map to one whose
    few channels lie together, where the loss is slower, and its way back is of two copies, value by value.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, block: int, word: torch.dtype) -> Tensor:
        ctx.block, ctx.word = block, word
        B, C, h, w = x.shape
        words = x.permute(0, 2, 3, 1).contiguous().view(word).view(B, h, w, C // block**2, block)
        return words.permute(0, 3, 1, 4, 2).contiguous().view(x.dtype).view(B, C // block**2, h * block, w * block)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        block = ctx.block
        B, C, H, W = gradient.shape
        words = gradient.contiguous().view(ctx.word).view(B, C, H // block, block, W // block)
        channels_last = words.permute(0, 2, 4, 1, 3).contiguous().view(gradient.dtype)
        return channels_last.view(B, H // block, W // block, C * block**2).permute(0, 3, 1, 2), None, None


WORDS = {4: torch.int32, 8: torch.int64}
"""Integers by their bytes."""


def depth_to_space(x: Tensor, block: int) -> Tensor:
    """``F.pixel_shuffle(x, block)``: channels (B, C * block^2, h, w) to pixels (B, C, h * block, w * block)."""
    if torch.compiler.is_exporting():
        return _depth_to_space_in_turns(x, block)
    word = WORDS.get(block * x.element_size())
    if not x.requires_grad or word is None:
        return F.pixel_shuffle(x, block)
    return _DepthToSpace.apply(x, block, word)  # type: ignore[no-any-return,no-untyped-call]


def _depth_to_space_in_turns(x: Tensor, block: int) -> Tensor:
    """``F.pixel_shuffle``, one axis at a time: ONNX Runtime moves blocks then, where it else goes value by value."""
    B, C, h, w = x.shape
    C //= block**2
    rows = x.reshape(B * C * block, block, h * w).transpose(1, 2).reshape(B * C, block, h, w * block)
    return rows.transpose(1, 2).reshape(B, C, h * block, w * block)


def initialise(model: nn.Module) -> None:
    """Draw the weights of the convolutions for ReLU (He et al. 2015), biases 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


Merge = Literal["concat", "add"]


class PlainUNet(nn.Module):
    """The U-Net's shape (Ronneberger et al. 2015): image (B, 3, H, W) to logits (B, num_classes, H, W).

    ``stage(in, out)`` is what the encoder and the decoder have at each size; ``first`` stands for the
    encoder's first. ``channels[i]`` belong to the stages at 1/2^i of the input's size. The encoder's maps stand
    beside the decoder's (``merge`` concat) or, as in LinkNet (Chaurasia and Culurciello 2017), are added to them,
    which a 1x1 convolution has first brought to as many channels (add).
    """

    def __init__(
        self,
        num_classes: int,
        channels: Sequence[int],
        *,
        first: nn.Module,
        stage: Callable[[int, int], nn.Module],
        dropout: float,
        merge: Merge = "concat",
    ) -> None:
        super().__init__()
        self.merge = merge
        steps = list(pairwise(channels))
        self.encoder = nn.ModuleList([first, *(stage(above, below) for above, below in steps)])
        widths = [(below, above) for above, below in reversed(steps)]
        if merge == "add":
            self.narrow = nn.ModuleList(conv_norm(below, above, 1, act=False) for below, above in widths)
        self.decoder = nn.ModuleList(
            stage(above + (below if merge == "concat" else 0), above) for below, above in widths
        )
        self.head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels[0], num_classes, 1))
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        skips: list[Tensor] = []
        x = image
        for stage in self.encoder:
            x = stage(F.max_pool2d(x, 2) if skips else x)  # (B, channels[i], H/2^i, W/2^i)
            skips.append(x)
        skips.pop()
        for i, stage in enumerate(self.decoder):
            x = stage(self.merged(i, x, skips.pop()))
        return self.head(x)  # type: ignore[no-any-return]

    def merged(self, i: int, x: Tensor, skip: Tensor) -> Tensor:
        """What the decoder's i-th stage sees: the map below it (B, C, h/2, w/2), enlarged, and the encoder's."""
        if self.merge == "add":
            return resize(self.narrow[i](x), like=skip) + skip
        return torch.cat([resize(x, like=skip), skip], 1)
