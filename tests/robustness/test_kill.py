"""A training that is killed, interrupted, or left without disk or data loses nothing that it had saved."""

from __future__ import annotations

import contextlib
import csv
import errno
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import train
from face_parsing.models.checkpoint import load_checkpoint, restore_model
from face_parsing.training import run_folder
from face_parsing.training.run import Training
from face_parsing.training.run_folder import RunFolder
from face_parsing.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent.parent
KILLED = -signal.SIGKILL

# --- runs and what they leave ---------------------------------------------------------------------


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


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    starter = Starter()
    with starter.process:
        yield starter


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


@pytest.fixture
def runs(
    tmp_path: Path, faces: Path, starter: Starter, write_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Runs:
    monkeypatch.setattr(run_folder, "plot_history", lambda *files: None)  # drawing takes longer than the training
    data = tmp_path / "data"
    shutil.copytree(faces, data)
    return Runs(write_tiny(tmp_path / "tiny.yaml", data, run=RUN), tmp_path / "log.txt", starter)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, faces: Path, write_tiny: Callable[..., Path]) -> Path:
    """A run of the tiny config that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    config = write_tiny(folder / "tiny.yaml", faces, run=RUN)
    assert train.main(["--config", str(config), "--set", f"run.output={folder / 'run'}"]) == 0
    return folder / "run"


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


# --- killed ---------------------------------------------------------------------------------------

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
def test_killed_four_times_it_ends_with_the_same_weights(
    runs: Runs, finished: Path, tmp_path: Path, workers: int
) -> None:
    words = (f"run.workers={workers}", OFTEN)
    seconds = seconds_of(runs, tmp_path / "whole", *words)
    assert_same_run(finished, tmp_path / "whole")
    kill_and_resume(runs, tmp_path / "killed", finished, *words, kills=4, seed=workers, seconds=seconds)


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


def load_epoch(output: Path) -> int:
    """After how many epochs last_model.pth was written; 0 where it is not there."""
    path = RunFolder(output).last_model
    return load_checkpoint(path)["training"]["epoch"] if path.exists() else 0


# --- interrupted ----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
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
    process = runs.start(output, "run.workers=1", "--overwrite", first=slow_step(tmp_path / "again", 200))
    wait_for(tmp_path / "again", lambda: runs.starter.code(process) is None)
    (worker,) = [child for child, parent in running().items() if parent == process]
    os.kill(process, signal.SIGKILL)
    assert runs.starter.wait(process) == KILLED
    deadline = time.monotonic() + 60  # it looks every 5 seconds
    while worker in running() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert worker not in running()


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


# --- no disk, no data -----------------------------------------------------------------------------


@contextmanager
def _file_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of train.py on stderr, which may also hold a bar and warnings."""
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("train.py: ")]
    assert said.splitlines()[-1] == line
    return line


@pytest.mark.parametrize("room", [0, 1000, 30_000, 200_000])
def test_a_disk_that_is_full_leaves_the_last_checkpoint(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], room: int
) -> None:
    """The system itself refuses to write more than so many bytes to a file from the second epoch on."""
    output = tmp_path / "run"
    folder = RunFolder(output)
    save = Training._save

    def limited(self: Training, path: Path, epoch: int, *arguments: Any, **options: Any) -> None:
        if epoch < 2 or path != folder.last_model:
            return save(self, path, epoch, *arguments, **options)
        with _file_limit(room):
            save(self, path, epoch, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_save", limited)
        assert runs.here(output) == 2
    assert f"{folder.last_model} cannot be written: {os.strerror(errno.EFBIG)}" in _complaint(capsys)
    assert folder.last_model.stat().st_size > room
    assert not list(output.rglob(".*"))
    assert load_epoch(output) == 1
    assert_readable(output)


@pytest.mark.parametrize("name", ["last_model.pth", "best_model.pth", "history.csv"])
def test_no_space_left_is_told_with_the_file(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    output = tmp_path / "run"
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).name == name and load_epoch(output) >= 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert runs.here(output) == 2
    line = _complaint(capsys)
    assert "No space left on device; make room" in line
    assert f"{name} cannot be written" in line
    assert load_epoch(output) >= 1
    assert_readable(output)
    assert runs.here(output, "--resume") == 0


def test_a_folder_that_cannot_be_written_to(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = tmp_path / "note.txt"
    note.write_text("a file, which no folder can lie in")
    assert runs.here(note / "run") == 2
    assert f"{note / 'run' / 'config.yaml'} cannot be written: Not a directory" in _complaint(capsys)
    assert note.read_text() == "a file, which no folder can lie in"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fixed").mkdir(mode=0o500)
    assert runs.here(tmp_path / "fixed" / "run") == 2
    assert "cannot be written: Permission denied" in _complaint(capsys)


@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_vanish_during_training_are_told(
    runs: Runs,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    workers: int,
) -> None:
    output = tmp_path / "run"
    uncached = (f"run.workers={workers}", "data.cache_gb=1e-6")
    data, away = tmp_path / "data", tmp_path / "away"
    update = Trainer._update

    def vanishing(self: Trainer, loss: torch.Tensor) -> None:
        if self.step_count == 4 and data.exists():
            data.rename(away)
        update(self, loss)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", vanishing)
        assert runs.here(output, *uncached) == 2
    line = _complaint(capsys)
    assert line.startswith(f"train.py: {data}{os.sep}")
    assert line.endswith("there is no such file")
    assert_readable(output)
    kept = RunFolder(output).last_model.read_bytes()
    assert runs.here(output, "--resume", *uncached) == 2
    assert f"There is no folder {data / 'train' / 'images'}" in _complaint(capsys)
    assert RunFolder(output).last_model.read_bytes() == kept
    away.rename(data)
    assert runs.here(output, "--resume", *uncached) == 0
    assert_same_run(finished, output)


def test_a_loader_process_that_dies_is_told(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    update = Trainer._update

    def killing(self: Trainer, loss: torch.Tensor) -> None:
        if self.step_count == 4:
            (worker,) = active_children()
            os.kill(worker.pid or 0, signal.SIGKILL)
            worker.join()
        update(self, loss)

    longer = "schedule.stages=[{image_size: 32, epochs: 9, batch_size: 4}]"
    monkeypatch.setattr(Trainer, "_update", killing)
    assert runs.here(output, "run.workers=1", longer) == 2
    line = _complaint(capsys)
    assert "A process that reads the pairs has died" in line
    assert line.endswith("--resume with fewer run.workers.")
    assert load_epoch(output) >= 1
    assert_readable(output)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("cut", ("is damaged",)),
        ("emptied", ("is damaged",)),
        ("another", ("holds no state of a training",)),
        ("wrong", ("cannot be resumed", "start anew")),
        ("epochs", ("cannot be resumed", "start anew")),
        ("split", ("split.json cannot be read", "start anew")),
        ("config", ("config of the run to resume cannot be used",)),
    ],
)
def test_a_run_that_cannot_be_resumed_is_told(
    runs: Runs, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, words: tuple[str, ...]
) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    last = RunFolder(output).last_model
    content = load_checkpoint(last)
    if damage in ("cut", "emptied"):
        last.write_bytes(last.read_bytes()[: 5000 if damage == "cut" else 0])
    elif damage == "another":
        shutil.copy(RunFolder(output).best_model, last)
    elif damage == "wrong":
        torch.save({**content, "training": {"trainer": [1]}}, last)
    elif damage == "epochs":
        torch.save({**content, "training": {**content["training"], "epoch": 10**9}}, last)
    elif damage == "split":
        (output / "split.json").unlink()
    else:
        (output / "config.yaml").write_text("[", encoding="utf-8")
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert runs.here(output, "--resume") == 2
    line = _complaint(capsys)
    assert all(word in line for word in words), line
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
