"""What synthetic faces are drawn with: a canvas, shapes and colors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from face_parsing.labels import CLASS_NAMES

Color = tuple[int, int, int]
T = TypeVar("T")
Points = np.ndarray  # (N, 2) float, x and y

(BACKGROUND, SKIN, NOSE, EYE_G, L_EYE, R_EYE, L_BROW, R_BROW, L_EAR, R_EAR,
 MOUTH, U_LIP, L_LIP, HAIR, HAT, EAR_R, NECK_L, NECK, CLOTH) = range(len(CLASS_NAMES))  # fmt: skip

MIN_SIZE = 32  # below this lips and brows fall between the pixels

SKIN_TONES = ((255, 224, 196), (244, 205, 170), (232, 184, 142), (214, 160, 116), (180, 124, 84), (140, 92, 62),
              (104, 68, 48))  # fmt: skip
HAIR_COLORS = ((34, 28, 28), (62, 42, 32), (104, 66, 38), (150, 98, 52), (206, 164, 98), (232, 208, 150),
                (168, 70, 36), (176, 176, 180), (110, 70, 150), (60, 110, 150))  # fmt: skip
IRIS_COLORS = ((74, 46, 28), (110, 74, 40), (60, 110, 160), (70, 120, 80), (96, 110, 120))
LIP_COLORS = ((200, 60, 70), (176, 70, 80), (220, 90, 100), (150, 40, 70))
JEWEL_COLORS = ((240, 202, 80), (224, 227, 235), (245, 240, 230), (196, 50, 76), (64, 160, 150))
FRAME_COLORS = ((24, 22, 26), (110, 60, 36), (190, 40, 50), (150, 152, 160), (196, 160, 70), (40, 70, 140))


@dataclass
class Canvas:
    """An image (H, W, 3) and its mask (H, W), drawn by the same calls so that they cannot disagree."""

    image: np.ndarray
    mask: np.ndarray
    centre: tuple[float, float]  # of the head, in pixels
    unit: float  # half a head's width in pixels
    roll: float  # radians, clockwise on the screen
    yaw: float  # radians, positive: the nose points to the image's right

    def body(self, points: Points) -> Points:
        """Pixels of points that do not turn with the head."""
        return np.asarray(points, dtype=float) * self.unit + self.centre

    def head(self, points: Points) -> Points:
        """Pixels of points that roll with the head. The pivot is the top of the neck, so the neck stays joined."""
        pivot, (c, s) = np.array([0.0, 0.8]), (np.cos(self.roll), np.sin(self.roll))
        return self.body((np.asarray(points, dtype=float) - pivot) @ np.array([[c, s], [-s, c]]) + pivot)

    def face(self, points: Points) -> Points:
        """Pixels of points on the front of the head, which yaw moves sideways and shortens as on a ball."""
        x, y = np.asarray(points, dtype=float).T
        bulge = np.sqrt(np.clip(1 - x**2 - (0.35 * y) ** 2, 0, 1))
        return self.head(np.stack([x * np.cos(self.yaw) + 0.62 * bulge * np.sin(self.yaw), y], axis=1))

    def fill(self, points: Points, color: Color, label: int | None = None, *,
             inside: Sequence[int] = (), alpha: float = 1.0) -> None:  # fmt: skip
        """Fill a polygon given in pixels; without a label it changes the image only."""
        corners = [np.round(points * 16).astype(np.int32)]
        self._apply(lambda target, value: cv2.fillPoly(target, corners, value, shift=4), color, label, inside, alpha)

    def stroke(self, points: Points, color: Color, width: float, label: int | None = None, *,
               inside: Sequence[int] = (), alpha: float = 1.0, closed: bool = False) -> None:  # fmt: skip
        """Draw a line through points given in pixels, `width` units thick."""
        path, thickness = [np.round(points * 16).astype(np.int32)], max(1, round(width * self.unit))
        self._apply(lambda target, value: cv2.polylines(target, path, closed, value, thickness, shift=4),
                    color, label, inside, alpha)  # fmt: skip

    def _apply(self, draw: Callable[[np.ndarray, Color | int], object], color: Color, label: int | None,
               inside: Sequence[int], alpha: float) -> None:  # fmt: skip
        if not inside and alpha == 1.0:
            draw(self.image, color)
            if label is not None:
                draw(self.mask, label)
            return
        stencil = np.zeros_like(self.mask)
        draw(stencil, 255)
        x, y, w, h = cv2.boundingRect(stencil)
        if not w:
            return
        box = (slice(y, y + h), slice(x, x + w))
        chosen = stencil[box] > 0
        if inside:
            chosen &= members(self.mask[box], inside) > 0
        pixels = self.image[box]
        pixels[chosen] = np.round(pixels[chosen] * (1 - alpha) + np.array(color) * alpha)
        if label is not None:
            self.mask[box][chosen] = label

    def decorate(self, label: int, draw: Callable[[np.ndarray], None]) -> None:
        """Let `draw` paint over a copy of the image, and keep what falls on the label."""
        painted = self.image.copy()
        draw(painted)
        cv2.copyTo(painted, members(self.mask, (label,)), self.image)


def members(mask: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """255 where a mask (H, W) holds one of the ids, 0 elsewhere."""
    table = np.zeros(256, dtype=np.uint8)
    table[list(ids)] = 255
    return np.asarray(cv2.LUT(mask, table))


def oval(x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360, n: int = 40) -> Points:
    """Points on an ellipse from one angle to the other, in degrees; 270 is its top."""
    t = np.radians(np.linspace(start, stop, n))
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], axis=1)


def smooth(points: Sequence[tuple[float, float]] | Points, rounds: int = 3, closed: bool = True) -> Points:
    """Chaikin's corner cutting."""
    path = np.asarray(points, dtype=float)
    for _ in range(rounds):
        start, end = (path, np.roll(path, -1, axis=0)) if closed else (path[:-1], path[1:])
        cut = np.stack([0.75 * start + 0.25 * end, 0.25 * start + 0.75 * end], axis=1).reshape(-1, 2)
        path = cut if closed else np.concatenate([path[:1], cut, path[-1:]])
    return path


def tint(color: Sequence[float], factor: float) -> Color:
    """A darker (factor < 1) or lighter color."""
    r, g, b = (int(np.clip(value * factor, 0, 255)) for value in color)
    return r, g, b


def mix(a: Sequence[float], b: Sequence[float], share: float) -> Color:
    """`share` of color b in color a."""
    return tint([(1 - share) * p + share * q for p, q in zip(a, b, strict=True)], 1.0)


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def any_color(rng: np.random.Generator) -> Color:
    """For cloth, hats and backgrounds; at times a hair or a skin color, so that color alone does not give a class."""
    if rng.random() < 0.3:
        return tint(pick(rng, HAIR_COLORS if rng.random() < 0.7 else SKIN_TONES), rng.uniform(0.9, 1.1))
    hsv = np.array([[[rng.integers(180), rng.integers(40, 210), rng.integers(70, 245)]]], dtype=np.uint8)
    return tint(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].tolist(), 1.0)
