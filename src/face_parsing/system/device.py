"""Which device a command computes on, in which precision, and how the process is set up for it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from pathlib import Path

import torch


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
