"""The order in which pairs are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

from face_parsing.system.seeds import mix_seeds

SampleKey = tuple[int, int, int]
"""(epoch, index, image size): what a sampler asks of the training set."""


def repeat_factors(presence: np.ndarray, threshold: float) -> np.ndarray:
    """How often each image is drawn, relative to an ordinary one: (N,) from presence (N, C) of classes in images.

    The largest sqrt(threshold / f) over the image's classes, at least 1, where f is the share of images
    that hold the class: the repeat factors of Gupta et al. 2019 (LVIS).
    """
    if threshold <= 0:
        return np.ones(len(presence))
    share = presence.mean(0)
    factor = np.maximum(1.0, np.sqrt(threshold / np.maximum(share, 1e-9)))
    return np.where(presence, factor, 1.0).max(1)


class EpochSampler(Sampler[list[SampleKey]]):
    """The batches of all epochs from first_epoch and its first_step on, one after the other, as lists of
    (epoch, index, size).

    An epoch's order depends on (seed, epoch) alone. ``stage(epoch)`` gives (image size, batch size). With
    weights, an epoch draws each image in proportion to its weight (systematic resampling: the count is
    the expected one rounded up or down); with equal ones, each image once. An incomplete last batch is
    dropped, unless it is the only one. ``share`` (i, n) gives the i-th of n equal parts of each batch, which
    n must divide.
    """

    def __init__(
        self,
        weights: np.ndarray,
        *,
        seed: int,
        epochs: int,
        first_epoch: int,
        first_step: int = 0,
        stage: Callable[[int], tuple[int, int]],
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.weights = weights
        self.seed = seed
        self.epochs = epochs
        self.first_epoch = first_epoch
        self.first_step = first_step
        self.stage = stage
        self.share = share

    def steps(self, epoch: int) -> int:
        """Batches of an epoch."""
        return max(len(self.weights) // self.stage(epoch)[1], 1)

    def order(self, epoch: int) -> np.ndarray:
        """The indices (N,) that an epoch draws, in order."""
        N = len(self.weights)
        rng = np.random.default_rng(mix_seeds(self.seed, epoch))
        shuffled = rng.permutation(N)
        edges = np.cumsum(self.weights[shuffled])
        places = (np.arange(N) + rng.random()) * edges[-1] / N
        drawn = shuffled[np.minimum(np.searchsorted(edges, places, side="right"), N - 1)]
        return rng.permutation(drawn)

    def __len__(self) -> int:
        return sum(self.steps(epoch) for epoch in range(self.first_epoch, self.epochs)) - self.first_step

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for epoch in range(self.first_epoch, self.epochs):
            size, batch_size = self.stage(epoch)
            order = self.order(epoch)
            part = batch_size // self.share[1]
            for step in range(self.first_step if epoch == self.first_epoch else 0, self.steps(epoch)):
                first = step * batch_size + self.share[0] * part
                yield [(epoch, int(i), size) for i in order[first : first + part]]
