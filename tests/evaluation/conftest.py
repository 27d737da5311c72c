"""Masks and a network to evaluate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from judged_files import write_model

from face_parsing.data.masks import save_mask


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and truth of three masks, the predictions a shifted truth."""
    rng = np.random.default_rng(0)
    predictions, truth = tmp_path / "predictions", tmp_path / "truth"
    for i in range(3):
        mask = np.kron(rng.integers(0, 19, (8, 8)), np.ones((8, 8))).astype(np.uint8)
        save_mask(mask, truth / f"{i}.png")
        save_mask(np.roll(mask, i, axis=1), predictions / f"{i}.png")
    return predictions, truth


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights."""
    return write_model(tmp_path_factory.mktemp("model") / "model.pth")
