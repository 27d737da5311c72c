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
from face_parsing.inference.largest_class import largest_class, largest_class_of_blocks, largest_class_of_planes
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


def in_blocks(scores: np.ndarray, block: int) -> np.ndarray:
    """Scores (C, h * s, w * s) as blocks (h, w, s, s, C)."""
    C, H, W = scores.shape
    blocks = scores.reshape(C, H // block, block, W // block, block)
    return np.ascontiguousarray(blocks.transpose(1, 3, 2, 4, 0))


def byte_scores(seed: int, classes: int, h: int, w: int) -> np.ndarray:
    """As smooth_scores, (classes, h, w) uint8."""
    scores = smooth_scores(seed, classes, h, w)
    return (255 * (scores - scores.min()) / np.ptp(scores)).round().astype(np.uint8)


BLOCKS = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(st.integers(0, 1000), st.integers(2, 19), st.sampled_from([1, 2, 3, 4]), BLOCKS, BLOCKS, st.data())
def test_of_blocks_it_gives_the_largest_of_the_interpolated(
    seed: int, classes: int, block: int, blocks: tuple[int, int], size: tuple[int, int], data: st.DataObject
) -> None:
    """Where two classes are level to rounding, either. Odd sizes, parts of the blocks, smaller and larger masks."""
    h, w = blocks[0] * block, blocks[1] * block
    part = data.draw(st.tuples(st.integers(1, h), st.integers(1, w)))
    scores = byte_scores(seed, classes, h, w)
    size = size[0] * 5 - 3, size[1] * 5 - 2
    found = largest_class_of_blocks(in_blocks(scores, block), part, size)
    assert (found.shape, found.dtype) == (size, np.uint8)
    planes = torch.from_numpy(scores[:, : part[0], : part[1]]).double()[None]
    enlarged = torch.nn.functional.interpolate(planes, size=size, mode="bilinear", align_corners=False)[0].numpy()
    chosen = np.take_along_axis(enlarged, found[None].astype(np.intp), 0)[0]
    assert (chosen >= enlarged.max(0) - 1e-3).all()


@given(st.integers(0, 1000), st.integers(2, 19), st.sampled_from([1, 2, 3, 4]), BLOCKS, BLOCKS, st.data())
def test_of_planes_in_blocks_it_gives_what_torch_gives(
    seed: int, classes: int, block: int, blocks: tuple[int, int], size: tuple[int, int], data: st.DataObject
) -> None:
    """Odd sizes, parts of the blocks, smaller and larger masks; and the mask of the part itself."""
    h, w = blocks[0] * block, blocks[1] * block
    part = data.draw(st.tuples(st.integers(1, h), st.integers(1, w)))
    scores = smooth_scores(seed, classes, h, w)
    planes = in_blocks(scores, block).transpose(4, 2, 3, 0, 1)  # (C, s, s, h, w)
    for to in ((size[0] * 5 - 3, size[1] * 5 - 2), part):
        wanted = in_torch(np.ascontiguousarray(scores[:, : part[0], : part[1]]), to)
        np.testing.assert_array_equal(largest_class_of_planes(planes, part, to), wanted)


def test_of_blocks_it_gives_what_logits_give() -> None:
    """Scale and zero point are one for all scores, here a power of two, so that no rounding decides between classes."""
    for seed, block, size in ((0, 2, (64, 64)), (1, 4, (96, 80)), (2, 1, (128, 128)), (3, 2, (150, 90))):
        scores = byte_scores(seed, 19, 48, 48)
        logits = (scores.astype(np.float32) - 97) / 16
        found = largest_class_of_blocks(in_blocks(scores, block), (48, 48), size)
        np.testing.assert_array_equal(found, largest_class(logits, size))
        np.testing.assert_array_equal(found, in_torch(logits, size))


def test_ties_of_blocks_go_to_the_lower_id() -> None:
    scores = np.zeros((2, 3, 2, 2, 4), dtype=np.uint8)
    scores[..., 1:] = 255
    for size in ((4, 6), (9, 7), (2, 2)):
        assert (largest_class_of_blocks(scores, (4, 6), size) == 1).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_strips_and_threads_change_nothing_of_blocks(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = in_blocks(byte_scores(0, 19, 32, 24), 2)
    whole = largest_class_of_blocks(blocks, (31, 24), (200, 150))
    for strip, together in ((1, 1), (150 * 7, 100)):
        monkeypatch.setattr(module, "STRIP_PIXELS", strip)
        monkeypatch.setattr(module, "TOGETHER", together)
        found = largest_class_of_blocks(blocks, (31, 24), (200, 150), threads=threads)
        np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("name", ["face_parsing.onnx", "face_parsing_fast.onnx"])
def test_on_the_scores_of_real_faces_too(real_data: Path, name: str) -> None:
    network = read_onnx(find_weights(name))
    side = network.image_size
    stems = (real_data / "val.txt").read_text(encoding="utf-8").split()
    for stem in stems[::10]:
        photo = read_photo(next((real_data / "train" / "images").glob(f"{stem}.*")))
        small = np.array(Image.fromarray(photo).resize((side, side), Image.Resampling.BILINEAR))
        scores = network.run(small[None])[0]
        planes = scores.transpose(4, 0, 2, 1, 3).reshape(-1, side, side).astype(np.float32)
        size = photo.shape[0], photo.shape[1]
        wanted = in_torch(planes, size)
        np.testing.assert_array_equal(largest_class(planes, size), wanted)
        np.testing.assert_array_equal(largest_class_of_blocks(scores, (side, side), size), wanted)
        np.testing.assert_array_equal(network.parse([photo])[0], wanted)
