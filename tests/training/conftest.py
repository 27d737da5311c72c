"""Trainings of seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from run_files import Start

import train


@pytest.fixture
def config_file(tmp_path: Path, faces: Path, write_tiny: Callable[..., Path]) -> Path:
    return write_tiny(tmp_path / "tiny.yaml", faces)


@pytest.fixture
def start(config_file: Path) -> Start:
    """Call main with the tiny config, an output folder and more words; gives the exit code."""

    def call(output: Path, *words: str, overrides: tuple[str, ...] = ()) -> int:
        return train.main(["--config", str(config_file), "--set", f"run.output={output}", *overrides, *words])

    return call
