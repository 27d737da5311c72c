"""Networks that others parse faces with, for comparisons of speed: all with random weights, nothing is downloaded.

BiSeNet (Yu et al. 2018, "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation") is written
here after the paper, over torchvision's ResNet-18, without the two heads that only training uses. The others are
those of segmentation-models-pytorch and torchvision.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from face_parsing.labels import NUM_CLASSES
from face_parsing.models.layers import conv_norm, resize


class AttentionRefinement(nn.Module):
    """A 3x3 convolution, then each channel times a gate computed from its mean: a stage of the context path."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = conv_norm(in_channels, channels, 3)
        self.gate = nn.Sequential(conv_norm(channels, channels, 1, act=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y * self.gate(y.mean((2, 3), keepdim=True))


class FeatureFusion(nn.Module):
    """Both paths' maps together, and once more what a gate lets through."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = conv_norm(in_channels, channels, 1)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, channels // 4, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // 4, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        y: Tensor = self.conv(torch.cat([spatial, context], 1))
        return y + y * self.gate(y.mean((2, 3), keepdim=True))


class BiSeNet(nn.Module):
    """BiSeNet v1 over ResNet-18: image (B, 3, H, W) to logits (B, num_classes, H, W); H and W multiples of 32."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            conv_norm(3, 64, 7, stride=2),
            conv_norm(64, 64, 3, stride=2),
            conv_norm(64, 64, 3, stride=2),
            conv_norm(64, 128, 1),
        )
        resnet = torchvision.models.resnet18(weights=None)
        first = nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
        self.shallow = nn.Sequential(first, resnet.layer1, resnet.layer2, resnet.layer3)  # 1/16
        self.deep = resnet.layer4  # 1/32
        self.refine16, self.refine32 = AttentionRefinement(256, 128), AttentionRefinement(512, 128)
        self.mean = conv_norm(512, 128, 1)
        self.head16, self.head32 = conv_norm(128, 128, 3), conv_norm(128, 128, 3)
        self.fusion = FeatureFusion(256, 256)
        self.classifier = nn.Sequential(conv_norm(256, 256, 3), nn.Conv2d(256, num_classes, 1, bias=False))

    def forward(self, image: Tensor) -> Tensor:
        spatial = self.spatial(image)  # (B, 128, H/8, W/8)
        shallow = self.shallow(image)  # (B, 256, H/16, W/16)
        deep = self.deep(shallow)  # (B, 512, H/32, W/32)
        context = self.refine32(deep) + self.mean(deep.mean((2, 3), keepdim=True))
        context = self.head32(F.interpolate(context, size=shallow.shape[2:])) + self.refine16(shallow)
        context = self.head16(F.interpolate(context, size=spatial.shape[2:]))
        return resize(self.classifier(self.fusion(spatial, context)), like=image)


class OutOf(nn.Module):
    """A network of torchvision, which gives a dictionary."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image)["out"]
        return logits


def lr_aspp() -> nn.Module:
    """LR-ASPP over MobileNet v3 large (Howard et al. 2019)."""
    segmentation = torchvision.models.segmentation
    return OutOf(segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=NUM_CLASSES))


def smp_network(architecture: str, encoder: str) -> nn.Module:
    """A network of segmentation-models-pytorch as it comes."""
    import segmentation_models_pytorch as smp

    model: nn.Module = smp.create_model(architecture, encoder, encoder_weights=None, classes=NUM_CLASSES)
    return model


PEERS: dict[str, Callable[[], nn.Module]] = {
    "BiSeNet / ResNet-18": lambda: BiSeNet(NUM_CLASSES),
    "DeepLab v3+ / MobileNet v2": lambda: smp_network("DeepLabV3Plus", "mobilenet_v2"),
    "SegFormer-B0": lambda: smp_network("Segformer", "mit_b0"),
    "LR-ASPP / MobileNet v3": lr_aspp,
}
