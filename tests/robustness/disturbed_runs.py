"""Trainings to disturb, and what they leave."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from face_parsing.models.checkpoint import load_checkpoint, restore_model
from face_parsing.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent.parent
KILLED = -signal.SIGKILL


class Starter:
    """Starts trainings, each in a process and session of its own, without the seconds that Python's imports take."""

    def __init__(self) -> None:
        command = [sys.executable, str(ROOT / "tests" / "robustness" / "starter.py")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )

    def _ask(self, **request: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, words: list[str], log: Path, first: str = "") -> int:
        """A training that prints to the file log; its id. The Python code ``first`` runs in its process before."""
        process: int = self._ask(words=words, log=str(log), first=first)
        return process

    def code(self, process: int) -> int | None:
        """The exit code of a training, minus the signal that ended it; None while it runs."""
        code: int | None = self._ask(process=process)
        return code

    def wait(self, process: int, seconds: float = 240) -> int | None:
        """The exit code; None where it still runs after so many seconds."""
        deadline = time.monotonic() + seconds
        while (code := self.code(process)) is None and time.monotonic() < deadline:
            time.sleep(0.002)
        return code


@dataclass(frozen=True)
class Runs:
    """Trainings with a tiny config."""

    config: Path
    log: Path
    starter: Starter

    def words(self, output: Path, *words: str) -> list[str]:
        """The command line after ``train.py``; key=value among the words overrides the config."""
        overrides = [word for word in words if not word.startswith("--")]
        flags = [word for word in words if word.startswith("--")]
        return ["--config", str(self.config), "--set", f"run.output={output}", *overrides, *flags]

    def start(self, output: Path, *words: str, first: str = "") -> int:
        """A training in a process of its own; its id, for the starter."""
        return self.starter.start(self.words(output, *words), self.log, first)

    def here(self, output: Path, *words: str) -> int:
        """A training in this process; its exit code."""
        return train.main(self.words(output, *words))


RUN = {"panel_faces": 0, "device": "cpu"}


def wait_for(path: Path, still_runs: Callable[[], bool]) -> None:
    """Until a file is there."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert still_runs(), "the training ended before"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def assert_readable(output: Path) -> None:
    """Each checkpoint that is there is whole."""
    folder = RunFolder(output)
    for path in (folder.last_model, folder.best_model):
        if path.exists():
            restore_model(load_checkpoint(path), path)


def tensors(output: Path) -> dict[str, torch.Tensor]:
    """All tensors of both checkpoints: average, live model, optimiser, best model."""
    found: dict[str, torch.Tensor] = {}

    def collect(value: Any, name: str) -> None:
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                collect(inner, f"{name}.{key}")
        elif isinstance(value, list | tuple):
            for i, inner in enumerate(value):
                collect(inner, f"{name}.{i}")

    folder = RunFolder(output)
    for path in (folder.last_model, folder.best_model):
        collect(load_checkpoint(path), path.stem)
    return found


def measured(output: Path) -> list[dict[str, str]]:
    """The lines of history.csv without what the clock says."""
    with (output / "history.csv").open(encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if "second" not in k} for row in csv.DictReader(file)]


def assert_same_run(one: Path, other: Path) -> None:
    """Bit for bit the same weights and the same history, and nothing left over."""
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys()
    assert len(first) > 100
    assert not [name for name in first if not torch.equal(first[name], second[name])]
    assert measured(one) == measured(other)
    left = [path for path in other.rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.startswith(".")]
    assert {"config.yaml", "split.json", "scores.json"} <= {path.name for path in left}


def load_epoch(output: Path) -> int:
    """After how many epochs last_model.pth was written; 0 where it is not there."""
    path = RunFolder(output).last_model
    return load_checkpoint(path)["training"]["epoch"] if path.exists() else 0


def slow_step(marker: Path, seconds: float, step: int = 7) -> str:
    """Code that makes a step (of 12, from 0) take so long, and says by a file that it has begun."""
    return f"""
import time
from pathlib import Path
from face_parsing.training.trainer import Trainer
update = Trainer._update
def slow(self, loss):
    if self.step_count == {step}:
        Path({str(marker)!r}).touch()
        time.sleep({seconds})
    update(self, loss)
Trainer._update = slow
"""


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of train.py on stderr, which may also hold a bar and warnings."""
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("train.py: ")]
    assert said.splitlines()[-1] == line
    return line
