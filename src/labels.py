"""The 19 classes of CelebAMask-HQ: names, palette, left/right pairs and what follows from them.

Every other module takes its class knowledge from this table and from nowhere else.
It needs numpy alone and is copied as it is into a submission's ``run.py``.
"""

from __future__ import annotations

import numpy as np

CLASS_NAMES: tuple[str, ...] = (
    "background",
    "skin",
    "nose",
    "eye_g",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "ear_r",
    "neck_l",
    "neck",
    "cloth",
)
NUM_CLASSES = len(CLASS_NAMES)

# Outside 0..18 and inside uint8: pixels that no loss term and no metric looks at.
IGNORE_INDEX = 255

# RGB, in the order of the class ids: the palette every tool for this data set uses.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (204, 0, 0),
    (76, 153, 0),
    (204, 204, 0),
    (51, 51, 255),
    (204, 0, 204),
    (0, 255, 255),
    (255, 204, 204),
    (102, 51, 0),
    (255, 0, 0),
    (102, 204, 0),
    (255, 255, 0),
    (0, 0, 153),
    (0, 0, 204),
    (255, 51, 153),
    (0, 204, 204),
    (0, 51, 0),
    (255, 153, 51),
    (0, 204, 0),
)

# (left, right) of the subject. The left one lies at the right side of an unmirrored photo.
# Ordered by how well a pair tells left from right: eyes first, then brows, then ears.
LEFT_RIGHT_PAIRS: tuple[tuple[int, int], ...] = ((4, 5), (6, 7), (8, 9))


def _flipped_ids() -> tuple[int, ...]:
    ids = list(range(NUM_CLASSES))
    for left, right in LEFT_RIGHT_PAIRS:
        ids[left], ids[right] = right, left
    return tuple(ids)


# FLIPPED_IDS[c] is the class that c becomes in a mirrored photo. Its own inverse.
FLIPPED_IDS: tuple[int, ...] = _flipped_ids()

# The same as a table for masks: FLIP_TABLE[mask] swaps left and right and keeps every other value.
FLIP_TABLE: np.ndarray = np.arange(256, dtype=np.uint8)
FLIP_TABLE[:NUM_CLASSES] = FLIPPED_IDS


def palette_bytes() -> list[int]:
    """The palette as ``PIL.Image.putpalette`` takes it: 256 * 3 values, unused ids black."""
    flat = [value for colour in PALETTE for value in colour]
    return flat + [0] * (256 * 3 - len(flat))


def colourize(mask: np.ndarray) -> np.ndarray:
    """Class ids (H, W) uint8 to colours (H, W, 3) uint8; ids outside 0..18 become black."""
    table = np.array(palette_bytes(), dtype=np.uint8).reshape(256, 3)
    return table[mask]


def is_mirrored(mask: np.ndarray) -> bool:
    """Whether the left labels of a mask (H, W) lie left of the right ones, as in a photo mirrored with its mask.

    The first pair of which both sides are present decides, compared by mean column. A mask without
    such a pair counts as not mirrored.
    """
    for left, right in LEFT_RIGHT_PAIRS:
        left_columns, right_columns = np.nonzero(mask == left)[1], np.nonzero(mask == right)[1]
        if len(left_columns) and len(right_columns):
            return bool(left_columns.mean() < right_columns.mean())
    return False


def swap_left_right(mask: np.ndarray) -> np.ndarray:
    """The mask (H, W) uint8 with left and right labels exchanged and every pixel where it was."""
    return FLIP_TABLE[mask]
