"""Data sets to prepare, in small, that the tests of the preparation share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from face_parsing.labels import palette_bytes
from face_parsing.synthetic.dataset import make_pair

SIZE = 32
Run = Callable[..., tuple[int, str, str]]


def write_mask(mask: np.ndarray, path: Path, mode: str = "P") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(mask)
    if mode == "P":
        picture.putpalette(palette_bytes())
    picture.save(path)


def write_image(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_root(root: Path, splits: dict[str, int], suffix: str = ".png") -> Path:
    """A set in our layout: faces named a0, a1, ..., test without masks."""
    for seed, (split, i) in enumerate((split, i) for split, count in splits.items() for i in range(count)):
        image, mask = make_pair(seed, size=SIZE)
        write_image(image, root / split / "images" / f"a{i}{suffix}")
        if split != "test":
            write_mask(mask, root / split / "masks" / f"a{i}.png")
    return root


def files(root: Path) -> dict[str, bytes]:
    """Every file below root but the provenance."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "provenance.json"
    }


HEADER = "idx    orig_idx   orig_file  \n"


def write_celeba(root: Path, originals: dict[int, int]) -> Path:
    """Photos of 64 px; their parts of 32 px: all have skin, the nose over it, and, where the number is odd, hair."""
    lines = [HEADER]
    for number, original in originals.items():
        image = make_pair(number, size=64)[0]
        write_image(image, root / "CelebA-HQ-img" / f"{number}.jpg")
        parts = {"skin": (slice(4, 28), slice(4, 28)), "nose": (slice(10, 20), slice(12, 18))}
        if number % 2:
            parts["hair"] = (slice(0, 12), slice(0, 32))
        for name, where in parts.items():
            part = np.zeros((32, 32, 3), dtype=np.uint8)
            part[where] = 255
            write_image(part, root / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05d}_{name}.png")
        lines.append(f"{number}{' ' * (1 + number % 7)}\t {original}     {original + 1:06d}.jpg  \n")
    (root / "CelebAMask-HQ-mask-anno" / "0").mkdir(exist_ok=True)
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("".join(lines), encoding="utf-8")
    return root


CELEBA = {0: 119613, 1: 162770, 2: 162771, 3: 182637, 2001: 182638}
