"""The parts of a synthetic person, each a function that draws on a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from face_parsing.synthetic.canvas import (
    CLOTH,
    EAR_R,
    EYE_G,
    FRAME_COLOURS,
    HAIR,
    HAIR_COLOURS,
    HAT,
    IRIS_COLOURS,
    JEWEL_COLOURS,
    L_BROW,
    L_EAR,
    L_EYE,
    L_LIP,
    LIP_COLOURS,
    MOUTH,
    NECK,
    NECK_L,
    NOSE,
    R_BROW,
    R_EAR,
    R_EYE,
    SKIN,
    SKIN_TONES,
    U_LIP,
    Canvas,
    Color,
    Points,
    any_color,
    members,
    mix,
    oval,
    pick,
    smooth,
    tint,
)

HAIR_STYLES = ("bald", "short", "parted", "bangs", "curly", "long", "long", "bob")
HATS = ("beanie", "brim", "cap")


@dataclass(frozen=True)
class Look:
    """What is decided about a person before anything is drawn, because several parts depend on it."""

    skin: Color
    hair: Color
    lips: Color
    style: str  # one of HAIR_STYLES
    covers_ears: bool
    height: float  # half the head's height
    jaw: float  # 0: round, 0.3: pointed
    hat: str  # one of HATS, or "" for none
    glasses: str  # "clear", "dark" or ""
    necklace: bool
    earrings: bool

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Look:
        """Draw a person."""
        tone = rng.uniform(0, len(SKIN_TONES) - 1.001)
        skin = mix(SKIN_TONES[int(tone)], SKIN_TONES[int(tone) + 1], tone % 1)
        style = pick(rng, HAIR_STYLES)
        earrings = bool(rng.random() < 0.4)
        return cls(
            skin=skin,
            hair=tint(pick(rng, HAIR_COLOURS), rng.uniform(0.9, 1.1)),
            lips=mix(pick(rng, LIP_COLOURS), skin, rng.uniform(0.1, 0.4)),
            style=style,
            # Earrings hang under visible ears, so who wears them mostly shows the ears.
            covers_ears=style in ("long", "bob", "curly") and bool(rng.random() < (0.15 if earrings else 0.6)),
            height=rng.uniform(1.2, 1.36),
            jaw=rng.uniform(0.04, 0.26),
            hat=pick(rng, HATS) if rng.random() < 0.22 else "",
            glasses=("dark" if rng.random() < 0.3 else "clear") if rng.random() < 0.26 else "",
            necklace=bool(rng.random() < 0.28),
            earrings=earrings,
        )

    def outline(self, yaw: float) -> Points:
        """The head's edge (N, 2); turned, its chin moves the way the nose points."""
        t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        low = np.clip(np.sin(t), 0, 1)
        x = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.9 * (1 - self.jaw * low**1.5)
        return np.stack([x + 0.3 * np.sin(yaw) * low**2, self.height * np.sin(t)], axis=1)


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


def neck_and_cloth(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """Neck and chest, the necklace on them, and the cloth with its neckline cut out."""
    width, color = rng.uniform(0.46, 0.6), any_color(rng)
    skin = tint(look.skin, 0.97)
    joint = canvas.head(np.array([(-width, 0.5), (width, 0.5)]))
    chest = canvas.body(np.array([(width, 1.5), (width + 0.1, 1.75), (1.3, 2.1), (1.3, 3), (-1.3, 3), (-1.3, 2.1),
                                  (-width - 0.1, 1.75), (-width, 1.5)]))  # fmt: skip
    canvas.fill(np.concatenate([joint, chest]), skin, NECK)
    depth = rng.uniform(2.15, 2.45) if look.necklace else rng.uniform(1.65, 2.4)
    half = rng.choice([0.15, 0.7, 0.85]) * (width + 0.15)  # 0.15: a V
    slope = rng.uniform(0.2, 0.45)
    neckline = smooth([(-width - 0.08, 1.62), (-half, depth), (half, depth), (width + 0.08, 1.62)], 3, closed=False)
    right = [(1.3, 1.62 + 0.6 * slope), (2.0, 1.7 + slope), (2.4, 2.6), (2.6, 6)]
    left = [(-x, y) for x, y in reversed(right)]
    shirt = np.concatenate([neckline, smooth(right, 2, closed=False), smooth(left, 2, closed=False)])
    canvas.fill(canvas.body(shirt), color, CLOTH)
    pattern(canvas, rng, CLOTH, color)
    canvas.stroke(
        canvas.body(neckline + np.array((0, 0.05))), tint(color, rng.choice([0.7, 1.3])), 0.09, inside=(CLOTH,)
    )
    if look.necklace:
        x = np.linspace(-1, 1, 25)
        low = rng.uniform(1.85, depth - 0.2)
        chain = canvas.body(np.stack([x * (width + 0.12), low - (low - 1.5) * x**2], axis=1))
        jewellery(canvas, rng, chain)


def jewellery(canvas: Canvas, rng: np.random.Generator, chain: Points) -> None:
    """A necklace along the points: a band with beads or links, and at times a pendant."""
    metal, width = pick(rng, JEWEL_COLOURS), rng.uniform(0.12, 0.16)
    canvas.stroke(chain, tint(metal, 0.62), width, NECK_L, inside=(NECK,))
    if rng.random() < 0.5:
        pendant = chain[len(chain) // 2] + oval(0, 0.1, 0.13, 0.16) * canvas.unit
        canvas.fill(pendant, tint(metal, 0.7), NECK_L, inside=(NECK, NECK_L))
        canvas.fill(chain[len(chain) // 2] + oval(-0.02, 0.08, 0.08, 0.1) * canvas.unit, metal)
    for point in chain[::2] if rng.random() < 0.6 else chain:
        canvas.fill(point + oval(0, 0, 0.42 * width, 0.42 * width, n=10) * canvas.unit, metal, inside=(NECK_L,))


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


def earring(canvas: Canvas, rng: np.random.Generator, side: int) -> None:
    """A stud, a drop or a hoop that hangs straight down from the lobe."""
    near = max(0.0, -side * np.sin(canvas.yaw))
    lobe = canvas.head(np.array([(side * (1.03 - 0.35 * near), 0.42)]))[0]
    metal, kind, size = pick(rng, JEWEL_COLOURS), rng.integers(3), rng.uniform(0.13, 0.17)
    if kind == 0:
        canvas.stroke(lobe + oval(0, size, size, size * 1.15) * canvas.unit, metal, 0.09, EAR_R, closed=True)
        return
    if kind == 1:
        drop = smooth([(-0.03, -0.06), (0.03, -0.06), (size * 1.3, 0.42), (0, 0.6), (-size * 1.3, 0.42)])
        canvas.fill(lobe + drop * canvas.unit, metal, EAR_R)
    else:
        canvas.fill(lobe + oval(0, size * 0.7, size, size) * canvas.unit, metal, EAR_R)
    canvas.fill(lobe + oval(-0.04, 0.06, 0.04, 0.05, n=12) * canvas.unit, tint(metal, 1.35), inside=(EAR_R,))


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
    iris, gaze = pick(rng, IRIS_COLOURS), rng.uniform((-0.06, -0.02), (0.06, 0.03))
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


def glasses(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """Frame and lenses, all eye_g. Drawn before eyes and brows, which stay visible through clear lenses."""
    dark = look.glasses == "dark"
    frame, lens = pick(rng, FRAME_COLOURS), any_color(rng)
    w, h, corner = rng.uniform(0.33, 0.38), rng.uniform(0.24, 0.32), rng.choice([1.0, 0.65, 0.5])
    t = np.linspace(0, 2 * np.pi, 40)
    ring = np.stack([w * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** corner,
                     0.04 + h * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** corner], axis=1)  # fmt: skip
    width = rng.uniform(0.07, 0.11)
    canvas.stroke(canvas.face(np.array([(-0.12, -0.04), (0, -0.08), (0.12, -0.04)])), frame, width, EYE_G)
    for side in (-1, 1):
        rim = canvas.face(ring + np.array((0.43 * side, 0)))
        canvas.stroke(canvas.face(np.array([(0.76 * side, -0.06), (0.98 * side, -0.03)])), frame, width, EYE_G)
        canvas.fill(rim, tint(lens, 0.25) if dark else mix(look.skin, (235, 245, 255), 0.35), EYE_G)
        streak = np.array([(-0.2, 0.22), (-0.08, 0.22), (0.12, -0.2), (0.0, -0.2)]) + np.array((0.43 * side, 0.04))
        canvas.fill(canvas.face(streak), (255, 255, 255), inside=(EYE_G,), alpha=0.2 if dark else 0.35)
        canvas.stroke(rim, frame, width, EYE_G, closed=True)


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


def hat(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """A beanie, a brimmed hat or a cap over the hair."""
    if not look.hat:
        return
    color, crown, turn = any_color(rng), look.height + rng.uniform(0.36, 0.46), np.sin(canvas.yaw)
    rx, low = 1.2, rng.uniform(-0.78, -0.66)
    dome = np.concatenate([oval(0, low, rx, crown + low, 180, 360), oval(0, low, rx, 0.1, 0, 180)])
    canvas.fill(canvas.head(dome), color, HAT)
    pattern(canvas, rng, HAT, color)
    band = np.concatenate([oval(0, low - 0.26, rx * 0.99, 0.1, 180, 0), oval(0, low, rx * 1.03, 0.12, 0, 180)])
    if look.hat == "beanie":
        canvas.fill(canvas.head(band), tint(color, 0.75), HAT)
        canvas.fill(canvas.head(oval(0, -crown - 0.08, 0.25, 0.22)), tint(color, 1.25), HAT)
    elif look.hat == "brim":
        canvas.fill(canvas.head(band), tint(color, 0.5), HAT)
        canvas.fill(canvas.head(oval(0, low + 0.04, 1.8, 0.2)), tint(color, 0.88), HAT)
    else:
        middle = 0.5 * turn
        visor = np.concatenate([oval(middle, low, 0.95, 0.1, 180, 0), oval(middle, low, 1.0, 0.26, 0, 180)])
        canvas.fill(canvas.head(visor), tint(color, 0.7), HAT)


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


def draw_person(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """Draw everything but the background, from back to front."""
    hidden = int(np.sign(canvas.yaw)) if abs(canvas.yaw) > 0.24 else 0  # the far ear of a turned head
    locks = look.covers_ears and look.style in ("long", "bob")  # would leave slivers of an ear, so there are none
    ears = [side for side in (-1, 1) if side != hidden and not locks]
    near = -hidden
    end = back_hair(canvas, rng, look)
    neck_and_cloth(canvas, rng, look)
    for side in ears:
        if side != near:
            ear(canvas, look, side)
    face_skin(canvas, rng, look)
    if near in ears:
        ear(canvas, look, near)
    nose(canvas, rng, look)
    mouth(canvas, rng, look)
    if look.glasses:
        glasses(canvas, rng, look)
    if look.glasses != "dark":
        eyes(canvas, rng, look)
    brows(canvas, rng, look)
    front_hair(canvas, rng, look, end)
    if look.earrings and not look.covers_ears:
        style = rng.integers(2**31)  # both sides alike
        for side in ears:
            earring(canvas, np.random.default_rng(style), side)
    hat(canvas, rng, look)
