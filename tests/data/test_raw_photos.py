"""Camera raw files and TIFFs that begin with a preview are refused; pages, pyramids and plain TIFFs are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from photo_samples import Tags, corners, write_tiff

from face_parsing.data.photos import PhotoError, read_photo

SMALL, LARGE = corners(24, 32), corners(60, 80)
REDUCED: Tags = {254: (4, [1])}
DNG: Tags = {50706: (1, [1, 4, 0, 0])}


@pytest.mark.parametrize(
    ("name", "tags", "inner", "following", "head", "reason"),
    [
        ("camera.dng", {**REDUCED, **DNG}, LARGE, None, b"", "it is a camera's raw file; export it as JPEG"),
        ("linear.dng", DNG, None, None, b"", "it is a camera's raw file; export it as JPEG"),
        ("called.tif", {**REDUCED, **DNG}, LARGE, None, b"", "it is a camera's raw file; export it as JPEG"),
        ("camera.nef", REDUCED, LARGE, None, b"", "a preview of 32x24 of a picture of 80x60, as raw files do; export"),
        ("no word of it.tif", {}, LARGE, None, b"", "a preview of 32x24 of a picture of 80x60, as raw files do"),
        ("camera.pef", REDUCED, None, LARGE, b"", "a preview of 32x24 of a picture of 80x60, as raw files do"),
        ("camera.cr2", {}, None, None, b"CR\x02\0", "it is a camera's raw file; export it as JPEG"),
    ],
)
def test_a_preview_is_refused(
    name: str, tags: Tags, inner: np.ndarray, following: np.ndarray, head: bytes, reason: str, tmp_path: Path
) -> None:
    path = write_tiff(tmp_path / name, SMALL, tags, inner=inner, following=following, head=head)
    with pytest.raises(PhotoError) as caught:
        read_photo(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tags", "inner", "following"),
    [
        ("plain.tif", {}, None, None),
        ("called.dng", {}, None, None),
        ("pyramid.tif", {}, SMALL, None),
        ("pages.tif", {}, None, corners(120, 160)),
        ("thumbnail behind.tif", {}, None, SMALL),
        ("says it is reduced, and is alone.tif", REDUCED, None, None),
        ("points to nowhere.tif", {330: (4, [10**6])}, None, None),
    ],
)
def test_a_plain_tiff_is_read(name: str, tags: Tags, inner: np.ndarray, following: np.ndarray, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / name, LARGE, tags, inner=inner, following=following)
    np.testing.assert_array_equal(read_photo(path), LARGE)


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("fuji.raf", b"FUJIFILMCCD-RAW 0201FF"),
        ("canon.cr3", b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom"),
        ("olympus.orf", b"IIRO\x08\0\0\0"),
        ("panasonic.rw2", b"IIU\0\x18\0\0\0"),
        ("sigma.x3f", b"FOVb\x03\0\x02\0"),
        ("minolta.jpg", b"\0MRM\0\x01\0\0"),
    ],
)
def test_raw_files_that_are_no_tiff(name: str, begins: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(begins + bytes(500))
    with pytest.raises(PhotoError, match="it is a camera's raw file; export it as JPEG, PNG or TIFF with the camera's"):
        read_photo(tmp_path / name)
