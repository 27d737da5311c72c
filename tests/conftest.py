"""What the tests share: one thread, a tiny data set, and the real data and the referee where they are at hand."""

from __future__ import annotations

import os

# OpenMP reads it when torch is loaded: an idle thread must not spin while another process works.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest
import torch
import yaml
from hypothesis import settings

from face_parsing.drawing.plots import plot_history
from face_parsing.synthetic.dataset import write_dataset
from face_parsing.training import run_folder

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


@pytest.fixture(scope="session", autouse=True)
def no_curves() -> Iterator[None]:
    """Trainings draw no curves, which takes as long as a training of seconds. Those of ``curves`` do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder, "plot_history", lambda history, folder: None)
        yield


@pytest.fixture
def curves(no_curves: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings draw their curves, as they do outside of the tests."""
    monkeypatch.setattr(run_folder, "plot_history", plot_history)


class WriteTiny(Protocol):
    """Write the config of a training of seconds to a file: on the data set root, epochs at 32 and then at 64 px of
    three steps each. Further sections replace some of its keys. Gives the file.
    """

    def __call__(
        self, path: Path, root: Path, *, epochs: tuple[int, int] = ..., **sections: dict[str, Any]
    ) -> Path: ...


@pytest.fixture(scope="session")
def write_tiny() -> WriteTiny:
    """The config that the tests of training share."""

    def write(path: Path, root: Path, *, epochs: tuple[int, int] = (2, 2), **sections: dict[str, Any]) -> Path:
        stages = [{"image_size": size, "epochs": n, "batch_size": 4} for size, n in zip((32, 64), epochs, strict=True)]
        values: dict[str, dict[str, Any]] = {
            "data": {"root": str(root), "size": 64},
            "model": {"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1], "plain_stages": 2},
            "schedule": {"stages": stages, "warmup_epochs": 1},
            "run": {"workers": 0, "panel_faces": 2, "threads": 1},
            "inference": {"scales": [1.0]},
        }
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return write


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
