"""Loader processes: how many a machine bears, and which errors say that one died."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from face_parsing.system.workers import SHARED_MEMORY, is_dead_worker, loader_workers


def test_a_dead_loader_process_may_be_the_cause_of_another_error() -> None:
    @contextmanager
    def writer() -> Iterator[None]:  # such as torch's, which complains where it was left in the middle
        try:
            yield
        finally:
            raise RuntimeError("unexpected pos 64 vs 0")

    with pytest.raises(RuntimeError, match="unexpected pos") as raised, writer():
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    assert is_dead_worker(raised.value)
    assert not is_dead_worker(RuntimeError("unexpected pos 64 vs 0"))
    assert not is_dead_worker(None)


def test_processes_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16))
    gpu = torch.device("cuda")
    assert [loader_workers(-1, gpu, processes=n) for n in (1, 2, 8, 16)] == [15, 7, 1, 1]
    assert loader_workers(3, gpu, processes=8) == 3
    # And its shared memory: each process has two batches of 4 MB there.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64 * 2**20))
    found = [loader_workers(-1, gpu, processes=n, batch_bytes=4 * 2**20) for n in (1, 2, 8, 16)]
    assert found == ([8, 4, 1, 1] if SHARED_MEMORY.is_dir() else [15, 7, 1, 1])
    assert loader_workers(-1, gpu, batch_bytes=2**30) == 1
    assert loader_workers(12, gpu, batch_bytes=2**30) == 12
