"""All networks: sizes, gradients, and what building one accepts."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import DEFAULT, OWN, ROOT, SMALL_SMP, TINY, tiny
from torch import nn
from torch.nn import functional as F

from face_parsing.challenge import PARAMETER_LIMIT
from face_parsing.config.loading import load_config
from face_parsing.config.networks import NETWORKS
from face_parsing.config.sections import Config, as_dict
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import BUILDERS, build_model, count_parameters

RECIPES = sorted((ROOT / "configs").rglob("*.yaml"))


def test_the_default_uses_the_budget_and_keeps_to_it() -> None:
    model = build_model(DEFAULT, NUM_CLASSES)
    assert count_parameters(model) == sum(p.numel() for p in model.parameters())
    assert 1_500_000 < count_parameters(model) < PARAMETER_LIMIT


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_recipe_of_the_challenge_keeps_to_the_budget(path: Path) -> None:
    config = load_config(path)
    with torch.device("meta"):  # counting needs no memory; the largest has 390 million
        model = build_model(config.to_dict()["model"], NUM_CLASSES)
    assert config.track == "open" or count_parameters(model) < PARAMETER_LIMIT


def test_what_the_config_may_name_can_be_built() -> None:
    assert Config.__dataclass_fields__["model"].default == Config().model
    assert DEFAULT["name"] in BUILDERS
    assert list(NETWORKS) == list(BUILDERS)


@pytest.mark.parametrize("name", NETWORKS)
def test_config_and_network_agree_on_arguments_and_defaults(name: str) -> None:
    wanted = as_dict(NETWORKS[name]())
    found = {key: p.default for key, p in inspect.signature(BUILDERS[name]).parameters.items()}
    assert wanted.pop("name") == name
    assert found.pop("num_classes") is inspect.Parameter.empty
    if name == "smp":
        assert (found.pop("pretrained"), found.pop("options"), wanted.pop("options")) == (False, None, {})
    assert found == wanted


@pytest.mark.parametrize(
    ("name", "count"), [("deeplabv3plus", 1_762_099), ("unet", 1_780_168), ("separable_unet", 452_403)]
)
def test_the_other_networks_keep_to_the_budget_too(name: str, count: int) -> None:
    assert count_parameters(build_model({"name": name}, NUM_CLASSES)) == count < PARAMETER_LIMIT


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(("batch", "size"), [(1, (32, 32)), (2, (33, 47)), (2, (64, 64)), (1, (127, 95))])
def test_logits_have_the_size_of_the_photo(name: str, batch: int, size: tuple[int, int]) -> None:
    model = build_model({"name": name}, NUM_CLASSES).eval()
    with torch.no_grad():
        logits = model(torch.randn(batch, 3, *size))
    assert logits.shape == (batch, NUM_CLASSES, *size)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("description", [TINY, *({"name": name, "dropout": 0.0} for name in OWN)], ids=["tiny", *OWN])
def test_every_parameter_learns_at_an_odd_size(description: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build_model(description, NUM_CLASSES).train()
    for module in model.modules():  # a residual branch that starts at zero has no gradient yet
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
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


@pytest.mark.parametrize("description", [*({"name": name} for name in OWN), SMALL_SMP], ids=lambda d: d["name"])
def test_a_fixed_batch_is_learned_in_bf16(description: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build_model(description, 3).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    photos = F.interpolate(torch.randn(4, 3, 8, 8), size=(64, 64)).to(memory_format=torch.channels_last)
    truth = photos.argmax(1)
    losses = []
    for _ in range(12):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(photos)
        loss = F.cross_entropy(logits.float(), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0], losses
    with torch.no_grad():
        assert model.eval()(photos[:1, :, :33, :47]).shape == (1, 3, 33, 47)


@pytest.mark.parametrize("description", [*({"name": name} for name in OWN), SMALL_SMP], ids=lambda d: d["name"])
def test_what_is_exported_gives_the_same(description: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build_model(description, NUM_CLASSES).eval()
    photo = torch.randn(1, 3, 128, 128)
    exported = torch.export.export(model, (photo,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(photo), model(photo))


@pytest.mark.parametrize("description", [*({"name": name} for name in OWN), SMALL_SMP], ids=lambda d: d["name"])
def test_weights_go_there_and_back(description: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other = (build_model(description, NUM_CLASSES).eval() for _ in range(2))
    photo = torch.randn(1, 3, 40, 33)
    torch.save(one.state_dict(), tmp_path / "weights.pth")
    with torch.no_grad():
        assert not torch.equal(one(photo), other(photo))
        other.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True))
        assert torch.equal(one(photo), other(photo))
