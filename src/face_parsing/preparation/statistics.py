"""Mean and standard deviation of a set's training images, as a normalisation needs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from face_parsing.data.photo_files import photos_in
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.preparation.copying import PreparationError, each_result
from face_parsing.system.files import atomic_path


@dataclass(frozen=True)
class ImageStatistics:
    """Of all pixels of all images, for red, green and blue from 0 to 1."""

    images: int
    pixels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def text(self) -> str:
        """Two lines of Python, as inference/predict.py has them."""
        lines = [f"# of {self.images} images, {self.pixels} pixels"]
        for name, values in (("MEAN", self.mean), ("STD", self.std)):
            lines.append(f"{name} = ({', '.join(f'{value:.6f}' for value in values)})")
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Write all figures as JSON."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def histogram(path: Path) -> np.ndarray:
    """How often each value occurs in each channel of an image file: (3, 256) int64."""
    photo = read_photo(path)
    return np.stack([np.bincount(photo[..., c].ravel(), minlength=256) for c in range(3)])


def from_histogram(counts: np.ndarray, images: int) -> ImageStatistics:
    """Statistics of counts (3, 256) int64. The sums are whole numbers, so no pixel is lost to rounding."""
    values = np.arange(256)
    pixels = int(counts[0].sum())
    mean, std = [], []
    for channel in counts:
        total, squares = int((channel * values).sum()), int((channel * values**2).sum())
        mean.append(total / pixels / 255)
        std.append(float(np.sqrt((pixels * squares - total**2) / pixels**2)) / 255)
    return ImageStatistics(images, pixels, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def image_statistics(paths: Sequence[Path], workers: int, progress: bool = True) -> tuple[ImageStatistics, list[str]]:
    """Statistics of the readable ones of some image files, and a line about each other one."""
    counts = np.zeros((3, 256), dtype=np.int64)
    problems: list[str] = []
    results = each_result([partial(histogram, path) for path in paths], workers)
    for _, result in tqdm(results, total=len(paths), unit="image", disable=not progress):
        if isinstance(result, DataError):
            problems.append(str(result))
        else:
            counts += result
    if len(problems) == len(paths):
        raise PreparationError(f"None of the {len(paths)} images can be read, the first: {problems[0]}.")
    return from_histogram(counts, len(paths) - len(problems)), sorted(problems)


def training_images(source: Path) -> list[Path]:
    """The files of source/train/images. Raises PreparationError where there are none."""
    folder = source / "train" / "images"
    paths = photos_in(folder) if folder.is_dir() else []
    if not paths:
        raise PreparationError(f"{source} holds no training images; looked for JPEG and PNG files in {folder}.")
    return paths
