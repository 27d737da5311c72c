"""The hair of a synthetic person, behind the head and over it."""

from __future__ import annotations

import cv2
import numpy as np

from face_parsing.synthetic.canvas import HAIR, Canvas, mix, oval, smooth, tint
from face_parsing.synthetic.look import Look


def strands(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """Lighter and darker strands, or small curls, over all hair drawn so far."""
    shades = [tint(mix(look.hair, (128, 128, 128), 0.12), factor) for factor in (0.68, 0.82, 1.16, 1.3)]
    thickness = max(1, round(canvas.unit * 0.022))
    if look.style == "curly":
        curls = rng.uniform((-1.4, -1.8, 0), (1.4, 1, 360), (170, 3))
        paths = [oval(x, y, 0.09, 0.08, turn, turn + 200, 9) for x, y, turn in curls]
    else:
        ends = np.linspace(-1.5, 1.5, 70) + rng.uniform(-0.03, 0.03, 70)
        paths = [smooth([(0.15 * x, -1.7), (0.8 * x, -1.35), (x, -0.2), (1.05 * x, 2.6)], 2, False) for x in ends]

    def draw(image: np.ndarray) -> None:
        for path, shade in zip(paths, rng.integers(len(shades), size=len(paths)), strict=True):
            cv2.polylines(image, [np.round(canvas.head(path)).astype(np.int32)], False, shades[shade], thickness)

    canvas.decorate(HAIR, draw)


def back_hair(canvas: Canvas, rng: np.random.Generator, look: Look) -> float:
    """Hair behind head and shoulders; returns how far down it falls, 0 when there is none."""
    if look.style not in ("long", "bob"):
        return 0.0
    end = rng.uniform(1.6, 2.6) if look.style == "long" else rng.uniform(0.7, 1.1)
    wide, flare = rng.uniform(1.2, 1.38), rng.uniform(-0.1, 0.15)
    half = [(0.9, -1.3), (wide, -0.6), (wide + 0.05, 0.4), (wide + flare, end), (wide + flare - 0.2, end + 0.15)]
    canvas.fill(canvas.head(smooth([*half, *[(-x, y) for x, y in reversed(half)]])), tint(look.hair, 0.8), HAIR)
    return end


def front_hair(canvas: Canvas, rng: np.random.Generator, look: Look, end: float) -> None:
    """The hair over the head: a cap with a hairline, then curls, a fringe or locks over the ears."""
    if look.style == "bald":
        return
    volume, top = rng.uniform(0.1, 0.24), look.height
    sides = 0.05 if look.covers_ears else rng.uniform(-0.3, -0.1)
    part = rng.uniform(-0.5, 0.5) if look.style in ("parted", "long", "bob") else 0.0
    line = -0.5 if look.style == "bangs" else rng.uniform(-0.86, -0.72)
    start = np.degrees(np.arcsin(-sides / (top + volume)))
    outer = canvas.head(oval(0, 0, 1 + 0.7 * volume, top + volume, 180 + start, 360 - start))
    inner = [(0.97, sides), (0.9, -0.5), (0.62, line), (part, line - (0.16 if part else 0.02)), (-0.62, line),
             (-0.9, -0.5), (-0.97, sides)]  # fmt: skip
    canvas.fill(np.concatenate([outer, canvas.face(smooth(inner, 3, closed=False))]), look.hair, HAIR)
    if look.style == "bangs":
        for x in np.linspace(-0.72, 0.72, 9):
            tip = (x + rng.uniform(-0.08, 0.08), line + rng.uniform(0.04, 0.16))
            canvas.fill(canvas.face(smooth([(x - 0.16, line - 0.2), (x + 0.16, line - 0.2), tip], 2)), look.hair, HAIR)
    elif look.style == "curly":
        low = 0.35 if look.covers_ears else -0.3
        for angle in np.linspace(180 + 0.7 * -low * 60, 360 + 0.7 * low * 60, 19):
            x, y = oval(0, 0, 1.05, top + 0.05, angle, angle, 1)[0]
            radius = rng.uniform(0.2, 0.31)
            canvas.fill(canvas.head(oval(x, y, radius, radius, n=20)), look.hair, HAIR)
    if look.covers_ears and end:
        for side in (-1, 1):
            lock = [(0.72, -0.9), (1.15, -0.8), (1.3, 0.3), (1.28, end), (1.0, end + 0.1), (0.92, 0.4), (0.86, -0.3)]
            canvas.fill(canvas.head(smooth([(side * x, y) for x, y in lock])), look.hair, HAIR)
    strands(canvas, rng, look)
