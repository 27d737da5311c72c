"""Pairs of files, and what is made of them, that the tests of the data share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import TrainingSet
from face_parsing.data.pairs import Pair
from face_parsing.data.problems import DataError
from face_parsing.data.sampler import EpochSampler
from face_parsing.labels import palette_bytes
from face_parsing.synthetic.dataset import make_pair

AUGMENTATION: dict[str, object] = {
    "flip": 0.5, "geometric": 1.0, "rotate": 20.0, "scale": (0.78, 1.28), "shift": 0.12, "color": 0.8,
    "color_strength": 0.3, "grey": 0.05, "noise": 0.3, "occlusion": 0.3,
}  # fmt: skip
SIZE = 64


def write_pair(folder: Path, stem: str, image: np.ndarray, mask: np.ndarray, *, suffix: str = ".png") -> Pair:
    """A photo, lossless unless asked otherwise, and its palette mask."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    pair = Pair(stem, folder / "images" / f"{stem}{suffix}", folder / "masks" / f"{stem}.png")
    Image.fromarray(image).save(pair.image)
    picture = Image.fromarray(mask)
    picture.putpalette(palette_bytes())
    picture.save(pair.mask)
    return pair


def write_faces(folder: Path, stems: list[str], *, size: int = 32) -> list[Pair]:
    return [write_pair(folder, stem, *make_pair(seed, size=size)) for seed, stem in enumerate(stems)]


def store(pairs: list[Pair], size: int = SIZE, *, repair: bool = True, limit_bytes: float = 1e9) -> PairStore:
    return PairStore(pairs, size, repair=repair, limit_bytes=limit_bytes, progress=False)


def problems(call: Callable[[], object]) -> list[str]:
    """The lines of the DataError that a call raises."""
    with pytest.raises(DataError) as caught:
        call()
    return str(caught.value).splitlines()


def sampler(
    weights: np.ndarray, *, seed: int = 0, epochs: int = 4, first_epoch: int = 0, batch: int = 5
) -> EpochSampler:
    """64 px and the given batch for two epochs, then 96 px and 2."""
    return EpochSampler(
        weights, seed=seed, epochs=epochs, first_epoch=first_epoch, stage=lambda e: (64, batch) if e < 2 else (96, 2)
    )


def training_set(pairs: PairStore, *, seed: int = 0) -> TrainingSet:
    return TrainingSet(pairs, seed=seed, augmentation=AUGMENTATION)


def checksum(pairs: PairStore) -> int:
    return hash(b"".join(part.tobytes() for i in range(len(pairs)) for part in pairs[i]))


def same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
