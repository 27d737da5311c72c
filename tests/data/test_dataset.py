"""The training set: draws that depend on seed, epoch and index alone, and leave the store as it is."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from pair_files import AUGMENTATION, SIZE, checksum, same, store, training_set

from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import TrainingSet, ValidationSet
from face_parsing.data.pairs import find_pairs
from face_parsing.labels import CELEBAMASK


def test_a_draw_follows_from_seed_epoch_and_index(cached: PairStore) -> None:
    keys = [(epoch, index, SIZE) for epoch in range(3) for index in range(4)]
    drawn = {key: training_set(cached)[key] for key in keys}
    for image, mask in drawn.values():
        assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((64, 64, 3), torch.uint8, (64, 64), torch.uint8)
    again, other_seed = training_set(cached), training_set(cached, seed=1)
    for key in reversed(keys):
        torch.manual_seed(key[1])
        assert same(again[key], drawn[key])
        assert not same(other_seed[key], drawn[key])
    for one, other in itertools.combinations(keys, 2):
        assert not same(drawn[one], drawn[other])


def test_one_pair_looks_different_at_every_place_and_in_every_epoch(faces: Path) -> None:
    repeated = store(find_pairs(faces / "train")[:1] * 6)
    drawn = training_set(repeated)
    looks = {drawn[epoch, index, SIZE][0].numpy().tobytes() for epoch in range(4) for index in range(6)}
    assert len(looks) == 24


def test_the_sampler_says_the_size(cached: PairStore) -> None:
    image, mask = training_set(cached)[0, 0, 96]
    assert (image.shape, mask.shape) == ((96, 96, 3), (96, 96))


def test_a_mask_of_half_the_size_is_moved_to_no_side(cached: PairStore) -> None:
    off = dict.fromkeys(("flip", "geometric", "color", "grey", "noise", "occlusion"), 0.0)
    drawn = TrainingSet(cached, seed=0, augmentation={**AUGMENTATION, **off})
    mask = cached[2][1]
    corners = [mask[down::2, across::2] for down in (0, 1) for across in (0, 1)]
    found = Counter(
        next(place for place, corner in enumerate(corners) if np.array_equal(drawn[epoch, 2, SIZE // 2][1], corner))
        for epoch in range(400)
    )
    assert len(found) == 4
    assert all(count == pytest.approx(100, abs=35) for count in found.values())


def test_without_augmentation_pairs_are_copies(cached: PairStore) -> None:
    plain = TrainingSet(cached, seed=0, augmentation=None)
    image, mask = plain[3, 2, SIZE]
    np.testing.assert_array_equal(image.numpy(), cached[2][0])
    np.testing.assert_array_equal(mask.numpy(), cached[2][1])
    before = checksum(cached)
    image.zero_()
    mask.zero_()
    assert checksum(cached) == before


def test_people_are_laid_over_other_pairs_as_often_as_asked(cached: PairStore) -> None:
    plain, none, half = (
        TrainingSet(cached, seed=0, augmentation={**AUGMENTATION, **also})
        for also in ({}, {"people": 0.0}, {"people": 0.5})
    )
    keys = [(epoch, index, SIZE) for epoch in range(30) for index in range(len(cached))]
    assert all(same(plain[key], none[key]) for key in keys[:8]), "bit for bit"
    moved = [key for key in keys if half.composite(key) is not None]
    assert len(moved) == pytest.approx(len(keys) / 2, abs=0.15 * len(keys))
    for key in keys[:16]:
        assert same(half[key], plain[key]) == (key not in moved)
        assert half[key][1].max() < len(CELEBAMASK)


def test_photos_are_made_poorer_as_often_as_asked_and_their_labels_stay(cached: PairStore) -> None:
    plain, poor = (TrainingSet(cached, seed=0, augmentation={**AUGMENTATION, "degrade": p}) for p in (0.0, 0.5))
    keys = [(epoch, index, SIZE) for epoch in range(30) for index in range(len(cached))]
    changed = [key for key in keys if poor.composite(key) is not None]
    assert len(changed) == pytest.approx(len(keys) / 2, abs=0.15 * len(keys))
    for key in keys[:16]:
        assert torch.equal(plain[key][1], poor[key][1])
        if key not in changed:
            assert same(plain[key], poor[key])


def test_training_never_alters_the_cache_nor_what_is_validated_on(cached: PairStore) -> None:
    before = checksum(cached)
    validated, drawn = ValidationSet(cached), training_set(cached)
    first = [tuple(part.clone() for part in validated[i]) for i in range(len(validated))]
    for epoch in range(4):
        for index in range(len(cached)):
            drawn[epoch, index, SIZE]
    assert checksum(cached) == before
    assert len(validated) == len(cached)
    for i, parts in enumerate(first):
        assert all(torch.equal(one, other) for one, other in zip(parts, validated[i], strict=True))
        np.testing.assert_array_equal(validated[i][0].numpy(), cached[i][0])
        np.testing.assert_array_equal(validated[i][1].numpy(), cached[i][1])


def test_the_steps_of_the_augmentation_are_drawn_apart() -> None:
    """A seed for all of them would make every grey face a flipped one too."""
    size = 32
    image = np.zeros((size, size, 3), np.uint8)
    image[:, : size // 2] = (200, 40, 40)
    mask = np.zeros((size, size), np.uint8)
    mask[:, : size // 2] = 1

    class OnePair(PairStore):
        def __init__(self) -> None:
            self.labels = CELEBAMASK

        def __len__(self) -> int:
            return 1

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            return image, mask

    off = {**AUGMENTATION, "geometric": 0.0, "color": 0.0, "noise": 0.0, "occlusion": 0.0}
    dataset = TrainingSet(OnePair(), seed=0, augmentation={**off, "flip": 0.5, "grey": 0.5})
    drawn = [dataset[epoch, 0, size] for epoch in range(200)]
    flipped = np.array([int(mask[0, 0]) == 0 for _, mask in drawn])
    grey = np.array([bool((photo[..., 0] == photo[..., 1]).all()) for photo, _ in drawn])
    assert flipped.mean() == pytest.approx(0.5, abs=0.15)
    assert grey.mean() == pytest.approx(0.5, abs=0.15)
    assert abs(np.corrcoef(flipped, grey)[0, 1]) < 0.2
