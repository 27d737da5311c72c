"""The command: the referee's figures, intervals, comparisons, files, and the refusals."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged_files import ids, rows_of, run, write_model
from PIL import Image

from face_parsing.data.masks import save_mask
from face_parsing.evaluation.evaluator import evaluate_predictions, items_in, items_of
from face_parsing.evaluation.predictors import stored_masks
from face_parsing.evaluation.significance import bootstrap_interval
from face_parsing.labels import CLASS_NAMES, group_labels


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


@pytest.fixture
def places(folders: tuple[Path, Path], model: Path, faces: Path, tmp_path: Path) -> dict[str, str]:
    """What the command lines below call STORED, MODEL, OUT and the like."""
    (tmp_path / "old.json").write_text("mine")
    (tmp_path / "one.yaml").write_text("eyes: l_eye\n")
    coarse = write_model(tmp_path / "coarse.pth", labels=group_labels({"rest": [], "nose": ["nose"]}))
    predictions, truth = folders
    return {
        "STORED": f"--predictions {predictions} --truth {truth}",
        "NETWORK": f"--model_path {model} --data {faces}",
        "PREDICTIONS": str(predictions),
        "TRUTH": str(truth),
        "MODEL": str(model),
        "COARSE": str(coarse),
        "FACES": str(faces),
        "OUT": str(tmp_path),
    }


def filled(words: str, places: dict[str, str]) -> list[str]:
    """A command line with its paths."""
    return re.sub("[A-Z]{3,}", lambda found: places[found[0]], words).split()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--truth TRUTH", "Name what is to be scored"),
        ("STORED --model_path MODEL", "Name what is to be scored"),
        ("--predictions PREDICTIONS", "Name the true masks"),
        ("STORED --data FACES", "Name the true masks"),
        ("STORED --json OUT/old.json", "old.json would be replaced; add --overwrite"),
        ("STORED --json OUT/x --csv OUT/x", "is named for two outputs"),
        ("STORED --confusion OUT/c.jpg", "must end in .png, .pdf or .svg"),
        ("STORED --classes OUT/one.yaml", "one.yaml"),
        ("STORED --images OUT/nowhere", "There is no folder"),
        ("STORED --images FACES/train/images", "lacks the photos of 3 of 3 masks, the first: 0"),
        ("STORED --tta", "Test-time augmentation, a size and post-processing need a checkpoint"),
        ("STORED --size 64", "Test-time augmentation, a size and post-processing need a checkpoint"),
        ("STORED --postprocess smooth", "need a checkpoint"),
        ("STORED --compare_tta", "--compare_tta needs --compare"),
        ("STORED --compare_size 64", "--compare_size needs --compare"),
        ("STORED --compare MODEL", "is not known; name the folder of photos by --images"),
        ("NETWORK --classes OUT/one.yaml", "a checkpoint holds its own classes"),
        ("NETWORK --compare COARSE", "tell other classes apart"),
        ("NETWORK --compare MODEL --compare_plain", "--compare_plain needs"),
        ("NETWORK --crf_weight 2", "does nothing without --postprocess crf"),
        ("--model_path MODEL MODEL --data FACES", "the challenge allows no ensemble"),
        ("--model_path OUT/no.pth --data FACES", "There is no checkpoint"),
        ("--model_path MODEL --data OUT/none", "There is no folder"),
    ],
)
def test_refusals_of_commands(
    words: str, message: str, places: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*filled(words, places)) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "old.json").read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    ["STORED --json OUT/old.json --overwrite", "--model_path MODEL MODEL --data FACES --track open --threads 1"],
)
def test_what_was_refused_is_done_when_asked_for(words: str, places: dict[str, str]) -> None:
    assert run(*filled(words, places)) == 0
