"""The networks: sizes, gradients, what building one accepts, and how each can be submitted."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from face_parsing.challenge import PARAMETER_LIMIT
from face_parsing.config.loading import load_config
from face_parsing.config.networks import NETWORKS
from face_parsing.config.sections import Config, as_dict
from face_parsing.data.photos import read_photo
from face_parsing.inference.predict import parse_photos, prepare_model
from face_parsing.inference.run_py import SubmissionError, build_run_py
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import BUILDERS, build_model, count_parameters
from face_parsing.models.layers import _depth_to_space_in_turns, depth_to_space, resize
from face_parsing.models.light_unet import LightUNet
from face_parsing.models.smp import PaddedModel
from face_parsing.synthetic.dataset import make_pair

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPES = sorted((ROOT / "configs").rglob("*.yaml"))
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


# --- every network --------------------------------------------------------------------------------


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


# --- submitting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OWN)
def test_a_run_py_of_any_own_network_makes_the_same_mask(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    description = as_dict(NETWORKS[name]())
    model = build_model(description, NUM_CLASSES)
    tta = {"scales": [1.0], "flip": True}
    content = {"state_dict": model.state_dict(), "model": description, "image_size": 64, "tta": tta}
    torch.save(content, tmp_path / "ckpt.pth")
    Image.fromarray(make_pair(0, size=72)[0]).save(tmp_path / "face.png")
    (tmp_path / "run.py").write_text(build_run_py(name), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"run_{name}", tmp_path / "run.py")
    assert spec is not None
    assert spec.loader is not None
    solution = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, solution)
    spec.loader.exec_module(solution)
    words = ["--input", "face.png", "--output", "mask.png", "--weights", "ckpt.pth"]
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    monkeypatch.chdir(tmp_path)
    assert solution.main() == 0
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    photos = [read_photo(tmp_path / "face.png")]
    (mask,) = parse_photos([prepare_model(model, device)], photos, image_size=64, device=device, **tta)
    with Image.open(tmp_path / "mask.png") as picture:
        np.testing.assert_array_equal(np.array(picture), mask)
    assert len(np.unique(mask)) > 1
    project = {path.stem for path in (ROOT / "src").iterdir()}
    imported = {line.split()[1].split(".")[0] for line in build_run_py(name).splitlines() if line.startswith("from ")}
    assert not imported & project


def test_a_network_of_another_package_is_not_submitted() -> None:
    with pytest.raises(SubmissionError, match="segmentation-models-pytorch cannot be submitted: run"):
        build_run_py("smp")


# --- segmentation-models-pytorch ------------------------------------------------------------------


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


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 97)])
@pytest.mark.parametrize("block", [1, 2, 4])
def test_the_largest_class_of_groups_is_that_of_pixels(block: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    model = LightUNet(5, channels=[8, 8, 8], space_to_depth=block).eval()
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
