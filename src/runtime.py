"""The machine a run is on: seeds, device, precision, memory, and a description of it all."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still draw from it; ours draw from generators
    torch.manual_seed(seed)


def mix_seeds(*parts: int) -> int:
    """One 32-bit seed from several numbers such as (seed, epoch, index): any change gives an unrelated one."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Where torch's generators stand, that of the CPU and, if it is another, the device's."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on drawing from where they stood; a generator that the state does not hold stays as it is."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def choose_device(name: str) -> torch.device:
    """``auto`` is the GPU where there is one. Raises ValueError for cuda without a GPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but torch finds no GPU; use auto or cpu")
    return torch.device(name)


def _cpu_computes_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The autocast dtype of the config's run.precision; float32 means no autocast."""
    if name == "auto":
        if device.type == "cuda":
            name = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        else:
            name = "bf16" if _cpu_computes_bf16() else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def prepare_device(device: torch.device, *, deterministic: bool = False, threads: int = 0) -> None:
    """Process-wide settings: threads, determinism, and memory that is kept instead of given back.

    cuDNN chooses its kernels by rule. Trying them out (torch.backends.cudnn.benchmark) took an H200 4 to 10 s for each
    image size of the reference recipe, for steps that were 2 to 4 % shorter (docs/performance.md).
    """
    if threads:
        torch.set_num_threads(threads)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    if device.type == "cpu":
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Tell glibc to reuse large freed blocks: a step otherwise spends a quarter of its time on page faults."""
    if platform.system() != "Linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, 256 * 2**20)


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


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary neighbour of path to write to: it replaces path when the block ends well, else it vanishes.

    Raises OSError, naming path, where it cannot be written.
    """
    # A name may be as long as file systems allow, which leaves no room for more before it.
    name = path.name if len(os.fsencode(path.name)) < 200 else hashlib.sha256(os.fsencode(path.name)).hexdigest()
    temporary = path.with_name(f".{os.getpid()}.{name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        # Python names no file where a write fails, and else the temporary one or a folder above it.
        named = error.filename and Path(os.fsdecode(error.filename))
        if named and named != temporary and named not in path.parents:
            raise
        reason = error.strerror or str(error)
        raise OSError(f"{path} cannot be written: {reason}; make room for it or choose another place.") from None


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, hardware, git revision and command line, as plain values."""
    packages = ("torch", "torchvision", "numpy", "pillow", "albumentations", "opencv-python-headless")
    versions: dict[str, str | None] = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "command": sys.argv,
        "git_revision": _git("rev-parse", "HEAD") or None,
        "git_changes": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpu_cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
