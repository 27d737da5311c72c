"""A synthetic person, drawn part by part from back to front."""

from __future__ import annotations

import numpy as np

from face_parsing.synthetic.canvas import Canvas
from face_parsing.synthetic.clothing import earring, glasses, hat, neck_and_cloth
from face_parsing.synthetic.features import brows, ear, eyes, face_skin, mouth, nose
from face_parsing.synthetic.hair import back_hair, front_hair
from face_parsing.synthetic.look import Look


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
