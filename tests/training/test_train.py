"""The training command from start to end on tiny synthetic faces: what it leaves, refuses, and survives."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import train
from face_parsing.cli import main as infer
from face_parsing.config.loading import load_config
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.synthetic.dataset import write_dataset
from face_parsing.training.setup import draw_weights, load_data
from face_parsing.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent.parent

Start = Callable[..., int]


@pytest.fixture
def config_file(tmp_path: Path, faces: Path, write_tiny: Callable[..., Path]) -> Path:
    return write_tiny(tmp_path / "tiny.yaml", faces)


@pytest.fixture
def start(config_file: Path) -> Start:
    """Call main with the tiny config, an output folder and more words; gives the exit code."""

    def call(output: Path, *words: str, overrides: tuple[str, ...] = ()) -> int:
        return train.main(["--config", str(config_file), "--set", f"run.output={output}", *overrides, *words])

    return call


def weights(output: Path) -> dict[str, torch.Tensor]:
    """All tensors of a run's last state: live model, average and optimiser."""
    content = load_checkpoint(output / "checkpoints" / "last_model.pth")
    trainer = content["training"]["trainer"]
    found = {f"average.{k}": v for k, v in content["state_dict"].items()}
    found |= {f"model.{k}": v for k, v in trainer["model"].items()}
    for index, state in trainer["optimizer"]["state"].items():
        found |= {f"optimizer.{index}.{k}": v for k, v in state.items() if isinstance(v, torch.Tensor)}
    return found


def assert_same_weights(first: Path, second: Path) -> None:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


def history(output: Path) -> list[dict[str, str]]:
    with (output / "history.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


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


PLATEAU = ("track=open", "schedule.decay=plateau", "schedule.plateau_patience=1")


@pytest.mark.parametrize(("step", "overrides"), [(2, ()), (7, ()), (7, PLATEAU)])
def test_resumed_equals_uninterrupted(
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    overrides: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    assert start(whole, overrides=overrides) == 0
    update = Trainer._update

    def interrupted(self: Trainer, loss: torch.Tensor) -> None:
        update(self, loss)
        # Epochs of three steps: step 2 is within the first, step 7 within the third, at another image size.
        if self.step_count == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", interrupted)
        assert start(parted, overrides=overrides) == 130
    message = capsys.readouterr().err
    if step == 2:
        assert "Nothing was saved" in message
        assert start(parted) == 0
    else:
        assert "--resume" in message
        assert start(parted, "--resume", overrides=overrides) == 0
    assert_same_weights(whole, parted)
    columns = ("epoch", "loss", "f_score", "lr")
    assert [[row[c] for c in columns] for row in history(whole)] == [
        [row[c] for c in columns] for row in history(parted)
    ]


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


def test_killed_training_goes_on(start: Start, config_file: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    longer = "schedule.stages=[{image_size: 64, epochs: 12, batch_size: 4}]"
    assert start(whole, overrides=(longer,)) == 0
    words = ["--config", str(config_file), "--set", f"run.output={killed}", longer]
    process = subprocess.Popen([sys.executable, str(ROOT / "src" / "train.py"), *words], stderr=subprocess.DEVNULL)
    last = killed / "checkpoints" / "last_model.pth"
    try:
        deadline = time.monotonic() + 120
        while not last.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert last.exists()
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert load_checkpoint(last)["training"]["epoch"] >= 1
    assert start(killed, "--resume", overrides=(longer,)) == 0
    assert_same_weights(whole, killed)


def test_second_run_is_refused(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "run"
    note = output / "mine.txt"
    assert start(output, "--resume") == 2
    assert "nothing to resume" in capsys.readouterr().err
    assert start(output) == 0
    note.write_text("keep", encoding="utf-8")
    before = (output / "checkpoints" / "best_model.pth").read_bytes()
    assert start(output) == 2
    message = capsys.readouterr().err
    assert "--resume" in message
    assert "--overwrite" in message
    assert (output / "checkpoints" / "best_model.pth").read_bytes() == before
    assert start(output, "--resume", "--overwrite") == 2
    # A wrong call with --overwrite must not cost the earlier run anything.
    assert start(output, "--overwrite", overrides=("data.root=/nowhere",)) == 2
    assert (output / "checkpoints" / "best_model.pth").read_bytes() == before
    assert start(output, "--overwrite", overrides=("run.seed=1",)) == 0
    assert (output / "checkpoints" / "best_model.pth").read_bytes() != before
    assert note.read_text(encoding="utf-8") == "keep"


def test_resume_refuses_another_recipe(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "run"
    assert start(output) == 0
    assert start(output, "--resume", overrides=("optimizer.lr=1e-4",)) == 2
    message = capsys.readouterr().err
    assert "optimizer.lr: was 0.003, now 0.0001" in message
    # A finished run is evaluated again, and may run elsewhere or with other workers.
    assert start(output, "--resume", overrides=("run.workers=1",)) == 0


def test_resume_without_config_takes_the_saved_one(start: Start, tmp_path: Path) -> None:
    output = tmp_path / "run"
    assert start(output) == 0
    assert train.main(["--resume", "--set", f"run.output={output}"]) == 0


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


def test_open_track_trains_from_a_checkpoint_with_a_teacher(start: Start, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert start(first) == 0
    best = first / "checkpoints" / "best_model.pth"
    more = (f"open_track.pretrained={best}", f"open_track.teacher={best}")
    assert start(second, overrides=("track=open", *more)) == 0
    assert "loss_teacher" in history(second)[0]
    assert load_checkpoint(second / "checkpoints" / "best_model.pth")["track"] == "open"


def test_a_run_starts_from_another_ones_best_weights(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, still, second = tmp_path / "first", tmp_path / "still", tmp_path / "second"
    assert start(first) == 0
    begins = f"run.init_from={first}"
    # Steps of no length leave the weights, and so the average, where they began.
    assert start(still, overrides=(begins, "run.seed=7", "optimizer.lr=1e-12", "optimizer.weight_decay=0")) == 0
    best = [load_checkpoint(run / "checkpoints" / "best_model.pth")["state_dict"] for run in (first, still)]
    for name in best[0]:
        if name.endswith("weight"):
            torch.testing.assert_close(best[0][name], best[1][name], atol=1e-8, rtol=0)
    assert start(second, overrides=(begins,)) == 0
    assert "Starting from" in capsys.readouterr().out
    shutil.rmtree(first)  # a run that goes on needs it no more
    assert start(second, "--resume", overrides=(begins,)) == 0
    assert start(second, "--resume", overrides=("run.init_from=null",)) == 2
    assert "run.init_from" in capsys.readouterr().err


def test_a_run_starts_from_no_run_against_the_rules(
    start: Start, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    begins = f"run.init_from={first}"

    def refused(*overrides: str) -> str:
        assert start(second, overrides=(begins, *overrides)) == 2
        assert not second.exists()
        return capsys.readouterr().err

    assert str(first) in refused()
    assert start(first, overrides=("track=open",)) == 0
    assert "track open" in refused()
    assert "do not fit" in refused("track=open", "model.channels=[8, 16, 24]")
    assert "keep the one" in refused("track=open", "open_track.pretrained=x.pth")

    assert start(first, "--overwrite") == 0
    split = json.loads((first / "split.json").read_text(encoding="utf-8"))
    (first / "split.json").write_text(json.dumps({**split, "train": [*split["train"], "unknown"]}), encoding="utf-8")
    assert "none of this one's, the first: unknown" in refused()
    shutil.copytree(faces / "train", tmp_path / "undivided" / "train")
    (first / "split.json").write_text(json.dumps(split), encoding="utf-8")
    assert "validated on, the first: 0" in refused("track=open", f"data.root={tmp_path / 'undivided'}")
    (first / "split.json").write_text("{", encoding="utf-8")
    assert "split.json cannot be read" in refused()


def test_external_pairs_are_drawn_by_their_weight(config_file: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    write_dataset(more, train=6, val=1, test=1, size=64, seed=9, progress=False)
    config = load_config(
        config_file,
        ["track=open", "data.repeat_threshold=0", f"open_track.external_data=[{{root: {more}, weight: 0.5}}]"],
    )
    store, _, split = load_data(config, None)
    assert (len(store), len(split.train)) == (18, 12)
    assert draw_weights(config, store).tolist() == [1.0] * 12 + [0.5] * 6
    mixed = f"open_track.external_data=[{{root: {more}, weight: 0.5}}]"
    words = ["--config", str(config_file), "--set", f"run.output={tmp_path / 'run'}", mixed, *PLATEAU]
    assert train.main(words) == 0


def test_a_set_marked_as_external_is_for_the_open_track(
    start: Start, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(faces, root)
    (root / "provenance.json").write_text(json.dumps({"breaks": "external_data"}), encoding="utf-8")
    assert start(tmp_path / "run", overrides=(f"data.root={root}",)) == 2
    assert "no external data" in capsys.readouterr().err
    (root / "provenance.json").write_text("{", encoding="utf-8")
    assert start(tmp_path / "run", overrides=(f"data.root={root}",)) == 2
    assert "provenance.json cannot be read" in capsys.readouterr().err
    grouped = {"breaks": None, "recipe": {"classes": [["rest", []], ["eyes", ["l_eye", "r_eye"]]]}}
    (root / "provenance.json").write_text(json.dumps(grouped), encoding="utf-8")
    assert start(tmp_path / "run", overrides=(f"data.root={root}",)) == 2
    assert "data.classes" in capsys.readouterr().err
    (root / "provenance.json").write_text(json.dumps({"breaks": None}), encoding="utf-8")
    assert start(tmp_path / "run", overrides=(f"data.root={root}",)) == 0


def test_a_grouped_set_is_no_external_data(
    start: Start, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = tmp_path / "more"
    shutil.copytree(faces, more)
    grouped = {"breaks": None, "recipe": {"classes": [["rest", []], ["eyes", ["l_eye", "r_eye"]]]}}
    (more / "provenance.json").write_text(json.dumps(grouped), encoding="utf-8")
    mixed = f"open_track.external_data=[{{root: {more}}}]"
    assert start(tmp_path / "run", overrides=("track=open", mixed)) == 2
    assert f"{more} is a grouped set" in capsys.readouterr().err


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


def test_terminated_training_says_how_to_go_on(config_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    longer = "schedule.stages=[{image_size: 64, epochs: 500, batch_size: 4}]"
    words = ["--config", str(config_file), "--set", f"run.output={output}", "run.workers=1", longer]
    command = [sys.executable, str(ROOT / "src" / "train.py"), *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 120
    while not (output / "checkpoints" / "last_model.pth").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Go on with --resume" in errors
    assert "Traceback" not in errors


def test_a_run_of_an_earlier_version_is_resumed(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert start(output, overrides=("run.validate_every=1",)) == 0
    path = output / "checkpoints" / "last_model.pth"
    content = torch.load(path, weights_only=True)
    state = content["training"]
    for figures in (content["scores"], state["best"], *state["history"]):
        figures["f_score_in_order"] = figures.pop("f_score_lr_corrected")
    torch.save(content, path)
    config = output / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("cuda_graphs:", "record_steps:"), encoding="utf-8")
    before = history(output)
    capsys.readouterr()
    assert train.main(["--resume", "--set", f"run.output={output}", "run.validate_every=1"]) == 0
    assert "record_steps" not in capsys.readouterr().err
    assert [row["f_score_lr_corrected"] for row in history(output)] == [row["f_score_lr_corrected"] for row in before]
    assert "f_score_in_order" not in history(output)[0]
