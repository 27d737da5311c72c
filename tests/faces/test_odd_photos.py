"""Photos that go wrong elsewhere: a cat, a drawing, a hundred faces, huge, cut, mirrored, touching, lying ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing.data.photos import read_photo
from face_parsing.faces.alignment import crop, quadrangle, roll
from face_parsing.faces.detector import RunDetector
from face_parsing.faces.search import OVERLAP, find_faces, overlap
from face_parsing.synthetic.dataset import make_pair

HEAD = (slice(30, 270), slice(110, 350))
"""The portrait's head, 240 pixels high and wide."""


def resized(photo: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC))


def test_a_cat_is_no_face(run: RunDetector) -> None:
    data = pytest.importorskip("skimage.data")
    assert find_faces(run, data.chelsea()) == []


def test_a_drawn_face_is_found_once_if_at_all(run: RunDetector) -> None:
    for seed in range(4):
        photo, _ = make_pair(seed, size=192)
        statue = np.dstack([photo.mean(2).astype(np.uint8)] * 3)
        for drawn in (photo, statue):
            assert len(find_faces(run, drawn)) <= 1


def test_a_statue_is_a_face(run: RunDetector, portrait: np.ndarray) -> None:
    stone = np.dstack([portrait.mean(2).astype(np.uint8)] * 3)
    (found,), (usual,) = find_faces(run, stone), find_faces(run, portrait)
    np.testing.assert_allclose(found.points, usual.points, atol=10)


def test_a_hundred_faces(run: RunDetector, portrait: np.ndarray) -> None:
    photo = np.tile(resized(portrait[HEAD], 120, 120), (10, 10, 1))
    found = find_faces(run, photo)
    assert len(found) == 100
    cells = {tuple((face.points.mean(0) // 120).astype(int)) for face in found}
    assert len(cells) == 100


def test_a_face_of_5000_pixels(run: RunDetector, portrait: np.ndarray) -> None:
    side = 6000
    photo = np.asarray(Image.fromarray(portrait[HEAD]).resize((side, side), Image.Resampling.NEAREST))
    (found,), (usual,) = find_faces(run, photo), find_faces(run, portrait[HEAD])
    scale = side / 240
    np.testing.assert_allclose(found.points / scale, usual.points, atol=8)
    assert crop(photo, quadrangle(found.points), 128).shape == (128, 128, 3)


@pytest.mark.parametrize("columns", [slice(0, 245), slice(200, 512)], ids=["right half", "left half"])
def test_a_face_cut_by_the_border_is_one_or_none(columns: slice, run: RunDetector, portrait: np.ndarray) -> None:
    photo = np.ascontiguousarray(portrait[:, columns])
    found = find_faces(run, photo)
    assert len(found) <= 1
    for face in found:  # its crop goes on beyond the photo
        assert crop(photo, quadrangle(face.points), 64).shape == (64, 64, 3)


@pytest.mark.parametrize("apart", [180, 100], ids=["touching", "overlapping"])
def test_neighbors_are_two_faces(apart: int, run: RunDetector, portrait: np.ndarray) -> None:
    photo = np.full((240, 400, 3), 90, np.uint8)
    photo[:, 20:200] = portrait[30:270, 140:320]
    photo[:, 20 + apart : 200 + apart] = portrait[30:270, 140:320][:, ::-1]
    found = find_faces(run, photo)
    middles = sorted(float(face.points[:, 0].mean()) for face in found)
    if apart == 180:
        assert len(found) == 2
        assert middles[1] - middles[0] == pytest.approx(apart, abs=30)
    else:  # the one in front hides half of the other
        assert 1 <= len(found) <= 2
    assert all(overlap(one.box, other.box) <= OVERLAP for one in found for other in found if one is not other)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_lying_faces_beside_an_upright_one(turns: int, run: RunDetector, portrait: np.ndarray) -> None:
    photo = np.hstack([portrait, np.rot90(portrait, turns), portrait[:, ::-1]])
    found = sorted(find_faces(run, photo), key=lambda face: float(face.points[:, 0].mean()))
    assert len(found) == 3
    left, middle, right = (roll(face.points) for face in found)
    assert abs(left) < 15
    assert abs(right) < 15
    assert abs((middle + 90 * turns + 180) % 360 - 180) < 15


def test_a_photo_on_its_side_without_exif(run: RunDetector, portrait: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(np.rot90(portrait)).save(tmp_path / "side.png")
    (found,) = find_faces(run, read_photo(tmp_path / "side.png"))
    assert roll(found.points) == pytest.approx(-90, abs=15)
