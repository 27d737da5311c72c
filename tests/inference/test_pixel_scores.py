"""Scores of pixels out of what graphs of every kind give: logits, blocks of them, bytes, masks alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from face_parsing.inference.onnx_network import CERTAIN, ExportedNetwork, _pixel_scores, _score_scale
from face_parsing.labels import CELEBAMASK

C, SIZE = len(CELEBAMASK), 64


def logits(photos: int = 1) -> np.ndarray:
    """(B, C, SIZE, SIZE) float32 with no two alike."""
    return np.random.default_rng(0).permutation(photos * C * SIZE**2).reshape(photos, C, SIZE, SIZE).astype(np.float32)


def as_logits(values: np.ndarray) -> np.ndarray:
    return values


def as_block_logits(values: np.ndarray, s: int = 2) -> np.ndarray:
    B, classes, height, width = values.shape
    blocks = values.reshape(B, classes, height // s, s, width // s, s).transpose(0, 1, 3, 5, 2, 4)
    return blocks.reshape(B, classes * s * s, height // s, width // s)


def as_scores(values: np.ndarray, s: int = 2) -> np.ndarray:
    B, classes, height, width = values.shape
    bytes_ = (values % 256).astype(np.uint8)
    return bytes_.reshape(B, classes, height // s, s, width // s, s).transpose(0, 2, 4, 3, 5, 1)


def as_masks(values: np.ndarray) -> np.ndarray:
    return values.argmax(1).astype(np.uint8)


@pytest.mark.parametrize("kind", [as_logits, as_block_logits], ids=["logits", "blocks"])
@pytest.mark.parametrize("photos", [1, 3])
def test_logits_are_those_of_each_pixel(kind: Callable[[np.ndarray], np.ndarray], photos: int) -> None:
    values = logits(photos)
    found = _pixel_scores(kind(values), C)
    assert len(found) == photos
    np.testing.assert_array_equal(np.stack(found), values.transpose(0, 2, 3, 1))


def test_bytes_are_those_of_each_pixel() -> None:
    (found,) = _pixel_scores(as_scores(logits()), C)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, (logits()[0] % 256).transpose(1, 2, 0))


def test_a_mask_is_certain() -> None:
    values = logits(2)
    first, second = _pixel_scores(as_masks(values), C)
    np.testing.assert_array_equal(first.argmax(2), values[0].argmax(0))
    assert (second.sum(2) == 1).all()


@pytest.mark.parametrize("kind", [as_logits, as_block_logits, as_scores, as_masks])
@pytest.mark.parametrize("size", [(64, 64), (50, 64), (64, 33), (100, 128)], ids=str)
def test_the_largest_score_is_the_mask(kind: Callable[[np.ndarray], np.ndarray], size: tuple[int, int]) -> None:
    values = logits()

    def run(photos: np.ndarray) -> np.ndarray:
        assert photos.shape == (1, SIZE, SIZE, 3)
        return kind(values)

    network = ExportedNetwork(Path("n.onnx"), run, CELEBAMASK, SIZE, dynamic=False)
    photo = np.zeros((*size, 3), np.uint8)
    (scores,) = network.scores([photo])
    assert scores.shape == (*(round(side * SIZE / max(size)) for side in size), C)
    if max(size) == SIZE:
        np.testing.assert_array_equal(scores.argmax(2), network.parse([photo])[0])


def test_probabilities_follow_the_files_scale() -> None:
    network = ExportedNetwork(Path("n.onnx"), as_masks, CELEBAMASK, SIZE, dynamic=False)
    scores = np.zeros((1, C), np.uint8)
    scores[0, 3] = 1
    for scale, certain in ((CERTAIN, True), (0.1, False)):
        one = ExportedNetwork(network.path, as_masks, CELEBAMASK, SIZE, dynamic=False, score_scale=scale)
        found = one.probabilities(scores)
        assert found.sum() == pytest.approx(1)
        assert (found[0, 3] > 0.999) == certain
    assert [_score_scale({"score_scale": "0.25"}, axes) for axes in (4, 6, 3)] == [1.0, 0.25, CERTAIN]
