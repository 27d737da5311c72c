"""The steps of post-processing, on probabilities (guided filter, dense CRF) and on masks (GrabCut, smoothing,
components). Lengths are in pixels of what they are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from face_parsing.inference.postprocess_settings import crf_class

NEGLIGIBLE = 0.02  # a class that is nowhere more probable than this is left out of what is computed class by class


def _occurring(probabilities: np.ndarray) -> list[int]:
    """The classes of (C, h, w) that are anywhere more probable than NEGLIGIBLE."""
    return np.flatnonzero(probabilities.reshape(len(probabilities), -1).max(1) > NEGLIGIBLE).tolist()


def guided_filter(photo: np.ndarray, probabilities: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """Probabilities (C, h, w) float32 whose edges follow those of the photo (h, w, 3) uint8 (He et al. 2010).

    In each window of 2 * radius + 1 pixels a class's probability is fitted as a linear function of the color.
    """

    def box(x: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(x, cv2.CV_32F, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    h, w = photo.shape[:2]
    guide = photo.astype(np.float32) / 255
    mean = box(guide)
    squares = box((guide[..., :, None] * guide[..., None, :]).reshape(h, w, 9)).reshape(h, w, 3, 3)
    covariance = squares - mean[..., :, None] * mean[..., None, :]
    inverse = np.linalg.inv(covariance + eps * np.eye(3, dtype=np.float32))
    filtered = probabilities.astype(np.float32, copy=True)
    for c in _occurring(probabilities):
        p = np.ascontiguousarray(filtered[c])
        mean_p = box(p)
        slope = np.matmul(inverse, (box(guide * p[..., None]) - mean * mean_p[..., None])[..., None])[..., 0]
        offset = mean_p - (slope * mean).sum(-1)
        filtered[c] = np.maximum((box(slope) * guide).sum(-1) + box(offset), 0)
    return filtered


def dense_crf(
    photo: np.ndarray, probabilities: np.ndarray, *, iterations: int, weight: float, distance: float, color: float
) -> np.ndarray:
    """Probabilities (C, h, w) float32 after mean-field inference in a dense CRF (Kraehenbuehl and Koltun 2011).

    Raises ValueError where pydensecrf is not installed.
    """
    classes = _occurring(probabilities)
    if len(classes) < 2:
        return probabilities
    h, w = photo.shape[:2]
    field = crf_class()(w, h, len(classes))
    energy = -np.log(np.maximum(probabilities[classes], 1e-6)).reshape(len(classes), -1)
    field.setUnaryEnergy(np.ascontiguousarray(energy, dtype=np.float32))
    field.addPairwiseGaussian(sxy=distance / 20, compat=weight / 2)
    field.addPairwiseBilateral(sxy=distance, srgb=color, rgbim=np.ascontiguousarray(photo), compat=weight)
    refined = np.zeros_like(probabilities)
    refined[classes] = np.asarray(field.inference(iterations)).reshape(len(classes), h, w)
    return refined


def grab_cut(
    photo: np.ndarray, probabilities: np.ndarray, mask: np.ndarray, members: Sequence[int], band: int
) -> np.ndarray:
    """The mask (h, w) uint8 with the outline of a group of classes redrawn by GrabCut (Rother et al. 2004).

    Only pixels within band of the outline may change sides; those farther away are its seeds. A pixel that changes
    gets the most probable class of the other side. A mask without seeds of both sides stays as it is.
    """
    inside = np.isin(mask, members)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
    sure_inside = cv2.erode(inside.astype(np.uint8), kernel) > 0
    near = cv2.dilate(inside.astype(np.uint8), kernel) > 0
    if not sure_inside.any() or near.all():
        return mask
    trimap = np.where(near, np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD), cv2.GC_BGD).astype(np.uint8)
    trimap[sure_inside] = cv2.GC_FGD
    cv2.setRNGSeed(0)  # GrabCut's k-means draws from it
    bgr = np.ascontiguousarray(photo[..., ::-1])
    cv2.grabCut(bgr, trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 1, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    wanted = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    others = [c for c in range(len(probabilities)) if c not in members]
    refined = mask.copy()
    for classes, changed in ((members, wanted & ~inside), (others, inside & ~wanted)):
        refined[changed] = np.asarray(classes, dtype=np.uint8)[probabilities[list(classes)][:, changed].argmax(0)]
    return refined


def smooth_boundaries(mask: np.ndarray, sigma: float, keep: Sequence[int] = ()) -> np.ndarray:
    """The mask (h, w) uint8 where each pixel takes the class that weighs most around it, by a Gaussian of sigma pixels.

    Classes in keep neither lose nor gain a pixel. A tie goes to the lower class.
    """
    smoothed = mask.copy()
    best = np.zeros(mask.shape, dtype=np.float32)
    for c in np.unique(mask).tolist():
        if c not in keep:
            share = cv2.GaussianBlur((mask == c).astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
            smoothed[share > best] = c
            np.maximum(best, share, out=best)
    kept = np.isin(mask, keep)
    smoothed[kept] = mask[kept]
    return smoothed


def remove_components(mask: np.ndarray, min_pixels: float, keep: Sequence[int] = ()) -> np.ndarray:
    """The mask (h, w) uint8 where components of fewer than min_pixels pixels are given to a neighbour.

    Components are 8-connected regions of one class; the smallest goes first, to the class that most pixels along
    its rim have. Those of the classes in keep stay, and one without a rim, which is all of the mask.
    """
    while True:
        cleaned = mask.copy()
        for _, (rows, columns), component in sorted(_small_components(mask, min_pixels, keep), key=lambda s: s[0]):
            window = cleaned[rows, columns]
            rim = (cv2.dilate(component.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~component
            if rim.any():
                window[component] = np.bincount(window[rim]).argmax()
        # What lay in or beside a component that has gone may be small itself by now.
        if np.array_equal(cleaned, mask):
            return cleaned
        mask = cleaned


def _small_components(
    mask: np.ndarray, min_pixels: float, keep: Sequence[int]
) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
    """Pixels of each small component, its bounding box with a border of one pixel, and where it is in there."""
    for c in np.unique(mask).tolist():
        if c in keep:
            continue
        _, numbers, stats, _ = cv2.connectedComponentsWithStats((mask == c).astype(np.uint8), connectivity=8)
        small = stats[:, cv2.CC_STAT_AREA] < min_pixels
        small[0] = False  # what is not of this class
        for number in np.flatnonzero(small).tolist():
            x, y, width, height, pixels = stats[number].tolist()
            box = slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1)
            yield pixels, box, numbers[box] == number
