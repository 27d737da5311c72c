"""Photos of prints of one portrait, and the same photos with their faces parsed: the README's first, and the worst.

``PYTHONPATH=src python docs/images/prints.py`` writes both beside itself; the portrait is astronaut.jpg.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from face_parsing import FaceParser

FOLDER = Path(__file__).resolve().parent

PHOTOS = {
    "prints": [
        (560, 6, (310, 440)),
        (330, 38, (780, 235)),
        (230, -12, (1110, 170)),
        (400, -30, (880, 600)),
        (140, 12, (1180, 420)),
    ],
    "worst": [(560, 0, (300, 430)), (340, 90, (810, 220)), (300, 180, (1110, 640)), (70, 0, (1130, 200))],
}
"""The photos, of prints: each one's side in pixels, its turn in degrees counterclockwise, and its middle."""


def photo_of(prints: list[tuple[int, int, tuple[int, int]]]) -> Image.Image:
    """Prints on a table, 1280 x 840."""
    table = Image.new("RGB", (1280, 840), (122, 104, 88))
    with Image.open(FOLDER / "astronaut.jpg") as image:
        portrait = image.convert("RGB")
    for side, degrees, (x, y) in prints:
        small = ImageOps.expand(portrait.resize((side, side), Image.Resampling.LANCZOS), side // 40, "white")
        turned = small.convert("RGBA").rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        table.paste(turned, (x - turned.width // 2, y - turned.height // 2), turned)
    return table


parser = FaceParser()
for name, prints in PHOTOS.items():
    result = parser(photo_of(prints))
    print(result, [round(face.roll) for face in result.faces])
    both = Image.fromarray(np.hstack([result.photo, result.overlay()]))
    both.resize((1600, 525), Image.Resampling.LANCZOS).save(FOLDER / f"{name}.jpg", quality=88)
