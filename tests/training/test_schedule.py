"""The learning rate, by hand."""

from __future__ import annotations

import math

import pytest

from face_parsing.training.schedule import Plateau, learning_rate


def rate(step: int, *, steps: int = 111, warmup_steps: int = 10, final_ratio: float = 0.01) -> float:
    return learning_rate(step, steps=steps, warmup_steps=warmup_steps, peak=2.0, final_ratio=final_ratio)


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (0, 0.2),  # a tenth of the peak
        (4, 1.0),
        (9, 2.0),  # the warm-up ends at the peak
        (10, 2.0),
        (60, 2 * (0.01 + 0.99 / 2)),  # half-way down the cosine
        (35, 2 * (0.01 + 0.99 * (1 + math.cos(math.pi / 4)) / 2)),
        (110, 0.02),  # the last step
        (500, 0.02),
    ],
)
def test_learning_rate_by_hand(step: int, wanted: float) -> None:
    assert rate(step) == pytest.approx(wanted, rel=1e-12)


def test_learning_rate_rises_then_falls() -> None:
    values = [rate(step) for step in range(111)]
    assert values[:10] == sorted(values[:10])
    assert values[10:] == sorted(values[10:], reverse=True)
    assert max(values) == 2.0


def test_learning_rate_without_warm_up_and_of_a_single_step() -> None:
    assert rate(0, warmup_steps=0) == 2.0
    assert rate(110, warmup_steps=0, final_ratio=0.0) == pytest.approx(0, abs=1e-12)
    assert rate(0, steps=1, warmup_steps=0) == 2.0
    assert {rate(step, final_ratio=1.0) for step in range(10, 111)} == {2.0}


def test_poly_falls_by_its_power() -> None:
    values = [
        learning_rate(step, steps=111, warmup_steps=10, peak=2.0, final_ratio=0.01, decay="poly") for step in range(111)
    ]
    assert values[9] == 2.0
    assert values[60] == pytest.approx(2 * (0.01 + 0.99 * 0.5**0.9), rel=1e-12)
    assert values[-1] == pytest.approx(0.02, rel=1e-12)
    assert values[9:] == sorted(values[9:], reverse=True)


def test_plateau_lowers_the_rate_after_patience_and_never_below_its_smallest() -> None:
    plateau = Plateau(factor=0.5, patience=2, smallest=0.2)
    scales = []
    for score in (0.1, 0.2, 0.2, 0.19, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1):
        plateau.update(score)
        scales.append(plateau.scale)
    # Two without a new best: after 0.2 again and 0.19. Then after each two of the 0.1, down to 0.2.
    assert scales == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2]
    other = Plateau(factor=0.5, patience=2, smallest=0.2)
    other.load_state(plateau.state())
    assert (other.scale, other.best, other.waited) == (0.2, 0.3, plateau.waited)
    assert learning_rate(50, steps=111, warmup_steps=10, peak=2.0, final_ratio=0.01, decay="plateau") == 2.0
