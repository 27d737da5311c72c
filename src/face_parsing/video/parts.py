"""The parts of a clip's results while it is parsed: finished segments, and where the next one goes on.

They lie in a hidden folder beside the results. A segment counts once its state is there, which is written last: what a
killed run left half-written is written anew.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.provenance import differences
from face_parsing.system.commands import UsageError
from face_parsing.system.files import atomic_path
from face_parsing.video.clip import Clip
from face_parsing.video.streams import KINDS, SEGMENT_CONTAINER, Encoder

State = dict[str, np.ndarray]


@dataclass(frozen=True)
class Parts:
    """The hidden folder of a clip. ``facts`` say what is parsed and how: segments of other facts do not fit."""

    folder: Path
    facts: Mapping[str, object]

    @property
    def begun(self) -> dict[str, Any] | None:
        """The facts of the run that is to go on, or None where none was begun."""
        path = self.folder / "facts.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def begin(self, *, resume: bool, overwrite: bool) -> None:
        """Make the folder, or go on with it. Raises UsageError where it is another run's."""
        path = self.folder / "facts.json"
        if self.begun is not None:
            if overwrite:
                self.remove()
            elif not resume:
                raise UsageError(
                    f"{self.folder} holds the beginning of an earlier run; add --resume (resume=True) to go on with "
                    "it, or --overwrite (overwrite=True) to begin anew."
                )
            else:
                self.check()
                return
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.facts), encoding="utf-8")

    def check(self) -> None:
        """Raise UsageError where what was begun has other facts."""
        other = differences(self.begun or {}, json.loads(json.dumps(self.facts)))
        if other:
            raise UsageError(
                f"{self.folder} was begun with another {other}; parse as then, or add --overwrite and leave out "
                "--resume to begin anew."
            )

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def state_path(self, segment: int) -> Path:
        return self.folder / f"{segment:06d}.npz"

    def path(self, segment: int, name: str) -> Path:
        """The file of one result in a segment."""
        return self.folder / f"{segment:06d}.{name}.{SEGMENT_CONTAINER if name in KINDS else 'jsonl'}"

    def finished(self) -> int:
        """How many segments are finished."""
        count = 0
        while self.state_path(count).is_file():
            count += 1
        return count

    def state(self, segment: int) -> State:
        """What ``SegmentWriter.finish`` was given."""
        with np.load(self.state_path(segment)) as stored:
            return dict(stored)

    def times(self, segment: int) -> tuple[np.ndarray, np.ndarray]:
        """The times and lengths (n,) of a segment's frames."""
        with np.load(self.state_path(segment)) as stored:
            return stored["times"], stored["lengths"]


class SegmentWriter:
    """The frames of one segment, to a file for each of the wanted results."""

    def __init__(self, parts: Parts, segment: int, clip: Clip, wanted: Iterable[str]) -> None:
        self.parts, self.segment = parts, segment
        self.encoders = {
            name: Encoder(parts.path(segment, name), KINDS[name], clip) for name in wanted if name in KINDS
        }
        self.lines = parts.path(segment, "json").open("w", encoding="utf-8") if "json" in wanted else None
        self.times: list[int] = []
        self.lengths: list[int] = []

    def write(self, pictures: Mapping[str, np.ndarray], line: Mapping[str, object], time: int, length: int) -> None:
        """Add a frame: its pictures by the names of KINDS, and its line of JSON."""
        with self._named_errors():
            for name, encoder in self.encoders.items():
                encoder.write(pictures[name], time)
        if self.lines is not None:
            self.lines.write(json.dumps(line) + "\n")
        self.times.append(time)
        self.lengths.append(length)

    def finish(self, state: State) -> None:
        """Close the files and, as the last thing, store where the next segment goes on."""
        with self._named_errors():
            for encoder in self.encoders.values():
                encoder.close()
        if self.lines is not None:
            self.lines.close()
        values: dict[str, Any] = {
            **state,
            "times": np.array(self.times, np.int64),
            "lengths": np.array(self.lengths, np.int64),
        }
        with atomic_path(self.parts.state_path(self.segment)) as temporary, temporary.open("wb") as file:
            np.savez(file, **values)

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Raise a sentence where PyAV raises the system's words for a full disk."""
        try:
            yield
        except OSError as error:
            raise OSError(
                f"{self.parts.folder} cannot be written: {error.strerror or error}; make room for it, then "
                "add --resume to go on."
            ) from None

    def abandon(self) -> None:
        """Let go of the files, which are of no use."""
        for encoder in self.encoders.values():
            with contextlib.suppress(OSError):  # of a full disk, again
                encoder.abandon()
        if self.lines is not None:
            self.lines.close()
