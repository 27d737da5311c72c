"""Boundary F1: how well the outlines of two masks agree."""

from __future__ import annotations

import math

import cv2
import numpy as np

from face_parsing.labels import CELEBAMASK, IGNORE_INDEX

# Csurka et al. 2013: how far a boundary may lie from the true one, as a share of the image's diagonal.
BOUNDARY_TOLERANCE = 0.0075


def _boundary(mask: np.ndarray) -> np.ndarray:
    """The pixels of a binary mask (H, W) uint8 that have a neighbour outside; the image's edge is no boundary."""
    inside: np.ndarray = cv2.erode(mask, np.ones((3, 3), np.uint8))
    return mask - inside


def boundary_f1(
    prediction: np.ndarray, target: np.ndarray, *, tolerance: float | None = None, num_classes: int = len(CELEBAMASK)
) -> np.ndarray:
    """Boundary F1 of each class (C,) of one image's masks (H, W) uint8: Csurka et al. 2013, "What is a good
    evaluation measure for semantic segmentation?".

    Precision is the share of the predicted boundary's pixels that lie within tolerance pixels (Euclid; without one
    BOUNDARY_TOLERANCE of the diagonal) of the true boundary, recall the share of the true one's that lie as near
    to the predicted one. nan for a class whose truth has no boundary in the image; 0 where it was not predicted.
    Where the target is IGNORE_INDEX, the prediction counts as ignored too.
    """
    if tolerance is None:
        tolerance = BOUNDARY_TOLERANCE * math.hypot(*target.shape)
    prediction = np.where(target == IGNORE_INDEX, target, prediction)
    scores = np.full(num_classes, np.nan)
    for c in np.unique(target).tolist():
        edges = [_boundary((mask == c).view(np.uint8)) for mask in (target, prediction)]
        if c == IGNORE_INDEX or not edges[0].any():
            continue
        if not edges[1].any():
            scores[c] = 0.0
            continue
        shares = []
        for edge, other in (edges, edges[::-1]):
            distance = cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            shares.append(float((distance[edge > 0] <= tolerance).mean()))
        scores[c] = 2 * shares[0] * shares[1] / (sum(shares) or 1)
    return scores
