"""F1 of boundaries, by its definition and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from face_parsing.evaluation.boundary import boundary_f1
from face_parsing.labels import IGNORE_INDEX


def slow_boundary_f1(
    prediction: np.ndarray, target: np.ndarray, tolerance: float, num_classes: int
) -> list[float | None]:
    """The definition, a pixel at a time."""
    H, W = target.shape

    def edge(mask: np.ndarray, c: int) -> list[tuple[int, int]]:
        around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        return [
            (y, x)
            for y in range(H)
            for x in range(W)
            if mask[y, x] == c
            and any(0 <= y + dy < H and 0 <= x + dx < W and mask[y + dy, x + dx] != c for dy, dx in around)
        ]

    def near(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        return float(np.mean([any(np.hypot(y - v, x - u) <= tolerance for v, u in others) for y, x in some]))

    found: list[float | None] = []
    for c in range(num_classes):
        true, guess = edge(target, c), edge(prediction, c)
        if not true:
            found.append(None)
        elif not guess:
            found.append(0.0)
        else:
            precision, recall = near(guess, true), near(true, guess)
            found.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return found


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.0, 3.5])
def test_boundary_f1_is_its_definition(tolerance: float) -> None:
    rng = np.random.default_rng(int(tolerance * 10))
    for _ in range(5):
        target = np.kron(rng.integers(0, 5, (4, 5)), np.ones((5, 4))).astype(np.uint8)
        prediction = np.where(rng.random(target.shape) < 0.1, 5, np.roll(target, 2, axis=0)).astype(np.uint8)
        expected = slow_boundary_f1(prediction, target, tolerance, 7)
        found = boundary_f1(prediction, target, tolerance=tolerance, num_classes=7)
        assert [None if np.isnan(value) else value for value in found] == pytest.approx(expected)


def test_boundary_f1_by_hand() -> None:
    target, prediction = np.zeros((100, 100), dtype=np.uint8), np.zeros((100, 100), dtype=np.uint8)
    target[:, 50:], prediction[:, 52:] = 1, 1
    # The boundaries are two pixels apart: 0.75 % of the diagonal are 1.06 pixels.
    np.testing.assert_array_equal(boundary_f1(prediction, target, num_classes=3), [0, 0, np.nan])
    np.testing.assert_array_equal(boundary_f1(prediction, target, tolerance=2, num_classes=3), [1, 1, np.nan])
    # A class that fills the truth has no boundary; one that was not predicted scores 0.
    np.testing.assert_array_equal(boundary_f1(prediction, np.full_like(target, 2), num_classes=3), [np.nan] * 3)
    np.testing.assert_array_equal(boundary_f1(np.zeros_like(target), target, num_classes=2), [0, 0])
    # What is ignored in the truth is ignored in the prediction: here the false half of the boundary.
    prediction = target.copy()
    prediction[50:] = 0
    target[50:] = IGNORE_INDEX
    np.testing.assert_array_equal(boundary_f1(prediction, target, num_classes=2), [1, 1])
