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
latter below the eyes: as CelebA-HQ and FFHQ were cropped. By the points that ``find_faces`` gives of 100
copies of validation faces, the mean side is 516 of 512 pixels and the mean center (256.3, 256.1). Crops 1.05 times as
wide lose 0.003 more of F in half of a photo, and nothing when turned by 30 degrees."""

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
    left, top, width, height = MEAN_BOX
    places = np.array([[left + x * width, top + y * height] for x in (0, 1) for y in (0, 1)])
    found = to_photo(places, quadrangle(points), 512)
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


def crop(photo: np.ndarray, quadrangle: np.ndarray, size: int = 512) -> np.ndarray:
    """What a photo (H, W, 3) uint8 shows in a quadrangle, (size, size, 3) uint8.

    It is smoothed where it shrinks. Beyond the photo its border is repeated. It takes memory as its part of the photo
    does, however large the face.
    """
    piece, origin, shrink = _piece(photo, quadrangle, max(1.0, side_of(quadrangle) / size))
    corner, right, _, below = (quadrangle - origin) / shrink
    across, down = (right - corner) / size, (below - corner) / size
    matrix = (across[0], down[0], corner[0], across[1], down[1], corner[1])
    return np.array(piece.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def _piece(photo: np.ndarray, quadrangle: np.ndarray, shrink: float) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """The part of a photo that a quadrangle needs, shrunk, with its border repeated.

    With it, (x, y) each: its upper left corner in the photo, and how many of the photo's pixels are one of it.
    """
    limits = np.array(photo.shape[1::-1])
    first = np.floor(quadrangle.min(0) - 2 * shrink).astype(int)
    last = np.ceil(quadrangle.max(0) + 2 * shrink).astype(int)
    # What lies in the photo, and a pixel at least for a quadrangle beside it.
    inner_first = np.clip(first, 0, limits - 1)
    inner_last = np.clip(last, inner_first + 1, limits)
    image = Image.fromarray(np.ascontiguousarray(photo[inner_first[1] : inner_last[1], inner_first[0] : inner_last[0]]))
    size = np.maximum(1, np.rint((inner_last - inner_first) / shrink).astype(int))
    if shrink > 1:
        image = image.resize((int(size[0]), int(size[1])), Image.Resampling.BILINEAR, reducing_gap=2.0)
    exact = (inner_last - inner_first) / size
    before = np.ceil(np.maximum(inner_first - first, 0) / exact).astype(int)
    after = np.ceil(np.maximum(last - inner_last, 0) / exact).astype(int)
    if before.any() or after.any():
        frame = ((before[1], after[1]), (before[0], after[0]), (0, 0))
        image = Image.fromarray(np.pad(np.asarray(image), frame, mode="edge"))
    return image, inner_first - before * exact, exact
