"""Scores of crops back on the photo: against a slow reference, where crops overlap, and in strips."""

from __future__ import annotations

import numpy as np
import pytest

from face_parsing.faces import paste
from face_parsing.faces.paste import Look, owners
from face_parsing.inference.largest_class import largest_class
from face_parsing.inference.scores import softmax


def square(x: float, y: float, side: float, degrees: float = 0.0) -> np.ndarray:
    """Corners of a square about (x, y), turned clockwise as seen."""
    angle = np.radians(degrees)
    right, below = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    return np.array([x, y]) + side / 2 * np.array([-right - below, right - below, right + below, below - right])


def slow(scores: np.ndarray, corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mask of one crop, a pixel at a time; 99 outside."""
    h, w, _ = scores.shape
    mask = np.full((height, width), 99, np.uint8)
    ways = np.linalg.inv(np.stack([corners[1] - corners[0], corners[3] - corners[0]], 1))
    for y in range(height):
        for x in range(width):
            across, down = ways @ (np.array([x + 0.5, y + 0.5]) - corners[0])
            if not (0 <= across < 1 and 0 <= down < 1):
                continue
            u, v = np.clip(across * w - 0.5, 0, w - 1), np.clip(down * h - 0.5, 0, h - 1)
            i, j = int(u), int(v)
            i2, j2 = min(i + 1, w - 1), min(j + 1, h - 1)
            upper = scores[j, i] * (1 - u + i) + scores[j, i2] * (u - i)
            lower = scores[j2, i] * (1 - u + i) + scores[j2, i2] * (u - i)
            mask[y, x] = (upper * (1 - v + j) + lower * (v - j)).argmax()
    return mask


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("corners", [square(15, 14, 18), square(16, 12, 21, 33), square(2, 3, 20, 180)])
def test_a_look_is_put_back_where_it_was(corners: np.ndarray, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paste, "STRIP_PIXELS", 64)
    monkeypatch.setattr(paste, "TOGETHER", 10)
    scores = np.random.default_rng(0).integers(0, 256, (12, 12, 5)).astype(kind)
    mask, owner = np.full((30, 34), 99, np.uint8), owners([corners], 30, 34)
    Look(corners, scores).fill(1, owner, mask)
    expected = slow(scores.astype(float), corners, 30, 34)
    np.testing.assert_array_equal(owner == 1, expected != 99)
    assert (mask != expected).mean() < 0.002, "a tie may turn by rounding"


def test_the_whole_photo_gets_the_mask_that_it_always_gets() -> None:
    scores = np.random.default_rng(1).normal(size=(16, 20, 7)).astype(np.float32)
    mask = np.zeros((40, 50), np.uint8)
    corners = np.array([[0, 0], [50, 0], [50, 40], [0, 40]], float)
    Look(corners, scores).fill(0, np.zeros((40, 50), np.uint16), mask)
    expected = largest_class(np.ascontiguousarray(scores.transpose(2, 0, 1)), (40, 50))
    assert (mask != expected).mean() < 0.002


def test_the_nearer_center_owns_what_crops_share() -> None:
    owner = owners([square(10, 10, 16), square(20, 10, 16)], 20, 40)
    assert (owner[10, 3:15] == 1).all()
    assert (owner[10, 16:27] == 2).all()
    assert not owner[0].any()
    assert not owner[:, 30:].any()
    # By sides: of a large crop and a small one inside of it, the small one has its middle.
    nested = owners([square(20, 20, 40), square(20, 20, 10)], 40, 40)
    assert nested[20, 20] in (1, 2)
    assert (owners([square(20, 20, 40), square(30, 30, 10)], 40, 40)[28:32, 28:32] == 2).all()


def test_a_hundred_overlapping_crops() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.uniform((0, 0, 0), (200, 150, 360), (100, 3)).tolist()
    places = [square(x, y, 30, angle) for x, y, angle in drawn]
    owner = owners(places, 150, 200)
    assert owner.max() <= 100
    assert len(np.unique(owner)) > 50


def test_probabilities_are_those_of_interpolated_scores() -> None:
    scores = np.array([[[0, 100], [200, 100]]], np.uint8)
    values = np.zeros((1, 4, 2), np.uint8)
    corners = np.array([[0, 0], [4, 0], [4, 1], [0, 1]], float)
    Look(corners, scores).fill_probabilities(0, np.zeros((1, 4), np.uint16), values, lambda some: softmax(some, 0.01))
    expected = softmax(np.array([[0, 100], [50, 100], [150, 100], [200, 100]]), 0.01) * 255
    np.testing.assert_allclose(values[0], expected, atol=0.5)
