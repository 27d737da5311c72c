"""The largest class in NumPy: what torch's gives, to the pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from face_parsing.data.photos import read_photo
from face_parsing.inference import largest_class as module
from face_parsing.inference import predict
from face_parsing.inference.largest_class import largest_class
from face_parsing.inference.onnx_network import read_onnx
from face_parsing.weights import find_weights


def in_torch(scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    mask: np.ndarray = predict.largest_class(torch.from_numpy(scores)[None], size)[0].numpy()
    return mask


def smooth_scores(seed: int, classes: int, h: int, w: int) -> np.ndarray:
    """Scores (classes, h, w) with regions, as of a face, and some noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(classes, max(1, h // 8), max(1, w // 8))).astype(np.float32)
    planes = [np.asarray(Image.fromarray(plane).resize((w, h), Image.Resampling.BILINEAR)) for plane in coarse]
    return np.stack(planes) + rng.normal(scale=0.02, size=(classes, h, w)).astype(np.float32)


SIDES = st.integers(1, 40)


@given(st.integers(0, 1000), st.integers(2, 19), st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_it_gives_what_torch_gives(seed: int, classes: int, source: tuple[int, int], size: tuple[int, int]) -> None:
    scores = smooth_scores(seed, classes, *source)
    np.testing.assert_array_equal(largest_class(scores, size), in_torch(scores, size))


def test_ties_go_to_the_lower_id() -> None:
    scores = np.zeros((3, 4, 4), dtype=np.float32)
    scores[1:] = 1
    for size in ((4, 4), (9, 7), (2, 2)):
        assert (largest_class(scores, size) == 1).all()


def test_a_class_may_win_between_pixels_that_all_belong_to_others() -> None:
    scores = np.array([[[10.0, 0.0]], [[0.0, 10.0]], [[9.0, 9.0]]], dtype=np.float32)
    assert largest_class(scores, (1, 6)).tolist() == [[0, 0, 2, 2, 1, 1]]


def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = smooth_scores(0, 19, 32, 24)
    whole = largest_class(scores, (200, 150))
    for pixels in (1, 150 * 7):
        monkeypatch.setattr(module, "STRIP_PIXELS", pixels)
        np.testing.assert_array_equal(largest_class(scores, (200, 150)), whole)


def test_a_part_of_a_graph_s_logits_is_taken() -> None:
    """A photo that is no square leaves a part of the graph's square empty."""
    scores = smooth_scores(1, 5, 32, 32)
    part = scores[:, :20, :27]
    np.testing.assert_array_equal(largest_class(part, (90, 120)), in_torch(np.ascontiguousarray(part), (90, 120)))


@pytest.mark.parametrize("name", ["face_parsing.onnx", "face_parsing_fast.onnx"])
def test_on_the_logits_of_real_faces_too(real_data: Path, name: str) -> None:
    network = read_onnx(find_weights(name))
    side = network.image_size
    stems = (real_data / "val.txt").read_text(encoding="utf-8").split()
    for stem in stems[::10]:
        photo = read_photo(next((real_data / "train" / "images").glob(f"{stem}.*")))
        small = np.array(Image.fromarray(photo).resize((side, side), Image.Resampling.BILINEAR))
        logits = network.run(small[None])[0]
        size = photo.shape[0], photo.shape[1]
        np.testing.assert_array_equal(largest_class(logits, size), in_torch(logits, size))
