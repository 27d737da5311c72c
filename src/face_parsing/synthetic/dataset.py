"""Synthetic faces with pixel-exact masks of all 19 classes: the demo data set and the tests' data.

    python src/prepare.py synthetic --output data/demo --train 240 --val 40 --test 8 --size 128 --seed 0

Each face is drawn from its seed alone, without any file. Coordinates are in units of half a head's
width, y pointing down: the head spans x -1..1, eyes lie at y = 0, the chin near y = 1.3.
The subject's left side is at positive x, the right side of the image.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from face_parsing.labels import palette_bytes
from face_parsing.synthetic.background import background
from face_parsing.synthetic.canvas import MIN_SIZE, Canvas
from face_parsing.synthetic.light import light
from face_parsing.synthetic.look import Look
from face_parsing.synthetic.person import draw_person

SPLITS = ("train", "val", "test")
MAX_PER_SPLIT = 1_000_000  # the stride of the seeds from one split to the next


def check_seed_and_size(seed: int, size: int) -> None:
    """Raise ValueError for a negative seed or an image too small to hold a face."""
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be 0 or larger")
    if size < MIN_SIZE:
        raise ValueError(f"size is {size}; it must be at least {MIN_SIZE} pixels")


def make_pair(seed: int, *, size: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """One face and its mask, the same for the same seed and size.

    Returns an image (size, size, 3) uint8 RGB and a mask (size, size) uint8 with class ids 0..18.
    Raises ValueError for a negative seed or a size below MIN_SIZE pixels.
    """
    check_seed_and_size(seed, size)
    rng = np.random.default_rng(seed)
    look, side = Look.sample(rng), 2 * size  # drawn at twice the size: averaging down smooths the image's edges
    canvas = Canvas(
        image=np.zeros((side, side, 3), dtype=np.uint8),
        mask=np.zeros((side, side), dtype=np.uint8),
        centre=(side * rng.uniform(0.44, 0.56), side * rng.uniform(0.43, 0.48)),
        unit=side * rng.uniform(0.2, 0.25),
        roll=float(np.radians(np.clip(rng.normal(0, 9), -20, 20))),
        yaw=rng.uniform(-0.5, 0.5),
    )
    background(canvas, rng)
    draw_person(canvas, rng, look)
    light(canvas, rng)
    image = cv2.resize(canvas.image, (size, size), interpolation=cv2.INTER_AREA)
    noise = np.round(rng.uniform(1, 4) * rng.standard_normal((size, size, 1), dtype=np.float32)).astype(np.int16)
    return np.clip(image + noise, 0, 255).astype(np.uint8), canvas.mask[::2, ::2].copy()


def write_dataset(root: Path, *, train: int, val: int, test: int = 0, size: int, seed: int = 0,
                  progress: bool = True) -> None:  # fmt: skip
    """Write `train`, `val` and `test` pairs of `size` pixels under root; the test split gets images alone.

    root/train/images/00000.jpg, root/train/masks/00000.png (ids with the palette), root/val likewise, and
    root/test/images. No pair occurs in two splits. Nothing half-written is left when it fails.
    Raises FileExistsError when root exists and is not an empty folder, ValueError for impossible numbers.
    """
    root = Path(os.path.abspath(root))
    counts = dict(zip(SPLITS, (train, val, test), strict=True))
    for name, count in counts.items():
        if not 0 <= count <= MAX_PER_SPLIT:
            raise ValueError(f"{name} is {count}; it must be between 0 and {MAX_PER_SPLIT}")
    if not sum(counts.values()):
        raise ValueError("train, val and test are all 0; ask for at least one face")
    check_seed_and_size(seed, size)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"{root} exists and is not an empty folder; remove it or choose another output folder")
    partial = root.with_name(f".{root.name}.{os.getpid()}.partial")
    try:
        with tqdm(total=sum(counts.values()), desc="faces", disable=not progress) as bar:
            for index, (split, count) in enumerate(counts.items()):
                first = (seed * len(SPLITS) + index) * MAX_PER_SPLIT
                write_split(partial / split, range(first, first + count), size, split != "test", bar.update)
        if root.exists():
            root.rmdir()
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_split(folder: Path, seeds: range, size: int, masks: bool, done: Callable[[], object]) -> None:
    """Write the pair of each seed, numbered from 0; nothing at all for no seeds."""
    for kind in ("images", "masks") if masks else ("images",):
        if seeds:
            (folder / kind).mkdir(parents=True)
    for number, seed in enumerate(seeds):
        image, mask = make_pair(seed, size=size)
        Image.fromarray(image).save(folder / "images" / f"{number:05d}.jpg", quality=95)
        if masks:
            picture = Image.fromarray(mask)
            picture.putpalette(palette_bytes())
            picture.save(folder / "masks" / f"{number:05d}.png")
        done()
