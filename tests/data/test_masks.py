"""Masks: ids are read and not colors, and a damaged file is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing.data.masks import mask_files, read_colors, read_mask
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


@pytest.mark.parametrize("name", ["m.png", "big-endian.tif", "m.tif"])
def test_ids_in_more_bits_are_ids_and_larger_numbers_are_refused(tmp_path: Path, name: str) -> None:
    mask = np.resize(np.array([*range(NUM_CLASSES), IGNORE_INDEX]), (8, 10))
    kind = {"m.png": "<u2", "big-endian.tif": ">u2", "m.tif": "<i4"}[name]
    picture = Image.fromarray(mask.astype("<u2" if kind == ">u2" else kind))
    if kind == ">u2":
        picture = Image.frombytes("I;16B", picture.size, mask.astype(kind).tobytes())
    picture.save(tmp_path / name)
    found = read_mask(tmp_path / name)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(read_colors(tmp_path / name)[0], np.repeat(mask[..., None], 3, axis=2))
    Image.fromarray((mask * 257).astype(np.uint16)).save(tmp_path / "scaled.png")
    for read in (read_mask, read_colors):
        with pytest.raises(DataError, match=r"scaled\.png: label 257; ids are 0 to 18, or 255 to ignore"):
            read(tmp_path / "scaled.png")


def test_which_files_are_masks(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.png", "a.bmp", "c.v2.tif", "photo.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    found = mask_files(tmp_path)
    assert {stem: path.name for stem, path in found.items()} == {"a": "a.png", "b": "b.PNG", "c.v2": "c.v2.tif"}
    assert list(found) == ["a", "b", "c.v2"]


def test_what_is_transparent_is_told_apart_from_white(tmp_path: Path) -> None:
    pixels = np.array([[[9, 9, 9, 0], [5, 5, 5, 255], [255, 255, 255, 255], [10, 10, 10, 51]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    colors, clear = read_colors(tmp_path / "m.png")
    assert clear.tolist() == [[True, False, False, False]]
    assert colors.tolist() == [[[0, 0, 0], [5, 5, 5], [255, 255, 255], [206, 206, 206]]]
