"""Networks by name. ``build_model`` is the one place that turns a description into a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from face_parsing.models.deeplabv3plus import DeepLabV3Plus
from face_parsing.models.light_unet import LightUNet
from face_parsing.models.separable_unet import SeparableUNet
from face_parsing.models.smp import build_smp
from face_parsing.models.unet import UNet

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "unet": UNet,
    "deeplabv3plus": DeepLabV3Plus,
    "light_unet": LightUNet,
    "separable_unet": SeparableUNet,
    "smp": build_smp,
}

CLASSIFIERS = ("head.", "network.segmentation_head.")
"""What the names of a network's weights begin with that tell the classes apart; of smp networks the second."""


def build_model(description: Mapping[str, Any], num_classes: int, *, pretrained: bool = False) -> nn.Module:
    """The network of a description such as ``{"name": "unet", "channels": [32, 48, ...]}``, with fresh weights.

    A description is the config's model section as plain containers; checkpoints carry it. With
    ``pretrained`` the encoder of an smp network starts from its ``encoder_weights``, which are downloaded;
    a network whose weights are loaded next does without. Raises ValueError for an unknown name or
    argument, or weights that cannot be had.
    """
    arguments = dict(description)
    name = arguments.pop("name", None)
    if name not in BUILDERS:
        raise ValueError(f"model.name = {name!r} is unknown; choose one of {', '.join(BUILDERS)}")
    if name == "smp":
        arguments["pretrained"] = pretrained
    try:
        return BUILDERS[name](num_classes, **arguments)
    except TypeError as error:
        raise ValueError(f"the model description {description} does not fit {name}: {error}") from None


def count_parameters(model: nn.Module) -> int:
    """Parameters as the challenge counts them: ``sum(p.numel() for p in model.parameters())``."""
    return sum(p.numel() for p in model.parameters())
