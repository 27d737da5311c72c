"""Where the project lies, and a description of the machine a run is on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PROJECT_ROOT = Path(__file__).resolve().parents[3]


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
    import torch  # here, so that who asks where the project lies need not load it

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
