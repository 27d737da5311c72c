"""What the tests share: one thread, a tiny data set, and the real data and the referee where they are at hand."""

from __future__ import annotations

import os

# OpenMP reads it when torch is loaded: an idle thread must not spin while another process works.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import settings

from synthetic import write_dataset

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

torch.set_num_threads(1)
settings.register_profile("project", deadline=None, database=None, derandomize=True, max_examples=50)
settings.load_profile("project")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 12 training, 4 validation and 2 test faces at 64 px. Nobody writes to it."""
    folder = tmp_path_factory.mktemp("data") / "faces"
    write_dataset(folder, train=12, val=4, test=2, size=64, progress=False)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The mini CelebAMask-HQ; tests that need it are skipped elsewhere."""
    folder = SHARED / "celebamask-mini"
    if not (folder / "train" / "masks").is_dir():
        pytest.skip(f"the real data are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def referee() -> ModuleType:
    """The challenge's scoring script; tests that need it are skipped elsewhere."""
    path = SHARED / "tools" / "score.py"
    if not path.is_file():
        pytest.skip(f"the referee is not at {path}")
    spec = importlib.util.spec_from_file_location("referee_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nothing is to appear in the shared folder
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module
