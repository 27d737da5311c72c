"""Light U-Nets of random weights, for tests of graphs that leave logits in blocks."""

from __future__ import annotations

import torch

from face_parsing.inference.predict import fuse_conv_bn, normalize
from face_parsing.models.layers import Merge
from face_parsing.models.light_unet import LightUNet
from face_parsing.synthetic.dataset import make_pair

C = 5


def network(block: int, channels: tuple[int, ...], merge: Merge = "concat") -> LightUNet:
    """Its BatchNorms have seen something, and its logits tell C classes apart."""
    torch.manual_seed(block)
    model = LightUNet(C, channels=channels, space_to_depth=block, merge=merge).train()
    torch.nn.init.normal_(model.head[1].weight, std=0.5)  # type: ignore[arg-type]
    with torch.no_grad():
        for seed in range(3):
            model(normalize(torch.from_numpy(make_pair(seed, size=64)[0][None])))
    fused = fuse_conv_bn(model.eval())
    assert isinstance(fused, LightUNet)
    return fused
