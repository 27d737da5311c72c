"""What can be done to a prediction after the network: each step is off unless asked for, alone or together.

They run in one fixed order, because each expects what the ones before it leave behind: on probabilities the
guided filter, the dense CRF and the decision biases; on the mask GrabCut, smoothing and the removal of small
components. All of it happens at the network's size; lengths are in pixels of a 512-pixel photo and grow with it.
"""

from __future__ import annotations

import cv2
import numpy as np

from face_parsing.inference.logit_biases import add_biases
from face_parsing.inference.postprocess_settings import Postprocessing, grabcut_members
from face_parsing.inference.postprocess_steps import (
    dense_crf,
    grab_cut,
    guided_filter,
    remove_components,
    smooth_boundaries,
)
from face_parsing.labels import CELEBAMASK, LabelSet, class_ids

REFERENCE_SIDE = 512
MASK_CONFIDENCE = 0.9  # what a mask without probabilities counts as


def refine(
    photo: np.ndarray, prediction: np.ndarray, settings: Postprocessing, labels: LabelSet = CELEBAMASK
) -> np.ndarray:
    """Scores (C, h, w) float32, whose largest class is the refined mask, of one photo.

    ``prediction`` is (C, h, w) probabilities, or a mask (h, w) of class ids. ``photo`` is (H, W, 3) uint8 of any
    size and is brought to (h, w). Where the mask's steps change nothing, the scores stay what they were, so that
    outlines stay soft if the scores are enlarged. Raises ValueError where settings or mask do not fit the labels.
    """
    settings.check(labels)
    C = len(labels)
    if prediction.ndim == 2:
        if prediction.max() >= C:
            raise ValueError(f"the mask holds the label {prediction.max()}; a prediction's ids are 0 to {C - 1}")
        spread = np.full((C, *prediction.shape), (1 - MASK_CONFIDENCE) / (C - 1), dtype=np.float32)
        np.put_along_axis(spread, prediction[None].astype(np.int64), MASK_CONFIDENCE, axis=0)
        prediction = spread
    scores = prediction.astype(np.float32, copy=False)
    h, w = scores.shape[1:]
    if photo.shape[:2] != (h, w):
        photo = cv2.resize(photo, (w, h), interpolation=cv2.INTER_AREA)
    unit = max(h, w) / REFERENCE_SIDE
    if "guided" in settings.steps:
        scores = guided_filter(photo, scores, max(1, round(settings.guided_radius * unit)), settings.guided_eps)
    if "crf" in settings.steps:
        scores = dense_crf(
            photo, scores, iterations=settings.crf_iterations, weight=settings.crf_weight,
            distance=settings.crf_distance * unit, color=settings.crf_color,
        )  # fmt: skip
    if settings.biases is not None:
        scores = add_biases(scores, settings.biases)
    before = scores.argmax(0).astype(np.uint8)
    mask = before
    if "grabcut" in settings.steps:
        members = grabcut_members(settings.grabcut_classes, labels)
        mask = grab_cut(photo, scores, mask, members, max(1, round(settings.grabcut_band * unit)))
    kept = set(class_ids(*settings.keep))
    keep = [c for c, ids in enumerate(labels.members) if kept.issuperset(ids)]
    if "smooth" in settings.steps:
        mask = smooth_boundaries(mask, settings.smooth_sigma * unit, keep)
    if "components" in settings.steps:
        mask = remove_components(mask, settings.min_component * 1e-6 * h * w, keep)
    changed = mask != before
    if changed.any():
        # As strong as what was there, so that neither side gains ground where the scores are enlarged.
        strength = scores[:, changed].max(0)
        scores = scores.copy()
        scores[:, changed] = 0
        scores[mask[changed], changed] = strength
    return scores
