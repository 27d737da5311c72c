"""What a synthetic person wears: clothes, a necklace, earrings, glasses and a hat."""

from __future__ import annotations

import numpy as np

from face_parsing.synthetic.background import pattern
from face_parsing.synthetic.canvas import (
    CLOTH,
    EAR_R,
    EYE_G,
    FRAME_COLORS,
    HAT,
    JEWEL_COLORS,
    NECK,
    NECK_L,
    Canvas,
    Points,
    any_color,
    mix,
    oval,
    pick,
    smooth,
    tint,
)
from face_parsing.synthetic.look import Look


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
    metal, width = pick(rng, JEWEL_COLORS), rng.uniform(0.12, 0.16)
    canvas.stroke(chain, tint(metal, 0.62), width, NECK_L, inside=(NECK,))
    if rng.random() < 0.5:
        pendant = chain[len(chain) // 2] + oval(0, 0.1, 0.13, 0.16) * canvas.unit
        canvas.fill(pendant, tint(metal, 0.7), NECK_L, inside=(NECK, NECK_L))
        canvas.fill(chain[len(chain) // 2] + oval(-0.02, 0.08, 0.08, 0.1) * canvas.unit, metal)
    for point in chain[::2] if rng.random() < 0.6 else chain:
        canvas.fill(point + oval(0, 0, 0.42 * width, 0.42 * width, n=10) * canvas.unit, metal, inside=(NECK_L,))


def earring(canvas: Canvas, rng: np.random.Generator, side: int) -> None:
    """A stud, a drop or a hoop that hangs straight down from the lobe."""
    near = max(0.0, -side * np.sin(canvas.yaw))
    lobe = canvas.head(np.array([(side * (1.03 - 0.35 * near), 0.42)]))[0]
    metal, kind, size = pick(rng, JEWEL_COLORS), rng.integers(3), rng.uniform(0.13, 0.17)
    if kind == 0:
        canvas.stroke(lobe + oval(0, size, size, size * 1.15) * canvas.unit, metal, 0.09, EAR_R, closed=True)
        return
    if kind == 1:
        drop = smooth([(-0.03, -0.06), (0.03, -0.06), (size * 1.3, 0.42), (0, 0.6), (-size * 1.3, 0.42)])
        canvas.fill(lobe + drop * canvas.unit, metal, EAR_R)
    else:
        canvas.fill(lobe + oval(0, size * 0.7, size, size) * canvas.unit, metal, EAR_R)
    canvas.fill(lobe + oval(-0.04, 0.06, 0.04, 0.05, n=12) * canvas.unit, tint(metal, 1.35), inside=(EAR_R,))


def glasses(canvas: Canvas, rng: np.random.Generator, look: Look) -> None:
    """Frame and lenses, all eye_g. Drawn before eyes and brows, which stay visible through clear lenses."""
    dark = look.glasses == "dark"
    frame, lens = pick(rng, FRAME_COLORS), any_color(rng)
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
