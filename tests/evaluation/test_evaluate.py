"""Judging masks and networks: the referee's figures, intervals, comparisons, files, pictures, and the refusals."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import evaluate
from face_parsing import cli
from face_parsing.data.masks import save_mask
from face_parsing.data.photos import read_photo
from face_parsing.evaluation import predictors
from face_parsing.evaluation.evaluator import evaluate_predictions, items_in, items_of
from face_parsing.evaluation.panels import choose_faces
from face_parsing.evaluation.predictors import networks, stored_masks
from face_parsing.evaluation.significance import bootstrap_interval
from face_parsing.inference.predict import parse_photos, prepare_model
from face_parsing.labels import CELEBAMASK, CLASS_NAMES, LabelSet, group_labels
from face_parsing.models import build_model
from face_parsing.models.checkpoint import load_checkpoint, restore_model, save_checkpoint

CPU = torch.device("cpu")
TINY = {"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1]}


def run(*words: object) -> int:
    return evaluate.main([str(word) for word in words])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and truth of three masks, the predictions a shifted truth."""
    rng = np.random.default_rng(0)
    predictions, truth = tmp_path / "predictions", tmp_path / "truth"
    for i in range(3):
        mask = np.kron(rng.integers(0, 19, (8, 8)), np.ones((8, 8))).astype(np.uint8)
        save_mask(mask, truth / f"{i}.png")
        save_mask(np.roll(mask, i, axis=1), predictions / f"{i}.png")
    return predictions, truth


def ids(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def write_model(path: Path, *, seed: int = 0, labels: LabelSet = CELEBAMASK, **changes: Any) -> Path:
    torch.manual_seed(seed)
    network = build_model(TINY, len(labels))
    torch.nn.init.normal_(network.head[1].weight, std=0.3)  # so that the classes differ from pixel to pixel
    values: dict[str, Any] = {
        "state_dict": network.state_dict(), "model": TINY, "image_size": 64, "track": "challenge", "labels": labels,
        "inference": {"scales": [0.75, 1.0], "flip": True, "submission_tta": True}, "scores": {"f_score": 0.5},
    }  # fmt: skip
    save_checkpoint(path, **{**values, **changes})
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model.pth")


def pack(path: Path, folder: Path, prefix: str = "masks/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for mask in sorted(folder.glob("*.png")):
            archive.write(mask, f"{prefix}{mask.name}")
        archive.writestr("solution/run.py", "print()")
        archive.writestr("__MACOSX/masks/._0.png", "no mask")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_grouped_set_is_not_judged_as_if_its_ids_were_the_19(
    faces: Path, tmp_path: Path, split: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(faces, root)
    if split == "test":
        shutil.copytree(root / "val" / "masks", root / "test" / "masks")
    grouped = {"breaks": None, "recipe": {"classes": [["rest", []], ["eyes", ["l_eye", "r_eye"]]]}}
    (root / "provenance.json").write_text(json.dumps(grouped), encoding="utf-8")
    masks = root / split / "masks"
    assert run("--predictions", masks, "--data", root, "--split", split) == 2
    assert f"{root} is a grouped set; name the set of 19 classes" in capsys.readouterr().err


# --- figures --------------------------------------------------------------------------------------


def test_figures_are_the_referees(
    folders: tuple[Path, Path], tmp_path: Path, referee: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, truth = folders
    out = tmp_path / "scores.json"
    assert run("--predictions", predictions, "--truth", truth, "--json", out) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    expected = referee.score(referee.masks_in(predictions), referee.masks_in(truth))
    assert found["f_score"] == pytest.approx(expected["f_score"], abs=1e-9)
    assert found["f_score_lr_corrected"] == pytest.approx(expected["f_score_left_right_in_order"], abs=1e-9)
    assert found["miou"] == pytest.approx(expected["miou"], abs=1e-9)
    assert found["f1"] == pytest.approx(expected["f1_per_class"], abs=1e-9)
    assert f"F-Score {expected['f_score']:.4f} [" in capsys.readouterr().out


def test_pooled_figures_intervals_and_files(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predictions, truth = folders
    faces = items_in(truth)
    result = evaluate_predictions(faces, stored_masks(predictions, faces), progress=False)
    assert result.stems == ["0", "1", "2"]
    assert result.f_score[0] == pytest.approx(1)
    assert result.f_score.mean() == pytest.approx(result.scores.f_score)
    assert result.lr_corrected.mean() == pytest.approx(result.scores.f_score_lr_corrected)

    true, guess = (np.stack([ids(folder / f"{i}.png") for i in range(3)]) for folder in (truth, predictions))
    by_hand = {
        name: 2 * ((true == c) & (guess == c)).sum() / ((true == c).sum() + (guess == c).sum())
        for c, name in enumerate(CLASS_NAMES)
        if (true == c).any()
    }
    assert result.set_f1 == pytest.approx(by_hand)
    foreground = [value for name, value in by_hand.items() if name != "background"]
    assert result.set_f1_mean == pytest.approx(np.mean(foreground))

    arguments = ["--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv", "--per_image", tmp_path / "faces.csv"]
    assert run("--predictions", predictions, "--truth", truth, *arguments) == 0
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert found["set_f1_mean"] == pytest.approx(np.mean(foreground))
    assert tuple(found["f_score_interval"]) == bootstrap_interval(result.f_score)
    rows = rows_of(tmp_path / "a.csv")
    assert [row["class"] for row in rows] == [*by_hand, "all"]
    assert float(rows[-1]["f_score"]) == result.scores.f_score
    assert float(rows[-1]["iou"]) == pytest.approx(result.scores.miou)
    assert float(rows[-1]["f_score_lr_corrected_low"]) == found["f_score_lr_corrected_interval"][0]
    assert [row["f_score"] for row in rows[:-1]] == [""] * len(by_hand)
    assert {row["class"]: float(row["f1"]) for row in rows[:-1]} == result.scores.f1
    each = rows_of(tmp_path / "faces.csv")
    assert [(row["stem"], float(row["f_score"])) for row in each] == list(
        zip(result.stems, result.f_score.tolist(), strict=True)
    )


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


def test_a_coarser_task_maps_the_truth_and_reads_predictions_as_they_are(tmp_path: Path) -> None:
    classes = tmp_path / "classes.yaml"
    classes.write_text("rest: []\neyes: [l_eye, r_eye]\nhair: [hair, hat]\n")
    save_mask(np.array([[0, 1, 4, 5, 13, 14]], dtype=np.uint8), tmp_path / "truth" / "a.png")
    save_mask(np.array([[0, 0, 1, 1, 2, 0]], dtype=np.uint8), tmp_path / "guess" / "a.png")
    words = ["--predictions", tmp_path / "guess", "--truth", tmp_path / "truth", "--json", tmp_path / "a.json"]
    assert run(*words, "--classes", classes) == 0
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert found["f1"] == pytest.approx({"rest": 4 / 5, "eyes": 1, "hair": 2 / 3}, abs=1e-6)
    assert found["set_f1_mean"] == pytest.approx((1 + 2 / 3) / 2)


# --- networks -------------------------------------------------------------------------------------


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
        predictor, labels = networks([model], tta=tta, track="challenge", device=CPU)
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
    predictor, _ = networks([model], tta=False, track="challenge", device=CPU, size=96)
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

    predictor, _ = networks([model], tta=False, track="challenge", device=CPU, refine=lambda labels: only_background)
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
    for refused, words in (
        (
            ["--predictions", tmp_path / "out" / "masks", "--truth", faces / "val" / "masks", *steps],
            "need a checkpoint",
        ),
        ([*words_for_both, "--compare", model, "--compare_plain"], "--compare_plain needs"),
        ([*words_for_both, "--crf_weight", "2"], "does nothing without --postprocess crf"),
    ):
        assert run(*refused) == 2
        assert words in capsys.readouterr().err


def test_a_checkpoint_of_coarser_classes(faces: Path, tmp_path: Path) -> None:
    labels = group_labels({"rest": [], "eyes": ["l_eye", "r_eye"], "nose": ["nose"]})
    path = write_model(tmp_path / "coarse.pth", labels=labels)
    predictor, found = networks([path], tta=True, track="challenge", device=CPU)
    assert found == labels
    result = evaluate_predictions(items_of(faces, "val", None), predictor, found, progress=False)
    assert set(result.scores.f1) <= {"rest", "eyes", "nose"}
    assert result.confusion.shape == (3, 3)


def test_the_faces_of_a_split(faces: Path, tmp_path: Path) -> None:
    pairs = {face.stem for face in items_of(faces, "train", None)}
    assert len(pairs) == 12
    root = tmp_path / "data"
    shutil.copytree(faces / "train", root / "train")
    (tmp_path / "val.txt").write_text("\n".join(sorted(pairs)[:3]))
    assert {face.stem for face in items_of(root, "val", tmp_path / "val.txt")} == set(sorted(pairs)[:3])
    assert len(items_of(root, "train", tmp_path / "val.txt")) == 9
    split = {"train": sorted(pairs)[2:], "val": sorted(pairs)[:2]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    assert [face.stem for face in items_of(root, "val", tmp_path / "split.json")] == split["val"]
    with pytest.raises(ValueError, match="name the faces by --val_stems"):
        items_of(root, "val", None)


# --- comparing ------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Truth of 20 faces, ``good`` and ``bad`` predictions of them, and one as good as good."""
    rng = np.random.default_rng(0)
    for i in range(20):
        truth = np.kron(rng.integers(0, 6, (4, 4)), np.ones((6, 6))).astype(np.uint8)
        save_mask(truth, tmp_path / "truth" / f"{i:02d}.png")
        for name, share in (("good", 0.05), ("same", 0.05), ("bad", 0.4)):
            wrong = rng.random(truth.shape) < share
            save_mask(np.where(wrong, rng.integers(0, 6, truth.shape), truth).astype(np.uint8),
                      tmp_path / name / f"{i:02d}.png")  # fmt: skip
    return tmp_path


def test_comparing_says_whether_a_difference_is_more_than_chance(
    many: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--predictions", many / "good", "--truth", many / "truth"]
    assert run(*words, "--compare", many / "bad", "--json", many / "a.json", "--per_image", many / "a.csv") == 0
    last = capsys.readouterr().out.splitlines()[-2]
    found = json.loads((many / "a.json").read_text(encoding="utf-8"))["comparison"]
    assert found["f_score"]["better"] == 20
    assert found["f_score"]["worse"] == 0
    assert found["f_score"]["p"] == 1 / 20_001
    assert found["f_score"]["low"] < found["f_score"]["mean"] < found["f_score"]["high"]
    assert f"{many / 'good'} scores {found['f_score']['mean']:.4f} higher than {many / 'bad'}; that is dist" in last
    rows = rows_of(many / "a.csv")
    differences = [float(row["f_score"]) - float(row["other_f_score"]) for row in rows]
    assert np.mean(differences) == pytest.approx(found["f_score"]["mean"])

    assert run(*words, "--compare", many / "same") == 0
    assert "that is NOT distinguishable from chance at 5%" in capsys.readouterr().out.splitlines()[-2]
    assert run(*words, "--compare", many / "good") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "F-Score: both are equal.",
        "Left/right corrected: both are equal.",
    ]


# --- pictures -------------------------------------------------------------------------------------


def test_faces_are_chosen_by_score() -> None:
    scores = np.array([0.5, 0.9, 0.1, 0.7])
    assert choose_faces(scores, 2, "worst") == [2, 0]
    assert choose_faces(scores, 3, "best") == [1, 3, 0]
    assert choose_faces(scores, 9, "worst") == [2, 0, 3, 1]
    drawn = choose_faces(scores, 2, "random")
    assert len(set(drawn)) == 2
    assert drawn == choose_faces(scores, 2, "random")


def test_pictures_of_masks_and_of_a_network(
    folders: tuple[Path, Path], model: Path, faces: Path, tmp_path: Path
) -> None:
    predictions, truth = folders
    out = tmp_path / "new"
    words = ["--predictions", predictions, "--truth", truth, "--confusion", out / "c.png", "--worst", out / "w.png"]
    assert run(*words, "--panels", out / "p.png", "--faces", 2) == 0
    assert run("--model_path", model, "--data", faces, "--panels", out / "n.png", "--faces", 1, "--threads", 1) == 0
    sizes = {path.name: ids(path).shape[1::-1] for path in out.iterdir()}
    assert set(sizes) == {"c.png", "w.png", "p.png", "n.png"}
    assert 2 * 256 < sizes["w.png"][0] < 2.2 * 256  # truth, prediction
    assert sizes["w.png"][1] > 3 * 256
    assert 3 * 256 < sizes["p.png"][0] < 3.2 * 256  # and where they differ
    assert 2 * 256 < sizes["p.png"][1] < 3 * 256
    assert 4 * 256 < sizes["n.png"][0] < 4.2 * 256  # and the photo


# --- refusals -------------------------------------------------------------------------------------


def _missing_prediction(predictions: Path, truth: Path) -> str:
    (predictions / "1.png").unlink()
    return "lacks 1 of 3 masks, the first: 1.png"


def _wrong_size(predictions: Path, truth: Path) -> str:
    Image.new("L", (32, 64)).save(predictions / "2.png")
    return "The prediction of 2.png is 32x64, its ground truth is 64x64"


def _colors(predictions: Path, truth: Path) -> str:
    Image.new("RGB", (64, 64)).save(predictions / "0.png")
    return "0.png: mode RGB"


def _ignored(predictions: Path, truth: Path) -> str:
    Image.new("L", (64, 64), 255).save(predictions / "0.png")
    return "holds the label 255; a prediction's ids are 0 to 18"


def _damaged(predictions: Path, truth: Path) -> str:
    (predictions / "0.png").write_bytes((predictions / "0.png").read_bytes()[:80])
    return "0.png: cannot be read as an image"


def _empty(predictions: Path, truth: Path) -> str:
    for path in truth.iterdir():
        path.unlink()
    return "no PNG masks"


@pytest.mark.parametrize("spoil", [_missing_prediction, _wrong_size, _colors, _ignored, _damaged, _empty])
def test_refusals_of_masks(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], spoil: Any) -> None:
    message = spoil(*folders)
    assert run("--predictions", folders[0], "--truth", folders[1]) == 2
    assert message in capsys.readouterr().err


def test_refusals_of_zips(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions, truth = folders
    good = pack(tmp_path / "good.zip", predictions).read_bytes()

    def refused(name: str, message: str) -> None:
        assert run("--predictions", tmp_path / name, "--truth", truth) == 2
        assert message in capsys.readouterr().err, name

    (tmp_path / "text.zip").write_text("no zip")
    refused("text.zip", "is neither a folder nor a zip of masks")
    refused("none.zip", "There is no folder")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("solution/run.py", "")
    refused("empty.zip", "There are no masks/*.png in")
    for i, name in enumerate(("../0.png", "masks/../../0.png", "/masks/0.png", "..\\0.png")):
        (tmp_path / f"out{i}.zip").write_bytes(good)
        with zipfile.ZipFile(tmp_path / f"out{i}.zip", "a") as archive:
            archive.writestr(name, "")
        refused(f"out{i}.zip", f"holds {name!r}, a path that leads out of the zip")
    (tmp_path / "twice.zip").write_bytes(good)
    with zipfile.ZipFile(tmp_path / "twice.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("masks/0.png", "")
    refused("twice.zip", "holds masks/0.png twice")
    place = good.index(b"IDAT") + 20
    (tmp_path / "damaged.zip").write_bytes(good[:place] + b"\xff" * 9 + good[place + 9 :])
    refused("damaged.zip", "masks/0.png cannot be unpacked")
    (predictions / "1.png").unlink()
    pack(tmp_path / "lacking.zip", predictions)
    refused("lacking.zip", "lacks 1 of 3 masks, the first: 1.png")
    monkeypatch.setattr(predictors, "MEMBER_BYTES", 10)
    refused("good.zip", "unpacks to")


def test_refusals_of_commands(
    folders: tuple[Path, Path], model: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, truth = folders
    stored = ["--predictions", predictions, "--truth", truth]
    network = ["--model_path", model, "--data", faces]
    (tmp_path / "old.json").write_text("mine")
    (tmp_path / "one.yaml").write_text("eyes: l_eye\n")
    coarse = write_model(tmp_path / "coarse.pth", labels=group_labels({"rest": [], "nose": ["nose"]}))
    for words, message in (
        (["--truth", truth], "Name what is to be judged"),
        ([*stored, "--model_path", model], "Name what is to be judged"),
        (["--predictions", predictions], "Name the true masks"),
        ([*stored, "--data", faces], "Name the true masks"),
        ([*stored, "--json", tmp_path / "old.json"], "old.json would be replaced; add --overwrite"),
        ([*stored, "--json", tmp_path / "x", "--csv", tmp_path / "x"], "is named for two outputs"),
        ([*stored, "--confusion", tmp_path / "c.jpg"], "must end in .png, .pdf or .svg"),
        ([*stored, "--classes", tmp_path / "one.yaml"], "one.yaml"),
        ([*stored, "--images", tmp_path / "nowhere"], "There is no folder"),
        ([*stored, "--images", faces / "train" / "images"], "lacks the photos of 3 of 3 masks, the first: 0"),
        ([*stored, "--tta"], "Test-time augmentation, a size and post-processing need a checkpoint"),
        ([*stored, "--size", 64], "Test-time augmentation, a size and post-processing need a checkpoint"),
        ([*stored, "--compare_tta"], "--compare_tta needs --compare"),
        ([*stored, "--compare_size", 64], "--compare_size needs --compare"),
        ([*stored, "--compare", model], "is not known; name the folder of photos by --images"),
        ([*network, "--classes", tmp_path / "one.yaml"], "a checkpoint holds its own classes"),
        ([*network, "--compare", coarse], "tell other classes apart"),
        (["--model_path", model, model, "--data", faces], "the challenge allows no ensemble"),
        (["--model_path", tmp_path / "no.pth", "--data", faces], "There is no checkpoint"),
        ([*network[:2], "--data", tmp_path / "none"], "There is no folder"),
    ):
        assert run(*words) == 2, words
        assert message in capsys.readouterr().err, words
    assert (tmp_path / "old.json").read_text() == "mine"
    assert run(*stored, "--json", tmp_path / "old.json", "--overwrite") == 0
    assert run("--model_path", model, model, "--data", faces, "--track", "open", "--threads", 1) == 0
