"""A training left without disk, data or a loader process says so and loses nothing that it had saved."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import torch
from disturbed_runs import Runs, assert_readable, assert_same_run, complaint, load_epoch

from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.training.run import Training
from face_parsing.training.run_folder import RunFolder
from face_parsing.training.trainer import Trainer


@contextmanager
def _file_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 30_000])
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
    assert f"{folder.last_model} cannot be written: {os.strerror(errno.EFBIG)}" in complaint(capsys)
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
    line = complaint(capsys)
    assert "No space left on device; make room" in line
    assert f"{name} cannot be written" in line
    assert load_epoch(output) >= 1
    assert_readable(output)
    assert runs.here(output, "--resume") == 0


def test_a_folder_that_cannot_be_written_to(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = tmp_path / "note.txt"
    note.write_text("a file, which no folder can lie in")
    assert runs.here(note / "run") == 2
    assert f"{note / 'run' / 'config.yaml'} cannot be written: Not a directory" in complaint(capsys)
    assert note.read_text() == "a file, which no folder can lie in"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fixed").mkdir(mode=0o500)
    assert runs.here(tmp_path / "fixed" / "run") == 2
    assert "cannot be written: Permission denied" in complaint(capsys)


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
    line = complaint(capsys)
    assert line.startswith(f"train.py: {data}{os.sep}")
    assert line.endswith("there is no such file")
    assert_readable(output)
    kept = RunFolder(output).last_model.read_bytes()
    assert runs.here(output, "--resume", *uncached) == 2
    assert f"There is no folder {data / 'train' / 'images'}" in complaint(capsys)
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
    line = complaint(capsys)
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
    line = complaint(capsys)
    assert all(word in line for word in words), line
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
