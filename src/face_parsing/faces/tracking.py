"""The faces of a clip, followed from frame to frame under numbers that stay theirs.

A face is found once. From then on its motion is measured by its pixels (``registration``), which shakes by a tenth of
a pixel where a detector's points shake by one. Every few frames the detector looks at the face's own crop, and its
points are smoothed where they belong: in the crop, in which they hardly move. The whole frame is searched now and then,
where a scene begins, and where a face was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from face_parsing.faces.alignment import box_of_points, crop, quadrangle, to_photo
from face_parsing.faces.detector import Face, RunDetector, detect
from face_parsing.faces.one_euro import OneEuro
from face_parsing.faces.registration import (
    GRID,
    Pose,
    cut_piece,
    picture_of,
    pose_between,
    pose_of_quadrangle,
    register,
)
from face_parsing.faces.search import LEAST_SCORE, LEAST_SIZE, find_faces, middle_one, overlap

SEARCH_SECONDS = 1.0
"""The whole frame is searched this often for new faces."""
SOON_SECONDS = 0.3
"""And this often while a face that left may come back."""
LOOK_SECONDS = 0.15
"""The detector looks at each face's crop this often."""
RETURN_SECONDS = 2.0
"""A face that comes back near its place within this time keeps its number."""
ALIKE = 0.75
"""The least correlation of a face with its picture at which its measured motion is believed."""
MOST_GROWTH = 1.15
"""From one frame to the next a face is at most so many times as large."""
KEPT_SCORE = 0.6
"""A followed face may score less than a new one: it may turn, or be half hidden."""
MISSES = 3
"""After so many looks without a face it is lost."""
LOOK_MARGIN, LOOK_SIDE = 1.5, 320
"""The look's crop is so many times as wide as the face's, and seen at so many pixels."""
SETTLING = 8
"""So often the detector looks at a new face."""
SAME = 0.3
"""Boxes that share this part of their union are one face."""
PICTURE_SHARE = 0.1
"""How much of a face's picture each frame renews: its expression changes."""
CUT = 40.0
"""A scene begins where two frames differ by more, in the mean over samples: of 255."""
SAMPLES = (64, 36)
"""So many pixels across and down are compared."""
CUTOFF, BETA = 0.15, 0.5
"""Of the points' filter, in hertz, and hertz for each half side of the crop a second."""


@dataclass(frozen=True, eq=False)
class FollowedFace:
    """A face of a frame: its number in the clip, and what a Face has; ``points`` and ``box`` are smoothed."""

    number: int
    points: np.ndarray
    box: np.ndarray
    score: float

    def quadrangle(self, margin: float = 1.0) -> np.ndarray:
        """The corners (4, 2) of its crop."""
        return quadrangle(self.points, margin=margin)


@dataclass(frozen=True, eq=False)
class _Track:
    """A face that is followed. Its points are in its own crop, from -1 to 1, and so is its picture."""

    number: int
    pose: Pose
    motion: np.ndarray  # of the pose's center, from the last frame to this one, (2,)
    points: OneEuro
    seen: np.ndarray  # where the last look found them
    picture: np.ndarray
    score: float
    looked: float
    misses: int = 0

    def face(self) -> FollowedFace:
        points = self.pose.place(self.points.value)
        return FollowedFace(self.number, points, box_of_points(points), self.score)


@dataclass(eq=False)
class FaceTracker:
    """Follows the faces of one clip: ``follow`` its frames in their order.

    At most ``most`` faces are followed at a time; 0 stands for all.
    """

    run_detector: RunDetector
    least_score: float = LEAST_SCORE
    least_size: float = LEAST_SIZE
    most: int = 0
    _tracks: list[_Track] = field(default_factory=list)
    _gone: list[_Track] = field(default_factory=list)
    _next: int = 1
    _searched: float = -np.inf
    _now: float = -np.inf
    _before: float = -np.inf
    _samples: np.ndarray | None = None

    def follow(self, photo: np.ndarray, seconds: float) -> list[FollowedFace]:
        """The faces of the next frame (H, W, 3) uint8 RGB, shown at ``seconds``, in the order of their numbers."""
        before = len(self._tracks)
        if self._scene_begins(photo):
            self._gone, self._tracks, self._searched = [], [], -np.inf
        self._before, self._now = self._now, seconds
        followed = [self._followed(photo, track) for track in self._tracks]
        self._gone += [old for old, new in zip(self._tracks, followed, strict=True) if new is None]
        self._gone = [track for track in self._gone if seconds - track.looked <= RETURN_SECONDS]
        self._tracks = _apart(track for track in followed if track is not None)
        lost = len(self._tracks) < before
        if lost or seconds - self._searched >= (SOON_SECONDS if self._gone else SEARCH_SECONDS):
            self._search(photo)
        return [track.face() for track in self._tracks]

    def _scene_begins(self, photo: np.ndarray) -> bool:
        H, W = photo.shape[:2]
        rows, columns = (np.arange(count) * size // count for count, size in ((SAMPLES[1], H), (SAMPLES[0], W)))
        before, self._samples = self._samples, photo[rows[:, None], columns].astype(np.float32)
        return before is not None and float(np.abs(before - self._samples).mean()) > CUT

    def _followed(self, photo: np.ndarray, track: _Track) -> _Track | None:
        """A track in the next frame; None where its face is not there any more."""
        moved = self._moved(photo, track)
        if moved is not None and self._now - track.looked < LOOK_SECONDS:
            return self._smoothed(moved)
        near = moved or replace(track, pose=Pose(track.pose.center + track.motion, track.pose.right))
        square = quadrangle(near.pose.place(near.points.value), margin=LOOK_MARGIN)
        face = _look(self.run_detector, photo, square)
        if face is None or face.score < KEPT_SCORE:
            if moved is None or moved.misses + 1 >= MISSES:
                return None
            return self._smoothed(replace(moved, misses=moved.misses + 1, looked=self._now))
        if moved is None:
            return self._caught(photo, track, face)
        moved = replace(moved, seen=moved.pose.find(face.points), score=face.score, looked=self._now, misses=0)
        return self._smoothed(moved)

    def _smoothed(self, track: _Track) -> _Track:
        """The track with its points nearer to where they were seen last: in every frame a little, lest they jump."""
        return replace(track, points=track.points.after(track.seen, self._now - self._before))

    def _moved(self, photo: np.ndarray, track: _Track) -> _Track | None:
        """The track by its pixels alone; None where they are not alike enough to be believed."""
        guess = Pose(track.pose.center + track.motion, track.pose.right)
        piece = cut_piece(photo, guess)
        if piece is None:
            return None
        pose, alike = register(track.picture, piece, guess)
        growth = pose.half / track.pose.half
        if alike < ALIKE or not 1 / MOST_GROWTH < growth < MOST_GROWTH:
            return None
        picture = (1 - PICTURE_SHARE) * track.picture + PICTURE_SHARE * picture_of(piece, pose)
        picture = (picture - picture.mean()) / max(float(picture.std()), 1e-6)
        return replace(track, pose=pose, motion=pose.center - track.pose.center, picture=picture)

    def _caught(self, photo: np.ndarray, track: _Track, face: Face) -> _Track:
        """A track whose face moved too far, or changed too much, for its pixels: by the detector's points."""
        pose = pose_between(track.points.value, face.points)
        piece = cut_piece(photo, pose)
        picture = track.picture if piece is None else picture_of(piece, pose)
        motion = pose.center - track.pose.center
        return replace(track, pose=pose, motion=motion, picture=picture, score=face.score, looked=self._now, misses=0)

    def _search(self, photo: np.ndarray) -> None:
        """Look for faces that are not followed yet in the whole frame."""
        self._searched = self._now
        if self.most and len(self._tracks) >= self.most:
            return
        found = find_faces(self.run_detector, photo, least_score=self.least_score, least_size=self.least_size)
        followed = [track.face().box for track in self._tracks]
        new = [face for face in found if all(overlap(face.box, box) < SAME for box in followed)]
        for face in new[: self.most - len(self._tracks) if self.most else None]:
            track = self._begun(photo, face)
            if track is not None:
                self._tracks.append(track)
        self._tracks.sort(key=lambda track: track.number)

    def _begun(self, photo: np.ndarray, face: Face) -> _Track | None:
        """A new track, under the number of one that left there a moment ago, if there is one."""
        pose = pose_of_quadrangle(quadrangle(face.points))
        piece = cut_piece(photo, pose)
        if piece is None:
            return None
        points = pose.find(self._settled(photo, face.points.astype(np.float64)))
        smooth = OneEuro(points, np.zeros_like(points), CUTOFF, BETA)
        picture = picture_of(piece, pose)
        return _Track(self._number(pose), pose, np.zeros(2), smooth, points, picture, face.score, self._now)

    def _settled(self, photo: np.ndarray, points: np.ndarray) -> np.ndarray:
        """The points (5, 2) of a new face, once looks at its own crop change them no more.

        The detector's points depend on the crop that it sees, which depends on them: else they would creep there.
        """
        for _ in range(SETTLING):
            face = _look(self.run_detector, photo, quadrangle(points, margin=LOOK_MARGIN))
            if face is None:
                break
            points = (points + face.points) / 2
        return points

    def _number(self, pose: Pose) -> int:
        """That of the nearest face that left a moment ago, of about this size and not far from here; else a new one."""
        away = [
            (float(np.hypot(*(track.pose.center - pose.center))) / pose.half, k)
            for k, track in enumerate(self._gone)
            if 0.5 < track.pose.half / pose.half < 2
        ]
        if away and min(away)[0] < 2:
            return self._gone.pop(min(away)[1]).number
        self._next += 1
        return self._next - 1

    def state(self) -> dict[str, np.ndarray]:
        """All that the next frame depends on, as arrays that can be stored."""
        facts: dict[str, np.ndarray] = {
            "tracker": np.array([self._next, self._searched, self._now, len(self._tracks)], np.float64)
        }
        if self._samples is not None:
            facts["samples"] = self._samples
        tracks = [*self._tracks, *self._gone]
        if tracks:
            facts["tracks"] = np.stack([_numbers_of(track) for track in tracks])
        return facts

    def restore(self, facts: dict[str, np.ndarray]) -> None:
        """Go on where ``state`` was taken."""
        following, self._searched, self._now, count = facts["tracker"].tolist()
        self._next = int(following)
        self._samples = facts.get("samples")
        tracks = [_track_of(numbers) for numbers in facts.get("tracks", ())]
        self._tracks, self._gone = tracks[: int(count)], tracks[int(count) :]


def _look(run: RunDetector, photo: np.ndarray, square: np.ndarray) -> Face | None:
    """The face that the detector sees in the middle of a quadrangle, its places in the photo; None without one."""
    seen = detect(run, crop(photo, square, LOOK_SIDE), LOOK_SIDE, least_score=KEPT_SCORE)
    nearest = middle_one(seen, LOOK_SIDE, LOOK_SIDE / LOOK_MARGIN / 2)
    if nearest is None:
        return None
    points = to_photo(nearest.points, square, LOOK_SIDE)
    return Face(box_of_points(points), points, nearest.score)


def _apart(tracks: Iterable[_Track]) -> list[_Track]:
    """Tracks less those that came to lie on an older one."""
    kept: list[_Track] = []
    for track in tracks:
        if all(overlap(track.face().box, other.face().box) < 0.6 for other in kept):
            kept.append(track)
    return kept


def _numbers_of(track: _Track) -> np.ndarray:
    """A track as a row of numbers."""
    facts = [track.number, track.score, track.looked, track.misses]
    parts = (
        track.pose.center,
        track.pose.right,
        track.motion,
        track.points.value.ravel(),
        track.points.speed.ravel(),
        track.seen.ravel(),
    )
    return np.concatenate([np.array(facts, np.float64), *parts, track.picture])


def _track_of(numbers: Sequence[float] | np.ndarray) -> _Track:
    """The track of a row of ``_numbers_of``."""
    values = np.asarray(numbers, np.float64)
    number, score, looked, misses = values[:4]
    center, right, motion, points, speed, seen, picture = np.split(values[4:], np.cumsum([2, 2, 2, 10, 10, 10]))
    assert len(picture) == len(GRID)
    smooth = OneEuro(points.reshape(5, 2), speed.reshape(5, 2), CUTOFF, BETA)
    return _Track(
        int(number), Pose(center, right), motion, smooth, seen.reshape(5, 2), picture, score, looked, int(misses)
    )
