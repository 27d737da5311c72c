"""Poor photos: what each kind does to an image, that labels stay, and how often it is drawn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from face_parsing.augmentation.degradation import Degradation, DegradationChoice, Kind, blurred, dark, small, with_gamma

S = 64


@pytest.fixture
def edge() -> np.ndarray:
    """Black at the left, white at the right, as a photo (S, S, 3)."""
    image = np.zeros((S, S, 3), np.uint8)
    image[:, S // 2 :] = 255
    return image


@pytest.mark.parametrize("kind", ["blurred", "small", "dark", "gamma"])
def test_a_pair_keeps_its_labels_and_loses_of_its_image(kind: Kind, edge: np.ndarray) -> None:
    grey, mask = edge // 2 + 40, (edge[..., 0] > 0).astype(np.uint8)
    for seed in range(5):
        image, labels = Degradation(kind, seed)((grey, mask))
        assert labels is mask
        assert (image.shape, image.dtype) == (grey.shape, np.uint8)
        # So small a photo may be shrunk to as many pixels, or blurred by less than one.
        assert (image != grey).any() or kind in ("small", "blurred")
        again, _ = Degradation(kind, seed)((grey, mask))
        np.testing.assert_array_equal(image, again)
    assert (grey == edge // 2 + 40).all(), "the cached photo stays"


def test_a_blurred_edge_is_as_wide_as_asked(edge: np.ndarray) -> None:
    for sigma in (1.0, 3.0):
        row = blurred(edge, sigma)[S // 2, :, 0].astype(float)
        spread = np.sqrt((np.diff(row) / 255 * (np.arange(S - 1) - (S - 1) / 2 + 0.5) ** 2).sum())
        assert spread == pytest.approx(sigma, rel=0.15)


def test_a_small_photo_holds_as_many_colors_as_its_pixels() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (S, S, 3)).astype(np.uint8)
    shrunk = small(noise, 8)
    assert shrunk.shape == noise.shape
    assert shrunk.std() < 0.3 * noise.std()
    np.testing.assert_array_equal(small(noise, S), noise)


def test_gamma_darkens_the_middle_and_leaves_the_ends() -> None:
    levels = np.array([0, 64, 128, 255], np.uint8).reshape(1, 4, 1).repeat(3, 2)
    assert with_gamma(levels, 3.0)[0, :, 0].tolist() == [0, 4, 32, 255]
    np.testing.assert_array_equal(with_gamma(levels, 1.0), levels)


def test_less_light_is_darker_and_noisier_for_its_brightness(edge: np.ndarray) -> None:
    plain = np.full((S, S, 3), 128, np.uint8)
    means, noises = [], []
    for exposure in (1.0, 0.25, 0.06):
        rng = np.random.default_rng(0)
        lit = dark(plain, exposure=exposure, electrons=400, read_noise=1.0, gain=1 / exposure, rng=rng)
        noises.append(float(lit.std()))
        rng = np.random.default_rng(0)
        means.append(dark(plain, exposure=exposure, electrons=400, read_noise=1.0, gain=1.0, rng=rng).mean())
        assert lit.mean() == pytest.approx(128, abs=8), "the gain makes up for the light"
    assert means == sorted(means, reverse=True)
    assert means[1] == pytest.approx(128 * 0.25 ** (1 / 2.2), abs=3)
    assert noises == sorted(noises)


def test_kinds_are_drawn_alike_and_as_often_as_asked() -> None:
    drawn = [DegradationChoice(0.4)(seed=seed) for seed in range(3000)]
    kinds = Counter(one.kind for one in drawn if one is not None)
    assert sum(kinds.values()) == pytest.approx(1200, abs=120)
    assert len(kinds) == 4
    assert min(kinds.values()) > 0.2 * sum(kinds.values())
    assert DegradationChoice(0.0)(seed=0) is None
