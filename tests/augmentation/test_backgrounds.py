"""Backgrounds that people are laid over: a photo's own, and ones full of things."""

from __future__ import annotations

import numpy as np
import pytest

from face_parsing.augmentation import backgrounds
from face_parsing.augmentation.backgrounds import background_of
from face_parsing.labels import class_ids

HAIR, CLOTH = class_ids("hair", "cloth")


def photo() -> tuple[np.ndarray, np.ndarray]:
    """Someone in red and green before a blue wall."""
    image, mask = np.full((64, 64, 3), (40, 120, 200), np.uint8), np.zeros((64, 64), np.uint8)
    for label, rows, color in ((HAIR, np.s_[8:40], (200, 20, 20)), (CLOTH, np.s_[40:], (20, 200, 20))):
        image[rows, 16:48], mask[rows, 16:48] = color, label
    return image, mask


@pytest.mark.parametrize("seed", range(5))
def test_without_clutter_it_is_the_photo_s_own(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backgrounds, "CLUTTERED", 0.0)
    pair = photo()
    before = [part.copy() for part in pair]
    found, labels = background_of(pair, np.random.default_rng(seed))
    assert not labels.any()
    np.testing.assert_allclose(found, np.full_like(found, (40, 120, 200)), atol=1)
    pair[0][:, :16] = 250
    found, _ = background_of(pair, np.random.default_rng(seed))
    assert found.std() > 5
    pair[0][:, :16] = before[0][:, :16]
    assert all(np.array_equal(a, b) for a, b in zip(before, pair, strict=True))


def test_with_clutter_no_two_are_alike_and_nobody_is_in_them() -> None:
    found = [background_of(photo(), np.random.default_rng(seed)) for seed in range(60)]
    plain = [np.abs(image.astype(int) - (40, 120, 200)).max() <= 1 for image, _ in found]
    assert sum(plain) == pytest.approx(60 * (1 - backgrounds.CLUTTERED), abs=12)
    assert not any(labels.any() for _, labels in found)
    assert len({image.tobytes() for (image, _), same in zip(found, plain, strict=True) if not same}) == 60 - sum(plain)
    steps = [np.abs(np.diff(image.astype(int), axis=1)).mean() for image, _ in found]
    assert max(steps) > 10, "some are sharp all over"
    assert all(image.shape == (64, 64, 3) and image.dtype == np.uint8 for image, _ in found)
    again = background_of(photo(), np.random.default_rng(7))[0]
    assert (again == found[7][0]).all()


@pytest.mark.parametrize("size", [8, 32, 33])
def test_any_size_will_do(size: int) -> None:
    """And a photo that shows one class alone."""
    for label, seed in ((0, 0), (HAIR, 1), (HAIR, 2), (CLOTH, 3), (0, 4)):
        pair = np.full((size, size, 3), 90, np.uint8), np.full((size, size), label, np.uint8)
        assert background_of(pair, np.random.default_rng(seed))[0].shape == (size, size, 3)
