"""The networks: sizes, gradients, and what building one accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from config import PARAMETER_LIMIT, Config, load_config
from labels import NUM_CLASSES
from models import BUILDERS, build_model, count_parameters

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / "configs").rglob("*.yaml"))
DEFAULT: dict[str, Any] = Config().to_dict()["model"]
TINY: dict[str, Any] = {"name": "unet", "channels": [8, 12, 16, 24], "blocks": [0, 1, 1, 1], "plain_stages": 2}


def tiny(seed: int = 0, **changes: Any) -> nn.Module:
    """A small network with blocks of both kinds. Its residual branches are not zero, as they are before training."""
    torch.manual_seed(seed)
    model = build_model({**TINY, **changes}, NUM_CLASSES)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def test_the_default_uses_the_budget_and_keeps_to_it() -> None:
    model = build_model(DEFAULT, NUM_CLASSES)
    assert count_parameters(model) == sum(p.numel() for p in model.parameters())
    assert 1_500_000 < count_parameters(model) < PARAMETER_LIMIT


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_recipe_of_the_challenge_keeps_to_the_budget(path: Path) -> None:
    config = load_config(path)
    model = build_model(config.to_dict()["model"], NUM_CLASSES)
    assert config.track == "open" or count_parameters(model) < PARAMETER_LIMIT


def test_what_the_config_may_name_can_be_built() -> None:
    assert Config.__dataclass_fields__["model"].default == Config().model
    assert DEFAULT["name"] in BUILDERS


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 64), (127, 95)])
def test_logits_have_the_size_of_the_photo(size: tuple[int, int]) -> None:
    model = build_model(DEFAULT, NUM_CLASSES).eval()
    with torch.no_grad():
        logits = model(torch.randn(2, 3, *size))
    assert logits.shape == (2, NUM_CLASSES, *size)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("description", [TINY, {**DEFAULT, "dropout": 0.0}], ids=["tiny", "default"])
def test_every_parameter_learns_at_an_odd_size(description: dict[str, Any]) -> None:
    model = tiny(**description).train()
    logits = model(torch.randn(2, 3, 45, 39))
    assert logits.shape == (2, NUM_CLASSES, 45, 39)
    (logits * torch.randn_like(logits)).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_a_new_network_has_finite_gradients_too() -> None:
    torch.manual_seed(0)
    model = build_model(DEFAULT, NUM_CLASSES).train()
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_prediction_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    model = tiny().eval()
    photos = torch.randn(3, 3, 48, 40)
    with torch.no_grad():
        together, alone = model(photos), model(photos[:1])
        other = model(torch.stack([photos[0], 100 * photos[1], -photos[2]]))
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other[:1], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(other[1:], together[1:], atol=1e-2)


def test_every_pixel_sees_its_surroundings() -> None:
    model = tiny().eval()
    photo = torch.randn(1, 3, 64, 64, requires_grad=True)
    model(photo)[0, 1, 32, 32].backward()
    assert photo.grad is not None
    touched = photo.grad.abs().sum(1)[0] > 0
    assert touched[:, 32].all()
    assert touched[32].all()


def test_the_seed_decides_the_weights() -> None:
    first, again, other = (tiny(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_dropout_acts_in_training_alone() -> None:
    model = tiny(dropout=0.5)
    photo = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(model.train()(photo), model(photo))
        assert torch.equal(model.eval()(photo), model(photo))


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ({**TINY, "name": "vit"}, r"model\.name = 'vit' is unknown; choose one of unet"),
        ({"channels": [8, 8, 8]}, r"model\.name = None is unknown; choose one of unet"),
        ({**TINY, "depth": 3}, "does not fit unet: .*unexpected keyword argument 'depth'"),
        ({**TINY, "channels": 8}, "does not fit unet"),
    ],
)
def test_what_cannot_be_built_is_told(description: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build_model(description, NUM_CLASSES)


def test_a_description_is_not_changed() -> None:
    description = dict(TINY)
    build_model(description, NUM_CLASSES)
    assert description == TINY
