"""``parse_video``: a clip in, the video of its masks out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from face_parsing.faces.tracking import FaceTracker
from face_parsing.provenance import Record, Way, facts_of
from face_parsing.system.commands import refuse_existing, refuse_inputs
from face_parsing.system.cores import usable_cores
from face_parsing.system.files import atomic_path
from face_parsing.video.clip import Clip, read_clip
from face_parsing.video.joining import join
from face_parsing.video.parts import Parts
from face_parsing.video.pipeline import Network, parse_frames
from face_parsing.video.streams import KINDS, result_paths

if TYPE_CHECKING:
    from face_parsing.parser import FaceParser

MOST_AT_ONCE = 8
"""Frames that are parsed side by side, at most: each is in memory."""
CHOICE = "choice of results"
NAMED = 5
"""Of more broken frames than this the number is told, and not each."""


@dataclass(frozen=True)
class ParsedClip:
    """What became of a clip: its files by name (``mask``, ``color``, ``overlay``, ``instances``, ``json``), how many
    frames it has, how many of them without a face, the numbers of the faces, and the broken frames with their seconds.
    """

    files: dict[str, Path]
    frames: int = 0
    without_face: int = 0
    numbers: tuple[int, ...] = ()
    broken: tuple[tuple[int, float], ...] = ()
    was_there: bool = False
    """All files were there already, and nothing was done: the counts are then 0."""
    declared: int | None = None
    """How many frames the clip says that it has: more than it has where it was cut."""
    kept: tuple[str, ...] = ()
    """The names of files that were there already and stayed."""

    def notes(self) -> list[str]:
        """What a reader should know, a sentence each; of a clip without trouble none."""
        notes = [
            f"frame {number} ({seconds:.3f} s) is broken; it has the mask before it"
            for number, seconds in self.broken[:NAMED]
        ]
        if len(self.broken) > NAMED:
            notes.append(f"and {len(self.broken) - NAMED} more broken frames")
        if self.declared is not None and not self.was_there and self.frames < self.declared:
            notes.append(f"the clip ends after {self.frames} of {self.declared} frames")
        return notes


def parse_video(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    parser: FaceParser | None = None,
    *,
    color: bool = False,
    overlay: bool = False,
    instances: bool = False,
    json: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    at_once: int = 0,
) -> ParsedClip:
    """Write folder/masks/<name>.mkv, a video of class ids, and what else is asked for, as docs/video.md has it.

    ``parser`` is a ``FaceParser``; None is one of the shipped weights. ``at_once`` frames are parsed side by side; 0
    takes one for each core. With ``resume`` a run that was stopped goes on, and files that are there stay.

    Raises VideoError, which is a ValueError, for what is no clip, and UsageError, another one, where a file would be
    replaced that nobody asked to replace, or was made in another way.
    """
    clip = read_clip(Path(path))
    asked = {"color": color, "overlay": overlay, "instances": instances, "json": json}
    wanted = ["mask", *(name for name, given in asked.items() if given)]
    files = result_paths(Path(folder), clip.path.stem, wanted)
    refuse_inputs(list(files.values()), [clip.path])
    if not resume:
        refuse_existing(list(files.values()), overwrite=overwrite, mend="pass overwrite=True")
    parser = parser or shipped_parser()
    missing = what_is_missing(clip.path, Path(folder), wanted, parser) if resume else wanted
    if not missing:
        return ParsedClip(files, was_there=True)
    way = _way_of(clip.path, parser)
    parts, record = _parts_of(clip.path, Path(folder), missing, way), Record(Path(folder), way)
    parts.begin(resume=resume, overwrite=overwrite)
    with _bar(clip, progress) as step:
        network = network_of(parser, at_once or min(MOST_AT_ONCE, usable_cores()))
        counts = parse_frames(clip, network, parts, missing, step)
    _finish(clip, parts, {name: files[name] for name in missing}, record)
    return ParsedClip(
        files, counts.frames, counts.without_face, tuple(sorted(counts.numbers)), tuple(counts.broken),
        declared=clip.declared, kept=tuple(name for name in wanted if name not in missing),
    )  # fmt: skip


def what_is_missing(path: Path, folder: Path, wanted: Sequence[str], parser: FaceParser) -> list[str]:
    """Which of the wanted results of a clip a resumed run has to make.

    Raises UsageError where there are some that were made, or begun, in another way.
    """
    way = _way_of(path, parser)
    files = result_paths(folder, path.stem, wanted)
    missing = [name for name in wanted if not files[name].exists()]
    begun = _parts_of(path, folder, wanted, way).begun
    if begun is None:
        every = result_paths(folder, path.stem, [*KINDS, "json"])
        Record(folder, way).refuse_others(files.values(), every.values())
        return missing
    choice = begun.get(CHOICE, [])  # a run that was stopped while it wrote its files makes all of them again
    if not set(missing) <= set(choice) <= set(wanted):
        choice = list(wanted)
    _parts_of(path, folder, choice, way).check()
    Record(folder, way).refuse_others([file for name, file in files.items() if name not in choice])
    return choice


def shipped_parser() -> FaceParser:
    """The shipped weights, one thread a frame: frames side by side are faster than threads that share one.

    A frame without a face is background: whole, it would be parsed in another way than its neighbors.
    """
    from face_parsing.parser import FaceParser

    return FaceParser(threads=1, no_face="empty")


def network_of(parser: FaceParser, at_once: int) -> Network:
    """What parses frames, so many at once."""
    run_detector = parser.detector

    def new_tracker() -> FaceTracker:
        assert run_detector is not None
        most = 1 if parser.faces == "largest" else 0
        return FaceTracker(run_detector, parser.least_score, parser.least_size, most)

    return Network(
        parser.parse,
        parser.network.scores,
        parser.labels,
        parser.size,
        _score_scale(parser),
        parser.margin,
        parser.no_face == "whole",
        1 if parser.checkpoint else at_once,
        new_tracker if run_detector is not None else None,
    )


def _score_scale(parser: FaceParser) -> float:
    """By how much logits differ where the network's scores differ by 1."""
    scores = np.zeros((1, len(parser.labels)), np.float32)
    scores[0, 0] = 1
    first, second, *_ = parser.network.probabilities(scores)[0].astype(np.float64)
    return float(np.log(first / second))


def _way_of(path: Path, parser: FaceParser) -> Way:
    """What all results of a clip have in common."""
    stat = path.stat()
    return {"clip": [stat.st_size, stat.st_mtime_ns], **facts_of(parser)}


def _parts_of(path: Path, folder: Path, results: Sequence[str], way: Way) -> Parts:
    """The parts of these results."""
    return Parts(folder / f".{path.stem}.parts", {CHOICE: list(results), **way})


@contextmanager
def _bar(clip: Clip, progress: bool) -> Iterator[Callable[[int], object]]:
    """A bar of the clip's frames, where somebody wants to see one: frames/s and the time left stand beside it."""
    if not progress:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=clip.count, unit="frame", desc=clip.path.name, smoothing=0.1) as bar:
        yield bar.update


def _finish(clip: Clip, parts: Parts, files: dict[str, Path], record: Record) -> None:
    """Make the files of the segments, and remove these."""
    count = parts.finished()
    record.begin(files.values())
    for name, file in files.items():
        if name in KINDS:
            segments = [(parts.path(segment, name), *parts.times(segment)) for segment in range(count)]
            join(segments, file, KINDS[name], clip)
            continue
        with atomic_path(file) as temporary, temporary.open("wb") as lines:
            for segment in range(count):
                with parts.path(segment, name).open("rb") as some:
                    shutil.copyfileobj(some, lines)
    record.end(files.values())
    parts.remove()
