"""Intervals and p-values: by hand, against a slow reference, and as often right as they say."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest

from face_parsing.evaluation import significance
from face_parsing.evaluation.significance import bootstrap_difference, bootstrap_interval, sign_flip_p


def test_an_interval_holds_the_mean_and_narrows_with_more_images() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(0.8, 0.1, 25), rng.normal(0.8, 0.1, 2500)
    widths = []
    for values in (few, many):
        low, high = bootstrap_interval(values)
        assert low < values.mean() < high
        # For a mean of many the bootstrap's interval is the normal one, 1.96 standard errors to each side.
        assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(len(values)), rel=0.05)
        widths.append(high - low)
    assert widths[0] > 5 * widths[1]


def test_an_interval_is_seeded_and_the_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random(40)
    found = bootstrap_interval(values)
    assert bootstrap_interval(values) == found
    assert bootstrap_interval(values, seed=1) != found
    monkeypatch.setattr(significance, "CHUNK", 1000)
    assert bootstrap_interval(values) == found
    assert bootstrap_interval(np.array([0.25])) == (0.25, 0.25)
    assert bootstrap_interval(np.full(5, 0.25)) == (0.25, 0.25)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    samples = rng.normal(size=(300, 60))
    covered = sum(low < 0 < high for low, high in (bootstrap_interval(s, resamples=1000) for s in samples))
    assert 0.90 <= covered / 300 <= 0.98


def test_the_interval_is_that_of_means_drawn_by_hand() -> None:
    values = np.random.default_rng(5).random(12)
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, 12, (10_000, 12))].mean(1)
    for level, ends in ((0.95, (0.025, 0.975)), (0.5, (0.25, 0.75))):
        assert bootstrap_interval(values, level=level) == pytest.approx(np.quantile(means, ends), rel=1e-12)


def test_a_difference_of_two_sets_is_that_of_means_drawn_by_hand() -> None:
    rng = np.random.default_rng(7)
    these, others = rng.normal(0.8, 0.1, 60), rng.normal(0.7, 0.2, 300)
    low, high = bootstrap_difference(these, others)
    assert low < these.mean() - others.mean() < high
    error = math.sqrt(these.var() / 60 + others.var() / 300)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.05)
    assert bootstrap_difference(these, others) == (low, high)
    assert bootstrap_difference(others, these) == pytest.approx((-high, -low), abs=0.003)


def test_p_by_hand() -> None:
    # Of the 8 sign patterns of (1, 2, 3) only +++ and --- sum to 6 or more.
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert sign_flip_p(np.array([-1.0, 2.0, 3.0])) == 4 / 8  # sums of 4 and more: 6, 4 and their negatives
    assert sign_flip_p(np.array([1.0, 0.0, 2.0, 3.0, 0.0])) == 2 / 8  # equal faces say nothing
    assert sign_flip_p(np.zeros(5)) == 1
    assert sign_flip_p(np.array([0.0, 0.3])) == 1
    assert sign_flip_p(np.array([0.1, 0.3])) == 2 / 4
    assert sign_flip_p(np.full(14, 0.1)) == 2 / 2**14
    assert sign_flip_p(np.array([0.1, 0.2, -0.3])) == 1  # a sum of 0, but for rounding


def test_the_exact_p_is_the_slow_one_and_random_flips_come_near_it(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(3).normal(0.4, 1, 12)
    found = abs(differences.sum())
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=12)]
    exact = float(np.mean([total >= found - 1e-9 for total in sums]))
    assert sign_flip_p(differences) == pytest.approx(exact)
    random = sign_flip_p(differences, flips=4000)  # fewer than the 4096 patterns
    assert random == pytest.approx(exact, abs=0.03)
    assert random != exact
    assert sign_flip_p(differences, flips=4000) == random
    monkeypatch.setattr(significance, "CHUNK", 500)
    assert sign_flip_p(differences, flips=4000) == random
    assert sign_flip_p(differences) == pytest.approx(exact)


def test_memory_is_bounded_by_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "CHUNK", 30_000)
    values = np.random.default_rng(6).normal(0.1, 1, 300)
    bootstrap_interval(values, resamples=10)  # what is imported stays
    tracemalloc.start()
    bootstrap_interval(values, resamples=4000)
    sign_flip_p(values, flips=4000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6  # bytes; 4,000 resamples of 300 numbers at once are 9.6e6


def test_a_p_is_never_zero_and_below_5_percent_for_no_more_than_that_share_of_equals() -> None:
    assert sign_flip_p(np.ones(100)) == 1 / 20_001
    rng = np.random.default_rng(4)
    false = sum(sign_flip_p(rng.normal(size=30), flips=999) < 0.05 for _ in range(400))
    assert false / 400 < 0.08
