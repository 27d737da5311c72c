"""Draws the examples of the page: python web/examples/draw.py, run at the root of a checkout.

The portrait among the examples is docs/images/astronaut.jpg.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from face_parsing.synthetic.dataset import make_pair

FOLDER = Path(__file__).resolve().parent
ALONE = {"blond": 35, "glasses": 17, "necklace": 22}
"""Names of the examples, and the seeds of their faces."""
TOGETHER = (143, 77, 127)
THUMBNAIL = 120  # pixels of a side


def main() -> None:
    pictures = {name: make_pair(seed, size=512)[0] for name, seed in ALONE.items()}
    pictures["three"] = np.hstack([make_pair(seed, size=384)[0] for seed in TOGETHER])
    portrait = Image.open(FOLDER.parents[1] / "docs" / "images" / "astronaut.jpg")
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(FOLDER / f"{name}.jpg", quality=88)
    for name, picture in {"astronaut": portrait, **{n: Image.fromarray(p) for n, p in pictures.items()}}.items():
        side = min(picture.size)
        square = picture.crop(((picture.width - side) // 2, 0, (picture.width + side) // 2, side))
        square.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS).save(FOLDER / f"{name}_small.jpg", quality=80)


if __name__ == "__main__":
    main()
