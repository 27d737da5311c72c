"""Masks: ids are read and not colors, and a damaged file is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing.data.masks import read_mask
from face_parsing.data.problems import DataError
from face_parsing.labels import IGNORE_INDEX, NUM_CLASSES, palette_bytes
from face_parsing.synthetic.dataset import make_pair


@pytest.mark.parametrize("mode", ["P", "L"])
def test_ids_are_read_and_not_colors(tmp_path: Path, mode: str) -> None:
    mask = np.resize(np.array([*range(NUM_CLASSES), IGNORE_INDEX], dtype=np.uint8), (8, 10))
    picture = Image.fromarray(mask)
    if mode == "P":
        picture.putpalette(palette_bytes())
    assert picture.mode == mode
    picture.save(tmp_path / "mask.png")
    found = read_mask(tmp_path / "mask.png")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, mask)


def test_a_damaged_mask_is_read_or_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    picture = Image.fromarray(make_pair(0, size=32)[1])
    picture.putpalette(palette_bytes())
    picture.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = read = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), size=rng.integers(1, 6)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(0, len(whole))] if rng.random() < 0.3 else damaged)
        try:
            read_mask(path)
        except DataError as error:
            refused += str(path) in str(error)
            continue
        read += 1
    assert refused + read == 300
    assert refused > 100
