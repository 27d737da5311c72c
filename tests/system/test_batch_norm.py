"""Synchronised batch normalisation."""

from __future__ import annotations

import torch
from torch import nn

from face_parsing.system.batch_norm import SynchronisedBatchNorm, synchronise


def test_synchronised_batchnorm_of_one_process_is_batchnorm() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True), nn.Conv2d(5, 2, 1))
    nn.init.normal_(plain[1].weight)
    nn.init.normal_(plain[1].bias)
    other = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True), nn.Conv2d(5, 2, 1))
    other.load_state_dict(plain.state_dict())
    other = synchronise(other, torch.device("cpu"))
    assert isinstance(other[1], SynchronisedBatchNorm)
    assert other.state_dict().keys() == plain.state_dict().keys()
    for _ in range(2):
        x = torch.randn(4, 3, 9, 7) * 3 + 10
        one, two = plain(x), other(x)
        torch.testing.assert_close(two, one)
        one.square().sum().backward()
        two.square().sum().backward()
    for (name, ours), theirs in zip(other.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-3, msg=name)
    torch.testing.assert_close(other.state_dict(), plain.state_dict())
    torch.testing.assert_close(other.eval()(x), plain.eval()(x))
