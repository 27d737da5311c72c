"""How far two masks of one photo agree, which people drew without knowing of each other.

A network that is scored against one of them can hardly score higher than the other does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

from face_parsing.audit.inspection import InspectedPair
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.masks import read_mask
from face_parsing.data.photos import read_photo
from face_parsing.labels import IGNORE_INDEX, is_mirrored, swap_left_right

SIDE = 512  # pixels at which masks are compared
SIDES = (64, 128, 256, SIDE)  # at which one photo is laid onto the other, coarse to fine
SAME = (
    0.98  # correlation of two photos laid onto each other; two of one moment have 0.944, one photo twice 0.989 or more
)


def laid_onto(first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """The affine way (2, 3) float32 from the first photo's pixels to the second's, both (512, 512) uint8 in grey.

    It maximizes the enhanced correlation coefficient (Evangelidis and Psarakis 2008). None if these are two
    photos.
    """
    warp, likeness = np.eye(2, 3, dtype=np.float32), 0.0
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
    for side in SIDES:
        a, b = (cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA) for photo in (first, second))
        start = warp.copy()
        start[:, 2] *= side / SIDE
        try:
            likeness, found = cv2.findTransformECC(a, b, start, cv2.MOTION_AFFINE, criteria, None, 5)  # type: ignore[call-overload]
        except cv2.error:  # it found no way to make them alike
            return None
        warp = found.copy()
        warp[:, 2] *= SIDE / side
    return warp if likeness >= SAME else None


def _grey_and_mask(face: InspectedPair, rule: IdRule, *, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    """A face's photo in grey and its mask with left and right in order, both (512, 512) uint8."""
    assert face.image is not None
    assert face.mask is not None
    grey = cv2.cvtColor(read_photo(face.image), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(read_mask(face.mask, rule), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST_EXACT)
    if mirrored:
        grey, mask = np.ascontiguousarray(grey[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    return grey, swap_left_right(mask) if is_mirrored(mask) else mask


def agreement(
    pairs: Iterable[tuple[InspectedPair, InspectedPair, bool]], rule: IdRule = USUAL
) -> tuple[dict[str, Any], list[float | None]]:
    """How far the two masks of each photo agree, for near-duplicates (first, second, mirrored).

    Gives the F-Score and the F1 of each class over all of them, each mask being the truth once, with left and right in
    order; and each one's F-Score, None where the photos are not the same or a mask is missing.
    """
    import torch  # takes a second, which a set without near-duplicates need not wait for

    from face_parsing.evaluation.metrics import ScoreKeeper, f_scores

    keeper, known = ScoreKeeper(), []
    for first, second, mirrored in pairs:
        known.append(first.mask_facts is not None and second.mask_facts is not None)
        if not known[-1]:
            continue
        a, one = _grey_and_mask(first, rule, mirrored=False)
        b, other = _grey_and_mask(second, rule, mirrored=mirrored)
        warp = laid_onto(a, b)
        known[-1] = warp is not None
        if warp is None:
            continue
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        other = cv2.warpAffine(
            other, warp, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORE_INDEX
        )
        unknown = (one == IGNORE_INDEX) | (other == IGNORE_INDEX)
        masks = [torch.from_numpy(np.where(unknown, np.uint8(IGNORE_INDEX), mask))[None] for mask in (one, other)]
        for truth, answer in (masks, masks[::-1]):
            keeper.update(answer, truth)
    if not any(known):
        return {}, [None] * len(known)
    scores = keeper.scores()
    each = iter(f_scores(keeper.counts()).view(-1, 2).mean(1).tolist())
    summary = {"photos": sum(known), "f_score": scores.f_score, "f1": scores.f1, "holders": scores.holders}
    return summary, [next(each) if one else None for one in known]
