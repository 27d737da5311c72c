"""What is behind a synthetic person, and the patterns of fabrics."""

from __future__ import annotations

import cv2
import numpy as np

from face_parsing.synthetic.canvas import Canvas, Color, any_color, mix


def background(canvas: Canvas, rng: np.random.Generator) -> None:
    """Plain, gradient, blurred blobs or stripes."""
    side, first, second = len(canvas.mask), any_color(rng), any_color(rng)
    kind = rng.integers(4)
    canvas.image[:] = first
    if kind == 1:
        corners = np.array([[first, mix(first, second, 0.5)], [mix(first, second, 0.5), second]], dtype=np.uint8)
        canvas.image[:] = cv2.resize(corners, (side, side), interpolation=cv2.INTER_LINEAR)
    elif kind == 2:
        small = np.full((64, 64, 3), first, dtype=np.uint8)
        for _ in range(10):
            x, y, radius = (int(v) for v in rng.integers((0, 0, 5), (64, 64, 16)))
            cv2.circle(small, (x, y), radius, mix(first, any_color(rng), 0.6), -1)
        canvas.image[:] = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.5), (side, side), interpolation=cv2.INTER_CUBIC)
    elif kind == 3:
        stripes(canvas.image, mix(first, second, 0.5), side * rng.uniform(0.06, 0.14), rng.uniform(0, np.pi))


def stripes(image: np.ndarray, color: Color, period: float, angle: float) -> None:
    """Parallel bands over the whole image; `period` in pixels, `angle` in radians."""
    side = len(image)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    for step in np.arange(-side, side, period):
        middle = side / 2 + across * step
        ends = [tuple(int(v) for v in middle + sign * side * along) for sign in (-1, 1)]
        cv2.line(image, ends[0], ends[1], color, max(1, int(period * 0.42)))


def pattern(canvas: Canvas, rng: np.random.Generator, label: int, base: Color) -> None:
    """Leave a fabric plain, or print stripes, a check or dots on it."""
    kind, color = rng.integers(5), mix(base, any_color(rng), 0.6)
    period, angle = canvas.unit * rng.uniform(0.3, 0.5), rng.uniform(0, np.pi)

    def dots(image: np.ndarray) -> None:
        for row, y in enumerate(np.arange(0, len(image), period)):
            for x in np.arange((row % 2) * period / 2, len(image), period):
                cv2.circle(image, (int(x), int(y)), max(1, int(period * 0.2)), color, -1)

    def bands(image: np.ndarray) -> None:
        stripes(image, color, period, angle)
        if kind == 3:
            stripes(image, mix(color, base, 0.4), period, angle + np.pi / 2)

    if kind >= 2:
        canvas.decorate(label, dots if kind == 4 else bands)
