"""Networks of segmentation-models-pytorch: any size, weights asked for, errors in one sentence."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from small_networks import ROOT, SMALL_SMP
from torch import nn
from torch.nn import functional as F

from face_parsing.config.loading import load_config
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model, count_parameters
from face_parsing.models.smp import PaddedModel


@pytest.mark.parametrize("architecture", ["UnetPlusPlus", "UPerNet", "DeepLabV3Plus", "PSPNet", "PAN", "Segformer"])
def test_any_size_passes_an_smp_network(architecture: str) -> None:
    model = build_model({**SMALL_SMP, "architecture": architecture}, 5).eval()
    with torch.no_grad():
        for size in ((32, 32), (45, 70)):
            assert model(torch.randn(1, 3, *size)).shape == (1, 5, *size)


def test_a_vision_transformer_passes_any_size_too() -> None:
    model = build_model({"name": "smp", "architecture": "DPT", "encoder": "tu-test_vit"}, 5).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 45, 70)).shape == (1, 5, 45, 70)


def test_padding_repeats_the_border_and_is_cropped() -> None:
    model = PaddedModel(nn.AvgPool2d(3, 1, 1), stride=8, smallest=24)
    photo = torch.arange(15.0).view(1, 1, 3, 5)
    padded = F.pad(photo, (0, 19, 0, 21), mode="replicate")
    assert torch.equal(model(photo), F.avg_pool2d(padded, 3, 1, 1)[:, :, :3, :5])
    whole = torch.randn(1, 1, 32, 24)
    assert torch.equal(model(whole), F.avg_pool2d(whole, 3, 1, 1))


@pytest.mark.parametrize(
    ("recipe", "count"), [("unetplusplus_efficientnet_b3", 13_627_403), ("upernet_convnext_xl", 388_674_835)]
)
def test_the_open_recipes_are_the_networks_they_name(recipe: str, count: int) -> None:
    config = load_config(ROOT / "configs" / "open" / f"{recipe}.yaml")
    assert (config.track, config.model.encoder_weights) == ("open", "imagenet")
    with torch.device("meta"):
        model = build_model(config.to_dict()["model"], NUM_CLASSES).eval()
        logits = model(torch.zeros(1, 3, 100, 64))
    assert logits.shape == (1, NUM_CLASSES, 100, 64)
    assert count_parameters(model) == count


def test_weights_are_fetched_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def no_internet(repository: str, **more: Any) -> None:
        asked.append(repository)
        raise OSError("no route")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", no_internet)
    description = {"name": "smp", "encoder": "resnet18", "encoder_weights": "imagenet"}
    build_model(description, NUM_CLASSES)
    assert not asked
    with pytest.raises(
        ValueError, match=r"model\.encoder_weights = 'imagenet' of resnet18 could not be downloaded; con"
    ):
        build_model(description, NUM_CLASSES, pretrained=True)
    assert len(asked) == 1


def test_weights_of_timm_are_asked_for_by_the_encoders_name(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    create = smp.create_model

    def remember(architecture: str, encoder: str, weights: Any, *more: Any, **options: Any) -> nn.Module:
        given.append(weights)
        return create(architecture, encoder, None, *more, **options)

    monkeypatch.setattr(smp, "create_model", remember)
    for pretrained in (False, True):
        build_model({**SMALL_SMP, "encoder_weights": "imagenet"}, NUM_CLASSES, pretrained=pretrained)
    assert given == [None, True]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"architecture": "Unett"},
            r"model\.architecture = 'Unett' is unknown; choose one of Unet, UnetPlusPlus, .*DPT",
        ),
        ({"encoder": "resnet43"}, r"model\.encoder = 'resnet43' is unknown; choose one of .*resnet34"),
        ({"encoder": "tu-resnet43"}, r"model\.encoder = 'tu-resnet43' is unknown; choose one of .*tu-resnet34"),
        ({"encoder": "resnet18", "encoder_weights": "all"}, r"model\.encoder_weights = 'all' is unknown; .* imagenet"),
        ({"encoder": "tu-test_resnet_none"}, r"model\.encoder = 'tu-test_resnet_none' is unknown; .*tu-test_resnet"),
        ({"options": {"color": 3}}, r"built with model\.options = \{'color': 3\}: .*unexpected keyword .*'color'"),
        ({"options": {"decoder_channels": [8]}}, r"model\.options = .*decoder_channels.* for 1 blocks"),
        ({"depth": 3}, "does not fit smp: .*unexpected keyword argument 'depth'"),
    ],
)
def test_an_smp_network_that_cannot_be_built_is_told(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build_model({**SMALL_SMP, **changes}, NUM_CLASSES)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(ValueError, match=r"needs segmentation-models-pytorch; pip install -r requirements-open\.txt"):
        build_model(SMALL_SMP, NUM_CLASSES)
