"""DeepLabV3+: the shapes inside."""

from __future__ import annotations

import torch

from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model


def test_deeplab_shrinks_to_a_sixteenth_and_refines_at_a_quarter() -> None:
    model = build_model({"name": "deeplabv3plus", "width": 1.0, "aspp_channels": 32}, NUM_CLASSES).eval()
    shapes = {}
    for name in ("low", "high", "aspp", "decoder"):
        module = model.get_submodule(name)
        module.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
    with torch.no_grad():
        model(torch.randn(1, 3, 64, 96))
    # The channels are those of Sandler et al. 2018, table 2.
    assert shapes == {"low": (24, 16, 24), "high": (320, 4, 6), "aspp": (32, 4, 6), "decoder": (32, 16, 24)}
