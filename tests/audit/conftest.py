"""A data set that the tests of the audit may spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def data(faces: Path, tmp_path: Path) -> Path:
    """12 training, 4 validation and 2 test faces, to be spoilt."""
    return Path(shutil.copytree(faces, tmp_path / "data"))
