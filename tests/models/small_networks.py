"""Networks that the tests of the models share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from face_parsing.config.networks import NETWORKS
from face_parsing.config.sections import Config
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model

ROOT = Path(__file__).resolve().parent.parent.parent
DEFAULT: dict[str, Any] = Config().to_dict()["model"]
OWN = [name for name in NETWORKS if name != "smp"]
SMALL_SMP: dict[str, Any] = {"name": "smp", "architecture": "Unet", "encoder": "tu-mobilenetv3_small_050"}
TINY: dict[str, Any] = {"name": "unet", "channels": [8, 12, 16, 24], "blocks": [0, 1, 1, 1], "plain_stages": 2}


def tiny(seed: int = 0, **changes: Any) -> nn.Module:
    """A small network with blocks of both kinds. Its residual branches are not zero, as they are before training."""
    torch.manual_seed(seed)
    model = build_model({**TINY, **changes}, NUM_CLASSES)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model
