"""What can be done to a prediction after the network: each step is off unless asked for, alone or together.

They run in one fixed order, because each expects what the ones before it leave behind: on probabilities the
guided filter, the dense CRF and the decision biases; on the mask GrabCut, smoothing and the removal of small
components. All of it happens at the network's size; lengths are in pixels of a 512-pixel photo and grow with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import cv2
import numpy as np

from face_parsing.inference.logit_biases import add_biases
from face_parsing.inference.postprocess_steps import (
    PERSON,
    crf_class,
    dense_crf,
    grab_cut,
    group_members,
    guided_filter,
    remove_components,
    smooth_boundaries,
)
from face_parsing.labels import CELEBAMASK, CLASS_NAMES, LabelSet, class_ids

STEPS = ("guided", "crf", "grabcut", "smooth", "components")
REFERENCE_SIDE = 512
# Their true masks are made of small or thin pieces, which smoothing and the removal of components would take away.
SMALL_CLASSES = ("eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "ear_r", "neck_l")
MASK_CONFIDENCE = 0.9  # what a mask without probabilities counts as


@dataclass(frozen=True, kw_only=True)
class Postprocessing:
    """Which steps, and how strong. Raises ValueError, naming the field, for what makes no sense."""

    steps: tuple[str, ...] = ()
    """Any of STEPS; they run in the order of STEPS."""
    biases: tuple[float, ...] | None = None
    """Added to each class's log-probability before the largest one wins."""
    guided_radius: float = 2.0
    """Half the window of the guided filter, pixels at 512."""
    guided_eps: float = 1e-3
    """Variance of colors (0 to 1) below which the guided filter sees no edge."""
    crf_iterations: int = 5
    crf_weight: float = 1.0
    """How strongly near pixels of one color want one label."""
    crf_distance: float = 20.0
    """How near that is, pixels at 512."""
    crf_color: float = 10.0
    """And of how different a color, levels of 255."""
    grabcut_classes: tuple[str, ...] = (PERSON,)
    """The group whose outline GrabCut redraws, by class name; ``person`` is all but the background."""
    grabcut_band: float = 6.0
    """How far the outline may move, pixels at 512."""
    smooth_sigma: float = 1.5
    """Of the Gaussian that each class's region is smoothed with, pixels at 512."""
    min_component: float = 100.0
    """Smaller components are given away: pixels per million of the photo (100 are 26 pixels at 512x512)."""
    keep: tuple[str, ...] = SMALL_CLASSES
    """Classes that smooth and components leave as they are; a group of classes if all its members are named."""

    def __post_init__(self) -> None:
        for step in self.steps:
            if step not in STEPS:
                raise ValueError(f"there is no post-processing step {step!r}; choose from {', '.join(STEPS)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float | int) and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field.name} is {value}; it must be a number above 0")
        for name in self.keep:
            if name not in CLASS_NAMES:
                raise ValueError(f"keep names {name!r}; the classes are {', '.join(CLASS_NAMES)}")

    def check(self, labels: LabelSet) -> None:
        """Raise ValueError where the settings do not fit the classes, or the CRF's package is missing."""
        if self.biases is not None and len(self.biases) != len(labels):
            raise ValueError(
                f"there are {len(self.biases)} biases for {len(labels)} classes; fit them for these classes"
            )
        if "grabcut" in self.steps:
            group_members(self.grabcut_classes, labels)
        if "crf" in self.steps:
            crf_class()


# The numbers of the command line: the step that each belongs to, and what it is.
OPTIONS: dict[str, tuple[str, str]] = {
    "guided_radius": ("guided", "half the guided filter's window, pixels at 512"),
    "guided_eps": ("guided", "variance of colors, 0 to 1, below which it sees no edge"),
    "crf_iterations": ("crf", "rounds of the dense CRF"),
    "crf_weight": ("crf", "how strongly near pixels of one color want one label"),
    "crf_distance": ("crf", "how near that is, pixels at 512"),
    "crf_color": ("crf", "how different a color may be, levels of 255"),
    "grabcut_band": ("grabcut", "how far GrabCut may move the outline, pixels at 512"),
    "smooth_sigma": ("smooth", "of the Gaussian that regions are smoothed with, pixels at 512"),
    "min_component": ("components", "smaller components are given away, pixels per million of the photo"),
}


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
        members = group_members(settings.grabcut_classes, labels)
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
