"""Masks and their scores that the tests of the metric share."""

from __future__ import annotations

import numpy as np
import torch

from face_parsing.evaluation.metrics import ScoreKeeper, Scores
from face_parsing.labels import NUM_CLASSES, swap_left_right
from face_parsing.synthetic.dataset import make_pair

TINY_TRUTH = np.array([[0, 0], [1, 1]], dtype=np.uint8)
TINY_GUESS = np.array([[0, 1], [1, 1]], dtype=np.uint8)


def scored(guesses: np.ndarray, truths: np.ndarray, *, batch: int = 4) -> Scores:
    keeper = ScoreKeeper()
    for i in range(0, len(truths), batch):
        keeper.update(torch.from_numpy(guesses[i : i + batch].copy()), torch.from_numpy(truths[i : i + batch].copy()))
    return keeper.scores()


def noisy(mask: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """The mask with a share of its pixels drawn anew."""
    return np.where(rng.random(mask.shape) < share, rng.integers(0, NUM_CLASSES, mask.shape), mask).astype(np.uint8)


def faces(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy guesses and true masks of synthetic faces (N, 48, 48); a third of the truths are mirrored."""
    rng = np.random.default_rng(seed)
    truths = [make_pair(seed + i, size=48)[1] for i in range(count)]
    guesses = [noisy(mask, rng, 0.03) for mask in truths]
    truths = [mask if i % 3 else swap_left_right(mask) for i, mask in enumerate(truths)]
    return np.stack(guesses), np.stack(truths)
