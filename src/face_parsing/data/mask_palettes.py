"""What the palette of a mask file says about its indices, and so which ids its pixels are.

PNG optimizers (oxipng, zopflipng) keep every color and change every index; they also turn grey masks into masks with
a palette of greys. The palette tells them from masks whose indices are ids, as ``save_mask`` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, get_args

import numpy as np

from face_parsing.labels import IGNORE_INDEX, PALETTE

MaskIds = Literal["auto", "index", "palette"]
"""Where ids come from: from the indices or, where the palette says that these were changed, the colors; or always
from the one of them."""
MASK_IDS: tuple[MaskIds, ...] = get_args(MaskIds)


class PaletteKind(Enum):
    """What a mask's palette is."""

    OWN = "own"
    """That of the label set, or greys (g, g, g) at index g, or there is none: indices are ids."""
    RENUMBERED = "renumbered"
    """The colors of the label set, or greys of ids, at other indices."""
    UNKNOWN = "unknown"
    """Any other: nothing is known but the indices."""


@dataclass(frozen=True, kw_only=True)
class IdRule:
    """How the values in mask files become ids."""

    mask_ids: MaskIds = "auto"
    palette: tuple[tuple[int, int, int], ...] = PALETTE
    """RGB by id, of the task's own label set; empty where no color means an id."""


USUAL = IdRule()


@dataclass(frozen=True)
class Reading:
    """How the indices of one mask become ids."""

    kind: PaletteKind
    table: np.ndarray | None = None
    """(256,) uint8: the id of each index; None: indices are ids."""
    strange: tuple[int, tuple[int, ...]] | None = None
    """With ``palette``: an index, and its color that is no id's."""


def _colors_as_ids(palette: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Of each color (n, 3) its id by the label set's colors (C, 3), (n,); -1 where it is none."""
    same = (palette[:, None] == own[None]).all(-1)  # (n, C)
    if not len(own):
        return np.full(len(palette), -1)
    return np.where(same.any(1), same.argmax(1), -1)


def _greys_as_ids(palette: np.ndarray, count: int) -> np.ndarray:
    """Of each color (n, 3) its grey value where that is an id below count or IGNORE_INDEX, (n,); else -1."""
    grey = palette[:, 0]
    known = (palette == grey[:, None]).all(1) & ((grey < count) | (grey == IGNORE_INDEX))
    return np.where(known, grey, -1)


def _renumbers(ids: np.ndarray, used: np.ndarray) -> bool:
    """Whether the ids (n,) of a palette's entries say that the used indices were changed, and to what, beyond doubt."""
    found = ids[used]
    if (found < 0).any() or len(np.unique(found)) < len(found):
        return False
    moved = found[found != used]
    # An entry whose color stands at its own index as well is a filler, such as the black of unused entries.
    at_home = moved[moved < len(ids)]
    return not bool((ids[at_home] == at_home).any())


def _table(ids: np.ndarray) -> np.ndarray:
    """(256,) uint8 of the ids (n,) of a palette's entries; IGNORE_INDEX stays, and stands for what has none."""
    table = np.full(256, IGNORE_INDEX, dtype=np.uint8)
    kept = ids[:IGNORE_INDEX]
    table[: len(kept)][kept >= 0] = kept[kept >= 0]
    return table


def reading_of(palette: np.ndarray, used: np.ndarray, rule: IdRule) -> Reading:
    """How a mask with this palette (n, 3) uint8, of which it uses these indices (k,), is to be read.

    IGNORE_INDEX stays itself, whatever its color: a renumbered palette is too short for it.
    """
    palette, used = palette.astype(np.int64), used[used != IGNORE_INDEX]
    own = np.array(rule.palette, dtype=np.int64).reshape(-1, 3)
    count = len(own) or len(PALETTE)
    # An index behind the palette's end has no color, so nothing can be said of it.
    sound = not len(used) or used.max() < len(palette)
    colors, greys = _colors_as_ids(palette, own), _greys_as_ids(palette, count)
    identity = np.arange(len(palette))
    plain_grey = np.where((palette == identity[:, None]).all(1), identity, -1)
    as_indexed = sound and any((ids[used] == used).all() for ids in (colors, plain_grey))
    if rule.mask_ids == "index" or (as_indexed and rule.mask_ids == "auto"):
        return Reading(PaletteKind.OWN)
    if rule.mask_ids == "palette":
        return _by_color(palette, used, colors, greys, sound=bool(sound))
    for ids in (colors, greys):
        if sound and _renumbers(ids, used):
            return Reading(PaletteKind.RENUMBERED, _table(ids))
    return Reading(PaletteKind.UNKNOWN)


def _by_color(palette: np.ndarray, used: np.ndarray, colors: np.ndarray, greys: np.ndarray, *, sound: bool) -> Reading:
    """Always by color: by the label set's, else by greys, else not at all."""
    if not sound:
        return Reading(PaletteKind.UNKNOWN, strange=(int(used.max()), ()))
    for ids in (colors, greys):
        if (ids[used] >= 0).all():
            return Reading(PaletteKind.OWN, _table(ids))
    first = int(used[colors[used] < 0][0])
    return Reading(PaletteKind.UNKNOWN, strange=(first, tuple(palette[first].tolist())))
