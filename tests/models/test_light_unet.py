"""The light U-Net: its largest class, and sizes that cannot be halved."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch.nn import functional as F

from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model
from face_parsing.models.layers import Merge
from face_parsing.models.light_unet import LightUNet


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 97)])
@pytest.mark.parametrize("block", [1, 2, 4])
@pytest.mark.parametrize("merge", get_args(Merge))
def test_the_largest_class_of_groups_is_that_of_pixels(merge: Merge, block: int, height: int, width: int) -> None:
    torch.manual_seed(1)
    model = LightUNet(5, channels=[8, 8, 8], space_to_depth=block, merge=merge).eval()
    torch.nn.init.normal_(model.head[1].weight)  # type: ignore[arg-type]
    image = torch.randn(2, 3, height, width)
    with torch.no_grad():
        found = model.largest_class(image)
        assert torch.equal(found, model(image).argmax(1).int())
    assert len(found.unique()) > 2


@pytest.mark.parametrize(("height", "width"), [(32, 32), (65, 97), (128, 448), (129, 385)])
def test_a_size_that_cannot_be_halved_is_filled_up(height: int, width: int) -> None:
    torch.manual_seed(0)
    model = build_model({"name": "light_unet"}, NUM_CLASSES).eval()
    image = torch.randn(1, 3, height, width)
    step = 2**6
    whole = F.pad(image, (0, -width % step, 0, -height % step), mode="replicate")
    with torch.no_grad():
        found, wanted = model(image), model(whole)[:, :, :height, :width]
    assert found.shape == (1, NUM_CLASSES, height, width)
    torch.testing.assert_close(found, wanted)


def test_added_maps_are_narrowed_enlarged_and_added() -> None:
    """A map below, narrowed by a 1x1 convolution and enlarged, plus the encoder's: computed by hand."""
    torch.manual_seed(0)
    model = LightUNet(5, channels=[4, 6], merge="add").eval()
    below, skip = torch.randn(1, 6, 3, 5), torch.randn(1, 4, 6, 10)
    conv, norm = model.narrow[0]  # type: ignore[misc]
    narrowed = torch.einsum("oc,bchw->bohw", conv.weight[:, :, 0, 0], below) / (1 + norm.eps) ** 0.5
    wanted = F.interpolate(narrowed, scale_factor=2, mode="bilinear", align_corners=False) + skip
    with torch.no_grad():
        torch.testing.assert_close(model.merged(0, below, skip), wanted)
    first: Any = model.decoder[0]
    assert first[0][0].weight.shape == (4, 4, 3, 3)
