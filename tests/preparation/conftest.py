"""The command, as the tests of the preparation call it."""

from __future__ import annotations

import pytest
from prepared_files import Run

import prepare


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command with one process: status, stdout, stderr without the bar."""

    def call(*words: object) -> tuple[int, str, str]:
        status = prepare.main([*map(str, words), "--workers", "1"])
        captured = capsys.readouterr()
        lines = [line for line in captured.err.replace("\r", "\n").splitlines() if "pair/s]" not in line]
        return status, captured.out, "\n".join(line for line in lines if line.strip() and "image/s]" not in line)

    return call
