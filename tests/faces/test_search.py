"""Which faces are found, how they stand, and which photos are left alone, by fake detectors and the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing.data.photos import read_photo
from face_parsing.faces.alignment import roll
from face_parsing.faces.choice import choose_faces, given_faces
from face_parsing.faces.detector import Face, RunDetector
from face_parsing.faces.portrait import lies_as_trained, portrait_face
from face_parsing.faces.search import best_of, find_faces, middle_one, shrunk, turn_back
from face_parsing.synthetic.dataset import write_dataset

LIMITS = {"least_score": 0.85, "least_size": 16.0}


def face(x: float, y: float, size: float, score: float) -> Face:
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * size + [x, y]
    return Face(np.array([x, y, size, size]), points, score)


def test_the_middle_is_near_in_pixels_or_in_sizes_of_the_face() -> None:
    large, small = face(20, 10, 80, 0.9), face(48, 40, 20, 0.9)  # by 10 and by 8 pixels: an eighth, and two fifths
    assert middle_one([large, small], 100, 9) is small
    assert middle_one([large, small], 100, 0.5, in_sizes=True) is large
    assert middle_one([large, small], 100, 8) is None
    assert middle_one([small], 100, 0.4, in_sizes=True) is None
    assert middle_one([], 100, 9) is None


@pytest.mark.parametrize("part", [1, 2, 4])
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_two_threads_find_what_one_finds(run: RunDetector, portrait: np.ndarray, turns: int, part: int) -> None:
    photo = np.pad(np.rot90(portrait, turns), ((0, (part - 1) * 512), (0, (part - 1) * 700), (0, 0)))
    for alone, together in zip(find_faces(run, photo), find_faces(run, photo, threads=2), strict=True):
        assert alone.score == together.score
        np.testing.assert_array_equal(alone.points, together.points)
        np.testing.assert_array_equal(alone.box, together.box)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_photo_on_its_side_has_its_face(run: RunDetector, portrait: np.ndarray, turns: int) -> None:
    (upright,) = find_faces(run, portrait)
    (found,) = find_faces(run, np.ascontiguousarray(np.rot90(portrait, turns)))
    back = found if not turns else turn_back(found, turns, 512, 512)
    np.testing.assert_allclose(back.points, upright.points, atol=8)
    difference = (roll(found.points) - roll(upright.points) + 90 * turns + 180) % 360 - 180
    assert abs(difference) < 8


def test_a_mirrored_face_has_its_eyes_where_they_are_seen(run: RunDetector, portrait: np.ndarray) -> None:
    (upright,), (found,) = find_faces(run, portrait), find_faces(run, np.ascontiguousarray(portrait[:, ::-1]))
    mirrored = upright.points[[1, 0, 2, 4, 3]] * [-1, 1] + [512, 0]
    np.testing.assert_allclose(found.points, mirrored, atol=12)


@pytest.mark.parametrize("height", [120, 3000], ids=["34 px", "a face of 1100 px"])
def test_small_and_huge_faces(run: RunDetector, portrait: np.ndarray, height: int) -> None:
    photo = np.asarray(Image.fromarray(portrait).resize((height, height), Image.Resampling.BICUBIC))
    (found,), (usual,) = find_faces(run, photo), find_faces(run, portrait)
    scale = height / 512
    np.testing.assert_allclose(found.points, usual.points * scale, atol=12 * scale)
    assert find_faces(run, photo, least_size=found.box[2:].min() + 1) == []


def test_faces_that_touch_and_one_cut_by_the_border(run: RunDetector, portrait: np.ndarray) -> None:
    head = portrait[60:320, 110:370]
    touching = np.hstack([head, head[:, ::-1]])
    assert len(find_faces(run, touching)) == 2
    cut = np.ascontiguousarray(portrait[:, 215:])  # through one eye
    found = find_faces(run, cut)
    assert len(found) <= 1
    assert all(one.points[:, 0].max() > 0 for one in found)


def test_drawings_and_textures_have_no_faces(run: RunDetector, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for cells in (4, 12, 40, 160):
        grey = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        assert find_faces(run, np.asarray(grey.resize((320, 240), Image.Resampling.BICUBIC))) == []
    assert find_faces(run, np.full((90, 200, 3), 128, np.uint8)) == []
    write_dataset(tmp_path / "drawn", train=2, val=1, test=1, size=128, progress=False)
    for path in sorted((tmp_path / "drawn").rglob("images/*"))[:2]:
        assert len(find_faces(run, read_photo(path))) <= 1  # whoever draws well is believed


def test_large_photos_are_shrunk_once() -> None:
    small, shrink = shrunk(np.zeros((3000, 4000, 3), np.uint8))
    assert small.shape == (480, 640, 3)
    assert shrink == 6.25
    photo = np.zeros((300, 400, 3), np.uint8)
    assert shrunk(photo)[0] is photo


def test_the_best_of_each_place() -> None:
    faces = [face(0, 0, 10, 0.7), face(1, 1, 10, 0.9), face(50, 0, 10, 0.8)]
    assert [one.score for one in best_of(faces)] == [0.9, 0.8]


def test_a_face_is_turned_back() -> None:
    found = turn_back(Face(np.array([0, 10, 4, 6]), np.array([[1, 2.0]] * 5), 1.0), 1, 50, 80)
    # A photo 80 wide, turned counterclockwise, is 50 wide and 80 high: its upper left corner was the upper right one.
    np.testing.assert_allclose(found.points[0], [78, 1])
    np.testing.assert_allclose(found.box, [64, 0, 6, 4])


PORTRAIT = Face(
    np.array([118, 100, 272, 374]), np.array([[195, 244], [317, 245], [256, 319], [200, 373], [309, 375]], float), 0.95
)


def test_an_aligned_portrait_is_left_alone() -> None:
    def asked() -> float:
        raise AssertionError("a sure face needs no second look")

    assert portrait_face([PORTRAIT], 512, 512, asked) is PORTRAIT
    assert portrait_face([PORTRAIT, face(10, 10, 60, 0.9)], 512, 512, asked) is PORTRAIT, "a small bystander"
    assert portrait_face([PORTRAIT, face(0, 0, 250, 0.9)], 512, 512, asked) is None
    assert portrait_face([], 512, 512, asked) is None
    double = Face(PORTRAIT.box * 2, PORTRAIT.points * 2, 0.95)
    assert portrait_face([double], 1024, 1024, asked) is double
    assert portrait_face([PORTRAIT], 1024, 1024, asked) is None, "half of a photo is not as trained"
    unsure = Face(PORTRAIT.box, PORTRAIT.points, 0.91)
    assert portrait_face([unsure], 512, 512, lambda: 0.9) is unsure
    assert portrait_face([unsure], 512, 512, lambda: 0.95) is None, "it is upside down"


@pytest.mark.parametrize(("dx", "dy", "size"), [(30, 0, 1), (0, 30, 1), (0, 0, 1.4), (0, 0, 0.6)])
def test_a_face_elsewhere_or_of_another_size_is_not(dx: float, dy: float, size: float) -> None:
    points = (PORTRAIT.points - 256) * size + 256 + [dx, dy]
    assert not lies_as_trained(Face(PORTRAIT.box, points, 0.95), 1.0)
    assert lies_as_trained(PORTRAIT, 1.0)


def test_modes(run: RunDetector, portrait: np.ndarray) -> None:
    two = np.hstack([portrait, np.asarray(Image.fromarray(portrait).resize((256, 512)))])
    assert [len(choose_faces(run, two, mode, **LIMITS)[1]) for mode in ("all", "auto", "largest")] == [2, 2, 1]
    assert choose_faces(run, np.zeros((64, 64, 3), np.uint8), "auto", **LIMITS) == (False, [])


def test_given_faces_are_taken_as_they_are(run: RunDetector, portrait: np.ndarray) -> None:
    points, box = PORTRAIT.points.tolist(), [170.0, 105.0, 156.0, 197.0]
    first, second = given_faces([box, points], portrait, None)
    np.testing.assert_allclose(first.points, points)
    np.testing.assert_allclose(second.box, box)
    (seen,) = given_faces([box], portrait, run)
    (found,) = find_faces(run, portrait)
    np.testing.assert_allclose(seen.points, found.points, atol=12)
    empty = np.zeros((400, 400, 3), np.uint8)
    np.testing.assert_allclose(given_faces([box], empty, run)[0].points, second.points)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1, 2, 3]], "a face is a Face, five points"),
        (PORTRAIT.points, "a face is a Face, five points"),
        ([[0, 0, 10, 0]], "has none"),
        ([[[1, 1]] * 5], "are one point"),
        ([[0, 0, np.nan, 3]], "a face is a Face"),
    ],
)
def test_what_is_no_face_is_told(given: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        given_faces(given, np.zeros((8, 8, 3), np.uint8), None)  # type: ignore[arg-type]
