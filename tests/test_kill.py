"""A training that is killed, interrupted, or left without disk or data loses nothing that it had saved."""

from __future__ import annotations

import csv
import errno
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

import run_folder
import train
from checkpoint import load_checkpoint, restore_model
from engine import Trainer
from run_folder import RunFolder
from training import Training

ROOT = Path(__file__).resolve().parent.parent
KILLED = -signal.SIGKILL

TINY: dict[str, Any] = {
    "data": {"size": 64},
    "model": {"channels": [16, 16, 16], "blocks": [0, 1, 1], "plain_stages": 2},
    # 18 steps, the later ones of larger images.
    "schedule": {
        "stages": [
            {"image_size": 32, "epochs": 3, "batch_size": 4},
            {"image_size": 64, "epochs": 3, "batch_size": 4},
        ],
        "warmup_epochs": 1,
    },
    "run": {"workers": 0, "panel_faces": 0, "threads": 1, "device": "cpu"},
}


# --- runs and what they leave ---------------------------------------------------------------------


@dataclass(frozen=True)
class Runs:
    """Starts trainings with a tiny config, each in a process of its own."""

    config: Path
    log: Path

    def words(self, output: Path, *words: str) -> list[str]:
        """The command line after ``train.py``; key=value among the words overrides the config."""
        overrides = [word for word in words if not word.startswith("--")]
        flags = [word for word in words if word.startswith("--")]
        return ["--config", str(self.config), "--set", f"run.output={output}", *overrides, *flags]

    def fork(self, output: Path, *words: str, first: Callable[[], object] = lambda: None) -> int:
        """A training in a forked process, which starts at once; its id. ``first`` is called in it before."""
        process = os.fork()
        if process:
            return process
        code = 99
        try:
            os.setpgid(0, 0)  # as a shell does: a key pressed signals all of the group
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
            run_folder.plot_history = lambda *arguments: None  # drawing takes longer than the training
            first()
            code = train.main(self.words(output, *words))
        finally:
            sys.stderr.flush()
            os._exit(code)

    def here(self, output: Path, *words: str) -> int:
        """A training in this process; its exit code."""
        return train.main(self.words(output, *words))


pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="session")
def alone(request: pytest.FixtureRequest) -> None:
    """Nothing else may have run in this process: OpenMP's threads do not survive a fork, and a child waits for them."""
    others = any(item.path != Path(__file__) for item in request.session.items)
    if others or "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("forks its own process, so nothing else may run in it: pytest -m slow tests/test_kill.py")


@pytest.fixture
def runs(tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setattr(run_folder, "plot_history", lambda *files: None)  # drawing takes longer than the training
    path = tmp_path / "tiny.yaml"
    data = tmp_path / "data"
    shutil.copytree(faces, data)
    path.write_text(yaml.safe_dump({**TINY, "data": {**TINY["data"], "root": str(data)}}), encoding="utf-8")
    return Runs(path, tmp_path / "log.txt")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> Path:
    """A run of the tiny config that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    config = folder / "tiny.yaml"
    config.write_text(yaml.safe_dump({**TINY, "data": {**TINY["data"], "root": str(faces)}}), encoding="utf-8")
    assert train.main(["--config", str(config), "--set", f"run.output={folder / 'run'}"]) == 0
    return folder / "run"


def wait(process: int, seconds: float = 240) -> int | None:
    """The exit code of a process, minus the signal that ended it; None where it still runs after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.002)


def wait_for(path: Path, process: int) -> None:
    """Until a file is there."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert os.waitpid(process, os.WNOHANG)[0] == 0, "the training ended before"
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


def kill_and_resume(
    start: Callable[..., int], output: Path, whole: Path, *, kills: int, seed: int, seconds: float
) -> list[float]:
    """Kill trainings at random moments of their first seconds, go on each time, and compare where one ends.

    start(output, *flags) gives a process id. Returns the moments of the kills.
    """
    rng = np.random.default_rng(seed)
    moments: list[float] = []
    for run in range(kills + 1):
        place = output / str(run)
        folder = RunFolder(place)
        while True:
            flag = "--resume" if folder.last_model.exists() else "--overwrite"
            moment = float(rng.uniform(0, seconds))
            process = start(place, flag)
            code = wait(process, moment) if len(moments) < kills else wait(process)
            if code is None:
                os.kill(process, signal.SIGKILL)
                code = wait(process)
            assert code in (0, KILLED)
            assert_readable(place)
            if code == 0:
                break
            moments.append(moment)
        assert_same_run(whole, place)
        if len(moments) == kills:
            break
    return moments


@pytest.mark.parametrize("workers", [0, 1])
def test_killed_three_times_it_ends_with_the_same_weights(
    runs: Runs, finished: Path, tmp_path: Path, workers: int
) -> None:
    start = time.monotonic()
    assert wait(runs.fork(tmp_path / "whole", f"run.workers={workers}")) == 0
    seconds = time.monotonic() - start
    assert_same_run(finished, tmp_path / "whole")
    moments = kill_and_resume(
        lambda output, flag: runs.fork(output, f"run.workers={workers}", flag),
        tmp_path / "killed", finished, kills=3, seed=workers, seconds=seconds,
    )  # fmt: skip
    assert len(moments) == 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("workers", [0, 1])
def test_the_command_killed_thirty_times_ends_with_the_same_weights(runs: Runs, tmp_path: Path, workers: int) -> None:
    """The command itself, from its start on; a third of the kills fall into Python's imports."""
    processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(output: Path, flag: str = "--overwrite") -> int:
        words = runs.words(output, f"run.workers={workers}", flag)
        command = [sys.executable, str(ROOT / "src" / "train.py"), *words]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        processes[process.pid] = process  # or Python would wait for it itself
        return process.pid

    whole = tmp_path / "whole"
    begun = time.monotonic()
    assert wait(start(whole)) == 0
    seconds = time.monotonic() - begun
    moments = kill_and_resume(start, tmp_path / "killed", whole, kills=30, seed=7 + workers, seconds=seconds)
    for process in processes.values():
        process.returncode = 0  # waited for above
    took = time.monotonic() - begun
    print(f"\n{len(moments)} kills in {len(processes)} starts, {took:.0f} s; an undisturbed run takes {seconds:.1f} s")
    print("seconds after the start:", " ".join(f"{moment:.1f}" for moment in sorted(moments)))
    assert len(moments) == 30


def test_killed_between_the_best_and_the_last_model_of_the_first_epoch(
    runs: Runs, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    save = Training._save

    def killed(self: Training, path: Path, *arguments: Any, **options: Any) -> None:
        if path == self.folder.last_model:
            os.kill(os.getpid(), signal.SIGKILL)
        save(self, path, *arguments, **options)

    assert wait(runs.fork(output, first=lambda: monkeypatch.setattr(Training, "_save", killed))) == KILLED
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


def test_killed_in_the_middle_of_writing(
    runs: Runs, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"

    def killed(descriptor: int) -> None:
        if load_epoch(output) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    assert wait(runs.fork(output, first=lambda: monkeypatch.setattr(os, "fsync", killed))) == KILLED
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
        interruption.waits = True
        interruption.check()
        os.kill(os.getpid(), signum)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signum)
    assert signal.getsignal(signum) is before


def _slow_steps(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Trainer._update

    def slow(self: Trainer, loss: torch.Tensor) -> None:
        if self.step_count == 7:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                time.sleep(0.01)
        update(self, loss)

    monkeypatch.setattr(Trainer, "_update", slow)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_says_how_to_go_on(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: int, workers: int
) -> None:
    output = tmp_path / "run"
    process = runs.fork(output, f"run.workers={workers}", first=lambda: _slow_steps(0.5, monkeypatch))
    wait_for(RunFolder(output).last_model, process)
    os.killpg(process, signum)  # the loader's process gets it as well
    assert wait(process, 60) == 130
    said = runs.log.read_text(encoding="utf-8")
    assert "train.py: interrupted. Go on with --resume." in said
    assert "Traceback" not in said
    assert "Error" not in said
    assert_readable(output)
    assert 1 <= load_epoch(output) <= 3


def test_a_second_signal_ends_a_step_that_takes_for_ever(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    process = runs.fork(output, first=lambda: _slow_steps(200, monkeypatch))
    deadline = time.monotonic() + 60
    while load_epoch(output) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # it is at the slow step now
    os.kill(process, signal.SIGINT)
    assert wait(process, 0.5) is None
    os.kill(process, signal.SIGTERM)
    assert wait(process, 30) == 130
    said = runs.log.read_text(encoding="utf-8")
    assert "Go on with --resume" in said
    assert "Traceback" not in said
    assert_readable(output)


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
