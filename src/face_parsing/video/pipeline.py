"""A clip through the network: frames are read, followed, parsed and written side by side, in bounded memory.

One thread reads. The main one follows the faces, which takes frames in their order, and hands their crops to threads
that parse. One more thread puts the masks together and encodes them, in order again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from face_parsing.drawing.overlays import overlay
from face_parsing.faces.alignment import crop, roll
from face_parsing.faces.steadiness import Steadiness
from face_parsing.faces.tracking import FaceTracker, FollowedFace
from face_parsing.inference.outputs import Parse
from face_parsing.labels import LabelSet, colorize
from face_parsing.video.clip import Clip
from face_parsing.video.composing import MOST_MOVED, ParsedFace, Surroundings, compose, compose_moved
from face_parsing.video.frames import ClipFrame, read_frames
from face_parsing.video.parts import Parts, SegmentWriter, State

SEGMENT_FRAMES = 240
"""A segment has so many frames; what is lost when a run is killed is one segment at most."""
READ_AHEAD = 2
"""Decoded frames that wait."""
AROUND_EVERY = 4
"""What is around faces is parsed in every fourth frame, and moves with them between."""
MOST_BRIDGED = 12
"""So many damaged frames in a row keep the last mask; then what the decoder made of them is parsed after all."""


@dataclass(frozen=True, eq=False)
class Network:
    """What parses whole frames and, of ``size`` pixels, crops of the faces that a ``new_tracker`` follows, if any."""

    parse: Parse
    scores: Callable[[Sequence[np.ndarray]], list[np.ndarray]]
    labels: LabelSet
    size: int
    score_scale: float
    margin: float
    whole_without_face: bool
    at_once: int
    new_tracker: Callable[[], FaceTracker] | None


@dataclass(frozen=True, eq=False)
class _Job:
    """A frame on its way: its faces, and what the network will have said. ``begins`` has the state before a segment."""

    frame: ClipFrame
    seconds: float
    faces: list[FollowedFace]
    corners: list[np.ndarray]
    scores: list[Future[list[np.ndarray]]]
    whole: Future[Sequence[np.ndarray]] | None
    bridged: bool
    begins: State | None


@dataclass
class Counts:
    """What is to be said at the end: the frames, those without a face, the broken ones, and the faces' numbers."""

    frames: int = 0
    without_face: int = 0
    broken: list[tuple[int, float]] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)

    def state(self) -> State:
        return {
            "counts": np.array([self.frames, self.without_face]),
            "broken": np.array(self.broken, np.float64).reshape(-1, 2),
            "numbers": np.array(sorted(self.numbers), np.int64),
        }

    @classmethod
    def of_state(cls, state: State) -> Counts:
        broken = [(int(number), second) for number, second in state["broken"].tolist()]
        frames, without_face = state["counts"].tolist()
        return cls(frames, without_face, broken, set(state["numbers"].tolist()))


def parse_frames(
    clip: Clip, network: Network, parts: Parts, wanted: Sequence[str], step: Callable[[int], object]
) -> Counts:
    """Write all segments of a clip that are not there yet; ``step`` is told how many frames are done."""
    segment = parts.finished()
    state = parts.state(segment - 1) if segment else None
    finisher = _Finisher(clip, network, parts, wanted, step, segment)
    if state is not None:
        finisher.restore(state)
        step(finisher.counts.frames)
        if "complete" in state:
            return finisher.counts
    beginner = _Beginner(clip, network, state)
    reading, parsing, writing = ThreadPoolExecutor(1), ThreadPoolExecutor(network.at_once), ThreadPoolExecutor(1)
    running: deque[Future[None]] = deque()
    try:
        for frame in _read_ahead(read_frames(clip, first=finisher.counts.frames), reading):
            running.append(writing.submit(finisher.finish, beginner.begin(frame, parsing)))
            if len(running) > network.at_once + 1:
                running.popleft().result()
        for future in running:
            future.result()
        finisher.close(beginner.state())
    finally:
        for pool in (reading, parsing, writing):
            pool.shutdown(cancel_futures=True)
        finisher.abandon()
    return finisher.counts


def _read_ahead(frames: Iterator[ClipFrame], pool: ThreadPoolExecutor) -> Iterator[ClipFrame]:
    """The frames, of which the next ones are decoded in the pool's thread meanwhile."""
    ahead = deque(pool.submit(next, frames, None) for _ in range(READ_AHEAD))
    while (frame := ahead.popleft().result()) is not None:
        ahead.append(pool.submit(next, frames, None))
        yield frame


class _Beginner:
    """Frames in their order: follows their faces, and sends to the network what it is to see."""

    def __init__(self, clip: Clip, network: Network, state: State | None) -> None:
        self.clip, self.network = clip, network
        self.tracker = network.new_tracker() if network.new_tracker else None
        if state is not None and self.tracker is not None:
            self.tracker.restore(state)
        self.in_segment = 0  # frames of the segment so far
        self.bridged = 0  # frames in a row
        self.faces: list[FollowedFace] = []
        self.around: list[int] = []  # the numbers of the faces that there were

    def begin(self, frame: ClipFrame, pool: ThreadPoolExecutor) -> _Job:
        """Follow the faces of the next frame, and let the pool parse them."""
        bridged = frame.pixels is None or (frame.broken and self.bridged < MOST_BRIDGED)
        self.bridged = self.bridged + 1 if bridged else 0
        begins = None
        if self.in_segment >= SEGMENT_FRAMES and not bridged:
            begins, self.in_segment = self.state(), 0
        self.in_segment += 1
        seconds = self.clip.seconds(frame.time)
        if bridged:
            return _Job(frame, seconds, [], [], [], None, True, begins)
        assert frame.pixels is not None
        if self.tracker is not None:
            self.faces = self.tracker.follow(frame.pixels, seconds)
        corners = [face.quadrangle(self.network.margin) for face in self.faces]
        scores = [pool.submit(self._scores, frame.pixels, square) for square in corners]
        whole = pool.submit(self.network.parse, [frame.pixels]) if self._needs_whole() else None
        return _Job(frame, seconds, self.faces, corners, scores, whole, False, begins)

    def _needs_whole(self) -> bool:
        """Whether the whole frame is parsed: what is around faces, or a frame without one."""
        if self.tracker is None:
            return True
        before, self.around = self.around, [face.number for face in self.faces]
        if not self.faces:
            return self.network.whole_without_face
        new = not set(self.around) <= set(before) or max(len(before), len(self.around)) > MOST_MOVED
        return new or (self.in_segment - 1) % AROUND_EVERY == 0

    def _scores(self, photo: np.ndarray, corners: np.ndarray) -> list[np.ndarray]:
        return self.network.scores([crop(photo, corners, self.network.size)])

    def state(self) -> State:
        return self.tracker.state() if self.tracker is not None else {}


class _Finisher:
    """Frames in their order: puts their masks together, and writes what is wanted, segment by segment."""

    def __init__(
        self,
        clip: Clip,
        network: Network,
        parts: Parts,
        wanted: Sequence[str],
        step: Callable[[int], object],
        segment: int,
    ) -> None:
        self.clip, self.network, self.parts, self.wanted, self.step = clip, network, parts, wanted, step
        self.segment = segment
        self.counts = Counts()
        self.steadiness = Steadiness(network.score_scale)
        empty = np.zeros((clip.height, clip.width), np.uint8)
        self.mask, self.instances = empty, empty.astype(np.uint16)
        self.around: dict[int, Surroundings] = {}
        self.picture = np.zeros((clip.height, clip.width, 3), np.uint8)
        self.faces: list[FollowedFace] = []
        self.writer: SegmentWriter | None = None

    def restore(self, state: State) -> None:
        """Go on where ``state`` was taken."""
        self.counts = Counts.of_state(state)
        self.steadiness.restore(state)

    def finish(self, job: _Job) -> None:
        """Wait for what the network says of a frame, and write it."""
        if job.begins is not None:
            self._end_segment(job.begins)
        if self.writer is None:
            self.writer = SegmentWriter(self.parts, self.segment, self.clip, self.wanted)
        if not job.bridged:
            self._parsed(job)
        self.picture = self.picture if job.frame.pixels is None else job.frame.pixels
        self.writer.write(self._pictures(), self._line(job), job.frame.time, job.frame.length)
        self._count(job)
        self.step(1)

    def _parsed(self, job: _Job) -> None:
        """The mask of a frame that was parsed."""
        self.faces = job.faces
        self.steadiness.forget_others([face.number for face in job.faces])
        if not job.faces:
            empty = np.zeros_like(self.mask)
            self.mask = empty if job.whole is None else np.asarray(job.whole.result()[0])
            self.instances = empty.astype(np.uint16)
            return
        faces = [
            ParsedFace(face.number, corners, self.steadiness.steady(face.number, scores.result()[0]))
            for face, corners, scores in zip(job.faces, job.corners, job.scores, strict=True)
        ]
        if job.whole is None:
            self.mask, self.instances = compose_moved(faces, self.around, (self.clip.height, self.clip.width))
            return
        assert job.frame.pixels is not None
        whole = np.asarray(job.whole.result()[0])
        self.mask, self.instances, self.around = compose(job.frame.pixels, whole, faces, self.network.labels)

    def _pictures(self) -> dict[str, np.ndarray]:
        labels = self.network.labels
        makers: dict[str, Callable[[], np.ndarray]] = {
            "mask": lambda: self.mask,
            "instances": lambda: self.instances,
            "color": lambda: colorize(self.mask, labels),
            "overlay": lambda: overlay(self.picture, self.mask, labels=labels),
        }
        return {name: make() for name, make in makers.items() if name in self.wanted}

    def _line(self, job: _Job) -> dict[str, object]:
        """A frame's line of JSON: places in pixels, rounded to a hundredth."""
        faces = [
            {
                "number": face.number,
                "score": round(face.score, 4),
                "roll": round(roll(face.points), 2),
                "box": np.round(face.box, 2).tolist(),
                "points": np.round(face.points, 2).tolist(),
                "quadrangle": np.round(face.quadrangle(self.network.margin), 2).tolist(),
            }
            for face in self.faces
        ]
        broken = {"broken": True} if job.frame.broken else {}
        return {"frame": job.frame.number, "time": round(job.seconds, 6), **broken, "faces": faces}

    def _count(self, job: _Job) -> None:
        self.counts.frames += 1
        self.counts.without_face += not self.faces
        self.counts.numbers |= {face.number for face in self.faces}
        if job.frame.broken:
            self.counts.broken.append((job.frame.number, job.seconds))

    def _end_segment(self, state: State) -> None:
        assert self.writer is not None
        self.writer.finish({**state, **self.counts.state(), **self.steadiness.state()})
        self.writer, self.segment = None, self.segment + 1

    def close(self, state: State) -> None:
        """End the last segment."""
        if self.writer is not None:
            self._end_segment({**state, "complete": np.array(True)})

    def abandon(self) -> None:
        """Let go of a segment that did not come to its end."""
        if self.writer is not None:
            self.writer.abandon()
            self.writer = None
