"""Augmentation: image and mask move together, masks keep their ids, and a seed decides everything."""

from __future__ import annotations

import albumentations as A
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_parsing.augmentation.transforms import build_augmentation
from face_parsing.data.pairs import resize_pair
from face_parsing.labels import FLIP_TABLE, IGNORE_INDEX, NUM_CLASSES
from face_parsing.synthetic.dataset import make_pair

OFF = {"flip": 0.0, "geometric": 0.0, "rotate": 20.0, "scale": (0.78, 1.28), "shift": 0.12, "color": 0.0,
       "color_strength": 0.3, "grey": 0.0, "noise": 0.0, "occlusion": 0.0}  # fmt: skip
ALL = {**OFF, "flip": 0.5, "geometric": 1.0, "color": 1.0, "grey": 0.3, "noise": 0.8, "occlusion": 0.8}
SIZE = 48


def build(**changes: object) -> A.Compose:
    return build_augmentation(**{**OFF, **changes})  # type: ignore[arg-type]


def apply(transform: A.Compose, image: np.ndarray, mask: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    transform.set_random_seed(seed)
    done = transform(image=image, mask=mask)
    return done["image"], done["mask"]


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return make_pair(3, size=SIZE)


def every_id() -> np.ndarray:
    """A mask (SIZE, SIZE) that holds each id in a block of its own, and ignored pixels."""
    blocks = np.full((6, 4), IGNORE_INDEX, dtype=np.uint8)
    blocks.flat[:NUM_CLASSES] = range(NUM_CLASSES)
    return np.kron(blocks, np.ones((SIZE // 6, SIZE // 4), dtype=np.uint8))


def drawn_after(mask: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) whose values follow from the mask's ids."""
    return np.repeat((mask.astype(np.int64) * 13 % 256).astype(np.uint8)[..., None], 3, axis=2)


# --- the flip ---------------------------------------------------------------------------------------


def test_a_flip_mirrors_both_and_swaps_left_and_right() -> None:
    mask = every_id()
    image, flipped = apply(build(flip=1.0), drawn_after(mask), mask)
    np.testing.assert_array_equal(image, drawn_after(mask)[:, ::-1])
    mirror = mask[:, ::-1]
    for before, after in ((4, 5), (5, 4), (6, 7), (7, 6), (8, 9), (9, 8)):
        assert (mirror == before).any()
        assert (flipped[mirror == before] == after).all()
    rest = ~np.isin(mirror, (4, 5, 6, 7, 8, 9))
    np.testing.assert_array_equal(flipped[rest], mirror[rest])


def test_two_flips_are_none(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = apply(build(flip=1.0), *apply(build(flip=1.0), *pair))
    np.testing.assert_array_equal(image, pair[0])
    np.testing.assert_array_equal(mask, pair[1])


def test_a_flip_happens_as_often_as_asked(pair: tuple[np.ndarray, np.ndarray]) -> None:
    transform = build(flip=0.3)
    flips = sum(not np.array_equal(apply(transform, *pair, seed)[1], pair[1]) for seed in range(200))
    assert 35 <= flips <= 85


# --- geometry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"rotate": 45.0, "scale": (1.0, 1.0), "shift": 0.0}, {"rotate": 0.0, "scale": (0.6, 1.6), "shift": 0.0},
     {"rotate": 0.0, "scale": (1.0, 1.0), "shift": 0.3}, {}],
    ids=["rotate", "scale", "shift", "all"],
)  # fmt: skip
def test_image_and_mask_move_together(changes: dict[str, object]) -> None:
    mask = np.full((64, 64), 1, dtype=np.uint8)
    mask[:20, 10:40], mask[35:55, 5:25], mask[25:60, 40:60] = 13, 17, 18
    transform = build(geometric=1.0, **changes)
    moved = 0
    for seed in range(15):
        image, turned = apply(transform, drawn_after(mask), mask, seed)
        # The image is interpolated, so it may differ along the borders of a region, and nowhere else.
        same = (image == drawn_after(turned)).all(2)
        inner = np.ones_like(same)
        inner[1:-1, 1:-1] = [
            [len(np.unique(turned[y - 1 : y + 2, x - 1 : x + 2])) == 1 for x in range(1, 63)] for y in range(1, 63)
        ]
        assert same[1:-1, 1:-1][inner[1:-1, 1:-1]].mean() > 0.99
        moved += not np.array_equal(turned, mask)
    assert moved >= 13


def test_geometry_keeps_colors_and_alters_the_pixels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    white = np.full_like(pair[0], 200)
    image, mask = apply(build(geometric=1.0), white, pair[1])
    np.testing.assert_array_equal(image, white)  # borders are continued, not filled
    assert not np.array_equal(mask, pair[1])


# --- masks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_masks_hold_no_ids_that_were_not_there(flip: float) -> None:
    rng = np.random.default_rng(0)
    transform = build_augmentation(**{**ALL, "flip": flip})  # type: ignore[arg-type]
    for seed in range(20):
        ids = rng.choice([*range(NUM_CLASSES), IGNORE_INDEX], size=4, replace=False)
        mask = rng.choice(ids, size=(SIZE, SIZE)).astype(np.uint8)
        _, found = apply(transform, drawn_after(mask), mask, seed)
        allowed = FLIP_TABLE[ids] if flip else ids
        assert set(np.unique(found).tolist()) <= set(allowed.tolist())


def test_shapes_and_types_stay(pair: tuple[np.ndarray, np.ndarray]) -> None:
    transform = build_augmentation(**ALL)  # type: ignore[arg-type]
    for seed in range(10):
        image, mask = apply(transform, *pair, seed)
        assert (image.shape, image.dtype) == ((SIZE, SIZE, 3), np.dtype("uint8"))
        assert (mask.shape, mask.dtype) == ((SIZE, SIZE), np.dtype("uint8"))


@pytest.mark.parametrize("name", ["color", "grey", "noise", "occlusion"])
def test_what_changes_colors_leaves_the_mask_alone(pair: tuple[np.ndarray, np.ndarray], name: str) -> None:
    transform = build(**{name: 1.0})
    for seed in range(5):
        image, mask = apply(transform, *pair, seed)
        np.testing.assert_array_equal(mask, pair[1])
        assert not np.array_equal(image, pair[0])


def test_grey_is_grey_and_occlusion_hides_boxes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    grey, _ = apply(build(grey=1.0), *pair)
    assert (grey == grey[..., :1]).all()
    for seed in range(10):
        hidden, _ = apply(build(occlusion=1.0), *pair, seed)
        assert 0.001 < (hidden != pair[0]).any(2).mean() < 0.2


def test_without_any_probability_nothing_happens(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = apply(build(), *pair)
    np.testing.assert_array_equal(image, pair[0])
    np.testing.assert_array_equal(mask, pair[1])


# --- seeds ------------------------------------------------------------------------------------------


def test_a_draw_follows_from_its_seed_alone(pair: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = (build_augmentation(**ALL) for _ in range(2))  # type: ignore[arg-type]
    first = [apply(one, *pair, seed) for seed in range(6)]
    np.random.seed(7)  # noqa: NPY002  the global state must not matter
    again = {seed: apply(other, *pair, seed) for seed in (4, 1, 5, 0, 3, 2)}
    for seed, (image, mask) in enumerate(first):
        np.testing.assert_array_equal(again[seed][0], image)
        np.testing.assert_array_equal(again[seed][1], mask)
    assert len({image.tobytes() for image, _ in first}) == 6


def test_the_given_arrays_are_not_written_to(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = pair[0].copy(), pair[1].copy()
    transform = build_augmentation(**{**ALL, "flip": 1.0})  # type: ignore[arg-type]
    for seed in range(20):
        apply(transform, image, mask, seed)
    np.testing.assert_array_equal(image, pair[0])
    np.testing.assert_array_equal(mask, pair[1])


# --- resizing ---------------------------------------------------------------------------------------


def test_a_pair_of_the_right_size_is_left_as_it_is(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = resize_pair(*pair, SIZE)
    assert image is pair[0]
    assert mask is pair[1]


def test_enlarging_repeats_the_pixels_of_a_mask() -> None:
    mask = np.random.default_rng(0).integers(0, NUM_CLASSES, (8, 8)).astype(np.uint8)
    image, large = resize_pair(drawn_after(mask), mask, 24)
    np.testing.assert_array_equal(large, mask.repeat(3, axis=0).repeat(3, axis=1))
    np.testing.assert_array_equal(image[1::3, 1::3], drawn_after(mask))  # linear: exact at the old centres
    np.testing.assert_array_equal(resize_pair(image, large, 8)[1], mask)


def test_shrinking_averages_an_image_and_never_a_mask() -> None:
    mask = np.array([[0, 0, 18, 18], [0, 0, 18, 18], [3, 3, 5, 5], [3, 3, 5, 5]], dtype=np.uint8)
    image = np.repeat(np.array([[0, 10, 100, 200], [20, 30, 100, 200]] * 2, dtype=np.uint8)[..., None], 3, axis=2)
    small, small_mask = resize_pair(image, mask, 2)
    assert small[..., 0].tolist() == [[15, 150], [15, 150]]
    assert small_mask.tolist() == [[0, 18], [3, 5]]


@pytest.mark.parametrize("size", [24, 32, 48, 56])
def test_labels_between_two_pixels_are_taken_from_either_side(size: int) -> None:
    # Each label is its own place, and so is its mean over both choices where the image's is.
    mask = np.repeat(np.arange(64, dtype=np.uint8)[:, None], 64, axis=1)
    middles = (np.arange(size) + 0.5) * 64 / size - 0.5
    for axis, turned in ((0, mask), (1, mask.T)):
        found = []
        for other in (False, True):
            rounding = (other, False) if axis == 0 else (False, other)
            labels = resize_pair(drawn_after(turned), turned, size, rounding=rounding)[1]
            line = labels[:, 0] if axis == 0 else labels[0]
            assert (labels == (line[:, None] if axis == 0 else line)).all()
            found.append(line.astype(float))
        assert np.abs(np.stack(found) - middles).max() <= 0.5
        assert np.mean(found) == pytest.approx(middles.mean())
        across = resize_pair(drawn_after(turned), turned, size, rounding=(axis == 1, axis == 0))[1]
        np.testing.assert_array_equal(across[:, 0] if axis == 0 else across[0], found[0])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_size_becomes_the_asked_one(height: int, width: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.choice([0, 4, 18, IGNORE_INDEX], size=(height, width)).astype(np.uint8)
    image, resized = resize_pair(drawn_after(mask), mask, size)
    assert (image.shape, image.dtype) == ((size, size, 3), np.dtype("uint8"))
    assert (resized.shape, resized.dtype) == ((size, size), np.dtype("uint8"))
    assert set(np.unique(resized).tolist()) <= set(np.unique(mask).tolist())
