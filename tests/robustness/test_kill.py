"""A training that is killed loses nothing that it had saved, and ends as one that ran through."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from disturbed_runs import KILLED, Runs, assert_readable, assert_same_run, slow_step, wait_for

from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.training.run_folder import RunFolder

# After each step, so that a kill finds checkpoints from within epochs as often as from their ends.
OFTEN = "run.save_every_minutes=1e-6"


def kill_and_resume(runs: Runs, output: Path, whole: Path, *words: str, kills: int, seed: int, seconds: float) -> int:
    """Kill trainings at random moments of their first seconds, go on each time, and compare where one ends.

    Returns how often a training went on within an epoch.
    """
    rng = np.random.default_rng(seed)
    done = within = 0
    for run in itertools.count():
        place = output / str(run)
        last = RunFolder(place).last_model
        while True:
            flag = "--resume" if last.exists() else "--overwrite"
            within += last.exists() and load_checkpoint(last)["training"]["within"] is not None
            moment = float(rng.uniform(0, seconds))
            process = runs.start(place, *words, flag)
            code = runs.starter.wait(process, moment) if done < kills else runs.starter.wait(process)
            if code is None:
                os.kill(process, signal.SIGKILL)
                code = runs.starter.wait(process)
                done += code == KILLED
            assert code in (0, KILLED), runs.log.read_text(encoding="utf-8")
            assert_readable(place)
            if code == 0:
                break
        assert_same_run(whole, place)
        if done == kills:
            return within
    raise AssertionError


def seconds_of(runs: Runs, output: Path, *words: str) -> float:
    """What an undisturbed run takes."""
    start = time.monotonic()
    assert runs.starter.wait(runs.start(output, *words)) == 0, runs.log.read_text(encoding="utf-8")
    return time.monotonic() - start


@pytest.mark.parametrize("workers", [0, 1])
def test_killed_twice_it_ends_with_the_same_weights(runs: Runs, finished: Path, tmp_path: Path, workers: int) -> None:
    words = (f"run.workers={workers}", OFTEN)
    seconds = seconds_of(runs, tmp_path / "whole", *words)
    assert_same_run(finished, tmp_path / "whole")
    kill_and_resume(runs, tmp_path / "killed", finished, *words, kills=2, seed=workers, seconds=seconds)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("workers", [0, 1])
def test_killed_thirty_times_it_ends_with_the_same_weights(
    runs: Runs, finished: Path, tmp_path: Path, workers: int
) -> None:
    words = (f"run.workers={workers}", OFTEN)
    seconds = seconds_of(runs, tmp_path / "whole", *words)
    start = time.monotonic()
    within = kill_and_resume(runs, tmp_path / "killed", finished, *words, kills=30, seed=7 + workers, seconds=seconds)
    took = time.monotonic() - start
    print(f"\n30 kills in {took:.0f} s; an undisturbed run takes {seconds:.1f} s; {within} began within an epoch")
    assert within


def test_killed_between_the_best_and_the_last_model_of_the_first_epoch(
    runs: Runs, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    first = """
import os, signal
from face_parsing.training.run import Training
save = Training._save
def killed(self, path, *arguments, **options):
    if path == self.folder.last_model:
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, path, *arguments, **options)
Training._save = killed
"""
    assert runs.starter.wait(runs.start(output, first=first)) == KILLED
    assert_readable(output)
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["best_model.pth"]
    capsys.readouterr()
    # The one way on must be the one that both messages name.
    assert runs.here(output, "--resume") == 2
    assert "Start without --resume and with --overwrite" in capsys.readouterr().err
    assert runs.here(output) == 2
    message = capsys.readouterr().err
    assert "Replace it by --overwrite" in message
    assert "--resume" not in message
    assert runs.here(output, "--overwrite") == 0
    assert_same_run(finished, output)


def test_killed_in_the_middle_of_writing(runs: Runs, finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    first = f"""
import os, signal
from pathlib import Path
from face_parsing.models.checkpoint import load_checkpoint
last = Path({str(RunFolder(output).last_model)!r})
def killed(descriptor):
    if last.exists() and load_checkpoint(last)["training"]["epoch"] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = killed
"""
    assert runs.starter.wait(runs.start(output, first=first)) == KILLED
    assert [path for path in output.rglob(".*") if path.stat().st_size > 1000]  # half-written beside the whole one
    assert_readable(output)
    (output / ".2024.notes").write_text("the user's own")
    assert runs.here(output, "--resume") == 0
    (output / ".2024.notes").unlink()
    assert_same_run(finished, output)


def test_a_run_that_was_saved_before_steps_were_goes_on(
    runs: Runs, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint without what the first ones did not hold, of the end of an epoch."""
    output, marker = tmp_path / "run", tmp_path / "slow"
    process = runs.start(output, first=slow_step(marker, 200))
    wait_for(marker, lambda: runs.starter.code(process) is None)
    os.kill(process, signal.SIGKILL)
    assert runs.starter.wait(process) == KILLED
    last = RunFolder(output).last_model
    content = load_checkpoint(last)
    assert content["training"].pop("within") is None
    torch.save(content, last)
    config = yaml.safe_load((output / "config.yaml").read_text(encoding="utf-8"))
    del config["run"]["save_every_minutes"]
    (output / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert runs.here(output, "--resume") == 0
    assert "Resuming after epoch 2 of 4.\n" in capsys.readouterr().out
    assert_same_run(finished, output)
