"""Whether the parts of a face lie where they lie in an upright face, as they do not where ids mean other classes.

It asks little, since it speaks of a whole set; ``inference/face_order.py`` asks more of each mask that is predicted.
"""

from __future__ import annotations

import numpy as np

from face_parsing.labels import NUM_CLASSES, class_ids

TOP_DOWN: tuple[tuple[int, ...], ...] = (
    class_ids("l_brow", "r_brow"),
    class_ids("l_eye", "r_eye"),
    class_ids("nose"),
    class_ids("mouth", "u_lip", "l_lip"),
)
"""What lies below what, by the mean row."""
ENOUGH = 128  # pixels of the shorter side: more would cost time and change nothing


def is_upright(mask: np.ndarray) -> bool | None:
    """Whether brows, eyes, nose and lips of a mask (H, W) lie below each other; None where fewer than three are there.

    Data sets of other orders (LaPa, Helen, zllrunning) have a brow where the nose is, or the nose where a brow is.
    """
    step = max(1, min(mask.shape) // ENOUGH)
    mask = mask[::step, ::step]
    H = len(mask)
    places = np.arange(H, dtype=np.int32)[:, None] * 256 + mask
    counts = np.bincount(places.ravel(), minlength=256 * H).reshape(H, 256)[:, :NUM_CLASSES]
    rows = np.arange(H) @ counts  # sums of rows by class
    groups = [(rows[list(ids)].sum(), counts[:, list(ids)].sum()) for ids in TOP_DOWN]
    means = [total / pixels for total, pixels in groups if pixels]
    return None if len(means) < 3 else means == sorted(means)
