"""The light on a synthetic person: rounded shading, cast shadows and a gradient."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from face_parsing.synthetic.canvas import (
    CLOTH,
    EYE_G,
    HAIR,
    HAT,
    L_BROW,
    L_EAR,
    L_EYE,
    L_LIP,
    MOUTH,
    NECK,
    NECK_L,
    NOSE,
    R_BROW,
    R_EAR,
    R_EYE,
    SKIN,
    U_LIP,
    Canvas,
    members,
)

HEAD = (SKIN, L_EYE, R_EYE, L_BROW, R_BROW, MOUTH, U_LIP, L_LIP, EYE_G)
# What is lit as one rounded body, and how far its edge falloff reaches in units.
BODIES = (((*HEAD, NOSE), 0.3), ((NOSE,), 0.08), ((L_EAR, R_EAR), 0.12), ((HAIR,), 0.2), ((HAT,), 0.3),
          ((NECK, NECK_L), 0.25), ((CLOTH,), 0.3))  # fmt: skip
LIGHT_SIDE = 128  # light is smooth: computing it small costs the same at every image size


def light(canvas: Canvas, rng: np.random.Generator) -> None:
    """Multiply the image by rounded shading, cast shadows and a gradient, all derived from the mask."""
    side, unit = len(canvas.mask), canvas.unit * LIGHT_SIDE / len(canvas.mask)
    small = cv2.resize(canvas.mask, (LIGHT_SIDE, LIGHT_SIDE), interpolation=cv2.INTER_NEAREST)
    angle, strength = rng.uniform(-2.6, -0.5), rng.uniform(0.5, 1.0)
    lx, ly = np.cos(angle), np.sin(angle)

    def cast(ids: Sequence[int], down: float) -> np.ndarray:
        shift = np.array([[1, 0, -lx * down * unit * 0.5], [0, 1, down * unit]], dtype=np.float32)
        moved = cv2.warpAffine(members(small, ids), shift, (LIGHT_SIDE, LIGHT_SIDE))
        return np.asarray(cv2.GaussianBlur(moved.astype(np.float32) / 255, (0, 0), 0.1 * unit))

    shadows = {SKIN: 0.28 * cast((HAIR, HAT), 0.12), NECK: 0.42 * cast((*HEAD, NOSE), 0.3)}
    gradient = np.linspace(-0.5, 0.5, LIGHT_SIDE, dtype=np.float32)
    slope = 1.02 + 0.22 * strength * (lx * gradient[None] + ly * gradient[:, None])
    total = np.asarray(cv2.resize(np.round(128 * slope).astype(np.uint8), (side, side)))
    for ids, reach in BODIES:
        sigma = reach * unit
        soft = cv2.GaussianBlur(members(small, ids).astype(np.float32) / 255, (0, 0), sigma)
        towards = lx * cv2.Sobel(soft, -1, 1, 0, scale=1 / 8) + ly * cv2.Sobel(soft, -1, 0, 1, scale=1 / 8)
        shade = slope * (0.8 + 0.24 * soft - 0.55 * strength * sigma * towards)
        shade *= 1 - shadows.get(ids[0], np.float32(0))
        large = cv2.resize(np.clip(128 * shade, 0, 255).round().astype(np.uint8), (side, side))
        cv2.copyTo(large, members(canvas.mask, ids), total)
    canvas.image[:] = cv2.multiply(canvas.image, cv2.merge([total] * 3), scale=1 / 128)
