"""Loader processes: how many there should be, and whether one of them has died."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import torch


def is_dead_worker(error: BaseException | None) -> bool:
    """Whether torch raised it because a loader process has ended; it does so in the middle of anything.

    Also where it is the cause of another error, such as that of a writer which was left in the middle.
    """
    while error is not None:
        if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


LOADED_AHEAD = 2
"""Batches that a loader process works ahead."""
SHARED_MEMORY = Path("/dev/shm")


def loader_workers(requested: int, device: torch.device, *, processes: int = 1, batch_bytes: int = 0) -> int:
    """Loader processes: as requested, or for -1 all cores but one, at most 16, and 1 where training is on the CPU.

    ``processes`` are those of the training on this machine, which share its cores. For -1 there are no more than
    shared memory, through which they hand over ``batch_bytes`` at a time, has room for.
    """
    if requested >= 0:
        return requested
    if device.type == "cpu":
        return 1
    workers = len(os.sched_getaffinity(0)) // processes - 1 if hasattr(os, "sched_getaffinity") else 4
    if batch_bytes:
        workers = min(workers, shared_room(batch_bytes) // (processes * LOADED_AHEAD))
    return max(1, min(16, workers))


def shared_room(batch_bytes: int) -> int:
    """How many batches shared memory has room for: in a container it is often 64 MB."""
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else sys.maxsize
    return free // batch_bytes
