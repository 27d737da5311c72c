"""The table of classes, against the challenge's text and the referee."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from face_parsing.labels import (
    CELEBAMASK,
    CLASS_NAMES,
    FLIP_TABLE,
    FLIPPED_IDS,
    IGNORE_INDEX,
    LEFT_RIGHT_PAIRS,
    NUM_CLASSES,
    PALETTE,
    colorize,
    group_labels,
    is_mirrored,
    palette_bytes,
    swap_left_right,
)

# As the challenge lists them.
NAMES = (
    "background skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear "
    "mouth u_lip l_lip hair hat ear_r neck_l neck cloth"
)
COLORS = (
    "0,0,0 204,0,0 76,153,0 204,204,0 51,51,255 204,0,204 0,255,255 255,204,204 102,51,0 255,0,0 102,204,0 255,255,0 "
    "0,0,153 0,0,204 255,51,153 0,204,204 0,51,0 255,153,51 0,204,0"
)


def columns(*labels: int, height: int = 2) -> np.ndarray:
    """A mask with one column a label."""
    return np.tile(np.array(labels, dtype=np.uint8), (height, 1))


def test_names_and_palette_are_the_challenges() -> None:
    assert NUM_CLASSES == 19
    assert list(CLASS_NAMES) == NAMES.split()
    assert [",".join(map(str, color)) for color in PALETTE] == COLORS.split()
    assert len(set(PALETTE)) == NUM_CLASSES
    assert NUM_CLASSES <= IGNORE_INDEX <= 255


def test_names_and_pairs_are_the_referees(referee: ModuleType) -> None:
    assert list(CLASS_NAMES) == referee.CLASSES
    assert LEFT_RIGHT_PAIRS == referee.PAIRS


def test_flipping_exchanges_the_pairs_and_nothing_else() -> None:
    assert FLIPPED_IDS == (0, 1, 2, 3, 5, 4, 7, 6, 9, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18)
    assert [CLASS_NAMES[a][:2] + CLASS_NAMES[b][:2] for a, b in LEFT_RIGHT_PAIRS] == ["l_r_"] * 3
    assert FLIP_TABLE.dtype == np.uint8
    assert FLIP_TABLE[:NUM_CLASSES].tolist() == list(FLIPPED_IDS)
    assert FLIP_TABLE[NUM_CLASSES:].tolist() == list(range(NUM_CLASSES, 256))
    assert FLIP_TABLE[FLIP_TABLE].tolist() == list(range(256))


def test_palette_bytes_fill_a_png() -> None:
    mask = np.arange(20, dtype=np.uint8).reshape(4, 5)
    picture = Image.fromarray(mask)
    picture.putpalette(palette_bytes())
    assert len(palette_bytes()) == 768
    np.testing.assert_array_equal(np.array(picture.convert("RGB")), colorize(mask))


def test_colorize() -> None:
    mask = np.array([[0, 18], [13, 255]], dtype=np.uint8)
    assert colorize(mask).tolist() == [[[0, 0, 0], [0, 204, 0]], [[0, 0, 204], [0, 0, 0]]]
    assert colorize(mask).dtype == np.uint8


@pytest.mark.parametrize(
    ("mask", "answer"),
    [
        (columns(5, 1, 4), False),  # the subject's left eye lies at the right side of the image
        (columns(4, 1, 5), True),
        (columns(4, 5, 7, 6), True),  # eyes decide before brows,
        (columns(5, 4, 6, 7), False),
        (columns(4, 6, 7), True),  # brows where an eye is missing,
        (columns(6, 7, 9, 8), True),  # before ears,
        (columns(4, 7, 8, 9), True),  # and ears where nothing else is there
        (columns(4, 6, 8), False),
        (columns(0, 1, 13), False),
        (columns(4, 5, 4), False),  # equal means
        (columns(4, 4, 4, 5, 0, 0, 0, 4), True),  # the mean decides: 2.5 is left of 3
    ],
)
def test_is_mirrored(mask: np.ndarray, answer: bool) -> None:
    assert is_mirrored(mask) is answer


def test_swap_left_right_moves_no_pixel() -> None:
    mask = np.array([[4, 5, 6, 7, 8], [9, 0, 18, 255, 13]], dtype=np.uint8)
    before = mask.copy()
    swapped = swap_left_right(mask)
    assert swapped.tolist() == [[5, 4, 7, 6, 9], [8, 0, 18, 255, 13]]
    np.testing.assert_array_equal(mask, before)
    np.testing.assert_array_equal(swap_left_right(swapped), mask)


def test_mirrored_masks_are_those_that_the_referee_puts_in_order(referee: ModuleType) -> None:
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(200):
        ids = rng.choice(10, size=rng.integers(1, 8), replace=False)
        mask = rng.choice(ids, size=(5, 6)).astype(np.uint8)
        answers.append(is_mirrored(mask))
        np.testing.assert_array_equal(swap_left_right(mask) if answers[-1] else mask, referee.in_order(mask))
    assert 20 < sum(answers) < 180


# --- groups -----------------------------------------------------------------------------------------


def test_the_19_are_groups_of_themselves() -> None:
    assert group_labels({}) is CELEBAMASK
    assert group_labels(CELEBAMASK.groups) == CELEBAMASK
    assert CELEBAMASK.table.tolist() == list(range(256))
    assert CELEBAMASK.flip_table.tolist() == FLIP_TABLE.tolist()


def test_a_coarse_task_by_hand() -> None:
    coarse = group_labels(
        {"rest": [], "left": ["l_eye", "l_brow"], "right": ["r_eye", "r_brow"], "ears": ["r_ear", "l_ear"]}
    )
    assert len(coarse) == 4
    assert coarse.names == ("rest", "left", "right", "ears")
    assert coarse.flipped_ids == (0, 2, 1, 3)
    assert coarse.left_right == ((1, 2),)
    assert coarse.palette == (PALETTE[0], PALETTE[4], PALETTE[5], PALETTE[9])
    mask = columns(0, 1, 4, 5, 6, 7, 8, 9, 18, IGNORE_INDEX)
    grouped = coarse.table[mask]
    assert grouped[0].tolist() == [0, 0, 1, 2, 1, 2, 3, 3, 0, IGNORE_INDEX]
    assert coarse.flip_table[grouped][0].tolist() == [0, 0, 2, 1, 2, 1, 3, 3, 0, IGNORE_INDEX]
    # Grouping and swapping sides may be done in either order.
    assert np.array_equal(coarse.table[swap_left_right(mask)], coarse.flip_table[grouped])
    assert group_labels(coarse.groups) == coarse


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"rest": [], "eyes": ["l_eye", "r_eye", "leye"]}, ("eyes", "'leye'", "l_eye")),
        ({"rest": ["skin"], "face": ["skin"]}, ("skin", "rest", "face")),
        ({"rest": [], "eyes": []}, ("eyes lists no class",)),
        ({"all": []}, ("only class",)),
        ({"rest": [], "left": ["l_eye"]}, ("rest", "mirror image")),
        ({"rest": [], "left": ["l_eye", "l_brow"], "right": ["r_eye"], "brow": ["r_brow"]}, ("left", "mirror image")),
    ],
)
def test_groups_that_make_no_task(groups: dict[str, list[str]], words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=words[0]) as caught:
        group_labels(groups)
    assert all(word in str(caught.value) for word in words), caught.value
