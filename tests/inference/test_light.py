"""benchmarks/light.py: a process measured from its start to its end, and the table."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import light  # noqa: E402 - benchmarks is no package
from light import ROWS, Measured  # noqa: E402


def test_a_photo_from_a_cold_start_is_light(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    shutil.copy(ROOT / light.PHOTO, tmp_path / "one" / "photo.jpg")
    taken = light.run_row(ROWS["one"], ROOT, tmp_path, tmp_path / "out", threads=1)
    assert (tmp_path / "out" / "overlay" / "photo.jpg").is_file()
    assert 0 < taken.seconds < 60
    # It was 915 MB with torch and 97 without; what started the process may have been larger than the process itself.
    here, _ = light.measure([sys.executable, "-c", ""], ROOT)
    assert taken.megabytes < max(150, here.megabytes + 1)
    warm = light.run_row(ROWS["runtime"], ROOT, tmp_path, tmp_path / "out", threads=1)
    assert 0 < warm.seconds < 10


def test_a_command_that_fails_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match=r"ended with 3:\nsorry"):
        light.measure([sys.executable, "-c", "print('sorry'); raise SystemExit(3)"], ROOT)


def test_a_row_has_medians_spreads_and_ratios() -> None:
    ours = [Measured(0.5, 100), Measured(0.25, 100), Measured(1, 110)]
    theirs = [Measured(4, 900), Measured(3, 900), Measured(4, 900)]
    assert light.table_row(ROWS["one"], [ours]) == (
        "| one photo, `--color --overlay` | 0.50 s (0.25 s to 1.00 s) | 100 MB |"
    )
    row = light.table_row(ROWS["one"], [ours, theirs])
    assert row.endswith(
        "| 4.00 s (3.00 s to 4.00 s) | 900 MB | 0.50 s (0.25 s to 1.00 s) | 100 MB | 8.00 (4.00 to 12.00) | 9.0 |"
    )
    warm = light.table_row(ROWS["warm"], [[Measured(0.0311, 100)]])
    assert warm == "| photo of 512 px to its mask, warm | 31.1 ms (31.1 ms to 31.1 ms) |  |"
