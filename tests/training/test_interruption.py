"""A training outside the main thread, where Python sets no signal handlers."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import train
from face_parsing.training.interruption import Interruption


def test_a_training_in_a_thread_does_without_signals(
    faces: Path, tmp_path: Path, write_tiny: Callable[..., Path]
) -> None:
    config = write_tiny(tmp_path / "tiny.yaml", faces, epochs=(1, 1))
    before = signal.getsignal(signal.SIGINT)
    words = ["--config", str(config), "--set", f"run.output={tmp_path / 'run'}"]
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(train.main, words).result() == 0
        assert thread.submit(_handler_within).result() is before
    assert (tmp_path / "run" / "checkpoints" / "best_model.pth").is_file()


def _handler_within() -> object:
    with Interruption() as interruption:
        assert not interruption.requested
        return signal.getsignal(signal.SIGINT)
