"""How a face lies in a photo, and its crop: upright and of one size, as the faces lie that networks here train on.

Places are (x, y) in pixels, and the center of a photo's first pixel is (0.5, 0.5). ``points`` are the five of a
``Face``. A quadrangle is a square that may be turned, (4, 2): its upper left, upper right, lower right and lower left
corner as the person's upright crop has them.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

EYES_TO_SIDE, MOUTH_TO_SIDE, BELOW_EYES = 4.0, 3.6, 0.1
"""The crop's side is the larger of so many eye distances or eye-to-mouth distances, and its center so much of the
latter below the eyes: as CelebA-HQ and FFHQ were cropped. By the points that ``find_faces`` gives of 160
training photos of 512 pixels, the mean side is 513 and the mean center (255.2, 256.0)."""

MEAN_BOX = (118.6, 100.7, 272.2, 374.2)
MEAN_POINTS = ((195.6, 243.8), (317.4, 245.6), (255.7, 319.0), (200.6, 373.1), (309.0, 374.7))
"""A face in its crop of 512 pixels by the detector: the means of 300 training photos."""


def roll(points: np.ndarray) -> float:
    """By how many degrees, clockwise as seen, a face is turned from upright: -180 to 180."""
    across = _eyes(points)[1]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def _eyes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The middle between the eyes, the way from the right to the left one, and that from the middle to the mouth's."""
    right_eye, left_eye, _, right_mouth, left_mouth = np.asarray(points, np.float64)
    middle = (right_eye + left_eye) / 2
    return middle, left_eye - right_eye, (right_mouth + left_mouth) / 2 - middle


def quadrangle(points: np.ndarray, *, margin: float = 1.0) -> np.ndarray:
    """The corners (4, 2) float64 of a face's crop in the photo; ``margin`` 2 is twice as wide about the same center."""
    middle, across, down = _eyes(points)
    side = max(EYES_TO_SIDE * np.hypot(*across), MOUTH_TO_SIDE * np.hypot(*down))
    # Both the eyes and the mouth say which way is right: one alone would follow a face that looks aside.
    right = across + np.array([down[1], -down[0]])
    right = right / max(float(np.hypot(*right)), 1e-6) * side * margin / 2
    below = np.array([-right[1], right[0]])
    center = middle + BELOW_EYES * down
    return np.stack([center - right - below, center + right - below, center + right + below, center - right + below])


def points_of_box(box: np.ndarray) -> np.ndarray:
    """Where the five points (5, 2) of an upright face in a box (4,) are likely to be."""
    x, y, width, height = np.asarray(box, np.float64)
    left, top, mean_width, mean_height = MEAN_BOX
    shares = (np.array(MEAN_POINTS) - (left, top)) / (mean_width, mean_height)
    scale = (width * height / (mean_width * mean_height)) ** 0.5  # a face is not made wider by a wider box
    return np.array([x + width / 2, y + height / 2]) + (shares - 0.5) * (mean_width * scale, mean_height * scale)


def box_of_points(points: np.ndarray) -> np.ndarray:
    """About the box (4,) x, y, width, height that the detector would give with five points (5, 2)."""
    corner, right, _, below = quadrangle(points)
    left, top, width, height = MEAN_BOX
    places = np.array([[left + x * width, top + y * height] for x in (0, 1) for y in (0, 1)]) / 512
    found = corner + places[:, :1] * (right - corner) + places[:, 1:] * (below - corner)
    return np.concatenate([found.min(0), found.max(0) - found.min(0)])


def side_of(quadrangle: np.ndarray) -> float:
    """The length of a quadrangle's upper side in pixels of the photo."""
    return float(np.hypot(*(quadrangle[1] - quadrangle[0])))


def widened(quadrangle: np.ndarray, times: float) -> np.ndarray:
    """The quadrangle (4, 2) about the same center, so many times as wide."""
    center = quadrangle.mean(0)
    return center + (quadrangle - center) * times


def to_photo(places: np.ndarray, quadrangle: np.ndarray, size: float) -> np.ndarray:
    """Places (n, 2) in a crop of ``size`` pixels as places (n, 2) in the photo."""
    corner, right, _, below = quadrangle
    shares = np.asarray(places, np.float64) / size
    return corner + shares[:, :1] * (right - corner) + shares[:, 1:] * (below - corner)


def crop(photo: np.ndarray, quadrangle: np.ndarray, size: int = 512, *, quick: bool = False) -> np.ndarray:
    """What a photo (H, W, 3) uint8 shows in a quadrangle, (size, size, 3) uint8.

    It is smoothed where it shrinks; ``quick`` does so roughly. Beyond the photo its border is repeated. It takes memory
    as its part of the photo does, however large the face.
    """
    shrink = side_of(quadrangle) / size
    corner, right, below = (quadrangle[i] for i in (0, 1, 3))
    finer = 2 if shrink > 1 and not quick else 1  # sampled at twice the size and averaged, where it shrinks
    reduced = max(1, round(shrink) if quick else int(shrink / 2))
    piece, origin = _piece(photo, quadrangle, reduced)
    step = (right - corner) / (size * finer * reduced), (below - corner) / (size * finer * reduced)
    start = (corner - origin) / reduced
    matrix = (step[0][0], step[1][0], start[0], step[0][1], step[1][1], start[1])
    image = piece.transform((size * finer,) * 2, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.array(image.reduce(finer) if finer > 1 else image)


def _piece(photo: np.ndarray, quadrangle: np.ndarray, reduced: int) -> tuple[Image.Image, np.ndarray]:
    """The part of a photo that a quadrangle needs, reduced, with its border repeated, and its corner in the photo."""
    H, W = photo.shape[:2]
    frame = 2 * reduced
    first = np.floor((quadrangle.min(0) - frame) / reduced).astype(int) * reduced
    last = np.ceil((quadrangle.max(0) + frame) / reduced).astype(int) * reduced
    # What lies in the photo, and a pixel at least of a quadrangle beside it.
    inner_first = np.minimum(np.maximum(first, 0), np.array([W, H]) - 1) // reduced * reduced
    inner_last = np.maximum(np.minimum(last, [W, H]), inner_first + 1)
    part = photo[inner_first[1] : inner_last[1], inner_first[0] : inner_last[0]]
    image = Image.fromarray(np.ascontiguousarray(part))
    pixels = np.asarray(image.reduce(reduced) if reduced > 1 else image)
    before = np.maximum((inner_first - first) // reduced, 0)
    after = np.maximum((last - first) // reduced - before - np.array(pixels.shape[1::-1]), 0)
    if before.any() or after.any():
        pixels = np.pad(pixels, ((before[1], after[1]), (before[0], after[0]), (0, 0)), mode="edge")
    return Image.fromarray(pixels), inner_first - before * reduced
