"""How far a mean over images can be trusted, and whether two systems differ on the same images.

Both say what other images of the same kind would do to the figures; they say nothing of other seeds of a
training.
"""

from __future__ import annotations

import numpy as np

RESAMPLES = 10_000
FLIPS = 20_000
EXACT_LIMIT = 14  # images up to which all 2**N sign patterns, fewer than FLIPS, are gone through
CHUNK = 2**22  # numbers that are held at a time


def bootstrap_interval(
    values: np.ndarray, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of values (N,): Efron and Tibshirani 1993, chapter 13.

    For a paired comparison, values are the differences of each image.
    """
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, CHUNK // len(values))
    for start in range(0, resamples, rows):
        drawn = rng.integers(0, len(values), (min(rows, resamples - start), len(values)))
        means[start : start + rows] = values[drawn].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def sign_flip_p(differences: np.ndarray, *, flips: int = FLIPS, seed: int = 0) -> float:
    """The two-sided p-value of a mean difference as large as that of differences (N,), were both systems alike.

    Fisher's randomisation test of pairs (1935): were they alike, each image's difference could as well have the
    other sign. Exact for up to EXACT_LIMIT images that differ at all, else from random signs, counted so that p
    is never 0 (Phipson and Smyth 2010).
    """
    differences = differences[differences != 0]
    N = len(differences)
    found = abs(differences.sum())
    almost = found * (1 - 1e-9)  # sums of the same numbers in another order count as equal
    if N <= EXACT_LIMIT:
        signs = 1.0 - 2.0 * (np.arange(2**N)[:, None] >> np.arange(N) & 1)
        return float((np.abs(signs @ differences) >= almost).mean())
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // N)
    as_large = 0
    for start in range(0, flips, rows):
        signs = 1.0 - 2.0 * rng.integers(0, 2, (min(rows, flips - start), N), dtype=np.int8)
        as_large += int((np.abs(signs @ differences) >= almost).sum())
    return (1 + as_large) / (1 + flips)
