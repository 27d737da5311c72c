"""The order of an epoch: each image once or in proportion, and the rest exactly where it goes on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pair_files import sampler

from face_parsing.data.sampler import EpochSampler, repeat_factors


@pytest.mark.parametrize("weight", [1.0, 0.1, 1.7])
@pytest.mark.parametrize("count", [1, 2, 13, 800])
def test_equal_weights_draw_each_image_once(count: int, weight: float) -> None:
    drawn = sampler(np.full(count, weight))
    for epoch in range(20):
        assert sorted(drawn.order(epoch).tolist()) == list(range(count))


def test_the_order_follows_from_seed_and_epoch() -> None:
    weights = np.ones(13)
    orders = [sampler(weights).order(epoch).tolist() for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    assert [sampler(weights, first_epoch=2).order(epoch).tolist() for epoch in range(4)] == orders
    assert sampler(weights, seed=1).order(0).tolist() != orders[0]


def test_size_and_batch_change_with_the_stage() -> None:
    drawn = sampler(np.ones(13))
    batches = list(drawn)
    assert [drawn.steps(epoch) for epoch in range(4)] == [2, 2, 6, 6]  # incomplete batches are dropped
    assert len(batches) == len(drawn) == 16
    assert [len(batch) for batch in batches] == [5] * 4 + [2] * 12
    assert [{(epoch, size) for epoch, _, size in batch} for batch in batches] == (
        [{(0, 64)}] * 2 + [{(1, 64)}] * 2 + [{(2, 96)}] * 6 + [{(3, 96)}] * 6
    )
    for epoch in range(4):
        indices = [index for batch in batches for e, index, _ in batch if e == epoch]
        assert indices == drawn.order(epoch).tolist()[: len(indices)]


def test_a_resumed_sampler_gives_the_rest_exactly() -> None:
    weights = np.array([1.0, 1.0, 3.0, 1.5, 1.0, 1.0, 2.0])
    whole, rest = sampler(weights, batch=3), sampler(weights, batch=3, first_epoch=2)
    assert list(rest) == list(whole)[len(whole) - len(rest) :]
    assert {key[0] for batch in rest for key in batch} == {2, 3}


def test_too_few_pairs_for_a_batch_make_one() -> None:
    drawn = sampler(np.ones(3), epochs=1)
    assert drawn.steps(0) == 1
    assert [sorted(index for _, index, _ in batch) for batch in drawn] == [[0, 1, 2]]


def test_weights_are_drawn_in_proportion() -> None:
    weights = np.array([1.0, 1.0, 2.0, 4.0, 1.0, 1.0])
    drawn = sampler(weights, epochs=1)
    epochs = 600
    counts = np.zeros((epochs, 6), dtype=int)
    for epoch in range(epochs):
        for index, count in Counter(drawn.order(epoch).tolist()).items():
            counts[epoch, index] = count
    wanted = 6 * weights / weights.sum()  # 0.6, 0.6, 1.2, 2.4, 0.6, 0.6
    assert (counts.sum(1) == 6).all()
    assert (counts >= np.floor(wanted)).all()
    assert (counts <= np.ceil(wanted)).all()
    np.testing.assert_allclose(counts.mean(0), wanted, atol=0.08)


def test_rarity_weights_by_hand() -> None:
    presence = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 1]], dtype=bool)
    # Shares 1, 1/4, 1/2. With a threshold of 0.5 only the second class is rare: sqrt(0.5 / 0.25).
    assert repeat_factors(presence, 0.5).tolist() == pytest.approx([2**0.5, 1, 1, 1])
    # With 1 the third is, too: sqrt(1 / 0.5); the largest of an image's factors counts.
    assert repeat_factors(presence, 1.0).tolist() == pytest.approx([2, 1, 2**0.5, 2**0.5])
    assert repeat_factors(presence, 0.0).tolist() == [1, 1, 1, 1]
    assert repeat_factors(np.zeros((2, 3), dtype=bool), 0.5).tolist() == [1, 1]


def test_a_sampler_goes_on_within_an_epoch() -> None:
    weights = np.linspace(1, 3, 17)
    whole = list(sampler(weights, batch=3))
    for step in (1, 4, 5):
        rest = sampler(weights, batch=3, first_epoch=1)
        rest.first_step = step
        assert list(rest) == whole[rest.steps(0) + step :]
        assert len(rest) == len(whole) - rest.steps(0) - step


def test_shares_of_the_sampler_make_up_its_batches() -> None:
    def keys(i: int, n: int) -> list[list[tuple[int, int, int]]]:
        stages = [(32, 6), (64, 12), (64, 12)]
        weights = np.linspace(1, 2, 31)
        sampler = EpochSampler(weights, seed=3, epochs=3, first_epoch=0, stage=lambda e: stages[e], share=(i, n))
        rest = EpochSampler(
            weights, seed=3, epochs=3, first_epoch=1, first_step=1, stage=lambda e: stages[e], share=(i, n)
        )
        assert list(rest) == list(sampler)[6:]
        return list(sampler)

    whole = keys(0, 1)
    assert [len(batch) for batch in whole] == [6] * 5 + [12] * 4
    for n in (2, 3):
        parts = [keys(i, n) for i in range(n)]
        assert [[key for part in batch for key in part] for batch in zip(*parts, strict=True)] == whole
