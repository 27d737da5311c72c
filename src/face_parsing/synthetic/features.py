"""The face of a synthetic person, part by part."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from face_parsing.synthetic.canvas import (
    EYE_G,
    IRIS_COLORS,
    L_BROW,
    L_EAR,
    L_EYE,
    L_LIP,
    MOUTH,
    NOSE,
    R_BROW,
    R_EAR,
    R_EYE,
    SKIN,
    U_LIP,
    Canvas,
    mix,
    oval,
    pick,
    smooth,
    tint,
)
from face_parsing.synthetic.look import Look


def ear(canvas: Canvas, look: Look, side: int) -> None:
    """One ear; side is +1 for the subject's left (the image's right). The nearer ear moves onto the head."""
    near = max(0.0, -side * np.sin(canvas.yaw))
    x, tilt = side * (1.04 - 0.35 * near), side * 0.08
    rim = oval(0, 0, 0.2 + 0.12 * near, 0.34)
    rim = rim @ np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]) + (x, 0.1)
    canvas.fill(canvas.head(rim), tint(look.skin, 0.95), L_EAR if side > 0 else R_EAR)
    inner = (rim - (x, 0.1)) * 0.55 + (x + 0.03 * side, 0.06)
    canvas.stroke(canvas.head(inner), tint(look.skin, 0.72), 0.05)
    canvas.stroke(canvas.head(rim), tint(look.skin, 0.78), 0.035, closed=True, inside=(L_EAR, R_EAR))


def face_skin(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """The head with blushed cheeks, and at times freckles or a stubble, which count as skin."""
    outline = look.outline(canvas.yaw)
    canvas.fill(canvas.head(outline), look.skin, SKIN)
    blush = mix(look.skin, (225, 80, 80), 0.5)
    for side in (-1, 1):
        for radius in (0.3, 0.24, 0.17):
            canvas.fill(canvas.face(oval(side * 0.56, 0.42, radius, radius * 0.8)), blush, inside=(SKIN,), alpha=0.13)
    extra = rng.random()
    if extra < 0.12:
        for x, y in rng.uniform((-0.6, 0.2), (0.6, 0.5), (22, 2)):
            canvas.fill(canvas.face(oval(x, y, 0.022, 0.022, n=8)), tint(look.skin, 0.7), inside=(SKIN,))
    elif extra < 0.26:
        for top in (0.2, 0.26, 0.32, 0.38):  # layers, so that it thins out towards the cheeks
            beard = np.concatenate([oval(0, top, 1.1, 1.3, 0, 180), oval(0, top, 0.75, 0.3, 180, 0)])
            canvas.fill(canvas.face(beard), mix(look.hair, (40, 40, 40), 0.5), inside=(SKIN,), alpha=0.08)


def nose(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """Bridge, tip and nostrils."""
    w, low = rng.uniform(0.19, 0.27), rng.uniform(0.4, 0.5)
    half = [(0.07, -0.1), (0.07, 0.08), (w * 0.55, low - 0.2), (w * 1.15, low - 0.06), (w * 0.7, low + 0.05)]
    shape = canvas.face(smooth([*half, (0, low + 0.07), *[(-x, y) for x, y in reversed(half)]], 2))
    canvas.fill(shape, mix(look.skin, (255, 235, 215), 0.12), NOSE)
    canvas.stroke(shape, tint(look.skin, 0.86), 0.03, inside=(NOSE,), closed=True)
    for side in (-1, 1):
        canvas.fill(canvas.face(oval(side * w * 0.48, low, 0.06, 0.035)), tint(look.skin, 0.42), inside=(NOSE,))
    canvas.fill(canvas.face(oval(0, low - 0.14, 0.06, 0.08)), mix(look.skin, (255, 255, 255), 0.5), alpha=0.5)


def mouth(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """Upper and lower lip; when open, between them the mouth with teeth and tongue."""
    w, y, thick = rng.uniform(0.32, 0.44), 0.79 * look.height / 1.28, rng.uniform(0.1, 0.15)
    smile, gap = rng.uniform(0.04, 0.17), rng.uniform(0.12, 0.32) if rng.random() < 0.5 else 0.0
    x = np.linspace(-1, 1, 25)
    arch, bend = 1 - x**2, y - smile * x**2
    bow = 0.03 * np.cos(2.5 * np.pi * x) * arch  # the dent in the upper lip
    edges = [bend - thick * arch**0.7 + bow - 0.02, bend - 0.15 * gap * arch, bend + gap * arch**0.8,
             bend + gap * arch**0.8 + thick * 1.2 * arch**0.6 + 0.02]  # fmt: skip
    lines = [np.stack([x * w, edge], axis=1) for edge in edges]
    upper, middle, lower = (canvas.face(np.concatenate([a, b[::-1]])) for a, b in pairwise(lines))
    canvas.fill(lower, mix(look.lips, (255, 255, 255), 0.08), L_LIP)
    if gap:
        canvas.fill(middle, (70, 22, 28), MOUTH)
        teeth = lines[1] + (0, min(0.09, 0.5 * gap))
        canvas.fill(canvas.face(np.concatenate([lines[1], teeth[::-1]])), (245, 242, 235), inside=(MOUTH,))
        canvas.fill(canvas.face(oval(0, y + gap, w * 0.5, gap * 0.4)), (200, 90, 95), inside=(MOUTH,))
    canvas.fill(upper, tint(look.lips, 0.86), U_LIP)
    canvas.stroke(canvas.face(lines[1]), tint(look.lips, 0.5), 0.03, inside=(U_LIP, L_LIP))
    shine = oval(0, y + gap + thick * 0.6, w * 0.35, thick * 0.2)
    canvas.fill(canvas.face(shine), (255, 255, 255), inside=(L_LIP,), alpha=0.3)


def eyes(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """Both eyes: white, iris, pupil, glint, lid and lashes. A closed eye is labelled over its lid."""
    w, h, tilt = rng.uniform(0.21, 0.26), rng.uniform(0.1, 0.145), rng.uniform(-0.04, 0.03)
    iris, gaze = pick(rng, IRIS_COLORS), rng.uniform((-0.06, -0.02), (0.06, 0.03))
    winking = rng.choice([-1, 1]) if rng.random() < 0.12 else 0
    x = np.linspace(-1, 1, 17)
    for side in (-1, 1):
        label, centre = (L_EYE, 0.43 * side) if side > 0 else (R_EYE, 0.43 * side)
        slant = tilt * x * side
        top = np.stack([centre + w * x, slant - h * (1 - np.abs(x) ** 2.2)], axis=1)
        bottom = np.stack([centre + w * x, slant + 0.8 * h * (1 - np.abs(x) ** 2)], axis=1)
        if side == winking:
            top[:, 1] = top[:, 1] * 0.3 + 0.03
        shape = canvas.face(np.concatenate([top, bottom[::-1]]))
        canvas.fill(canvas.face(top * (1, 1.25) + (0, -0.05)), tint(look.skin, 0.8), inside=(SKIN, EYE_G), alpha=0.5)
        if side == winking:
            canvas.fill(shape, tint(look.skin, 0.8), label)
            canvas.stroke(canvas.face(bottom), (40, 26, 24), 0.055, label)
            continue
        canvas.fill(shape, (246, 244, 240), label)
        ball = np.array([centre, 0.0]) + gaze
        for radius, color in ((0.125, tint(iris, 0.7)), (0.1, tint(iris, 1.25)), (0.055, (16, 12, 14))):
            canvas.fill(canvas.face(ball + oval(0, 0, radius, radius, n=20)), color, inside=(label,))
        canvas.fill(canvas.face(ball + oval(-0.035, -0.04, 0.032, 0.032, n=12)), (255, 255, 255), inside=(label,))
        canvas.stroke(canvas.face(top), (38, 26, 24), 0.05, label)


def brows(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """Both brows, arched, thicker towards the nose."""
    thick, raise_, arch = rng.uniform(0.11, 0.16), rng.uniform(0.32, 0.4), rng.uniform(0.03, 0.1)
    color = mix(tint(look.hair, 0.75), (40, 28, 22), 0.3 if look.style != "bald" else 0.7)
    x = np.linspace(0, 1, 13)
    for side in (-1, 1):
        y = -raise_ - arch * np.sin(np.pi * x) + 0.05 * x
        half = 0.5 * thick * (1 - 0.55 * x**2)
        along = side * (0.17 + 0.52 * x)
        shape = np.concatenate([np.stack([along, y - half], 1), np.stack([along, y + half], 1)[::-1]])
        canvas.fill(canvas.face(shape), color, L_BROW if side > 0 else R_BROW)
