"""Masks from an exported ONNX file, in ONNX Runtime."""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from face_parsing.inference.largest_class import largest_class_of_blocks, largest_class_of_planes
from face_parsing.inference.scores import softmax
from face_parsing.labels import LabelSet, group_labels
from face_parsing.sizes import LARGEST_SIDE, network_size

RunGraph = Callable[[np.ndarray], np.ndarray]
"""From photos (B, H, W, 3) uint8 to what a graph gives, as in OUTPUTS."""

OUTPUTS = {
    "logits": "float32 (B, C, H, W): of each class of `classes`; a pixel is of the class with the largest",
    "block_logits": (
        "float32 (B, C * s * s, h, w): of each class of `classes` in blocks of s x s pixels. DepthToSpace with the "
        "blocksize s and the mode CRD makes them logits (B, C, h * s, w * s). Rows and columns beyond the photo's are "
        "filling"
    ),
    "scores": (
        "uint8 (1, h, w, s, s, C): of each class of `classes` in blocks of s x s pixels. Pixel (y, x) has the C scores "
        "[0, y // s, x // s, y % s, x % s], and is of the class with the largest, the lower id where several are. "
        "Rows and columns beyond the photo's are filling. To enlarge a mask, interpolate scores, not ids. Logits are "
        "score_scale * (score - score_zero_point). The photo's sides are multiples of step"
    ),
    "mask": "uint8 (B, H, W): class ids, positions in `classes`",
}
"""What graphs give, by the output's name, as files say it of themselves."""


STEP = 32
"""Pixels that a graph's height and width are multiples of, where the file does not say its own."""
SIDES = range(2 * STEP, LARGEST_SIDE + 1, STEP)
"""What they may be."""
TOGETHER = 8
"""Photos that a graph sees at once, if it takes several: memory is that of so many."""
CERTAIN = 30.0
"""The score_scale of masks alone: their class is certain."""


class ExportError(ValueError):
    """A checkpoint that cannot be exported as asked, or a file that was not; the message says why and what to do."""


def first_line(error: Exception) -> str:
    """What went wrong, of errors of the tracer and of ONNX Runtime, which have no class in common and many lines."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def need_packages(*packages: str, install: str = "-r requirements-export.txt") -> None:
    """Raise ExportError where one of the packages is not installed; ``install`` is what pip is to be told."""
    try:
        for package in packages:
            importlib.import_module(package)
    except ImportError as error:
        raise ExportError(f"{error}; install what ONNX needs: pip install {install}") from None


def _session(path: Path, threads: int, device: str = "cpu") -> Any:
    """ONNX Runtime's session of a file on the CPU or, with ``cuda``, on a GPU."""
    import onnxruntime

    providers = ["CUDAExecutionProvider"] * (device == "cuda") + ["CPUExecutionProvider"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may need the cores
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    if session.get_providers()[0] != providers[0]:  # ONNX Runtime itself takes the CPU then, and warns
        raise ExportError("ONNX Runtime finds no GPU, or not the CUDA that it was built for; use the device cpu.")
    return session


def need_provider(device: str) -> None:
    """Raise ExportError where ONNX Runtime was not built for the device."""
    import onnxruntime

    if device == "cuda" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise ExportError(
            "This ONNX Runtime was built for the CPU alone: put onnxruntime-gpu in the place of onnxruntime with pip, "
            "or use the device cpu."
        )


def masks_of(found: np.ndarray, size: tuple[int, int], classes: int) -> np.ndarray:
    """Masks (B, H, W) of what a graph gives of photos of that size."""
    if found.ndim == 4:
        return np.stack([largest_class_of_planes(_in_blocks(one, classes), size, size) for one in found])
    if found.ndim == 6:
        return largest_class_of_blocks(found[0], size, size)[None]
    return found


def _in_blocks(logits: np.ndarray, classes: int) -> np.ndarray:
    """Logits (C, h, w), or of blocks (C * s * s, h, w), as (C, s, s, h, w)."""
    channels, h, w = logits.shape
    block = math.isqrt(channels // classes)
    return logits.reshape(classes, block, block, h, w)


def _run_of(session: Any) -> RunGraph:
    return lambda photos: session.run(None, {"image": photos})[0]  # type: ignore[no-any-return]


def run_onnx(path: Path, threads: int = 0) -> RunGraph:
    """The file in ONNX Runtime on the CPU, with so many threads (0: its own choice)."""
    return _run_of(_session(path, threads))


@dataclass(frozen=True)
class ExportedNetwork:
    """A file that export.py wrote, in ONNX Runtime. It takes squares of image_size or, ``dynamic``, other sizes too."""

    path: Path
    run: RunGraph
    labels: LabelSet
    image_size: int
    dynamic: bool
    track: str = "unknown"
    licence: str = "unknown"
    threads: int = 1
    score_scale: float = 1.0
    """By how much logits differ where scores differ by 1; for masks alone, far."""
    step: int = STEP
    """Pixels that the sides of a ``dynamic`` one are multiples of."""
    several: bool = False
    """Whether it takes several photos at once."""

    def parse(self, photos: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Masks (H, W) uint8 of photos (H, W, 3) uint8 of any sizes. Raises ExportError where the file gives none.

        A photo's longer side becomes image_size pixels, as with a checkpoint. What it leaves of the graph's size is
        filled with its last row and column.
        """
        return [self._mask(self._look([photo]), photo) for photo in photos]

    def scores(self, photos: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What decides, of photos of one size: (h, w, C) each, of each class at each pixel that the network saw.

        They are logits float32, scores uint8 or, of a file that gives masks alone, uint8 that is 1 for a pixel's class.
        """
        together = TOGETHER if self.several else 1
        found: list[np.ndarray] = []
        for start in range(0, len(photos), together):
            some = photos[start : start + together]
            found += self._scores(self._look(some), some[0])
        return found

    def mask_and_scores(self, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What ``parse`` and ``scores`` give of a photo (H, W, 3) uint8, by one run of the graph."""
        found = self._look([photo])
        return self._mask(found, photo), self._scores(found, photo)[0]

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Class probabilities (n, C) float32 of n pixels' ``scores`` (n, C), as they are or interpolated."""
        return softmax(scores, self.score_scale)

    def _scores(self, found: np.ndarray, photo: np.ndarray) -> list[np.ndarray]:
        """Scores (h, w, C) of each of several photos of the size of ``photo``, by what the graph gave of them."""
        H, W = photo.shape[:2]
        h, w = network_size(H, W, self.image_size)
        return [one[:h, :w] for one in _pixel_scores(found, len(self.labels))]

    def _mask(self, found: np.ndarray, photo: np.ndarray) -> np.ndarray:
        """The mask (H, W) of a photo (H, W, 3), by what the graph gave of it."""
        H, W = photo.shape[:2]
        h, w = network_size(H, W, self.image_size)
        if found.ndim == 4:
            planes = _in_blocks(found[0], len(self.labels))
            return largest_class_of_planes(planes, (h, w), (H, W), threads=self.threads)
        if found.ndim == 6:
            return largest_class_of_blocks(found[0], (h, w), (H, W), threads=self.threads)
        return np.array(Image.fromarray(found[0, :h, :w]).resize((W, H), Image.Resampling.NEAREST))

    def _look(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        """What the graph gives of photos of one size, as in OUTPUTS."""
        filled = np.stack([self._filled(photo) for photo in photos])
        B, height, width = filled.shape[:3]
        try:
            found = self.run(filled)
        except Exception as error:  # ONNX Runtime's have no class in common
            raise ExportError(f"{self.path} does not take photos of {height}x{width} ({first_line(error)}).") from None
        C = len(self.labels)
        are_masks = found.shape == (B, height, width) and found.dtype == np.uint8 and found.max() < C
        if not (are_masks or _are_logits(found, B, C, height, width) or _are_scores(found, C, height, width)):
            raise ExportError(
                f"{self.path} gives neither logits, scores nor masks of its {C} classes; export the network anew."
            )
        return found

    def _filled(self, photo: np.ndarray) -> np.ndarray:
        """A photo (H, W, 3) at a size that the graph takes, filled with its last row and column."""
        H, W = photo.shape[:2]
        h, w = network_size(H, W, self.image_size)
        if (h, w) != (H, W):
            photo = np.array(Image.fromarray(photo).resize((w, h), Image.Resampling.BILINEAR))
        if self.dynamic:
            height, width = (max(SIDES[0], -(-side // self.step) * self.step) for side in (h, w))
        else:
            height = width = self.image_size
        return np.pad(photo, ((0, height - h), (0, width - w), (0, 0)), mode="edge")


def _pixel_scores(found: np.ndarray, classes: int) -> list[np.ndarray]:
    """What a graph gives of several photos, as in OUTPUTS, pixel by pixel: (h, w, C) of each."""
    if found.ndim == 4:
        blocks = [_in_blocks(one, classes).transpose(3, 1, 4, 2, 0) for one in found]
        return [one.reshape(one.shape[0] * one.shape[1], -1, classes) for one in blocks]
    if found.ndim == 6:
        B, h, w, s, _, C = found.shape
        return list(found.transpose(0, 1, 3, 2, 4, 5).reshape(B, h * s, w * s, C))
    return list(np.eye(classes, dtype=np.uint8)[found])


def _are_logits(found: np.ndarray, photos: int, classes: int, height: int, width: int) -> bool:
    """Whether that is logits of the classes, of pixels or of blocks that cover so many."""
    if found.ndim != 4 or found.dtype != np.float32:
        return False
    B, channels, h, w = found.shape
    block = math.isqrt(channels // classes)
    return (B, channels) == (photos, classes * block**2) and block > 0 and h * block >= height and w * block >= width


def _are_scores(found: np.ndarray, classes: int, height: int, width: int) -> bool:
    """Whether that is scores of the classes in blocks that cover so many pixels."""
    if found.ndim != 6 or found.dtype != np.uint8:
        return False
    B, h, w, s, s_too, C = found.shape
    return (B, s, C) == (1, s_too, classes) and h * s >= height and w * s >= width


def read_onnx(path: Path, threads: int = 0, device: str = "cpu") -> ExportedNetwork:
    """The file, ready to run with so many threads (0: its own choice), on the CPU or on a GPU (``cuda``).

    Raises ExportError for a file that is not from here, or where the packages are not installed.
    """
    if not path.is_file():
        raise ExportError(f"There is no file {path}; name one that export.py wrote.")
    need_packages("onnxruntime", install="onnxruntime")
    need_provider(device)
    try:
        session = _session(path, threads, device)
        facts = session.get_modelmeta().custom_metadata_map
        labels, size = group_labels(json.loads(facts["groups"])), json.loads(facts["image_size"])
        photos, *sides = session.get_inputs()[0].shape[:3]  # a size that is free has a name instead
        fixed = any(isinstance(side, int) for side in sides)
        if not isinstance(size, int) or size not in SIDES or (fixed and sides != [size, size]):
            raise ValueError(f"it takes photos of {sides}, and says {size}")
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(f"{path} is no file that export.py wrote ({first_line(error)}).") from None
    texts = {name: facts[name] for name in ("track", "licence") if name in facts}
    scale, step = _score_scale(facts, len(session.get_outputs()[0].shape)), int(facts.get("step", STEP))
    return ExportedNetwork(
        path, _run_of(session), labels, size, dynamic=not fixed, threads=threads or os.cpu_count() or 1,
        score_scale=scale, step=step, several=not isinstance(photos, int), **texts,
    )  # fmt: skip


def _score_scale(facts: Mapping[str, str], axes: int) -> float:
    """ExportedNetwork's ``score_scale``, of a graph whose output has so many axes."""
    return {4: 1.0, 6: float(facts.get("score_scale", 1.0))}.get(axes, CERTAIN)
