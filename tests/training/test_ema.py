"""The averaged model."""

from __future__ import annotations

import torch
from small_states import copied
from torch import nn

from face_parsing.training.ema import AveragedModel


def small_model(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for _ in range(seed + 1):
        model(torch.randn(5, 3, 6, 6))  # moves BatchNorm's statistics, and counts
    return model


def test_weights_and_statistics_are_averaged_by_hand() -> None:
    average = AveragedModel(small_model(0), decay=0.3)
    wanted = copied(average.model)
    # The first decays are (1 + n) / (10 + n) where that is below decay: 2/11, 3/12, then 0.3.
    for seed, decay in ((1, 2 / 11), (2, 3 / 12), (3, 0.3), (4, 0.3)):
        live = small_model(seed)
        average.update(live)
        for name, value in live.state_dict().items():
            wanted[name] = decay * wanted[name] + (1 - decay) * value if value.is_floating_point() else value
        for name, value in average.model.state_dict().items():
            torch.testing.assert_close(value, wanted[name], rtol=1e-5, atol=1e-6)
    assert average.updates == 4
    assert {"1.running_mean", "1.running_var", "1.num_batches_tracked"} <= set(wanted)


def test_a_decay_of_0_copies() -> None:
    average = AveragedModel(small_model(0), decay=0.0)
    for seed in (1, 2):
        live = small_model(seed)
        average.update(live)
        for name, value in live.state_dict().items():
            assert torch.equal(average.model.state_dict()[name], value), name


def test_the_average_is_a_model_of_its_own_ready_for_use() -> None:
    live = small_model(0).train()
    average = AveragedModel(live, decay=0.9)
    before = copied(average.model)
    assert not average.model.training
    assert live.training
    assert not any(p.requires_grad for p in average.model.parameters())
    assert all(p.requires_grad for p in live.parameters())
    with torch.no_grad():
        for parameter in live.parameters():
            parameter.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in average.model.state_dict().items())
