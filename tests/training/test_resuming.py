"""Trainings that are stopped or repeated: a resumed one ends as one that ran through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from run_files import PLATEAU, ROOT, Start, assert_same_weights, history

import train
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.training.trainer import Trainer


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


@pytest.mark.slow
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


@pytest.mark.slow
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
