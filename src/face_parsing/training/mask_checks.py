"""What a training says of its masks before the first step."""

from __future__ import annotations

import sys
from pathlib import Path

from face_parsing.data.cache import PairStore
from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_seams import smoothing_of
from face_parsing.data.masks import read_mask
from face_parsing.system import distributed

SEAMS_LOOKED_AT = 32
"""Training masks, evenly spread, that are looked at for signs of smoothing: all of them would cost time."""


def check_masks(train: PairStore, val: PairStore, root: Path) -> None:
    """Raise DataError where no mask holds a class; say once what else is odd about the masks."""
    train.log.refuse_background_alone(f"the {len(train)} training pairs of {root}")
    val.log.refuse_background_alone(f"the {len(val)} validation pairs of {root}")
    if not distributed.is_main():
        return
    log = MaskLog()
    for store in (train, val):
        log.add(store.log)
    log.tell()
    pairs = train.pairs[:: max(len(train) // SEAMS_LOOKED_AT, 1)]
    found = [(pair, seams) for pair in pairs if (seams := smoothing_of(read_mask(pair.mask, train.rule))) is not None]
    if found:
        pair, seams = found[0]
        print(
            f"Warning: {len(found)} of {len(pairs)} masks that were looked at seem to have been resized, blurred or "
            f"compressed as photos are; the first, {pair.mask}, has {seams}. 'audit.py' names them all.",
            file=sys.stderr,
        )
