"""The 19 classes of CelebAMask-HQ: names, palette, left/right pairs and what follows from them.

Every other module takes its class knowledge from this table and from nowhere else. Masks on disk hold
these 19 ids; a coarser task groups them when they are read (``LabelSet``).
It needs numpy alone and is copied as it is into a submission's ``run.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def class_ids(*names: str) -> tuple[int, ...]:
    """The ids of classes by their names. Raises ValueError for a name that is none of CLASS_NAMES."""
    return tuple(CLASS_NAMES.index(name) for name in names)


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


@dataclass(frozen=True)
class LabelSet:
    """The classes of a task: the 19 themselves, or groups of them.

    ``members[c]`` are the ids, of the 19, that class c is made of. ``flipped_ids[c]`` is the class that c
    becomes in a mirrored photo, ``left_right`` the (left, right) classes, eyes first.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    palette: tuple[tuple[int, int, int], ...]
    left_right: tuple[tuple[int, int], ...]
    flipped_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def table(self) -> np.ndarray:
        """(256,) uint8: the class of each of the 19 ids. Every other value, such as IGNORE_INDEX, stays itself."""
        table = np.arange(256, dtype=np.uint8)
        for c, ids in enumerate(self.members):
            table[list(ids)] = c
        return table

    @property
    def flip_table(self) -> np.ndarray:
        """(256,) uint8: FLIP_TABLE for masks of these classes."""
        table = np.arange(256, dtype=np.uint8)
        table[: len(self)] = self.flipped_ids
        return table

    @property
    def groups(self) -> dict[str, list[str]]:
        """The classes as ``group_labels`` takes them."""
        return {name: [CLASS_NAMES[i] for i in ids] for name, ids in zip(self.names, self.members, strict=True)}


CELEBAMASK = LabelSet(CLASS_NAMES, tuple((i,) for i in range(NUM_CLASSES)), PALETTE, LEFT_RIGHT_PAIRS, FLIPPED_IDS)


def group_labels(groups: Mapping[str, Sequence[str]]) -> LabelSet:
    """The classes of a coarser task, by name, each with the names of the 19 that it is made of; {}: all 19.

    The first class also gets every name that no class lists. A class has the color of its first member.
    Raises ValueError for an unknown or repeated name, and for a class whose mirror image is no class.
    """
    if not groups:
        return CELEBAMASK
    members: dict[str, list[int]] = {}
    taken: dict[str, str] = {}
    for group, names in groups.items():
        for name in names:
            if name not in CLASS_NAMES:
                raise ValueError(f"{group} lists {name!r}; the classes are {', '.join(CLASS_NAMES)}")
            if name in taken:
                raise ValueError(f"{name} is in {taken[name]} and in {group}; it can be in one class only")
            taken[name] = group
        members[group] = list(class_ids(*names))
    first, *others = members
    members[first] += [i for i, name in enumerate(CLASS_NAMES) if name not in taken]
    for group in others:
        if not members[group]:
            raise ValueError(f"{group} lists no class; name at least one of {', '.join(CLASS_NAMES)}")
    if len(members) < 2:
        raise ValueError(f"{first} is the only class; a task needs two at least")
    sets = [frozenset(ids) for ids in members.values()]
    flipped: list[int] = []
    for group, ids in members.items():
        mirror = frozenset(FLIPPED_IDS[i] for i in ids)
        if mirror not in sets:
            raise ValueError(
                f"{group} holds one side of a left/right pair, and no other class is its mirror image; "
                "put both sides together, or all left and all right ones each into a class"
            )
        flipped.append(sets.index(mirror))
    pairs: list[tuple[int, int]] = []
    for left, right in LEFT_RIGHT_PAIRS:
        pair = tuple(next(c for c, ids in enumerate(sets) if side in ids) for side in (left, right))
        if pair[0] != pair[1] and pair not in pairs:
            pairs.append((pair[0], pair[1]))
    return LabelSet(
        tuple(members),
        tuple(tuple(ids) for ids in members.values()),
        tuple(PALETTE[ids[0]] for ids in members.values()),
        tuple(pairs),
        tuple(flipped),
    )


def palette_bytes(labels: LabelSet = CELEBAMASK) -> list[int]:
    """The palette as ``PIL.Image.putpalette`` takes it: 256 * 3 values, unused ids black."""
    flat = [value for color in labels.palette for value in color]
    return flat + [0] * (256 * 3 - len(flat))


def colorize(mask: np.ndarray, labels: LabelSet = CELEBAMASK) -> np.ndarray:
    """Class ids (H, W) uint8 to colors (H, W, 3) uint8; ids of no class become black."""
    table = np.array(palette_bytes(labels), dtype=np.uint8).reshape(256, 3)
    return table[mask]


def is_mirrored(mask: np.ndarray) -> bool:
    """Whether the left labels of a mask (H, W) lie left of the right ones, as in a photo mirrored with its mask.

    The first pair of which both sides are present decides, compared by mean column. A mask without
    such a pair counts as not mirrored.
    """
    for left, right in LEFT_RIGHT_PAIRS:
        left_count, right_count = ((mask == label).sum(0) for label in (left, right))  # by column
        if left_count.any() and right_count.any():
            columns = np.arange(mask.shape[1])
            return bool(left_count @ columns / left_count.sum() < right_count @ columns / right_count.sum())
    return False


def swap_left_right(mask: np.ndarray) -> np.ndarray:
    """The mask (H, W) uint8 with left and right labels exchanged and every pixel where it was."""
    return FLIP_TABLE[mask]
