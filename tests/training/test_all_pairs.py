"""Training without pairs kept aside, and cross-validation, in which each pair is kept aside once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from run_files import Start, assert_same_weights, history, interrupted_before

import average
import evaluate
from face_parsing.cli import main as infer
from face_parsing.data.problems import DataError
from face_parsing.data.split import all_pairs, fold_split
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.training.folds import summary, table

ALL = "data.all_pairs=true"


@pytest.fixture
def pooled(faces: Path, tmp_path: Path) -> Path:
    """The faces, with other names in val/ than in train/."""
    root = tmp_path / "pooled"
    shutil.copytree(faces, root)
    for part in ("images", "masks"):
        for path in sorted((root / "val" / part).iterdir()):
            path.rename(path.with_name(f"val_{path.name}"))
    return root


def test_all_pairs_are_trained_on_and_the_last_weights_are_the_result(
    start: Start, pooled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert start(output, overrides=(ALL, f"data.root={pooled}", "run.pack_submission=true")) == 0
    printed = capsys.readouterr().out
    assert "16 training pairs" in printed
    assert "none kept aside" in printed
    assert "Last model: epoch 4. It was trained on all pairs, so that none is left to judge it by." in printed
    assert "F-Score" not in printed
    best, last = (load_checkpoint(output / f"checkpoints/{name}_model.pth") for name in ("best", "last"))
    assert all(torch.equal(best["state_dict"][name], value) for name, value in last["state_dict"].items())
    assert best["scores"] == {"epoch": 4}
    assert len(best["trained_on"]) == 16
    assert not (output / "scores.json").exists()
    assert "f_score" not in history(output)[0]
    assert (output / "test/submission.zip").is_file()
    photos = pooled / "test/images"
    words = [
        "--model_path",
        str(output / "checkpoints/best_model.pth"),
        "--input",
        str(photos),
        "--output",
        str(tmp_path),
    ]
    assert infer(words) == 0


@pytest.mark.usefixtures("curves")
def test_curves_without_scores_are_drawn(start: Start, pooled: Path, tmp_path: Path) -> None:
    assert start(tmp_path / "run", overrides=(ALL, f"data.root={pooled}")) == 0
    assert (tmp_path / "run/training_loss.png").is_file()
    assert not (tmp_path / "run/f_score.png").exists()


def test_a_run_on_all_pairs_goes_on_bit_for_bit(start: Start, pooled: Path, tmp_path: Path) -> None:
    more = (ALL, f"data.root={pooled}")
    assert start(tmp_path / "whole", overrides=more) == 0
    with interrupted_before(3):
        assert start(tmp_path / "parts", overrides=more) == 130
    assert start(tmp_path / "parts", "--resume", overrides=more) == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_nothing_reads_scores_that_are_not_there(
    start: Start, pooled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        assert start(tmp_path / f"run{seed}", overrides=(ALL, f"data.root={pooled}", f"run.seed={seed}")) == 0
    runs = [str(tmp_path / f"run{seed}") for seed in (0, 1)]
    capsys.readouterr()
    assert average.main([*runs, "--output", str(tmp_path / "average")]) == 2
    assert "was trained on all pairs, so that no average can be judged" in capsys.readouterr().err
    words = ["--model_path", f"{runs[0]}/checkpoints/best_model.pth", "--data", str(pooled)]
    assert evaluate.main([*words, "--val_stems", f"{runs[0]}/split.json"]) == 2
    assert "keeps no pair to judge by" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ((ALL, "data.fold=[1, 2]"), "all_pairs and fold are all set"),
        ((ALL, "data.val_stems=x.txt"), "val_stems and all_pairs are all set"),
        (("data.fold=[3, 2]",), "the k-th of n parts"),
        (("data.fold=[1, 1]",), "the k-th of n parts"),
        ((ALL, "run.patience=1"), "run.patience goes by validations"),
        ((ALL, "track=open", "schedule.decay=plateau"), "schedule.decay = plateau goes by validations"),
        ((ALL,), "names are in train/ as well as in val/"),
    ],
)
def test_what_excludes_each_other_is_refused(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], sentence: str
) -> None:
    assert start(tmp_path / "run", overrides=overrides) == 2
    assert sentence in capsys.readouterr().err


def test_folds_share_all_pairs_among_them(pooled: Path) -> None:
    stems = {pair.stem for pair in all_pairs(pooled)}
    folds = [fold_split(pooled, (k, 3), seed=0) for k in (1, 2, 3)]
    assert sorted(len(fold.val) for fold in folds) == [5, 5, 6]
    assert sorted(pair.stem for fold in folds for pair in fold.val) == sorted(stems)
    for fold in folds:
        trained, kept = ({pair.stem for pair in part} for part in (fold.train, fold.val))
        assert trained | kept == stems
        assert not trained & kept
    assert [p.stem for p in fold_split(pooled, (1, 3), seed=0).val] == [p.stem for p in folds[0].val]
    assert [p.stem for p in fold_split(pooled, (1, 3), seed=1).val] != [p.stem for p in folds[0].val]
    with pytest.raises(DataError, match="too few for 17 folds"):
        fold_split(pooled, (1, 17), seed=0)


def test_cross_validation_goes_on_where_it_was_stopped(
    start: Start, pooled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    more = (f"data.root={pooled}", "schedule.stages=[{image_size: 32, epochs: 2, batch_size: 4}]")
    with interrupted_before(4):
        assert start(output, "--folds", "2", overrides=more) == 130
    assert not (output / "folds.json").exists()
    first = (output / "fold_1/checkpoints/best_model.pth").stat().st_mtime_ns
    capsys.readouterr()
    assert start(output, "--folds", "2", "--resume", overrides=more) == 0
    printed = capsys.readouterr().out
    assert "Fold 2 of 2" in printed
    assert "Fold 1 of 2" not in printed
    assert (output / "fold_1/checkpoints/best_model.pth").stat().st_mtime_ns == first
    found = json.loads((output / "folds.json").read_text(encoding="utf-8"))
    scores = [json.loads((output / f"fold_{k}/scores.json").read_text(encoding="utf-8")) for k in (1, 2)]
    assert found["images"] == 16
    assert found["f_score"]["mean"] == pytest.approx(sum(one["f_score"] for one in scores) / 2)
    assert "Of 16 images, each judged by the network that was not trained on it." in printed


def test_classes_are_averaged_over_the_images_that_hold_them() -> None:
    def fold(f_score: float, hat: float, hats: int) -> dict[str, object]:
        figures = {"f_score": f_score, "f_score_lr_corrected": f_score, "miou": 0.5, "images": 10}
        return {
            **figures,
            "classes": {
                "f1": {"skin": 0.9} | ({"hat": hat} if hats else {}),
                "holders": {"skin": 10} | ({"hat": hats} if hats else {}),
            },
        }

    folds = [fold(0.8, 0.2, 1), fold(0.9, 0.8, 3), fold(0.7, 0.0, 0)]
    found = summary(folds)
    assert found["f_score"] == {"mean": pytest.approx(0.8), "sd": pytest.approx(0.1)}
    assert found["classes"]["hat"] == {"f1": pytest.approx((0.2 + 3 * 0.8) / 4), "images": 4}
    assert found["classes"]["skin"]["images"] == 30
    assert "hat           0.6500       4" in table(folds)
