"""Backgrounds, hair and clothes that look like another face's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from face_parsing.augmentation.textures import HAIR, TEXTURED, TextureChoice, continued, recolored, retexture
from face_parsing.labels import CLASS_NAMES

BACKGROUND, CLOTH = (CLASS_NAMES.index(name) for name in ("background", "cloth"))
AROUND = np.ones((9, 9), np.uint8)  # how far a soft edge reaches


def pictures(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of some color, and a mask with clothes at the bottom, hair at the top, skin between, background around."""
    rng = np.random.default_rng(seed)
    image = rng.normal(rng.uniform(60, 190, 3), 12, (120, 120, 3)).clip(0, 255).astype(np.uint8)
    mask = np.zeros((120, 120), np.uint8)
    mask[90:, 12:108], mask[54:90, 30:90], mask[12:54, 12:108] = CLOTH, CLASS_NAMES.index("skin"), HAIR
    return image, mask


@pytest.mark.parametrize("size", [1, 2, 7, 32, 45])
def test_an_image_is_continued_by_colors_that_it_has(size: int) -> None:
    rng = np.random.default_rng(size)
    image = rng.integers(50, 200, (size, size, 3)).astype(np.uint8)
    region = rng.random((size, size)) < 0.3
    region[0, 0] = True
    result = continued(image, region)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[region], image[region], atol=1e-3)
    assert result.min() >= image[region].min() - 1e-3
    assert result.max() <= image[region].max() + 1e-3


def test_what_lies_near_counts_more() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 200
    region = np.zeros((64, 64), bool)
    region[:, :8], region[:, 56:] = True, True
    line = continued(image, region)[32, :, 0]
    assert (np.diff(line) >= -1e-3).all()
    assert line[12] < 60
    assert line[51] > 140


def test_a_plain_region_goes_on_as_it_is_and_an_empty_one_is_black() -> None:
    image = np.full((33, 33, 3), (10, 120, 250), np.uint8)
    region = np.zeros((33, 33), bool)
    assert not continued(image, region).any()
    region[20, 5] = True
    np.testing.assert_allclose(continued(image, region), image, rtol=1e-5)


def test_hair_takes_mean_and_contrast() -> None:
    (image, mask), (donor, theirs) = pictures(1), pictures(2)
    region, other = mask == HAIR, theirs == HAIR
    result = recolored(image, region, donor, other)[region]
    np.testing.assert_allclose(result.mean(0), donor[other].mean(0), atol=1e-2)
    np.testing.assert_allclose(result.std(0), donor[other].std(0), rtol=0.02)
    # What is bright among the hair is bright as before.
    for channel in range(3):
        assert np.corrcoef(result[:, channel], image[region][:, channel])[0, 1] > 0.999
    flat = np.full_like(donor, 90)
    assert recolored(image, region, flat, other)[region].std(0) == pytest.approx(image[region].std(0) / 2, rel=1e-3)


@pytest.mark.parametrize("label", TEXTURED)
def test_one_class_alone_changes_its_look_and_no_label(label: int) -> None:
    pair, donor = pictures(1), pictures(2)
    given = [part.copy() for part in (*pair, *donor)]
    image, mask = retexture(pair, donor, label)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(mask, pair[1])
    assert all(np.array_equal(a, b) for a, b in zip((*pair, *donor), given, strict=True))
    region = pair[1] == label
    inside = cv2.erode(region.astype(np.uint8), AROUND, borderValue=0) > 0
    assert image[inside].mean(0) == pytest.approx(donor[0][donor[1] == label].mean(0), abs=4)
    if label != HAIR:  # the two faces have their parts at the same places
        np.testing.assert_allclose(image[inside].astype(int), donor[0][inside].astype(int), atol=1)
    far = cv2.dilate(region.astype(np.uint8), AROUND) == 0
    np.testing.assert_array_equal(image[far], pair[0][far])


def test_without_the_class_nothing_changes() -> None:
    pair, (image, mask) = pictures(1), pictures(2)
    bald = image, np.where(mask == HAIR, 0, mask)
    assert retexture(pair, bald, HAIR)[0] is pair[0]
    assert retexture(bald, pair, HAIR)[0] is bald[0]


def test_the_choice_is_that_of_its_seed_and_of_each_class_by_itself() -> None:
    presence = np.zeros((4, len(CLASS_NAMES)), bool)
    presence[:, BACKGROUND], presence[:3, HAIR], presence[2:, CLOTH] = True, True, True
    choose = TextureChoice(presence, probability=0.3)
    draws = [choose(2, seed=seed) for seed in range(1000)]
    for label, wearers in ((BACKGROUND, {0, 1, 2, 3}), (HAIR, {0, 1, 2}), (CLOTH, {2, 3})):
        chosen = [texture for found in draws for texture in found if texture.label == label]
        assert len(chosen) == pytest.approx(300, abs=60)
        assert {texture.donor for texture in chosen} == wearers
    assert sum(len(found) == 3 for found in draws) == pytest.approx(27, abs=20)
    assert {texture.label for seed in range(50) for texture in choose(3, seed=seed)} == {BACKGROUND, CLOTH}
    assert choose(2, seed=5) == draws[5]
    assert not TextureChoice(presence, probability=0.0)(2, seed=1)
