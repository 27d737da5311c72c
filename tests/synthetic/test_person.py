"""The synthetic faces: what the rest of the project relies on when it trains and tests on them."""

from __future__ import annotations

import numpy as np
import pytest

from face_parsing.labels import CLASS_NAMES, LEFT_RIGHT_PAIRS, NUM_CLASSES, is_mirrored
from face_parsing.synthetic.dataset import make_pair

SEEDS = range(60)
ID = {name: index for index, name in enumerate(CLASS_NAMES)}


@pytest.fixture(scope="module")
def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    return [make_pair(seed, size=128) for seed in SEEDS]


@pytest.fixture(scope="module")
def areas(pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Pixels of each class in each face, (60, 19)."""
    return np.stack([np.bincount(mask.ravel(), minlength=NUM_CLASSES) for _, mask in pairs])


def test_the_same_seed_gives_the_same_pair_whatever_was_drawn_before(
    pairs: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    for seed in (7, 3):
        image, mask = make_pair(seed, size=128)
        np.testing.assert_array_equal(image, pairs[seed][0])
        np.testing.assert_array_equal(mask, pairs[seed][1])


def test_different_seeds_give_different_faces(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    assert len({image.tobytes() for image, _ in pairs}) == len(SEEDS)
    assert len({mask.tobytes() for _, mask in pairs}) == len(SEEDS)


@pytest.mark.parametrize("size", [32, 64, 127, 128, 200])
def test_shapes_types_and_ids(size: int) -> None:
    image, mask = make_pair(11, size=size)
    assert (image.shape, image.dtype, image.flags.c_contiguous) == ((size, size, 3), np.dtype("uint8"), True)
    assert (mask.shape, mask.dtype, mask.flags.c_contiguous) == ((size, size), np.dtype("uint8"), True)
    assert mask.max() < NUM_CLASSES
    assert {ID["skin"], ID["nose"], ID["neck"], ID["cloth"], ID["u_lip"], ID["l_lip"]} <= set(np.unique(mask).tolist())


def test_a_face_is_the_same_face_at_every_size() -> None:
    small, large = make_pair(5, size=96)[1], make_pair(5, size=192)[1]
    assert (large[::2, ::2] == small).mean() > 0.97


def test_every_class_occurs_about_as_often_as_intended(areas: np.ndarray) -> None:
    share = dict(zip(CLASS_NAMES, (areas > 0).mean(axis=0).tolist(), strict=True))
    for name in ("background", "skin", "nose", "l_brow", "r_brow", "u_lip", "l_lip", "neck", "cloth"):
        assert share[name] == 1.0, name
    wanted = {"l_eye": (0.8, 1.0), "r_eye": (0.8, 1.0), "l_ear": (0.4, 0.85), "r_ear": (0.4, 0.85),
              "mouth": (0.3, 0.7), "hair": (0.75, 1.0), "eye_g": (0.12, 0.45), "hat": (0.1, 0.4),
              "ear_r": (0.2, 0.55), "neck_l": (0.12, 0.45)}  # fmt: skip
    for name, (low, high) in wanted.items():
        assert low <= share[name] <= high, f"{name} occurs in {share[name]:.0%} of the faces"


@pytest.mark.parametrize(("name", "pixels"), [("ear_r", 24), ("neck_l", 60), ("eye_g", 200), ("hat", 600),
                                              ("l_eye", 24), ("r_eye", 24), ("mouth", 24), ("nose", 40)])  # fmt: skip
def test_no_part_is_too_small_to_learn(areas: np.ndarray, name: str, pixels: int) -> None:
    present = areas[:, ID[name]][areas[:, ID[name]] > 0]
    assert present.min() >= pixels


def test_left_labels_lie_right_of_right_labels(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for seed, (_, mask) in zip(SEEDS, pairs, strict=True):
        assert not is_mirrored(mask), seed
        for left, right in LEFT_RIGHT_PAIRS:
            if (mask == left).any() and (mask == right).any():
                assert np.nonzero(mask == left)[1].mean() > np.nonzero(mask == right)[1].mean(), (seed, left)


def test_parts_lie_where_they_belong(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    def row(mask: np.ndarray, *names: str) -> float:
        return float(np.nonzero(np.isin(mask, [ID[name] for name in names]))[0].mean())

    for _, mask in pairs:
        heights = [row(mask, "l_brow", "r_brow"), row(mask, "nose"), row(mask, "u_lip"), row(mask, "l_lip"),
                   row(mask, "neck"), row(mask, "cloth")]  # fmt: skip
        assert heights == sorted(heights)
        if (mask == ID["hat"]).any():
            assert row(mask, "hat") < heights[0]
        if (mask == ID["ear_r"]).any():
            assert row(mask, "ear_r") > row(mask, "l_ear", "r_ear")


def test_edges_of_mask_and_image_agree(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    def contrast(image: np.ndarray, mask: np.ndarray) -> float:
        """Mean color step across the mask's vertical edges."""
        step = np.abs(np.diff(image.astype(int), axis=1)).sum(axis=2)
        return float(step[np.diff(mask.astype(int), axis=1) != 0].mean())

    aligned = np.mean([contrast(*pair) for pair in pairs])
    for shift in (-3, 3):
        assert aligned > 1.8 * np.mean([contrast(image, np.roll(mask, shift, axis=1)) for image, mask in pairs])


def test_impossible_seed_and_size() -> None:
    with pytest.raises(ValueError, match="size is 8; it must be at least 32"):
        make_pair(0, size=8)
    with pytest.raises(ValueError, match="seed is -1"):
        make_pair(-1)
