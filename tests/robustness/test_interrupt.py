"""An interrupted training ends its step, saves, and says how to go on; its loader processes end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from disturbed_runs import KILLED, Runs, assert_readable, assert_same_run, load_epoch, slow_step, wait_for

import train
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.training.run_folder import RunFolder


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_step_and_a_second_one_does_not(signum: int) -> None:
    before = signal.getsignal(signum)
    with train.Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt):  # nothing to wait for yet
            os.kill(os.getpid(), signum)
        assert interruption.requested  # should that exception be lost
    with train.Interruption() as interruption:
        interruption.waits = True
        assert not interruption.requested
        os.kill(os.getpid(), signum)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signum)
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize(
    ("signum", "workers"),
    [
        (signal.SIGTERM, 0),
        (signal.SIGINT, 1),
        pytest.param(signal.SIGINT, 0, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 1, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_training_says_how_to_go_on(
    runs: Runs, finished: Path, tmp_path: Path, signum: int, workers: int
) -> None:
    output, marker = tmp_path / "run", tmp_path / "slow"
    process = runs.start(output, f"run.workers={workers}", first=slow_step(marker, 0.5))
    wait_for(marker, lambda: runs.starter.code(process) is None)
    os.killpg(process, signum)  # the loader's process gets it as well
    assert runs.starter.wait(process, 60) == 130
    said = runs.log.read_text(encoding="utf-8")
    assert "train.py: interrupted and saved at epoch 3 of 4, step 2 of 3. Go on with --resume." in said
    assert "Traceback" not in said
    assert "Error" not in said
    assert_readable(output)
    assert load_checkpoint(RunFolder(output).last_model)["training"]["within"]["progress"]["steps"] == 2
    assert runs.here(output, "--resume", f"run.workers={workers}") == 0
    assert_same_run(finished, output)


def test_a_second_signal_ends_a_step_that_takes_for_ever(runs: Runs, tmp_path: Path) -> None:
    output, marker = tmp_path / "run", tmp_path / "slow"
    process = runs.start(output, first=slow_step(marker, 200))
    wait_for(marker, lambda: runs.starter.code(process) is None)
    os.kill(process, signal.SIGINT)
    assert runs.starter.wait(process, 0.5) is None
    os.kill(process, signal.SIGTERM)
    assert runs.starter.wait(process, 30) == 130
    said = runs.log.read_text(encoding="utf-8")
    assert "train.py: interrupted. Go on with --resume." in said
    assert "Traceback" not in said
    assert_readable(output)
    assert load_epoch(output) == 2


def running() -> dict[int, int]:
    """All processes that have not ended, and the parent of each."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[:2]  # behind the name
            if state != "Z":
                found[int(stat.parent.name)] = int(parent)
    return found


# A loader process looks every 5 seconds whether its training still runs.
LOOKS_OFTEN = """
import torch.utils.data._utils.worker as worker
worker.MP_STATUS_CHECK_INTERVAL = 0.2
"""


def test_a_loader_process_heeds_its_parent_alone(runs: Runs, tmp_path: Path) -> None:
    """It outlives what others send to it, and not the training, however that ends."""
    output, marker = tmp_path / "run", tmp_path / "slow"
    process = runs.start(output, "run.workers=1", first=slow_step(marker, 1.0))
    wait_for(marker, lambda: runs.starter.code(process) is None)
    (worker,) = [child for child, parent in running().items() if parent == process]
    for signum in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker, signum)
    assert runs.starter.wait(process) == 0
    assert worker not in running()
    process = runs.start(output, "run.workers=1", "--overwrite", first=LOOKS_OFTEN + slow_step(tmp_path / "again", 200))
    wait_for(tmp_path / "again", lambda: runs.starter.code(process) is None)
    (worker,) = [child for child, parent in running().items() if parent == process]
    os.kill(process, signal.SIGKILL)
    assert runs.starter.wait(process) == KILLED
    deadline = time.monotonic() + 60
    while worker in running() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert worker not in running()
