"""Masks that were treated as photos are found out, and no other ones."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from face_parsing.data.mask_seams import smoothing_of
from face_parsing.data.masks import read_mask
from face_parsing.data.problems import DataError
from face_parsing.synthetic.dataset import make_pair

Change = Callable[[np.ndarray], np.ndarray]


def resized(factor: float) -> Change:
    def change(mask: np.ndarray) -> np.ndarray:
        size = (round(mask.shape[1] * factor), round(mask.shape[0] * factor))
        return np.array(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))

    return change


def jpeg(quality: int) -> Change:
    def change(mask: np.ndarray) -> np.ndarray:
        data = BytesIO()
        Image.fromarray(mask).save(data, format="JPEG", quality=quality)
        return np.minimum(np.array(Image.open(data)), 18)  # what stays above is refused before

    return change


def blurred(mask: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(mask, (3, 3), 0)


SMOOTHED = [resized(0.5), resized(2), resized(0.7), jpeg(90), jpeg(75), jpeg(100), blurred]


@pytest.mark.parametrize("change", SMOOTHED)
def test_smoothed_masks_are_found(change: Change) -> None:
    assert all(smoothing_of(change(make_pair(i, size=256)[1])) is not None for i in range(6))


@pytest.mark.parametrize("size", [64, 128, 256])
def test_drawn_masks_are_sound(size: int) -> None:
    assert all(smoothing_of(make_pair(i, size=size)[1]) is None for i in range(20))


def test_the_seam_is_named() -> None:
    mask = np.full((40, 40), 13, dtype=np.uint8)  # hair left, skin right, and a column of brow between them
    mask[:, 20:] = 1
    mask[:, 20] = 7
    found = smoothing_of(mask)
    assert found is not None
    assert str(found) == "40 pixels of classes that lie between two others, such as r_brow between skin and hair (40)"
    mask[:, 20] = 255  # to ignore is no class
    assert smoothing_of(mask) is None
    assert smoothing_of(np.zeros((1, 1), np.uint8)) is None


@pytest.mark.slow
def test_all_real_masks_are_sound(real_data: Path) -> None:
    masks = [read_mask(path) for path in sorted((real_data / "train/masks").iterdir())]
    for size in (512, 256, 64):
        small = [cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT) for mask in masks]
        assert not any(smoothing_of(mask) for mask in small)
    assert all(smoothing_of(change(mask)) for change in SMOOTHED for mask in masks[::30])


def test_ids_that_are_none_are_explained(tmp_path: Path) -> None:
    mask = make_pair(0, size=128)[1]
    Image.fromarray(mask).save(tmp_path / "m.jpg", quality=90)
    with pytest.raises(
        DataError, match=r"m\.jpg: label \d+; ids are 0 to 18, .*it seems to have been resized, blurred or"
    ):
        read_mask(tmp_path / "m.jpg")
    mask[:9, :9] = 30
    Image.fromarray(mask).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"label 30; ids are 0 to 18, or 255 to ignore$"):
        read_mask(tmp_path / "m.png")
