"""Trainings that the tests of robustness disturb."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disturbed_runs import RUN, Runs, Starter

import train


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter]:
    """One process that forks all trainings to disturb."""
    starter = Starter()
    with starter.process:
        yield starter


@pytest.fixture
def runs(tmp_path: Path, faces: Path, starter: Starter, write_tiny: Callable[..., Path]) -> Runs:
    """Trainings on data that may be taken away."""
    data = tmp_path / "data"
    shutil.copytree(faces, data)
    return Runs(write_tiny(tmp_path / "tiny.yaml", data, run=RUN), tmp_path / "log.txt", starter)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, faces: Path, write_tiny: Callable[..., Path]) -> Path:
    """A run of the tiny config that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    config = write_tiny(folder / "tiny.yaml", faces, run=RUN)
    assert train.main(["--config", str(config), "--set", f"run.output={folder / 'run'}"]) == 0
    return folder / "run"
