"""The search for decision biases: coordinate ascent on the F-Score itself.

Each trial value of one class's bias changes only the pixels between their old and new thresholds, so all values are
scored in one pass over the undecided pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from face_parsing.labels import IGNORE_INDEX, LabelSet

LIMIT = 1.0  # biases stay within +- this unless told otherwise: a factor of 2.7
STEP = 0.1  # between the values that are tried
SWEEPS = 5
FOLDS = 5


class Samples:
    """What biases can change of the predictions of N images: their undecided pixels, and counts of all others.

    First ``add`` every image, then ``fit`` and ``f_scores`` as often as wanted.
    """

    def __init__(self, labels: LabelSet, *, limit: float = LIMIT) -> None:
        """No bias will be larger than ``limit``, nor smaller than -limit."""
        self.labels = labels
        self.grid = np.linspace(-limit, limit, 2 * round(limit / STEP) + 1, dtype=np.float32)
        self._reach = np.float16(2 * limit + 0.02)  # the largest lead that biases undo; 0.02 for what float16 rounds
        self._logs: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []

    def add(self, probabilities: np.ndarray, truth: np.ndarray) -> None:
        """One image: probabilities (C, h, w) and its mask (h, w), whose ignored pixels are left out."""
        C = len(self.labels)
        scored = truth.ravel() != IGNORE_INDEX
        target = truth.ravel()[scored]
        logs = np.log(np.maximum(probabilities.reshape(C, -1)[:, scored].T, 1e-7)).astype(np.float16)  # (P, C)
        best = logs.argmax(1)
        undecided = (logs >= logs.max(1, keepdims=True) - self._reach).sum(1) > 1
        sure, right = best[~undecided], best[~undecided] == target[~undecided]
        self._logs.append(logs[undecided])
        self._truth.append(target[undecided])
        self._counts.append(np.stack([np.bincount(x, minlength=C) for x in (sure[right], sure, target)]))

    @functools.cached_property
    def _search(self) -> _Search:
        return _Search(self._logs, self._truth, np.stack(self._counts, axis=1), self.grid, self._reach)

    def fit(self, chosen: np.ndarray, classes: Sequence[int] | None = None) -> np.ndarray:
        """Biases (C,) with the largest mean F-Score over the images of chosen (N,) bool; left and right ones equal.

        Where ``classes`` are given, those of all others stay 0.
        """
        search = self._search
        flipped = list(self.labels.flipped_ids)
        best = np.zeros(len(self.labels), dtype=np.float32)
        search.set(best)
        best_score = search.score(chosen)
        for _ in range(SWEEPS):
            for c in range(len(self.labels)) if classes is None else classes:
                search.improve(c, chosen)
            search.set((search.biases + search.biases[flipped]) / 2)
            score = search.score(chosen)
            if score < best_score + 1e-5:
                break
            best, best_score = search.biases, score
        return best

    def f_scores(self, biases: Sequence[float] | np.ndarray) -> np.ndarray:
        """The F-Score (N,) of each image under biases (C,)."""
        search = self._search
        search.set(np.asarray(biases, dtype=np.float32))
        return _mean_f1(search.hit, search.predicted, search.total)

    def cross_validate(self, seed: int = 0, *, classes: Sequence[int] | None = None, rounds: int = 1) -> np.ndarray:
        """The change of each image's F-Score (N,) by biases that were fitted on the other folds.

        ``rounds``: how many models predicted the images; an image's predictions all fall into one fold.
        """
        N = len(self._counts)
        fold = np.tile(np.random.default_rng(seed).permutation(N // rounds) % min(FOLDS, N // rounds), rounds)
        plain = self.f_scores(np.zeros(len(self.labels)))
        change = np.zeros(N)
        for k in range(fold.max() + 1):
            change[fold == k] = (self.f_scores(self.fit(fold != k, classes)) - plain)[fold == k]
        return change


def _mean_f1(hit: np.ndarray, predicted: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Mean over the classes present of 2 * hit / (predicted + total), counts (..., C); an image without any is 0."""
    present = total > 0
    f1 = np.where(present, 2 * hit / np.maximum(predicted + total, 1), 0)
    return f1.sum(-1) / np.maximum(present.sum(-1), 1)


class _Search:
    """The state of a coordinate ascent: the biases, each undecided pixel's class, and the counts (N, C) they give."""

    def __init__(
        self,
        logs: list[np.ndarray],
        truth: list[np.ndarray],
        counts: np.ndarray,
        grid: np.ndarray,
        reach: np.floating[Any],
    ) -> None:
        """Log-probabilities (P, C) and classes (P,) of each image's undecided pixels; counts (3, N, C) of the others.

        The counts are of pixels rightly given to a class, given to it at all, and, of all pixels, truly of it. No
        value of the grid undoes a lead of more than reach.
        """
        N, C = counts.shape[1:]
        self.grid = grid
        self.shape = (N, C)
        self.logs = np.concatenate(logs)
        logs.clear()  # a second copy would double the memory
        self.truth = np.concatenate(truth)
        self.image = np.repeat(np.arange(N, dtype=np.int32), [len(part) for part in truth])
        self.sure_hit, self.sure_predicted, self.total = counts
        lead = self.logs.max(1) - reach
        self.candidates = [np.flatnonzero(self.logs[:, c] >= lead).astype(np.int32) for c in range(C)]

    def count(self, pixels: np.ndarray | slice, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many of the pixels are rightly and at all given to each class: (N, C) each."""
        N, C = self.shape
        cell = self.image[pixels].astype(np.int64) * C + classes
        right = classes == self.truth[pixels]
        hit, predicted = (np.bincount(x, minlength=N * C).reshape(N, C) for x in (cell[right], cell))
        return hit, predicted

    def set(self, biases: np.ndarray) -> None:
        self.biases = biases
        parts = np.array_split(self.logs, max(1, len(self.logs) // 2**17))
        self.now = np.concatenate([(part.astype(np.float32) + biases).argmax(1).astype(np.uint8) for part in parts])
        hit, predicted = self.count(slice(None), self.now)
        self.hit, self.predicted = self.sure_hit + hit, self.sure_predicted + predicted

    def score(self, chosen: np.ndarray) -> float:
        return float(_mean_f1(self.hit, self.predicted, self.total)[chosen].mean())

    def improve(self, c: int, chosen: np.ndarray) -> None:
        """Set the bias of class c to the value of the grid with the largest mean F-Score over the chosen images."""
        N, C = self.shape
        J = len(self.grid)
        pixels = self.candidates[c]
        scores = self.logs[pixels].astype(np.float32) + self.biases
        own = scores[:, c] - self.biases[c]
        scores[:, c] = -np.inf
        other = scores.argmax(1)
        # Class c wins a pixel from the first value of the grid that is above the others' lead.
        entry = np.searchsorted(self.grid, scores.max(1) - own, side="right")
        old_hit, old_predicted = self.count(pixels, self.now[pixels])
        hit, predicted = self.count(pixels, other)
        hit, predicted = self.hit - old_hit + hit, self.predicted - old_predicted + predicted  # without class c
        won = entry < J
        cell = (entry[won] * N + self.image[pixels[won]]) * C
        truth, loser = self.truth[pixels[won]], other[won]
        size = J * N * C

        def tally(cells: np.ndarray) -> np.ndarray:
            return np.bincount(cells, minlength=size).reshape(J, N, C).cumsum(0)

        hits = hit + tally((cell + c)[truth == c]) - tally((cell + loser)[truth == loser])
        predictions = predicted + tally(cell + c) - tally(cell + loser)
        means = _mean_f1(hits, predictions, self.total)[:, chosen].mean(1)  # (J,)
        # Among equals the smallest bias, which asks least of other data.
        j = min(range(J), key=lambda k: (-round(float(means[k]), 7), abs(self.grid[k])))
        if means[j] <= self.score(chosen):
            return
        self.biases = self.biases.copy()
        self.biases[c] = self.grid[j]
        self.now[pixels] = np.where(entry <= j, c, other).astype(np.uint8)
        self.hit, self.predicted = hits[j], predictions[j]
