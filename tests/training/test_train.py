"""The training command from start to end on tiny synthetic faces: what it leaves, and what it refuses."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from run_files import Start, assert_same_weights, history

from face_parsing.cli import main as infer
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.training.trainer import Trainer


@pytest.mark.usefixtures("curves")
def test_a_run_leaves_everything(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "run"
    assert start(output, overrides=("run.pack_submission=true", "run.validate_every=3")) == 0
    printed = capsys.readouterr().out

    rows = history(output)
    # Epoch 2 ends a stage, epoch 3 is the third, epoch 4 the last.
    assert [(row["epoch"], row["image_size"]) for row in rows] == [("2", "32"), ("3", "64"), ("4", "64")]
    assert {"loss", "loss_ce", "loss_dice", "loss_focal", "f_score", "f_score_lr_corrected"} <= rows[0].keys()

    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    best = load_checkpoint(output / "checkpoints" / "best_model.pth")
    assert "training" not in best
    assert best["scores"]["f_score"] == pytest.approx(max(float(row["f_score"]) for row in rows))
    assert scores["epoch"] == best["scores"]["epoch"]
    assert f"F-Score {scores['f_score']:.4f}" in printed

    saved = yaml.safe_load((output / "config.yaml").read_text(encoding="utf-8"))
    assert saved["model"]["channels"] == [16, 16, 16]
    environment = json.loads((output / "environment.json").read_text(encoding="utf-8"))
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0] or environment["packages"]["torch"]
    assert {"train", "val"} == json.loads((output / "split.json").read_text(encoding="utf-8")).keys()
    for picture in ("training_loss.png", "f_score.png", "validation_panel.png"):
        with Image.open(output / picture) as image:
            assert min(image.size) > 100

    with zipfile.ZipFile(output / "test" / "submission.zip") as archive:
        assert {"solution/run.py", "solution/ckpt.pth", "solution/requirements.txt"} <= set(archive.namelist())
        assert sum(name.startswith("masks/") for name in archive.namelist()) == 2
    assert not [p for p in output.rglob("*") if p.name.startswith(".")]


def test_referee_agrees_with_the_printed_score(
    start: Start, tmp_path: Path, faces: Path, referee: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert start(output) == 0
    best = output / "checkpoints" / "best_model.pth"
    masks = tmp_path / "masks"
    assert infer(["--model_path", str(best), "--input", str(faces / "val" / "images"), "--output", str(masks)]) == 0
    truth, predicted = referee.masks_in(faces / "val" / "masks"), referee.masks_in(masks / "masks")
    judged = referee.score(predicted, truth)
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    # The network's size is the pairs' own here, or half of it: the same path either way, so the same masks.
    assert judged["f_score"] == pytest.approx(scores["f_score"], abs=1e-3)
    assert judged["f_score_left_right_in_order"] == pytest.approx(scores["f_score_lr_corrected"], abs=1e-3)
    capsys.readouterr()


def test_workers_do_not_change_the_weights(start: Start, tmp_path: Path) -> None:
    assert start(tmp_path / "none", overrides=("run.workers=0",)) == 0
    assert start(tmp_path / "two", overrides=("run.workers=2",)) == 0
    assert_same_weights(tmp_path / "none", tmp_path / "two")


def test_a_stage_may_predict_at_another_size(start: Start, tmp_path: Path) -> None:
    stage = "schedule.stages=[{image_size: 32, epochs: 2, batch_size: 4%s}]"
    for name, size in (("plain", ""), ("larger", ", eval_size: 64")):
        assert start(tmp_path / name, overrides=(stage % size,)) == 0
    plain, larger = (load_checkpoint(tmp_path / n / "checkpoints" / "last_model.pth") for n in ("plain", "larger"))
    assert (plain["image_size"], larger["image_size"]) == (32, 64)
    # It is trained as without, and validated otherwise.
    assert_same_weights(tmp_path / "plain", tmp_path / "larger")
    rows = [history(tmp_path / name) for name in ("plain", "larger")]
    assert [[row["loss"] for row in run] for run in rows] == [[row["loss"] for row in rows[0]]] * 2
    assert rows[0][0]["f_score"] != rows[1][0]["f_score"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("model={channels: [96, 192, 384]}",), ("parameters", "1,821,085")),
        (("open_track.pretrained=x.pth",), ("open_track.pretrained", "no pretrained weights")),
        (("open_track.external_data=[{root: more}]",), ("open_track.external_data", "no external data")),
        (("open_track.teacher=x.pth",), ("open_track.teacher", "no knowledge distillation")),
        (("schedule.decay=plateau",), ("schedule.decay", "plateau")),
        (("data.classes={rest: [], eye: [l_eye]}",), ("data: classes: rest", "mirror image")),
        (("optimizer.lrr=1",), ("optimizer.lrr", "Did you mean lr?")),
        (("data.root=/nowhere",), ("/nowhere", "data/README.md")),
        (("data.val_stems=/nowhere.txt",), ("/nowhere.txt",)),
    ],
)
def test_refusals_name_the_cause(
    start: Start,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    overrides: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    output = tmp_path / "run"
    assert start(output, overrides=overrides) == 2
    message = capsys.readouterr().err
    assert message.startswith("train.py: ")
    assert all(word in message for word in words)
    assert not output.exists()


def test_broken_pairs_are_all_told(
    start: Start, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    for part in ("images", "masks"):
        (root / "train" / part).mkdir(parents=True)
        for path in sorted((faces / "train" / part).iterdir()):
            (root / "train" / part / path.name).write_bytes(path.read_bytes())
    masks = sorted((root / "train" / "masks").iterdir())
    images = sorted((root / "train" / "images").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:200])
    Image.new("RGB", (64, 64)).save(masks[1])
    Image.fromarray(np.full((64, 64), 77, dtype=np.uint8)).save(masks[2])
    Image.new("L", (32, 64)).save(masks[3])
    assert start(tmp_path / "run", overrides=(f"data.root={root}",)) == 2
    message = capsys.readouterr().err
    for path, word in (
        (images[0], "cannot be read"),
        (masks[1], "mode RGB"),
        (masks[2], "label 77"),
        (masks[3], "32x64"),
    ):
        (line,) = [line for line in message.splitlines() if path.name in line and path.parent.name in line]
        assert word in line
    assert not (tmp_path / "run").exists()


def test_a_coarser_task_is_trained_evaluated_and_predicted(start: Start, tmp_path: Path, faces: Path) -> None:
    output, parsed = tmp_path / "run", tmp_path / "parsed"
    classes = "data.classes={rest: [], eyes: [l_eye, r_eye], left: [l_brow], right: [r_brow]}"
    assert start(output, overrides=(classes,)) == 0
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    assert set(scores["classes"]["f1"]) == {"rest", "eyes", "left", "right"}
    best = output / "checkpoints" / "best_model.pth"
    words = ["--input", str(faces / "test" / "images"), "--output", str(parsed), "--color", "--overlay", "--tta"]
    assert infer(["--model_path", str(best), *words]) == 0
    for path in (parsed / "masks").iterdir():
        assert np.array(Image.open(path)).max() < 4
    assert infer(["--model_path", str(best), *words, "--submission", "--overwrite"]) == 2


def test_non_finite_loss_stops_with_the_last_checkpoint_intact(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    losses = Trainer._losses

    def poisoned(self: Trainer, images: torch.Tensor, masks: torch.Tensor) -> dict[str, torch.Tensor]:
        terms = losses(self, images, masks)
        return {name: value * float("nan") for name, value in terms.items()} if self.step_count == 4 else terms

    monkeypatch.setattr(Trainer, "_losses", poisoned)
    assert start(output) == 2
    assert "non-finite at step 4" in capsys.readouterr().err
    kept = load_checkpoint(output / "checkpoints" / "last_model.pth")
    assert kept["training"]["epoch"] == 1
    assert all(bool(value.isfinite().all()) for value in kept["state_dict"].values())
