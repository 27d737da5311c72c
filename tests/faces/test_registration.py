"""Motion measured by pixels, values that are smoothed, and classes that keep still."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing.faces.one_euro import OneEuro
from face_parsing.faces.registration import (
    Pose,
    cut_piece,
    picture_of,
    pose_between,
    pose_of_quadrangle,
    register,
)
from face_parsing.faces.steadiness import Steadiness

CENTER, RIGHT = np.array([112.0, 66.0]), np.array([52.0, 5.0])


@pytest.fixture(scope="module")
def photo(root: Path) -> np.ndarray:
    """A portrait, the face at CENTER."""
    return np.asarray(Image.open(root / "docs/images/astronaut.jpg").convert("RGB").resize((256, 256)))


def moved(photo: np.ndarray, shift: tuple[float, float], turn: float, growth: float) -> tuple[np.ndarray, Pose]:
    """The photo with its face moved, turned by so many degrees and resized, and where its crop then lies."""
    angle = np.radians(turn)
    matrix = growth * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pose = Pose(CENTER + shift, matrix @ RIGHT)
    back = np.linalg.inv(matrix)
    start = CENTER - back @ pose.center
    values = (*back[0], start[0], *back[1], start[1])
    image = Image.fromarray(photo)
    return np.asarray(image.transform(image.size, Image.Transform.AFFINE, values, Image.Resampling.BICUBIC)), pose


@pytest.mark.parametrize(
    ("shift", "turn", "growth"), [((0, 0), 0, 1), ((2.5, -1.5), 0, 1), ((-3, 3), 4, 1.04), ((0, 1), -6, 0.94)]
)
def test_motion_is_measured_to_a_part_of_a_pixel(
    photo: np.ndarray, shift: tuple[float, float], turn: float, growth: float
) -> None:
    start = Pose(CENTER, RIGHT)
    piece = cut_piece(photo, start)
    assert piece is not None
    frame, truth = moved(photo, shift, turn, growth)
    noisy = np.clip(frame + np.random.default_rng(0).normal(0, 4, frame.shape), 0, 255).astype(np.uint8)
    now = cut_piece(noisy, start)
    assert now is not None
    found, alike = register(picture_of(piece, start), now, start)
    assert alike > 0.95
    np.testing.assert_allclose(found.center, truth.center, atol=0.25)
    np.testing.assert_allclose(found.right, truth.right, atol=0.4)


def test_another_light_is_no_motion(photo: np.ndarray) -> None:
    start = Pose(CENTER, RIGHT)
    piece, now = cut_piece(photo, start), cut_piece((photo * 0.6 + 20).astype(np.uint8), start)
    assert piece is not None
    assert now is not None
    found, alike = register(picture_of(piece, start), now, start)
    assert alike > 0.99
    np.testing.assert_allclose(found.center, CENTER, atol=0.1)


def test_another_picture_is_not_alike(photo: np.ndarray) -> None:
    start = Pose(CENTER, RIGHT)
    piece, now = cut_piece(photo, start), cut_piece(np.ascontiguousarray(photo[::-1]), start)
    assert piece is not None
    assert now is not None
    assert register(picture_of(piece, start), now, start)[1] < 0.6


def test_a_face_beside_the_frame_has_no_piece(photo: np.ndarray) -> None:
    assert cut_piece(photo, Pose(np.array([-200.0, 50.0]), RIGHT)) is None


def test_a_pose_places_and_finds() -> None:
    pose = Pose(CENTER, RIGHT)
    places = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    np.testing.assert_allclose(pose.find(pose.place(places)), places)
    again = pose_of_quadrangle(pose.quadrangle())
    np.testing.assert_allclose([*again.center, *again.right], [*CENTER, *RIGHT])
    fitted = pose_between(places, pose.place(places))
    np.testing.assert_allclose([*fitted.center, *fitted.right], [*CENTER, *RIGHT])


def test_one_euro_smooths_what_stands_and_follows_what_moves() -> None:
    random = np.random.default_rng(0)
    still = OneEuro(np.zeros(1), np.zeros(1), cutoff=0.5, beta=2.0)
    values = []
    for _ in range(200):
        still = still.after(random.normal(0, 0.01, 1), 0.04)
        values.append(still.value[0])
    assert np.std(values[50:]) < 0.004
    moving, slow = (OneEuro(np.zeros(1), np.zeros(1), cutoff=0.5, beta=beta) for beta in (2.0, 0.0))
    for i in range(1, 51):
        moving, slow = (one.after(np.array([0.2 * i]), 0.04) for one in (moving, slow))
    assert 10 - moving.value[0] < 0.2 * (10 - slow.value[0])


def test_a_class_that_is_as_likely_stays_and_a_likelier_one_comes() -> None:
    steadiness = Steadiness(score_scale=0.1, bonus=0.5)  # five steps of the score
    first = np.array([[[100, 90], [100, 90], [90, 100]]], np.uint8)
    second = np.array([[[100, 104], [100, 108], [90, 100]]], np.uint8)
    assert steadiness.steady(1, first) is not None
    kept = steadiness.steady(1, second)
    assert kept.argmax(2).tolist() == [[0, 1, 1]]
    assert second[0, 0].tolist() == [100, 104]  # what was given is left alone
    assert steadiness.steady(2, second).argmax(2).tolist() == [[1, 1, 1]]  # another face has no past
    steadiness.forget_others([2])
    assert [*steadiness.state()] == ["classes.2"]


def test_steadiness_goes_on_where_it_was() -> None:
    scores = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 19), dtype=np.uint8)
    one, other = Steadiness(0.1), Steadiness(0.1)
    one.steady(7, scores[0])
    one.steady(7, scores[1])
    other.restore(one.state())
    np.testing.assert_array_equal(one.steady(7, scores[2]), other.steady(7, scores[2]))
