"""A store that the tests of the data share."""

from __future__ import annotations

from pathlib import Path

import pytest
from pair_files import store

from face_parsing.data.cache import PairStore
from face_parsing.data.pairs import find_pairs


@pytest.fixture(scope="module")
def cached(faces: Path) -> PairStore:
    return store(find_pairs(faces / "train"))
