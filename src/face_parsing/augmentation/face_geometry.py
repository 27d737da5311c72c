"""Where the parts of a face lie in its mask, and how one face lies over another."""

from __future__ import annotations

import numpy as np

from face_parsing.labels import FLIPPED_IDS, NUM_CLASSES, class_ids

ImageAndMask = tuple[np.ndarray, np.ndarray]
EYES = class_ids("l_eye", "r_eye")
(NOSE,) = class_ids("nose")
FACE_PARTS = class_ids("l_eye", "r_eye", "l_brow", "r_brow", "nose", "u_lip", "l_lip")
"""Parts that give the scale and the tilt of a face."""
FEWEST_PARTS = 3
SMALLEST_SCALE, LARGEST_SCALE = 0.5, 2.0
LARGEST_TILT = np.pi / 3
SAMPLED = 128
"""Parts are located, and skin is measured, at about this size, which is quicker."""


def part_centres(mask: np.ndarray) -> np.ndarray:
    """Centres (19,) of the classes in a mask (S, S) of ids, complex x + iy in shares of S; nan for absent ones."""
    step = max(len(mask) // SAMPLED, 1)
    small = mask[::step, ::step]
    flat = small.ravel()
    y, x = np.indices(small.shape)
    count = np.bincount(flat, minlength=256)[:NUM_CLASSES]
    sums = [np.bincount(flat, weights=axis.ravel(), minlength=256)[:NUM_CLASSES] for axis in (x, y)]
    centres: np.ndarray = (sums[0] + 1j * sums[1]) / np.maximum(count, 1)
    centres[count == 0] = np.nan
    return (centres + 0.5 + 0.5j) * step / len(mask)  # type: ignore[no-any-return]


def upwards(centres: np.ndarray) -> np.ndarray:
    """From the nose to the eyes (...), complex, by part centres (..., 19); nan where one of these is not seen."""
    away: np.ndarray = centres[..., EYES].mean(-1) - centres[..., NOSE]
    return away


def face_similarity(source: np.ndarray, target: np.ndarray) -> complex | None:
    """The turn and scale, as one complex factor, that bring one face's part centres (19,) onto another's.

    Least squares (Umeyama 1991) over the parts that both show; None where these are too few, or where the
    faces are too unlike in size or tilt.
    """
    seen = [i for i in FACE_PARTS if np.isfinite(source[i]) and np.isfinite(target[i])]
    if len(seen) < FEWEST_PARTS:
        return None
    p, q = source[seen] - source[seen].mean(), target[seen] - target[seen].mean()
    factor = complex(np.vdot(p, q) / np.vdot(p, p).real)
    if not SMALLEST_SCALE <= abs(factor) <= LARGEST_SCALE or abs(np.angle(factor)) > LARGEST_TILT:
        return None
    return factor


def mirror_centres(centres: np.ndarray) -> np.ndarray:
    """The part centres (19,) of the mirrored face."""
    return (1 - centres.conj())[list(FLIPPED_IDS)]  # type: ignore[no-any-return]
