"""Faces in a photo, by YuNet in ONNX Runtime: a box, five points and a score each.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research, 2023. The file is made
by ``recipes/face_detector.py``; its boxes are those of OpenCV's ``FaceDetectorYN`` (tested).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

STRIDES = (8, 16, 32)
"""Pixels of the photo that a place of each of the network's three maps stands for."""
OVERLAP = 0.3
"""Boxes whose intersection is a larger part of their union are one face: the better is kept."""

CANDIDATE = 0.6
"""The least score of what may be a face at first sight."""

GRID = 16
"""Places are rounded to such a part of a pixel that the network sees: runtimes differ in the last bit of its sums, and
crops made by these places, and so masks, would differ by more."""

RunDetector = Callable[[np.ndarray], Sequence[np.ndarray]]
"""Photos (B, h, w, 3) uint8 RGB, sides multiples of 32, to the graph's twelve outputs."""


class DetectorError(ValueError):
    """The detector's file is missing, damaged, or another one; the message says which and what to do."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face: all places are in pixels of the photo, (x, y) from its upper left corner.

    ``box`` is (4,) float32: x, y, width, height. ``points`` is (5, 2) float32: the person's right eye (at the left of
    an upright photo), left eye, tip of the nose, right and left corner of the mouth. ``score`` is from 0 to 1.
    """

    box: np.ndarray
    points: np.ndarray
    score: float


def read_detector(path: Path) -> RunDetector:
    """The file in ONNX Runtime on the CPU, in the thread that calls it. Raises DetectorError.

    A second thread would have to be woken for each of a hundred small layers: at 640 pixels a look took 11.0 ms by two
    threads and 6.3 by one (two idle AMD EPYC cores, 2026-11-30). Looks side by side are what two threads are good for.
    """
    import onnxruntime

    if not path.is_file():
        raise DetectorError(f"There is no face detector at {path}; install the project anew, or use --faces off.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        wanted = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
        if names != wanted or session.get_inputs()[0].type != "tensor(uint8)":
            raise ValueError(f"it gives {', '.join(names)[:100]}")
    except Exception as error:  # ONNX Runtime's have no class in common
        reason = next(iter(str(error).splitlines()), "")
        raise DetectorError(
            f"{path} is not the face detector of this project ({reason}); install it anew, or use --faces off."
        ) from None
    return lambda photos: session.run(None, {"image": photos})  # type: ignore[no-any-return]


def detect(run: RunDetector, photo: np.ndarray, side: int, *, least_score: float) -> list[Face]:
    """The faces of a photo (H, W, 3) uint8 RGB that the network sees with a longer side of ``side``, best first.

    It knows faces of 10 to 300 pixels. It leans to upright ones: a face that lies is often missed, and one upside down
    is found with its eyes on the mouth.
    """
    H, W = photo.shape[:2]
    shrink = side / max(H, W)
    w, h = max(1, round(W * shrink)), max(1, round(H * shrink))
    small = photo
    if (w, h) != (W, H):
        small = np.asarray(Image.fromarray(photo).resize((w, h), Image.Resampling.BILINEAR, reducing_gap=1.0))
    padded = np.pad(small, ((0, -h % 32), (0, -w % 32), (0, 0)))
    faces = _faces_of(run(padded[None]), padded.shape[1] // 8, least_score)
    scale_back = np.array([W / w, H / h], dtype=np.float32)
    return [Face(face.box * np.tile(scale_back, 2), face.points * scale_back, face.score) for face in faces]


def _faces_of(outputs: Sequence[np.ndarray], columns: int, least_score: float) -> list[Face]:
    """The faces in what the graph gives of one photo; its finest map has so many columns."""
    found = [_at_stride(outputs[k::3], stride, columns * 8 // stride, least_score) for k, stride in enumerate(STRIDES)]
    boxes, points, scores = (np.concatenate(some) for some in zip(*found, strict=True))
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    for i in order:
        if not kept or _overlaps(boxes[i], boxes[kept]).max() <= OVERLAP:
            kept.append(int(i))
    on_grid = [np.round(places * GRID) / GRID for places in (boxes, points)]
    return [Face(on_grid[0][i], on_grid[1][i], float(scores[i])) for i in kept]


def _at_stride(
    outputs: Sequence[np.ndarray], stride: int, columns: int, least_score: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (n, 4), points (n, 5, 2) and scores (n,) of one map of ``columns`` columns."""
    of_class, of_object, box, points = (output[0] for output in outputs)
    score = np.sqrt(np.clip(of_class[:, 0], 0, 1) * np.clip(of_object[:, 0], 0, 1))
    (place,) = np.nonzero(score >= least_score)
    corner = np.stack([place % columns, place // columns], 1).astype(np.float32)
    center, size = (corner + box[place, :2]) * stride, np.exp(box[place, 2:]) * stride
    spots = (corner[:, None] + points[place].reshape(-1, 5, 2)) * stride
    return np.concatenate([center - size / 2, size], 1), spots, score[place]


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with others (n, 4), each x, y, width, height."""
    first = np.maximum(box[:2], others[:, :2])
    last = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    common = np.clip(last - first, 0, None).prod(1)
    together: np.ndarray = common / (box[2:].prod() + others[:, 2:].prod(1) - common)
    return together
