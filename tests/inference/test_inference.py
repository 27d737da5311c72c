"""The inference command and the submission: a tiny random network, synthetic faces, the judges' own command."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from face_parsing import cli, weights
from face_parsing.data.photo_files import find_photos
from face_parsing.data.photos import read_photo
from face_parsing.inference import folder, submission, torch_network
from face_parsing.inference.folder import predict_folder
from face_parsing.inference.logit_biases import write_biases
from face_parsing.inference.outputs import RECORD
from face_parsing.inference.predict import largest_class, predict_probabilities, prepare_model
from face_parsing.inference.run_py import SubmissionError, build_run_py
from face_parsing.inference.submission import pack_submission
from face_parsing.inference.torch_network import parse_with
from face_parsing.labels import CELEBAMASK, NUM_CLASSES, palette_bytes
from face_parsing.models import build_model
from face_parsing.models.checkpoint import load_checkpoint, restore_model, save_checkpoint
from face_parsing.synthetic.dataset import make_pair
from face_parsing.weights import LICENCE, find_weights

CPU = torch.device("cpu")
SIZE = 64
NO_TTA: dict[str, Any] = {"scales": (1.0,), "flip": False}
TTA: dict[str, Any] = {"scales": (0.75, 1.0), "flip": True}
TINY = {"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1]}


def write_model(path: Path, *, seed: int = 0, model: Mapping[str, Any] = TINY, **changes: Any) -> Path:
    torch.manual_seed(seed)
    network = build_model(model, NUM_CLASSES)
    torch.nn.init.normal_(network.head[1].weight, std=0.3)  # so that the classes differ from pixel to pixel
    values: dict[str, Any] = {
        "state_dict": network.state_dict(), "model": model, "image_size": SIZE, "track": "challenge",
        "inference": {**TTA, "scales": [0.75, 1.0], "submission_tta": True}, "scores": {"f_score": 0.5},
    }  # fmt: skip
    save_checkpoint(path, **{**values, **changes})
    return path


def write_photo(path: Path, seed: int, width: int, height: int) -> Path:
    photo = Image.fromarray(make_pair(seed, size=max(width, height))[0]).crop((0, 0, width, height))
    path.parent.mkdir(parents=True, exist_ok=True)
    photo.save(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "best_model.pth")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of three sizes, in mixed order."""
    root = tmp_path_factory.mktemp("photos")
    sizes = [(64, 64), (90, 61), (64, 64), (64, 64), (33, 120), (90, 61)]
    for i, (size, suffix) in enumerate(zip(sizes, [".jpg", ".png", ".JPG", ".webp", ".bmp", ".tif"], strict=True)):
        write_photo(root / f"face{i}{suffix}", i, *size)
    (root / "notes.txt").write_text("no photo")
    (root / ".hidden.jpg").write_text("no photo")
    (root / "deeper").mkdir()
    return root


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def ids(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def files_of(root: Path) -> list[str]:
    files = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(file for file in files if file != RECORD)


# --- predicting -----------------------------------------------------------------------------------


def test_a_folder_gives_every_photo_a_mask_of_its_own_size(model: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    code = run("--model_path", model, "--input", photos, "--output", output, "--color", "--overlay", "--batch_size", 2)
    assert code == 0
    stems = [f"face{i}" for i in range(6)]
    pictures = {"color": ".png", "masks": ".png", "overlay": ".jpg"}
    assert files_of(output) == [f"{kind}/{stem}{suffix}" for kind, suffix in pictures.items() for stem in stems]
    for photo in find_photos(photos):
        size = read_photo(photo).shape[1::-1]
        with Image.open(output / "masks" / f"{photo.stem}.png") as mask:
            assert (mask.mode, mask.size) == ("P", size)
            assert mask.getpalette()[: 19 * 3] == palette_bytes()[: 19 * 3]
            values = np.array(mask)
            assert values.max() < NUM_CLASSES
            assert len(np.unique(values)) > 1
            colors = np.array(mask.convert("RGB"))
        np.testing.assert_array_equal(ids(output / "color" / f"{photo.stem}.png"), colors)
        with Image.open(output / "overlay" / f"{photo.stem}.jpg") as picture:
            assert picture.size == size


def test_a_photo_alone_gets_the_mask_it_gets_in_a_folder(model: Path, photos: Path, tmp_path: Path) -> None:
    whole, single = tmp_path / "whole", tmp_path / "single"
    assert run("--model_path", model, "--input", photos, "--output", whole, "--tta", "--batch_size", 3) == 0
    assert run("--model_path", model, "--input", photos / "face2.JPG", "--output", single, "--tta") == 0
    assert files_of(single) == ["masks/face2.png"]
    different = ids(single / "masks" / "face2.png") != ids(whole / "masks" / "face2.png")
    assert different.mean() < 0.001  # a batch may round differently
    assert run("--model_path", model, "--input", photos, "--output", tmp_path / "plain") == 0
    plain = ids(tmp_path / "plain" / "masks" / "face2.png")
    assert (plain != ids(single / "masks" / "face2.png")).mean() > 0.01  # --tta does something


def test_another_size_changes_the_masks_and_goes_into_a_submission(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model_path", model, "--input", photos]
    assert run(*words, "--output", tmp_path / "own", "--tta") == 0
    words.append("--submission")
    assert run(*words, "--output", tmp_path / "larger", "--size", 96) == 0
    own, larger = (ids(tmp_path / name / "masks" / "face2.png") for name in ("own", "larger"))
    assert own.shape == larger.shape
    assert (own != larger).mean() > 0.01
    with zipfile.ZipFile(tmp_path / "larger" / "submission.zip") as archive:
        assert torch.load(io.BytesIO(archive.read("solution/ckpt.pth")), weights_only=True)["image_size"] == 96
    for wrong in ("31", "5000", "many"):
        with pytest.raises(SystemExit):
            run(*words, "--output", tmp_path / "wrong", "--size", wrong)
        assert "--size" in capsys.readouterr().err


def test_a_damaged_photo_is_named_and_the_others_are_done(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    for i in range(3):
        write_photo(source / f"{i}.jpg", i, 64, 64)
    (source / "1.jpg").write_bytes((source / "1.jpg").read_bytes()[:600])
    assert run("--model_path", model, "--input", source, "--output", output, "--submission") == 1
    assert files_of(output) == ["masks/0.png", "masks/2.png"]
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("inference.py: ")]
    assert len(errors) == 2
    assert f"{source / '1.jpg'}: cannot be read as a photo" in errors[0]
    assert errors[1].startswith("inference.py: 1 of 3 photos could not be read; no submission.zip was written")


def test_many_photos_go_through_bounded_queues(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos of many sizes wait for others of their size only up to the limit, and none is lost or mixed up."""
    monkeypatch.setattr(folder, "WAITING_PIXELS", 3 * 40 * 40)
    monkeypatch.setattr(folder, "BATCH_PIXELS", 2 * 45 * 45)
    seen: list[int] = []
    parse = torch_network.parse_photos

    def count(models: Any, batch: Any, **options: Any) -> np.ndarray:
        seen.append(len(batch))
        assert len({photo.shape for photo in batch}) == 1
        return parse(models, batch, **options)

    monkeypatch.setattr(torch_network, "parse_photos", count)
    paths = [write_photo(tmp_path / "in" / f"{i:02}.png", i, 38 + i % 7, 40) for i in range(20)]
    models = [prepare_model(restore_model(load_checkpoint(model), model), CPU)]
    parse_all = parse_with(models, image_size=32, device=CPU)
    failures = predict_folder(parse_all, paths, tmp_path / "out", batch_size=8, progress=False)
    assert failures == []
    assert sum(seen) == 20
    assert 1 <= min(seen) <= max(seen) <= 2
    for i, path in enumerate(paths):
        mask = ids(tmp_path / "out" / "masks" / f"{path.stem}.png")
        assert mask.shape == (40, 38 + i % 7)
        alone = parse(models, [read_photo(path)], image_size=32, device=CPU)[0]
        assert (mask != alone).mean() < 0.001


def test_an_ensemble_needs_the_open_track(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_model(tmp_path / "other.pth", seed=1)
    words = ("--model_path", model, other, "--input", photos / "face0.jpg", "--output")
    assert run(*words, tmp_path / "a") == 2
    assert "the challenge allows no ensemble of models; name one, or add --track open" in capsys.readouterr().err
    assert run(*words, tmp_path / "b", "--track", "open", "--submission") == 2
    assert "the challenge allows no ensemble" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert run(*words, tmp_path / "c", "--track", "open") == 0
    assert files_of(tmp_path / "c") == ["masks/face0.png"]
    larger = write_model(tmp_path / "larger.pth", image_size=96)
    assert run("--model_path", model, larger, "--track", "open", *words[3:], tmp_path / "d") == 2
    assert "an ensemble needs one size" in capsys.readouterr().err


def test_nothing_is_replaced_unless_asked_for(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "masks").mkdir()
    kept = tmp_path / "masks" / "face3.png"
    kept.write_text("precious")
    words = ("--model_path", model, "--input", photos, "--output", tmp_path)
    assert run(*words) == 2
    assert f"{kept} would be replaced; add --overwrite" in capsys.readouterr().err
    assert files_of(tmp_path) == ["masks/face3.png"]
    assert kept.read_text() == "precious"
    assert run(*words, "--overwrite") == 0
    assert ids(kept).shape == (64, 64)


def test_what_cannot_be_done_is_said_in_one_sentence(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twins, empty = tmp_path / "twins", tmp_path / "empty"
    empty.mkdir()
    for name in ("a.jpg", "a.png"):
        write_photo(twins / name, 0, 40, 40)
    evil = tmp_path / "evil.pth"
    torch.save({"format": 1, "run": os.system}, evil)
    (tmp_path / "short.pth").write_bytes(model.read_bytes()[:1000])
    for arguments, sentence in [
        ((model, twins), "a.jpg and a.png in"),
        ((model, empty), f"There are no photos in {empty}"),
        ((model, tmp_path / "nowhere"), f"There is no photo or folder {tmp_path / 'nowhere'}"),
        ((tmp_path / "no.pth", photos), f"There is no checkpoint {tmp_path / 'no.pth'}"),
        ((evil, photos), "refused without running any of it"),
        ((tmp_path / "short.pth", photos), "is damaged"),
    ]:
        assert run("--model_path", arguments[0], "--input", arguments[1], "--output", tmp_path / "out") == 2
        errors = capsys.readouterr().err
        assert sentence in errors
        assert len(errors.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    if not torch.cuda.is_available():
        words = ("--model_path", model, "--input", photos, "--output", tmp_path / "out")
        assert run(*words, "--device", "cuda") == 2
        assert "no GPU" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        run("--input", photos, "--output", tmp_path / "out", "--batch_size", 0)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ((), "face_parsing_open.onnx"),
        (("--threads", 1), "face_parsing_open.onnx"),
        (("--submission",), "face_parsing.pth"),
        (("--tta",), "face_parsing_open.pth"),
        (("--size", 256), "face_parsing_open.pth"),
        (("--precision", "bf16"), "face_parsing_open.pth"),
        (("--postprocess", "smooth"), "face_parsing_open.pth"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value)) or "nothing",
)
def test_without_a_model_the_shipped_reference_is_used(
    photos: Path, tmp_path: Path, words: tuple[object, ...], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--input", photos / "face0.jpg", "--output", tmp_path, *words) == 0
    first = capsys.readouterr().out.splitlines()[0]
    # Faces are looked for with any shipped weights, but never for a submission.
    detector = None if "--submission" in words else find_weights("face_detector.onnx")
    assert first == str(
        weights.Weights((find_weights(file),), "open" if "open" in file else "challenge", LICENCE, detector)
    )
    assert ("faces are found by face_detector.onnx" in first) == (detector is not None)


def test_an_installation_without_a_checkpoint_says_so(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "PACKAGE", tmp_path / "site-packages" / "face_parsing")
    assert run("--input", photos / "face0.jpg", "--output", tmp_path / "out", "--tta") == 2
    error = capsys.readouterr().err
    assert "holds no face_parsing_open.pth: packages come with the ONNX files alone. Name a checkpoint" in error
    assert not (tmp_path / "out").exists()


def test_a_run_says_weights_track_and_licence(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_model(tmp_path / "open.pth", track="open")
    assert run("--model_path", path, "--input", photos / "face0.jpg", "--output", tmp_path / "out") == 0
    assert capsys.readouterr().out.splitlines()[0] == f"weights {path}, track open; licence: {LICENCE}"


# --- post-processing ------------------------------------------------------------------------------


def test_refining_without_a_change_gives_the_largest_probability(
    model: Path, photos: Path, predicted: Path, tmp_path: Path
) -> None:
    models = [prepare_model(restore_model(load_checkpoint(model), model), CPU)]
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def unchanged(photo: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        shapes.append((photo.shape, probabilities.shape))
        return probabilities

    paths = find_photos(photos)
    parse_refined = parse_with(models, image_size=SIZE, device=CPU, refine=unchanged)
    assert not predict_folder(parse_refined, paths, tmp_path, progress=False)
    for path in paths:
        photo = read_photo(path)
        probabilities = predict_probabilities(models, torch.from_numpy(photo)[None], image_size=SIZE)
        expected = largest_class(probabilities, photo.shape[:2])[0].numpy()
        np.testing.assert_array_equal(ids(tmp_path / "masks" / f"{path.stem}.png"), expected)
        if max(photo.shape) == SIZE:  # else the plain path enlarges logits, and this one probabilities
            np.testing.assert_array_equal(ids(predicted / f"{path.stem}.png"), expected)
    assert ((61, 90, 3), (NUM_CLASSES, 43, 64)) in shapes  # at the network's size, however large the photo


def test_bf16_gives_nearly_the_masks_of_fp32(model: Path, photos: Path, predicted: Path, tmp_path: Path) -> None:
    assert run("--model_path", model, "--input", photos, "--output", tmp_path, "--precision", "bf16") == 0
    shares = [
        float((ids(tmp_path / "masks" / path.name) == ids(path)).mean()) for path in sorted(predicted.glob("*.png"))
    ]
    assert min(shares) > 0.8  # random weights: classes are a close run
    assert np.mean(shares) < 1  # it did something


def test_steps_and_biases_change_the_masks(model: Path, photos: Path, tmp_path: Path) -> None:
    words = ("--model_path", model, "--input", photos, "--output")
    assert run(*words, tmp_path / "plain") == 0
    biases = tmp_path / "biases.json"
    write_biases(biases, [9.0 if name == "hair" else 0.0 for name in CELEBAMASK.names], CELEBAMASK)
    for name, options in {
        "steps": ("--postprocess", "smooth", "components", "--smooth_sigma", 8, "--min_component", 20000),
        "cut": ("--postprocess", "guided", "grabcut", "--grabcut_classes", "hair", "skin", "--grabcut_band", 16),
        "biases": ("--biases", biases),
    }.items():
        assert run(*words, tmp_path / name, *options) == 0
        assert files_of(tmp_path / name) == files_of(tmp_path / "plain")
        refined, plain = (ids(tmp_path / folder / "masks" / "face1.png") for folder in (name, "plain"))
        assert refined.shape == plain.shape
        assert (refined != plain).any(), name
    assert (ids(tmp_path / "biases" / "masks" / "face1.png") == 13).mean() > 0.9


def test_post_processing_that_cannot_be_done_is_said_before_any_work(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    (tmp_path / "b.json").write_text("{}")
    for options, sentence in [
        (("--postprocess", "smooth", "--submission"), "--submission takes no --postprocess and no --biases"),
        (("--precision", "bf16", "--submission"), "--submission takes no --precision"),
        (("--biases", tmp_path / "b.json", "--submission"), "must get the same masks"),
        (("--biases", tmp_path / "b.json"), "b.json must give one number for each of the classes background, skin"),
        (("--smooth_sigma", 2), "--smooth_sigma does nothing without --postprocess smooth"),
        (("--postprocess", "smooth", "--grabcut_classes", "hair"), "does nothing without --postprocess grabcut"),
        (("--postprocess", "smooth", "--smooth_sigma", -1), "smooth_sigma is -1.0; it must be a number above 0"),
        (("--postprocess", "grabcut", "--grabcut_classes", "wig"), "grabcut_classes names 'wig'"),
        (("--postprocess", "crf"), "pip install -r requirements-crf.txt"),
    ]:
        assert run("--model_path", model, "--input", photos, "--output", tmp_path / "out", *options) == 2
        errors = capsys.readouterr().err
        assert sentence in errors
        assert len(errors.splitlines()) == 1
    assert not (tmp_path / "out").exists()


# --- the submission -------------------------------------------------------------------------------


def judge(solution: Path, photo: Path, output: Path) -> np.ndarray:
    """What the judges do, with warnings as errors and nothing of this project in sight."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-W", "error", "run.py", "--input", photo, "--output", output, "--weights", "ckpt.pth"]
    done = subprocess.run(command, cwd=solution, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with Image.open(output) as picture:
        assert picture.mode == "L"
        return np.array(picture)


def test_a_submission_with_augmentation_holds_all_and_the_judges_get_the_same_masks(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    output, solution = tmp_path / "out", tmp_path / "judges"
    assert run("--model_path", model, "--input", photos, "--output", output, "--submission", "--tta") == 0
    stems = [f"face{i}" for i in range(6)]
    with zipfile.ZipFile(output / "submission.zip") as archive:
        assert sorted(archive.namelist()) == sorted(
            [f"masks/{stem}.png" for stem in stems]
            + [f"solution/{name}" for name in ("ckpt.pth", "requirements.txt", "run.py")]
        )
        assert archive.read("solution/requirements.txt") == b"torch>=2.11\nnumpy>=1.26\npillow>=10.1\n"
        for stem in stems:
            with Image.open(io.BytesIO(archive.read(f"masks/{stem}.png"))) as picture:
                assert picture.mode == "L"
                np.testing.assert_array_equal(np.array(picture), ids(output / "masks" / f"{stem}.png"))
        for name in ("run.py", "ckpt.pth"):
            solution.mkdir(exist_ok=True)
            (solution / name).write_bytes(archive.read(f"solution/{name}"))
    stored = torch.load(solution / "ckpt.pth", weights_only=True)
    assert sorted(stored) == ["image_size", "model", "state_dict", "tta"]
    assert stored["tta"] == {"scales": [0.75, 1.0], "flip": True}
    judged = judge(solution, photos / "face4.bmp", tmp_path / "judged.png")
    np.testing.assert_array_equal(judged, ids(output / "masks" / "face4.png"))


@pytest.fixture(scope="module")
def predicted(model: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Masks of the photos, without augmentation, one photo at a time."""
    output = tmp_path_factory.mktemp("predicted")
    models = [prepare_model(restore_model(load_checkpoint(model), model), CPU)]
    parse = parse_with(models, image_size=SIZE, device=CPU)
    assert not predict_folder(parse, find_photos(photos), output, progress=False)
    return output / "masks"


def test_a_submission_without_augmentation_holds_float32_weights(
    model: Path, photos: Path, predicted: Path, tmp_path: Path
) -> None:
    content = load_checkpoint(model)
    state = content["state_dict"]
    content["state_dict"] = {
        key: value.double() if value.is_floating_point() else value for key, value in state.items()
    }
    used = find_photos(photos)
    pack_submission(tmp_path / "s.zip", masks=predicted, photos=used, content=content, tta=NO_TTA)
    assert files_of(tmp_path) == ["s.zip"]
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        stored = torch.load(io.BytesIO(archive.read("solution/ckpt.pth")), weights_only=True)
    assert stored["tta"] == {"scales": [1.0], "flip": False}
    for key, value in state.items():
        torch.testing.assert_close(stored["state_dict"][key], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("missing", r"There is no mask .*face1\.png of the photo"),
        ("colors", r"face1\.png has the mode RGB; a mask is single-channel"),
        ("label", r"face1\.png holds the label 19; ids are 0 to 18"),
        ("size", r"masks/face1\.png is 61x90, but its photo .*face1\.png is 90x61"),
        ("track", r"trained on the track 'open'.* only one of the track 'challenge'"),
        ("weights", r"do not fit its own description"),
        ("parameters", r"has [0-9,]+ parameters; the challenge wants fewer than 1,821,085"),
        ("photos", r"no photos to submit"),
    ],
)
def test_what_the_challenge_would_refuse_leaves_no_zip(
    model: Path, photos: Path, predicted: Path, tmp_path: Path, damage: str, sentence: str
) -> None:
    content, masks, used = load_checkpoint(model), tmp_path / "masks", find_photos(photos)
    masks.mkdir()
    for path in predicted.iterdir():
        (masks / path.name).write_bytes(path.read_bytes())
    mask = ids(masks / "face1.png")
    if damage == "missing":
        (masks / "face1.png").unlink()
    elif damage == "colors":
        Image.fromarray(mask).convert("RGB").save(masks / "face1.png")
    elif damage == "label":
        Image.fromarray(mask + 19 - mask).save(masks / "face1.png")
    elif damage == "size":
        Image.fromarray(np.ascontiguousarray(mask.T)).save(masks / "face1.png")
    elif damage == "track":
        content["track"] = "open"
    elif damage == "weights":
        content["state_dict"].popitem()
    elif damage == "parameters":
        content["model"] = {**TINY, "channels": [128, 192, 256]}
        content["state_dict"] = build_model(content["model"], NUM_CLASSES).state_dict()
    else:
        used = []
    (tmp_path / "out").mkdir()
    with pytest.raises(SubmissionError, match=sentence):
        pack_submission(tmp_path / "out" / "s.zip", masks=masks, photos=used, content=content, tta=NO_TTA)
    assert files_of(tmp_path / "out") == []


def test_masks_that_run_py_does_not_make_are_refused(
    model: Path, photos: Path, predicted: Path, tmp_path: Path
) -> None:
    used, content = [photos / "face0.jpg"], load_checkpoint(model)
    with pytest.raises(SubmissionError, match=r"another mask of .*face0\.jpg than masks/face0\.png: .*% of the pixels"):
        pack_submission(tmp_path / "s.zip", masks=predicted, photos=used, content=content, tta=TTA)
    assert files_of(tmp_path) == []


def test_a_run_py_that_fails_is_told_with_its_last_words(
    model: Path, photos: Path, predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "build_run_py", lambda name: "import labels\n")
    used, content = [photos / "face0.jpg"], load_checkpoint(model)
    with pytest.raises(SubmissionError, match=r"failed on .*face0\.jpg: ModuleNotFoundError: .*'labels'"):
        pack_submission(tmp_path / "s.zip", masks=predicted, photos=used, content=content, tta=NO_TTA)
    assert files_of(tmp_path) == []


def test_a_checkpoint_of_the_open_track_is_refused_before_any_work(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model(tmp_path / "open.pth", track="open")
    words = ("--model_path", model, "--input", photos / "face0.jpg", "--output", tmp_path / "out")
    assert run(*words, "--submission", "--track", "open") == 2
    assert "was trained on the track 'open'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(*words) == 0


def test_run_py_is_the_sources_and_imports_nothing_else() -> None:
    source = build_run_py("unet")
    compile(source, "run.py", "exec")
    imported = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported - set(sys.stdlib_module_names) == {"torch", "numpy", "PIL"}
    assert source.count("from __future__ import annotations") == 1
    for module in ("labels.py", "data/photos.py", "models/unet.py", "inference/predict.py"):
        text = (Path(cli.__file__).parent / module).read_text(encoding="utf-8")
        functions = [line for line in text.splitlines() if line.startswith(("def ", "class "))]
        assert functions
        assert all(line in source for line in functions)
    with pytest.raises(SubmissionError, match="no network 'other' to submit; choose one of unet"):
        build_run_py("other")
