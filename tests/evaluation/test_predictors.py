"""What predicts: a checkpoint scores as the masks that inference writes with it, a zip as its folder."""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from judged_files import CPU, ids, pack, run, write_model
from PIL import Image

from face_parsing import cli
from face_parsing.data.masks import save_mask
from face_parsing.data.photos import read_photo
from face_parsing.evaluation import predictors
from face_parsing.evaluation.evaluator import evaluate_predictions, items_in, items_of
from face_parsing.evaluation.predictors import networks, stored_masks
from face_parsing.inference.predict import parse_photos, prepare_model
from face_parsing.labels import CELEBAMASK, group_labels
from face_parsing.models.checkpoint import load_checkpoint, restore_model


def test_a_zip_is_judged_as_its_folder_and_not_unpacked(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predictions, truth = folders
    faces = items_in(truth)
    expected = evaluate_predictions(faces, stored_masks(predictions, faces), progress=False)
    before = sorted(tmp_path.iterdir())
    for name, prefix in (("submission.zip", "masks/"), ("plain.zip", "")):
        packed = pack(tmp_path / name, predictions, prefix)
        assert evaluate_predictions(faces, stored_masks(packed, faces), progress=False).scores == expected.scores
        packed.unlink()
    assert sorted(tmp_path.iterdir()) == before


def test_a_checkpoint_is_judged_as_its_masks(model: Path, faces: Path, tmp_path: Path) -> None:
    found = items_of(faces, "val", None)
    assert len(found) == 4
    content = load_checkpoint(model)
    network = prepare_model(restore_model(content, model), CPU)
    for tta, options in ((False, {}), (True, {"scales": [0.75, 1.0], "flip": True})):
        for face in found:
            assert face.photo is not None
            (mask,) = parse_photos([network], [read_photo(face.photo)], image_size=64, device=CPU, **options)
            save_mask(mask, tmp_path / str(tta) / f"{face.stem}.png")
        predictor, labels, _ = networks([model], tta=tta, track="challenge", device=CPU)
        assert labels == CELEBAMASK
        result = evaluate_predictions(found, predictor, progress=False)
        assert (
            result.scores
            == evaluate_predictions(found, stored_masks(tmp_path / str(tta), found), progress=False).scores
        )
    out = tmp_path / "a.json"
    words = ["--model_path", model, "--data", faces, "--compare", model, "--compare_tta", "--json", out]
    assert run(*words, "--threads", 1) == 0
    content = json.loads(out.read_text(encoding="utf-8"))
    assert content["comparison"]["other"] == f"{model} with test-time augmentation"
    assert content["comparison"]["other_figures"]["f_score"] == result.scores.f_score
    assert content["f_score"] != result.scores.f_score


def test_a_network_is_judged_at_another_size(model: Path, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    words = ["--model_path", model, "--data", faces, "--compare", model, "--compare_size", 96, "--json", out]
    assert run(*words, "--threads", 1) == 0
    content = json.loads(out.read_text(encoding="utf-8"))
    assert content["comparison"]["other"] == f"{model} at 96 px"
    found = items_of(faces, "val", None)
    predictor, *_ = networks([model], tta=False, track="challenge", device=CPU, size=96)
    assert (
        content["comparison"]["other_figures"]["f_score"]
        == evaluate_predictions(found, predictor, progress=False).scores.f_score
    )
    assert content["f_score"] != content["comparison"]["other_figures"]["f_score"]


def test_post_processing_changes_what_is_counted(model: Path, faces: Path) -> None:
    found = items_of(faces, "val", None)

    def only_background(photo: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        assert photo.ndim == probabilities.ndim == 3
        return np.where(np.arange(len(probabilities))[:, None, None] == 0, 1, probabilities * 0)

    predictor, *_ = networks([model], tta=False, track="challenge", device=CPU, refine=lambda labels: only_background)
    assert all((predictor(face) == 0).all() for face in found)


def test_post_processing_is_judged_as_inference_does_it(
    model: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = ["--postprocess", "smooth", "components", "--smooth_sigma", "40"]
    photos = tmp_path / "photos"
    shutil.copytree(faces / "val" / "images", photos)
    words = ["--model_path", str(model), "--input", str(photos), "--output", str(tmp_path / "out"), "--batch_size", "1"]
    assert cli.main([*words, *steps]) == 0
    by_masks, by_network = tmp_path / "masks.json", tmp_path / "network.json"
    assert run("--predictions", tmp_path / "out" / "masks", "--truth", faces / "val" / "masks", "--json", by_masks) == 0
    words_for_both = ["--model_path", model, "--data", faces]
    compared = ["--compare", model, "--compare_plain", "--json", by_network]
    assert run(*words_for_both, *steps, *compared) == 0
    content = json.loads(by_network.read_text(encoding="utf-8"))
    assert content["f_score"] == json.loads(by_masks.read_text(encoding="utf-8"))["f_score"]
    assert content["comparison"]["other_figures"]["f_score"] != content["f_score"]
    assert "with post-processing" in capsys.readouterr().out


def test_a_checkpoint_of_coarser_classes(faces: Path, tmp_path: Path) -> None:
    labels = group_labels({"rest": [], "eyes": ["l_eye", "r_eye"], "nose": ["nose"]})
    path = write_model(tmp_path / "coarse.pth", labels=labels)
    predictor, found, _ = networks([path], tta=True, track="challenge", device=CPU)
    assert found == labels
    result = evaluate_predictions(items_of(faces, "val", None), predictor, found, progress=False)
    assert set(result.scores.f1) <= {"rest", "eyes", "nose"}
    assert result.confusion.shape == (3, 3)


def _text(path: Path, predictions: Path) -> None:
    path.write_text("no zip")


def _nothing(path: Path, predictions: Path) -> None:
    assert not path.exists()


def _no_masks(path: Path, predictions: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("solution/run.py", "")


def _with(name: str) -> Callable[[Path, Path], None]:
    """A zip of masks with one more file of that name."""

    def make(path: Path, predictions: Path) -> None:
        pack(path, predictions)
        with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
            warnings.filterwarnings("ignore", "Duplicate name")
            archive.writestr(name, "")

    return make


def _damaged(path: Path, predictions: Path) -> None:
    good = pack(path, predictions).read_bytes()
    place = good.index(b"IDAT") + 20
    path.write_bytes(good[:place] + b"\xff" * 9 + good[place + 9 :])


def _lacking(path: Path, predictions: Path) -> None:
    (predictions / "1.png").unlink()
    pack(path, predictions)


LEADS_OUT = "holds {!r}, a path that leads out of the zip"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(_text, "is neither a folder nor a zip of masks", id="text"),
        pytest.param(_nothing, "There is no folder", id="nothing"),
        pytest.param(_no_masks, "There are no masks/*.png in", id="no masks"),
        *(
            pytest.param(_with(name), LEADS_OUT.format(name), id=name)
            for name in ("../0.png", "masks/../../0.png", "/masks/0.png", "..\\0.png")
        ),
        pytest.param(_with("masks/0.png"), "holds masks/0.png twice", id="twice"),
        pytest.param(_damaged, "masks/0.png cannot be unpacked", id="damaged"),
        pytest.param(_lacking, "lacks 1 of 3 masks, the first: 1.png", id="lacking"),
    ],
)
def test_refusals_of_zips(
    folders: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path, Path], None],
    message: str,
) -> None:
    make(tmp_path / "masks.zip", folders[0])
    assert run("--predictions", tmp_path / "masks.zip", "--truth", folders[1]) == 2
    assert message in capsys.readouterr().err


def test_a_mask_that_unpacks_to_too_much_is_refused(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictors, "MEMBER_BYTES", 10)
    assert run("--predictions", pack(tmp_path / "masks.zip", folders[0]), "--truth", folders[1]) == 2
    assert "unpacks to" in capsys.readouterr().err


def test_masks_in_other_formats_and_suffixes_are_scored(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of .PNG was "no PNG masks", and one that held a few of them was scored without these."""
    predicted, truth = folders
    assert run("--truth", truth, "--predictions", predicted) == 0
    expected = capsys.readouterr().out
    other = {name: tmp_path / name for name in ("upper", "bitmaps", "deep")}
    for folder in other.values():
        folder.mkdir()
    for mask in truth.iterdir():
        shutil.copy(mask, other["upper"] / f"{mask.stem}.PNG")
    for mask in predicted.iterdir():
        Image.fromarray(ids(mask)).save(other["bitmaps"] / f"{mask.stem}.bmp")
        Image.fromarray(ids(mask).astype(np.uint16)).save(other["deep"] / mask.name)
    for name in ("bitmaps", "deep"):
        assert run("--truth", other["upper"], "--predictions", other[name]) == 0
        assert capsys.readouterr().out == expected
    assert run("--truth", truth, "--predictions", pack(tmp_path / "deep.zip", other["deep"])) == 2
    assert "mode I;16; a mask is single-channel, mode L or P" in capsys.readouterr().err  # as the judges
