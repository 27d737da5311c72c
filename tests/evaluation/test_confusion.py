"""Confusion matrices: counted by image, by runs as by pixels, and left/right corrected."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scored_masks import TINY_GUESS, TINY_TRUTH, faces

from face_parsing.evaluation import confusion
from face_parsing.evaluation.confusion import class_counts, confusion_matrices, lr_corrected, mirrored
from face_parsing.evaluation.metrics import ScoreKeeper, f_scores
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, NUM_CLASSES, is_mirrored, swap_left_right


def test_the_confusion_matrix_is_counted_by_image() -> None:
    truths = torch.from_numpy(np.stack([TINY_TRUTH, TINY_TRUTH]))
    guesses = torch.from_numpy(np.stack([TINY_GUESS, TINY_TRUTH]))
    found = confusion_matrices(guesses, truths)
    assert (found.shape, found.dtype) == ((2, NUM_CLASSES, NUM_CLASSES), torch.int64)
    assert found[0, :2, :2].tolist() == [[1, 1], [0, 2]]
    assert found[1, :2, :2].tolist() == [[2, 0], [0, 2]]
    assert int(found.sum()) == 8
    assert class_counts(found)[0, :, :2].tolist() == [[1, 2], [1, 3], [2, 2]]
    assert f_scores(class_counts(found)).tolist() == pytest.approx([(2 / 3 + 0.8) / 2, 1.0], abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_masks_may_have_any_integer_type(dtype: torch.dtype) -> None:
    guesses, truths = (torch.from_numpy(masks) for masks in faces(3, 1))
    assert torch.equal(confusion_matrices(guesses.to(dtype), truths.to(dtype)), confusion_matrices(guesses, truths))
    assert torch.equal(mirrored(truths.to(dtype)), mirrored(truths))


MASKS = st.integers(1, 4).flatmap(
    lambda count: st.tuples(
        st.integers(0, 2**32 - 1), st.just(count), st.lists(st.sampled_from(range(NUM_CLASSES)), min_size=1, max_size=8)
    )
)


def masks_of(seed: int, count: int, ids: list[int]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).choice(ids, size=(count, 5, 7)).astype(np.uint8))


@given(MASKS)
def test_mirrored_says_what_labels_say(drawn: tuple[int, int, list[int]]) -> None:
    masks = masks_of(*drawn)
    assert mirrored(masks).tolist() == [is_mirrored(mask) for mask in masks.numpy()]


@given(MASKS, st.integers(0, 2**32 - 1))
def test_permuting_the_matrix_is_counting_the_swapped_masks(drawn: tuple[int, int, list[int]], seed: int) -> None:
    truths = masks_of(*drawn)
    guesses = masks_of(seed, len(truths), [*drawn[2], 4, 5, 8, 9])
    swap_guess, swap_truth = mirrored(guesses), mirrored(truths)
    found = lr_corrected(confusion_matrices(guesses, truths), swap_guess, swap_truth)

    def swapped(masks: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        pairs = zip(masks.numpy(), which.tolist(), strict=True)
        return torch.from_numpy(np.stack([swap_left_right(mask) if swap else mask for mask, swap in pairs]))

    assert torch.equal(found, confusion_matrices(swapped(guesses, swap_guess), swapped(truths, swap_truth)))


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 21), st.integers(1, 40))
def test_counting_runs_is_counting_pixels(seed: int, batch: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, NUM_CLASSES, (2, batch, -(-height // 4), -(-width // 4)), dtype=np.uint8)
    masks = coarse.repeat(4, 2).repeat(4, 3)[:, :, :height, :width].copy()
    noise = rng.random(masks.shape) < 0.1
    masks[noise] = rng.integers(0, NUM_CLASSES, int(noise.sum()), dtype=np.uint8)
    masks[1][rng.random(masks[1].shape) < 0.05] = IGNORE_INDEX
    guesses, truths = map(torch.from_numpy, masks)
    expected = confusion._count_pixels(guesses, truths, NUM_CLASSES)
    assert torch.equal(confusion_matrices(guesses, truths), expected)
    for found in (guesses, truths):
        places = confusion._place_pixels(found, CELEBAMASK)
        sides = [label for pair in CELEBAMASK.left_right for label in pair]
        assert torch.equal(confusion.side_ids(found, CELEBAMASK)[:, :, sides], places[:, :, sides])
        assert torch.equal(mirrored(found), confusion.left_of_right(places, CELEBAMASK))
    keeper = ScoreKeeper()
    keeper.update(guesses, truths)
    assert torch.equal(keeper.confusion(), expected.sum(0))
    assert torch.equal(keeper.counts(), class_counts(expected).int())
    assert torch.equal(
        keeper.lr_corrected_counts(), class_counts(lr_corrected(expected, mirrored(guesses), mirrored(truths))).int()
    )


def test_columns_of_runs_by_hand() -> None:
    mask = np.array([[[4, 4, 0, 5], [4, 0, 0, 5]]], dtype=np.uint8)
    counts, columns = confusion.count_runs(mask, mask, NUM_CLASSES)
    assert [counts[0, c, c] for c in (0, 4, 5)] == [3, 3, 2]
    assert [columns[0, c, c] for c in (0, 4, 5)] == [2 + 1 + 2, 0 + 1 + 0, 3 + 3]
    assert counts.sum() == 8


def test_few_set_is_flatnonzero() -> None:
    rng = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 1.0):
        flags = rng.random(4096) < share
        np.testing.assert_array_equal(confusion._few_set(flags), np.flatnonzero(flags))
