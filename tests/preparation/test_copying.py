"""Many files copied by one process or by several: a bad one is named, a lost process is told."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from prepared_files import files, write_root

import prepare
from face_parsing.data.problems import DataError
from face_parsing.preparation.copying import PreparationError, each_result
from face_parsing.preparation.pair_files import copy_pair


def test_a_pair_with_a_bad_half_is_left_out_whole(tmp_path: Path) -> None:
    source = write_root(tmp_path / "s", {"train": 2})
    (source / "train/masks/a0.png").write_bytes(b"")
    (source / "train/images/a1.png").write_bytes(b"")
    for stem in ("a0", "a1"):
        outputs = (tmp_path / f"{stem}.png", tmp_path / f"{stem}_mask.png")
        pair = (source / f"train/images/{stem}.png", source / f"train/masks/{stem}.png", outputs)
        ((_, result),) = each_result([partial(copy_pair, *pair)], 1)
        assert isinstance(result, DataError)
        assert not any(path.exists() for path in outputs)


def _square(x: int) -> int:
    if x == 5:
        raise DataError("five")
    return x * x


def _crash(x: int) -> int:
    if x:
        raise OSError("No space left on device")
    return 0


def _die() -> None:
    os._exit(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_result(workers: int) -> None:
    found = dict(each_result([partial(_square, x) for x in range(20)], workers))
    assert isinstance(found.pop(5), DataError)
    assert found == {x: x * x for x in range(20) if x != 5}
    with pytest.raises(OSError, match="No space left"):
        list(each_result([partial(_crash, x) for x in (0, 1, 0)], workers))


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(PreparationError, match="fewer --workers"):
        list(each_result([_die] * 3, 2))


def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    source = write_root(tmp_path / "s", {"train": 5, "val": 2})
    for workers in ("1", "2"):
        words = ["flip", "--source", str(source), "--output", str(tmp_path / workers), "--workers", workers]
        assert prepare.main(words) == 0
    assert files(tmp_path / "1") == files(tmp_path / "2")
