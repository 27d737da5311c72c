"""The exported file: the same masks as the checkpoint, its facts inside, and nothing left where that fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import evaluate
import export
from face_parsing import cli
from face_parsing.inference import export as exporting
from face_parsing.inference.onnx_network import OUTPUTS, masks_of, read_onnx, run_onnx
from face_parsing.inference.predict import parse_photos, prepare_model
from face_parsing.labels import CELEBAMASK, CLASS_NAMES, PALETTE, group_labels
from face_parsing.models import build_model
from face_parsing.models.checkpoint import load_checkpoint, restore_model, save_checkpoint
from face_parsing.synthetic.dataset import make_pair
from face_parsing.weights import BEST, find_weights

pytest.importorskip("onnxscript")
onnxruntime: Any = pytest.importorskip("onnxruntime")

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"name": "unet", "channels": [8, 8, 8, 8, 8], "blocks": [0, 1, 1, 1, 1]},
    "deeplabv3plus": {"name": "deeplabv3plus", "width": 0.25, "aspp_channels": 16},
    "light_unet": {"name": "light_unet", "channels": [4, 8, 8]},
    "separable_unet": {"name": "separable_unet", "channels": [8, 8, 8]},
    "smp": {"name": "smp", "architecture": "FPN", "encoder": "mobilenet_v2", "encoder_weights": None},
}
CPU = torch.device("cpu")


def write_checkpoint(path: Path, description: dict[str, Any], **changes: Any) -> Path:
    """A network of random weights, whose BatchNorms have seen something, for 64 px."""
    torch.manual_seed(0)
    labels = changes.get("labels", group_labels({}))
    model = build_model(description, len(labels)).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(2, 3, 64, 64))
    content: dict[str, Any] = {
        "model": description,
        "image_size": 64,
        "inference": {"scales": [1.0], "flip": False},
        "track": "challenge",
        "scores": {"f_score": 0.5, "f_score_lr_corrected": 0.625},
    }
    save_checkpoint(path, state_dict=model.state_dict(), **{**content, **changes})
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("export") / "best_model.pth", SMALL["light_unet"])


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    path = checkpoint.with_name("face.onnx")
    assert export.main(["--model_path", str(checkpoint), "--output", str(path)]) == 0
    return path


def test_the_onnx_file_gives_the_checkpoints_masks(checkpoint: Path, exported: Path) -> None:
    photo, _ = make_pair(3, size=64)
    model = prepare_model(restore_model(load_checkpoint(checkpoint), checkpoint), CPU)
    wanted = parse_photos([model], [photo], image_size=64, device=CPU)
    blocks = run_onnx(exported)(photo[None])
    assert blocks.shape == (1, 19 * 2 * 2, 32, 32)
    assert blocks.dtype == np.float32
    assert len(np.unique(wanted)) > 1
    assert (masks_of(blocks, (64, 64), 19) == wanted).mean() >= 0.9999
    plain = exported.with_name("logits.onnx")
    assert export.main(["--model_path", str(checkpoint), "--output", str(plain), "--logits"]) == 0
    logits = run_onnx(plain)(photo[None])
    assert logits.shape == (1, 19, 64, 64)
    opened = torch.nn.functional.pixel_shuffle(torch.from_numpy(blocks), 2)
    torch.testing.assert_close(opened, torch.from_numpy(logits), rtol=0, atol=1e-5)
    facts = onnxruntime.InferenceSession(plain, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
    assert facts["output"] == OUTPUTS["logits"]
    # A reader of either finds the same mask, of photos of other sizes too.
    for size in (64, 50, 150):
        other = np.array(Image.fromarray(photo).resize((size, size - 7)))
        (found,), (same,) = (read_onnx(path).parse([other]) for path in (exported, plain))
        assert (found == same).mean() >= 0.9999


def test_the_onnx_file_says_what_it_is(exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    (given,), (output,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("image", "tensor(uint8)", [1, 64, 64, 3])
    assert (output.name, output.type, output.shape) == ("block_logits", "tensor(float)", [1, 76, 32, 32])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == list(CLASS_NAMES)
    assert json.loads(facts["palette"]) == [list(color) for color in PALETTE]
    assert json.loads(facts["image_size"]) == 64
    assert json.loads(facts["scores"]) == {"f_score": 0.5, "f_score_lr_corrected": 0.625}
    assert facts["source"] == "best_model.pth"
    assert facts["track"] == "challenge"
    assert "non-commercial" in facts["licence"]
    assert facts["output"] == OUTPUTS["block_logits"]
    assert (
        str(Path(exporting.__file__).parent).encode() not in exported.read_bytes()
    )  # whose machine it was is not told


def test_a_file_that_exists_is_kept(exported: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = exported.read_bytes()
    assert export.main(["--model_path", str(checkpoint), "--output", str(exported)]) == 2
    assert f"{exported} would be replaced; add --overwrite" in capsys.readouterr().err
    assert exported.read_bytes() == before


def test_pt2_with_masks_of_a_coarser_task(tmp_path: Path) -> None:
    labels = group_labels({"rest": [], "face": ["skin", "nose"], "hair": ["hair"]})
    source = write_checkpoint(tmp_path / "coarse.pth", SMALL["separable_unet"], labels=labels)
    path = tmp_path / "coarse.pt2"
    assert exporting.export_model(source, path, size=96, mask=True) >= 0.9999
    photo, _ = make_pair(5, size=96)
    model = prepare_model(restore_model(load_checkpoint(source), source), CPU)
    wanted = parse_photos([model], [photo], image_size=96, device=CPU, labels=labels)
    found = exporting.run_pt2(path)(photo[None])
    assert found.dtype == np.uint8
    assert (found == wanted).mean() >= 0.9999
    extra = {"classes": "", "image_size": ""}
    torch.export.load(path, extra_files=extra)
    assert json.loads(extra["classes"]) == ["rest", "face", "hair"]
    assert extra["image_size"] == "96"


def test_a_file_that_disagrees_is_not_left(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "run_pt2", lambda path: lambda photos: np.zeros(photos.shape[:3], np.uint8))
    path = tmp_path / "wrong.pt2"
    assert export.main(["--model_path", str(checkpoint), "--output", str(path)]) == 2
    error = capsys.readouterr().err
    assert f"{path} was not written: it gives the checkpoint's class on" in error
    assert "99.99% are needed" in error
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 44 synthetic faces of 64 px."""
    root = tmp_path_factory.mktemp("int8")
    for name in ("images", "masks"):
        (root / "train" / name).mkdir(parents=True)
    for seed in range(44):
        photo, mask = make_pair(seed, size=64)
        Image.fromarray(photo).save(root / "train" / "images" / f"{seed}.jpg")
        Image.fromarray(mask).save(root / "train" / "masks" / f"{seed}.png")
    return root


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (40, "fitted to 32 photos, and tried on 8 others and a portrait."),
        (33, "fitted to 32 photos, and tried on 1 other and a portrait; 32 and 8 are usual, so give it more photos."),
        (1, "fitted to 1 photo, and tried on no other and a portrait; 32 and 8 are usual, so give it more photos."),
    ],
)
def test_fewer_photos_than_8_bits_are_fitted_to_are_told(count: int, said: str, tmp_path: Path) -> None:
    for i in range(count):
        (tmp_path / f"{i}.jpg").touch()
    assert exporting.fitted_note(tmp_path) == f"8 bits were {said}"


def test_8_bits_are_nearly_the_checkpoint_in_a_quarter_of_the_space(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "AGREEMENT_INT8", 0.5)  # of random weights: which class is largest is a close run
    source = write_checkpoint(tmp_path / "best.pth", {"name": "light_unet", "channels": [16, 32, 48]})
    full, small = tmp_path / "full.onnx", tmp_path / "small.onnx"
    assert export.main(["--model_path", str(source), "--output", str(full), "--logits"]) == 0
    words = ["--model_path", str(source), "--output", str(small), "--int8", str(photos / "train" / "images")]
    capsys.readouterr()
    assert export.main(words) == 0
    said = "8 bits were fitted to 32 photos, and tried on 8 others and a portrait."
    assert capsys.readouterr().out.splitlines()[1:] == [said]
    assert small.stat().st_size < 0.5 * full.stat().st_size
    network = read_onnx(small)
    assert (network.labels, network.image_size, network.dynamic, network.several) == (CELEBAMASK, 64, True, False)
    batch = np.stack([make_pair(50, size=64)[0]])
    assert run_onnx(small)(batch).shape == (1, 32, 32, 2, 2, 19)
    assert [mask.shape for mask in network.parse([batch[0], batch[0, :30]])] == [(64, 64), (30, 64)]
    assert [scores.shape for scores in network.scores([batch[0, :40]] * 2)] == [(40, 64, 19)] * 2
    # Logits and masks are given where they are asked for, in 8 bits too.
    floats, ids = tmp_path / "floats.onnx", tmp_path / "ids.onnx"
    for path, option in ((floats, "--logits"), (ids, "--mask")):
        assert export.main([*words[:3], str(path), *words[4:], option]) == 0
    one, other = (run_onnx(path)(batch) for path in (full, floats))
    assert one.shape == other.shape
    assert 0 < np.abs(one - other).max() < 0.2 * np.abs(one).max()
    np.testing.assert_array_equal(run_onnx(ids)(batch), other.argmax(1))
    # Both are judged as they are, the full one to the score of its checkpoint.
    found = {}
    for name, model in (("full", full), ("small", small), ("checkpoint", source)):
        out = tmp_path / f"{name}.json"
        assert (
            evaluate.main(["--model_path", str(model), "--data", str(photos), "--split", "train", "--json", str(out)])
            == 0
        )
        found[name] = json.loads(out.read_text(encoding="utf-8"))["f_score"]
    assert found["full"] == pytest.approx(found["checkpoint"], abs=1e-4)
    assert found["small"] == pytest.approx(found["checkpoint"], abs=0.02)
    # Photos of another size are brought to the file's, logits or masks back to theirs.
    for name, more in (("logits", []), ("mask", ["--mask"])):
        half = tmp_path / f"{name}.onnx"
        assert export.main(["--model_path", str(source), "--output", str(half), "--size", "96", *more]) == 0
        out = tmp_path / f"{name}.json"
        words = ["--model_path", str(half), "--data", str(photos), "--split", "train", "--json", str(out)]
        assert evaluate.main(words) == 0
        found[name] = json.loads(out.read_text(encoding="utf-8"))["f_score"]
    words = ["--model_path", str(source), "--size", "96", "--data", str(photos), "--split", "train"]
    assert evaluate.main([*words, "--json", str(tmp_path / "c.json")]) == 0
    wanted = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["f_score"]
    assert [found["logits"], found["mask"]] == pytest.approx([wanted] * 2, abs=0.02)
    capsys.readouterr()
    for words, message in (
        (["--model_path", str(full), "--data", str(photos), "--split", "train", "--tta"], "leave out --tta, or name"),
        (["--model_path", str(tmp_path / "no.onnx"), "--data", str(photos), "--split", "train"], "There is no file"),
    ):
        assert evaluate.main(words) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "text.onnx").write_text("no graph")
    assert evaluate.main(["--model_path", str(tmp_path / "text.onnx"), "--data", str(photos), "--split", "train"]) == 2
    assert "text.onnx is no file that export.py wrote" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [[], ["--dynamic"], ["--mask"], ["--logits"], ["--logits", "--dynamic"]],
    ids=["fixed", "dynamic", "mask", "logits", "dynamic_logits"],
)
def test_inference_takes_the_file_for_photos_of_any_size(checkpoint: Path, tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "face.onnx"
    assert export.main(["--model_path", str(checkpoint), "--output", str(path), *options]) == 0
    (tmp_path / "in").mkdir()
    sizes = {"exact": (64, 64), "square": (150, 150), "wide": (200, 100), "tall": (60, 91), "tiny": (1, 3)}
    for seed, (name, size) in enumerate(sizes.items()):
        Image.fromarray(make_pair(seed, size=64)[0]).resize(size).save(tmp_path / "in" / f"{name}.png")
    for name, model in (("onnx", path), ("torch", checkpoint)):
        words = ["--model_path", str(model), "--input", str(tmp_path / "in"), "--output", str(tmp_path / name)]
        assert cli.main([*words, "--color"]) == 0
    for name, size in sizes.items():
        found, wanted = (
            np.asarray(Image.open(tmp_path / folder / "masks" / f"{name}.png")) for folder in ("onnx", "torch")
        )
        assert found.shape == wanted.shape == size[::-1]
        assert (tmp_path / "onnx" / "color" / f"{name}.png").is_file()
        if name == "exact":
            assert (found == wanted).mean() >= 0.9999
        elif name != "tiny" and options != ["--mask"]:  # random weights: classes are a close run at every pixel
            assert (found == wanted).mean() > 0.7


def test_inference_with_a_file_of_a_coarser_task(tmp_path: Path) -> None:
    labels = group_labels({"rest": [], "face": ["skin", "nose"], "hair": ["hair"]})
    source = write_checkpoint(tmp_path / "coarse.pth", SMALL["light_unet"], labels=labels)
    path = tmp_path / "coarse.onnx"
    exporting.export_model(source, path, mask=True)
    assert read_onnx(path).labels == labels
    Image.fromarray(make_pair(1, size=64)[0]).save(tmp_path / "face.png")
    assert cli.main(["--model_path", str(path), "--input", str(tmp_path / "face.png"), "--output", str(tmp_path)]) == 0
    with Image.open(tmp_path / "masks" / "face.png") as mask:
        assert np.asarray(mask).max() < 3
        palette = mask.getpalette()
    assert palette is not None
    assert tuple(palette[3:6]) == labels.palette[1]


@pytest.mark.parametrize("option", ["--tta", "--size 128", "--submission", "--postprocess smooth", "--precision bf16"])
def test_inference_says_what_it_does_with_checkpoints_alone(
    exported: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(make_pair(1, size=64)[0]).save(tmp_path / "face.png")
    words = ["--model_path", str(exported), "--input", str(tmp_path / "face.png"), "--output", str(tmp_path / "out")]
    assert cli.main([*words, *option.split()]) == 2
    name = option.split()[0]
    assert f"face.onnx predicts as it is, by itself: leave out {name}, or name a" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    ["--tta", "--size 128", "--device cuda", "--postprocess smooth", "--precision bf16", "FILE", "--compare_size 128"],
)
def test_evaluate_says_so_too(exported: Path, photos: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(photos), "--split", "train"]
    models = ["--model_path", str(exported)]
    if option == "FILE":
        models.append(str(exported))
    elif option.startswith("--compare"):
        words += ["--compare", str(exported), *option.split()]
    else:
        words += option.split()
    assert evaluate.main([*models, *words]) == 2
    name = {"FILE": "the other models", "--device cuda": option}.get(option, option.split()[0])
    assert f"face.onnx predicts as it is, by itself: leave out {name}, or name" in capsys.readouterr().err


def test_a_precision_beside_an_onnx_file_is_the_checkpoints(exported: Path, checkpoint: Path, photos: Path) -> None:
    words = ["--data", str(photos), "--split", "train", "--precision", "bf16"]
    assert evaluate.main(["--model_path", str(exported), "--compare", str(checkpoint), *words]) == 0


def changed(source: Path, path: Path, **facts: str | None) -> Path:
    """A copy of an ONNX file that says other things of itself; None: nothing."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(source)
    known = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {k: v for k, v in (known | facts).items() if v is not None})
    onnx.save(model, path)
    return path


HOSTILE_FACTS: dict[str, dict[str, str | None]] = {
    "no size": {"image_size": None},
    "another size": {"image_size": "128"},
    "a huge size": {"image_size": "100000000"},
    "a size that is text": {"image_size": '"64"'},
    "a size that is no number": {"image_size": "NaN"},
    "a size with a point": {"image_size": "64.0"},
    "no groups": {"groups": None},
    "groups that are no names": {"groups": '{"rest": 3}'},
    "groups that are a list": {"groups": "[1, 2]"},
    "no JSON": {"groups": "{"},
    "deep JSON": {"groups": "[" * 100_000},
    "a class of its own": {"groups": '{"rest": [], "cat": ["whiskers"]}'},
}


@pytest.mark.parametrize("name", HOSTILE_FACTS)
def test_a_file_that_lies_about_itself_is_refused(
    exported: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(exported, tmp_path / "odd.onnx", **HOSTILE_FACTS[name])
    Image.fromarray(make_pair(1, size=64)[0]).save(tmp_path / "face.png")
    words = ["--model_path", str(path), "--input", str(tmp_path / "face.png"), "--output", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert "odd.onnx is no file that export.py wrote" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_classes_than_a_file_says_are_refused(
    exported: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coarse = json.dumps({"rest": [], "face": ["skin"]})
    Image.fromarray(make_pair(1, size=64)[0]).save(tmp_path / "face.png")
    masks = tmp_path / "masks.onnx"
    exporting.export_model(checkpoint, masks, mask=True)
    for source in (exported, masks, find_weights("face_parsing.onnx")):
        path = changed(source, tmp_path / "odd.onnx", groups=coarse)
        words = ["--model_path", str(path), "--input", str(tmp_path / "face.png"), "--output", str(tmp_path / "out")]
        assert cli.main(words) == 2
        assert "odd.onnx gives neither logits, scores nor masks of its 2 classes" in capsys.readouterr().err


def test_8_bits_that_do_not_agree_are_not_left(
    checkpoint: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "AGREEMENT_INT8", 1.1)
    path = tmp_path / "wrong.onnx"
    words = ["--model_path", str(checkpoint), "--output", str(path), "--int8", str(photos / "train" / "images")]
    assert export.main(words) == 2
    assert "give --int8 more photos, of the kind that it will see" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_agreement_is_the_worst_of_the_samples() -> None:
    class Zeros(torch.nn.Module):
        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            return torch.zeros(photos.shape[:3], dtype=torch.uint8)

    def run(photos: np.ndarray) -> np.ndarray:
        masks = np.zeros(photos.shape[:3], np.uint8)
        masks[0, : len(photos)] = 1  # as many rows as there are photos
        return masks

    photos = [np.zeros((B, 4, 4, 3), np.uint8) for B in (1, 2)]
    assert exporting.agreement(run, Zeros(), photos[:1], 2) == 0.75
    assert exporting.agreement(run, Zeros(), photos, 2) == 0.75  # 8 of the second's 32 pixels
    assert exporting.agreement(lambda p: run(p)[:, :2], Zeros(), photos, 2) == 0.0  # another shape
    assert exporting.agreement(lambda p: np.eye(2)[run(p)].transpose(0, 3, 1, 2), Zeros(), photos, 2) == 0.75  # logits


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--output", "face.tflite"], "the name must end in .onnx or .pt2"),
        (["--output", "face.onnx", "--size", "100"], "--size 100: it must be a multiple of 32 from 64 to 4096"),
        (["--output", "face.onnx", "--size", "32"], "--size 32: it must be a multiple"),
        (["--output", "face.pt2", "--int8", "photos"], "--int8 is for .onnx, without --dynamic and --half"),
        (["--output", "face.onnx", "--half", "--int8", "photos"], "--int8 is for .onnx, without"),
        (["--output", "face.onnx", "--int8", "photos"], "There is no photo or folder photos"),
        (["--output", "face.onnx", "--model_path", "missing.pth"], "There is no checkpoint missing.pth"),
    ],
)
def test_what_cannot_be_exported_is_told(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("export.py: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(exporting.ExportError, match=r"pip install -r requirements-export\.txt"):
        exporting.export_model(checkpoint, tmp_path / "face.onnx", mask=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_network_at_any_size(name: str, tmp_path: Path) -> None:
    if name == "smp":
        pytest.importorskip("segmentation_models_pytorch")
    source = write_checkpoint(tmp_path / "best_model.pth", SMALL[name])
    path = tmp_path / "face.onnx"
    assert exporting.export_model(source, path, dynamic=True, mask=False, logits=True) >= exporting.AGREEMENT
    logits = run_onnx(path)(np.zeros((5, 96, 160, 3), np.uint8))
    assert logits.shape == (5, 19, 96, 160)


@pytest.mark.parametrize("dynamic", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_shipped_weights_in_half_precision(tmp_path: Path, dynamic: bool) -> None:
    half = tmp_path / "half.onnx"
    found = exporting.export_model(find_weights(BEST), half, half=True, mask=True, dynamic=dynamic)
    assert found >= exporting.AGREEMENT_HALF
    assert half.stat().st_size < 0.6 * find_weights(BEST).stat().st_size


@pytest.mark.slow
def test_the_shipped_weights_in_full_precision(tmp_path: Path) -> None:
    found = exporting.export_model(find_weights(BEST), tmp_path / "full.onnx", mask=True)
    assert found >= exporting.AGREEMENT


def test_a_gpu_needs_the_build_of_onnx_runtime_that_has_it(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has it")
    Image.fromarray(make_pair(1, size=64)[0]).save(tmp_path / "face.png")
    words = ["--model_path", str(exported), "--input", str(tmp_path / "face.png"), "--output", str(tmp_path / "out")]
    assert cli.main([*words, "--device", "cuda"]) == 2
    assert "was built for the CPU alone: put onnxruntime-gpu in the place of onnxruntime" in capsys.readouterr().err
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        assert cli.main([*words, "--device", "cuda"]) == 2  # built for it, and nowhere to run
    assert "finds no GPU, or not the CUDA that it was built for" in capsys.readouterr().err
