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
from face_parsing.data.pairs import Pair, read_pair
from face_parsing.labels import IGNORE_INDEX, is_mirrored, swap_left_right

SIDE = 512  # pixels at which masks are compared
SIDES = (64, 128, 256, SIDE)  # at which one photo is laid onto the other, coarse to fine
# Correlation of photos laid onto each other. In CelebAMask-HQ two of one moment have 0.944, one photo twice 0.989.
SAME = 0.98
# Of two masks: copies of one, cropped and resized, agree by 0.979 and more, those of two people by 0.943 at most.
COPIED = 0.97


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
    photo, mask = read_pair(Pair(face.stem, face.image, face.mask), SIDE, rule)
    if mirrored:
        photo, mask = np.ascontiguousarray(photo[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    return cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), swap_left_right(mask) if is_mirrored(mask) else mask


def _has_its_mask(face: InspectedPair) -> bool:
    """Whether a face has a mask of its photo's size."""
    photo, mask = face.photo_facts, face.mask_facts
    return photo is not None and mask is not None and photo.size == mask.size


def _laid_masks(
    first: InspectedPair, second: InspectedPair, mirrored: bool, rule: IdRule
) -> tuple[np.ndarray, np.ndarray] | None:
    """The masks of one photo, the second laid onto the first, 255 where either is unknown; None if there are no two."""
    if not (_has_its_mask(first) and _has_its_mask(second)):
        return None
    a, one = _grey_and_mask(first, rule, mirrored=False)
    b, other = _grey_and_mask(second, rule, mirrored=mirrored)
    warp = laid_onto(a, b)
    if warp is None:
        return None
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    other = cv2.warpAffine(
        other, warp, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORE_INDEX
    )
    unknown = (one == IGNORE_INDEX) | (other == IGNORE_INDEX)
    one[unknown] = other[unknown] = IGNORE_INDEX
    return one, other


def agreement(
    pairs: Iterable[tuple[InspectedPair, InspectedPair, bool]], rule: IdRule = USUAL
) -> tuple[dict[str, Any], list[float | None]]:
    """How far the two masks of each photo agree, for near-duplicates (first, second, mirrored).

    Gives the F-Score and the F1 of each class over all of them, each mask being the truth once, with left and right in
    order; and each one's F-Score, None where the photos are not the same or a mask is missing. Masks that are copies of
    one another say nothing of people, and are left out of the former.
    """
    import torch  # takes a second, which a set without near-duplicates need not wait for

    from face_parsing.evaluation.metrics import ScoreKeeper

    keepers: list[ScoreKeeper] = []
    each: list[float | None] = []
    for pair in pairs:
        masks = _laid_masks(*pair, rule)
        if masks is None:
            each.append(None)
            continue
        one, other = (torch.from_numpy(mask)[None] for mask in masks)
        keeper = ScoreKeeper()
        keeper.update(one, other)
        keeper.update(other, one)
        agree = keeper.scores().f_score
        each.append(agree)
        if agree < COPIED:
            keepers.append(keeper)
    if not keepers:
        return {}, each
    scores = ScoreKeeper.merged(keepers).scores()
    return {"pairs": len(keepers), "f_score": scores.f_score, "f1": scores.f1, "holders": scores.holders}, each
