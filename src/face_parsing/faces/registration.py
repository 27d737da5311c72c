"""How a face moved from one frame to the next, by its pixels: finer than a detector's points, which shake.

Lucas and Kanade, "An Iterative Image Registration Technique with an Application to Stereo Vision", IJCAI 1981: the
motion that makes the frame most like a small picture of the face, here moved, turned and resized.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 48
"""The picture of a face has so many samples across."""
PIECE = 96
"""The frame is looked at in a piece with a longer side of so many pixels, at most."""
AROUND = 1.5
"""The piece is so many times as wide as the picture."""
STEPS = 8
"""So often the motion is bettered, at most."""
STILL = 0.002
"""Less than this, in half sides of the picture, is no motion any more."""
REACH = (0.62, 0.78)
"""Half-axes of the ellipse that counts, across and down: the face without what is behind it."""


def _grid() -> np.ndarray:
    """The samples' places (n, 2) that lie in the face, from -1 to 1 across and down the crop."""
    across = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    places = np.stack(np.meshgrid(across, across), 2).reshape(-1, 2)
    return places[((places / REACH) ** 2).sum(1) < 1]


GRID = _grid()


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a face's crop lies: its center (2,), and half of its upper side (2,), from the center to the right.

    A place (x, y) of the crop, from -1 to 1 each, is at ``center + x * right + y * below``, with ``below`` at right
    angles to ``right``.
    """

    center: np.ndarray
    right: np.ndarray

    @property
    def below(self) -> np.ndarray:
        return np.array([-self.right[1], self.right[0]])

    @property
    def half(self) -> float:
        """Half of the crop's side, in pixels."""
        return float(np.hypot(*self.right))

    def place(self, places: np.ndarray) -> np.ndarray:
        """Places (n, 2) of the crop in the photo."""
        placed: np.ndarray = self.center + places[:, :1] * self.right + places[:, 1:] * self.below
        return placed

    def find(self, places: np.ndarray) -> np.ndarray:
        """Places (n, 2) of the photo in the crop."""
        away = places - self.center
        return np.stack([away @ self.right, away @ self.below], 1) / (self.right @ self.right)

    def quadrangle(self) -> np.ndarray:
        """The crop's corners (4, 2) in the photo."""
        return self.place(np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]))


def pose_of_quadrangle(corners: np.ndarray) -> Pose:
    """The pose of a square (4, 2)."""
    return Pose(corners.mean(0), (corners[1] - corners[0]) / 2)


def pose_between(places: np.ndarray, seen: np.ndarray) -> Pose:
    """The pose that brings places (n, 2) of a crop nearest to where they are seen (n, 2) in the photo."""
    middle, there = places.mean(0), seen.mean(0)
    x, y = (places - middle).T
    u, v = (seen - there).T
    right = np.array([(x * u + y * v).sum(), (x * v - y * u).sum()]) / max(float((x * x + y * y).sum()), 1e-9)
    pose = Pose(there, right)
    return Pose(there - (pose.place(middle[None])[0] - there), right)


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a frame in grey, (h, w) float32, and its slopes; (x, y) of the frame is (x, y) * shrink - corner."""

    grey: np.ndarray
    corner: np.ndarray
    shrink: np.ndarray

    def sample(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (n,) and slopes (n, 2), a pixel of the frame each, at places (n, 2) of the frame."""
        h, w = self.grey.shape
        at = places * self.shrink - self.corner - 0.5
        x, y = np.clip(at[:, 0], 0, w - 1.001), np.clip(at[:, 1], 0, h - 1.001)
        column, row = x.astype(np.intp), y.astype(np.intp)
        beside, below = x - column, y - row
        start = row * w + column
        flat = self.grey.reshape(-1)
        first, second, third, fourth = flat[start], flat[start + 1], flat[start + w], flat[start + w + 1]
        upper, lower = first + (second - first) * beside, third + (fourth - third) * beside
        slope = (second - first) * (1 - below) + (fourth - third) * below
        return upper + (lower - upper) * below, np.stack([slope, lower - upper], 1) * self.shrink


def cut_piece(photo: np.ndarray, pose: Pose) -> Piece | None:
    """The part of a photo (H, W, 3) around a face; None where the face lies beside the photo."""
    H, W = photo.shape[:2]
    reach = AROUND * pose.half
    left, top = (int(max(0, np.floor(value - reach))) for value in pose.center)
    right, bottom = int(min(W, np.ceil(pose.center[0] + reach))), int(min(H, np.ceil(pose.center[1] + reach)))
    if right - left < 8 or bottom - top < 8:
        return None
    shrink = min(1.0, PIECE / max(right - left, bottom - top))
    size = max(2, round((right - left) * shrink)), max(2, round((bottom - top) * shrink))
    part = Image.fromarray(photo[top:bottom, left:right])
    grey = part.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0).convert("L")
    exact = np.array([size[0] / (right - left), size[1] / (bottom - top)])
    return Piece(np.asarray(grey, np.float32), np.array([left, top]) * exact, exact)


def picture_of(piece: Piece, pose: Pose) -> np.ndarray:
    """What a face looks like: the values (n,) at GRID, their mean 0 and their spread 1."""
    return _evened(piece.sample(pose.place(GRID))[0])[0]


def _evened(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Values less their mean and over their spread, and that: light may change."""
    spread = max(float(values.std()), 1.0)
    return (values - values.mean()) / spread, spread


def register(picture: np.ndarray, piece: Piece, pose: Pose) -> tuple[Pose, float]:
    """The pose, near the given one, at which a frame looks most like the picture, and their correlation there."""
    x, y = GRID[:, 0], GRID[:, 1]
    for _ in range(STEPS):
        values, slopes = piece.sample(pose.place(GRID))
        seen, spread = _evened(values)
        across, down = (slopes / spread).T
        # By how much a value changes with the center's x and y and with the two parts of ``right``.
        change = np.stack([across, down, across * x + down * y, down * x - across * y], 1)
        change = change - change.mean(0)
        step = np.linalg.solve(change.T @ change + 1e-6 * np.eye(4), change.T @ (picture - seen))
        pose = Pose(pose.center + step[:2], pose.right + step[2:])
        if np.abs(step).max() < STILL * pose.half:
            break
    seen, _ = _evened(piece.sample(pose.place(GRID))[0])
    return pose, float((seen * picture).mean())
