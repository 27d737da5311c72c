"""Quadrangles and crops: where a face of known points lies, at any size and turn, and beyond the photo's border."""

from __future__ import annotations

import numpy as np
import pytest

from face_parsing.faces.alignment import (
    MEAN_BOX,
    MEAN_POINTS,
    box_of_points,
    crop,
    points_of_box,
    quadrangle,
    roll,
    side_of,
    to_photo,
    widened,
)

UPRIGHT = np.array([[40, 50], [60, 50], [50, 60], [42, 72], [58, 72]], float)
"""Eyes 20 apart, 22 above the mouth: a crop of side 4 * 20 about (50, 50 + 2.2)."""


def turned(places: np.ndarray, degrees: float) -> np.ndarray:
    """Clockwise, as seen, about (50, 50)."""
    angle = np.radians(degrees)
    way = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (places - 50) @ way + 50


def test_a_quadrangle_is_that_of_the_data_set() -> None:
    expected = np.array([[10, 12.2], [90, 12.2], [90, 92.2], [10, 92.2]])
    np.testing.assert_allclose(quadrangle(UPRIGHT), expected)
    assert side_of(quadrangle(UPRIGHT)) == pytest.approx(80)
    long = UPRIGHT + np.array([[0, 0], [0, 0], [0, 0], [0, 18], [0, 18]])
    assert side_of(quadrangle(long)) == pytest.approx(3.6 * 40), "a long face is measured by its length"


def test_a_mean_face_lies_in_the_whole_crop() -> None:
    corners = quadrangle(np.array(MEAN_POINTS))
    np.testing.assert_allclose(corners, [[0, 0], [512, 0], [512, 512], [0, 512]], atol=20)


@pytest.mark.parametrize("degrees", [0, 30, 90, 179, -135])
def test_a_quadrangle_turns_with_its_face(degrees: float) -> None:
    points = turned(UPRIGHT, degrees)
    assert roll(points) == pytest.approx(degrees)
    np.testing.assert_allclose(quadrangle(points), turned(quadrangle(UPRIGHT), degrees), atol=1e-9)


def test_a_margin_widens_about_the_center() -> None:
    wide = quadrangle(UPRIGHT, margin=1.5)
    np.testing.assert_allclose(wide, widened(quadrangle(UPRIGHT), 1.5))
    assert side_of(wide) == pytest.approx(120)


def test_points_and_boxes_stand_for_each_other() -> None:
    np.testing.assert_allclose(points_of_box(np.array(MEAN_BOX)), MEAN_POINTS)
    moved = np.array(MEAN_BOX) * 0.25 + [7, 9, 0, 0]
    np.testing.assert_allclose(points_of_box(moved), np.array(MEAN_POINTS) * 0.25 + [7, 9])
    np.testing.assert_allclose(box_of_points(np.array(MEAN_POINTS)), MEAN_BOX, atol=20)


def gradient(height: int, width: int) -> np.ndarray:
    """A photo whose red is the column, whose green is the row, up to 255."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x, y, np.full_like(x, 9)], -1).clip(0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("size", [24, 100, 160])
@pytest.mark.parametrize("degrees", [0, 30, 180, -90])
def test_a_crop_shows_what_lies_there(size: int, degrees: float) -> None:
    corners = turned(np.array([[20, 30], [80, 30], [80, 90], [20, 90]], float), degrees) + np.array([60, 50])
    seen = crop(gradient(200, 220), corners, size)
    assert (seen.shape, seen.dtype) == ((size, size, 3), np.uint8)
    places = np.array([[0.25, 0.25], [0.5, 0.5], [0.75, 0.25]]) * size
    for place, expected in zip(places, to_photo(places, corners, size), strict=True):
        column, row = np.floor(place).astype(int)
        exact = to_photo(np.array([[column + 0.5, row + 0.5]]), corners, size)[0]
        np.testing.assert_allclose(seen[row, column, :2], exact, atol=1.5)
        assert np.abs(exact - expected).max() <= 60 / size


def test_a_photo_is_its_own_crop() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = np.array([[0, 0], [64, 0], [64, 64], [0, 64]], float)
    np.testing.assert_array_equal(crop(photo, whole, 64), photo)
    small = crop(photo, whole, 16)
    assert abs(float(small.mean()) - float(photo.mean())) < 2
    assert small.std() < photo.std() / 2, "it is smoothed before it shrinks"


def test_beyond_the_photo_its_border_goes_on() -> None:
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[:, :20], photo[:, -20:] = 200, 100
    seen = crop(photo, np.array([[-100, -100], [160, -100], [160, 160], [-100, 160]], float), 52)
    assert (seen[:, :19] == 200).all()
    assert (seen[:, -19:] == 100).all()
    beside = crop(photo, np.array([[500, 500], [510, 500], [510, 510], [500, 510]], float), 8)
    assert (beside == 100).all()
