"""The detector, and a portrait."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_parsing.data.photos import read_photo
from face_parsing.faces.detector import RunDetector, read_detector
from face_parsing.weights import DETECTOR, find_weights


@pytest.fixture(scope="session")
def run() -> RunDetector:
    return read_detector(find_weights(DETECTOR))


@pytest.fixture(scope="session")
def portrait(root: Path) -> np.ndarray:
    """Pixels (512, 512, 3) uint8."""
    return read_photo(root / "docs" / "images" / "astronaut.jpg")
