"""Layers that do what torch's do, faster."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from face_parsing.models.layers import _depth_to_space_in_turns, depth_to_space, resize


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_gradient_of_an_enlargement_is_torchs(layout: torch.memory_format) -> None:
    x = torch.randn(2, 8, 5, 6).to(memory_format=layout).requires_grad_()
    skip = torch.randn(2, 4, 9, 12).to(memory_format=layout)
    seen: list[torch.Tensor] = []
    x.register_hook(seen.append)
    for enlarged in (
        resize(x, like=skip),
        F.interpolate(x, size=(9, 12), mode="bilinear", align_corners=False),
    ):
        torch.cat([enlarged, skip], 1).square().sum().backward()
    assert torch.equal(*seen)
    assert seen[0].is_contiguous(memory_format=layout)
    assert torch.equal(resize(x.detach(), like=skip), enlarged)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("block", [1, 2, 3, 4])
@pytest.mark.parametrize("channels_last", [False, True])
def test_depth_to_space_is_torchs_pixel_shuffle(dtype: torch.dtype, block: int, channels_last: bool) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.randn(2, 5 * block**2, 3, 4).to(dtype).contiguous(memory_format=layout).requires_grad_()
    weights = torch.randn(2, 5, 3 * block, 4 * block).to(dtype)
    ours, torchs = depth_to_space(x, block), F.pixel_shuffle(x, block)
    assert torch.equal(ours, torchs)
    # The gradient of a sum comes as a single value seen many times.
    for weight in (weights, torch.ones((), dtype=dtype)):
        gradients = [torch.autograd.grad((y * weight).sum(), x, retain_graph=True)[0] for y in (ours, torchs)]
        assert torch.equal(*gradients)
    assert torch.equal(depth_to_space(x.detach(), block), torchs)
    # As exported graphs have it.
    assert torch.equal(_depth_to_space_in_turns(x, block), torchs)
