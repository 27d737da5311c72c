"""How far a mean over images can be trusted, and whether two systems differ on the same images.

Both say what other images of the same kind would do to the figures; they say nothing of other seeds of a
training.
"""

from __future__ import annotations

import numpy as np

RESAMPLES = 10_000
FLIPS = 20_000
CHUNK = 2**20  # numbers that are drawn at a time


def bootstrap_interval(
    values: np.ndarray, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of values (N,): Efron and Tibshirani 1993, chapter 13.

    For a paired comparison, values are the differences of each image.
    """
    from scipy import stats  # here: it takes a second to import

    if len(values) < 2:  # scipy wants two; one is always drawn again
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        method="percentile",
        batch=max(1, CHUNK // len(values)),
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def bootstrap_difference(
    these: np.ndarray, others: np.ndarray, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of these (N,) less that of others (M,), of other images.

    Each side is drawn anew by itself; both need two values at least.
    """
    from scipy import stats  # here: it takes a second to import

    found = stats.bootstrap(
        (these, others),
        _difference_of_means,
        confidence_level=level,
        n_resamples=resamples,
        method="percentile",
        batch=max(1, CHUNK // (len(these) + len(others))),
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _difference_of_means(these: np.ndarray, others: np.ndarray, axis: int) -> np.ndarray:
    return these.mean(axis) - others.mean(axis)


def _size_of_sum(values: np.ndarray, axis: int) -> np.ndarray:
    return np.abs(values.sum(axis))


def sign_flip_p(differences: np.ndarray, *, flips: int = FLIPS, seed: int = 0) -> float:
    """The two-sided p-value of a mean difference as large as that of differences (N,), were both systems alike.

    Fisher's randomisation test of pairs (1935): were they alike, each image's difference could as well have the
    other sign. Exact where the images that differ at all, N, have no more than ``flips`` sign patterns 2**N; else
    from so many random ones, counted so that p is never 0 (Phipson and Smyth 2010).
    """
    from scipy import stats  # here: it takes a second to import

    differences = differences[differences != 0]
    if len(differences) < 2:  # scipy wants two; one is as large with either sign
        return 1.0
    found = stats.permutation_test(
        (differences,),
        _size_of_sum,
        permutation_type="samples",
        n_resamples=flips,
        alternative="greater",
        batch=max(1, CHUNK // len(differences)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)
