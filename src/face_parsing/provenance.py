"""How the results in an output folder were made, so that ``--resume`` never mixes results of two ways of parsing.

A hidden JSON file in the folder lists the ways, and the files that were made in each. Files that it does not list may
be anybody's.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_parsing import __version__
from face_parsing.inference.outputs import RECORD, is_there
from face_parsing.system.commands import UsageError
from face_parsing.system.files import atomic_path

if TYPE_CHECKING:
    from face_parsing.parser import FaceParser

Way = dict[str, Any]
"""How something was parsed, by the words that an error names it with."""

MEND = "give --overwrite instead of --resume, or choose another --output."


def facts_of(parser: FaceParser) -> Way:
    """All that a parser's masks depend on, but the machine."""
    return {
        "weights": [digest(file) for file in parser.weights.files],
        "choice of faces": [parser.faces, parser.no_face],
        "least score": parser.least_score,
        "least size": parser.least_size,
        "margin": parser.margin,
        "size": parser.size,
        "test-time augmentation (tta)": parser.tta,
        "precision": parser.precision,
        "post-processing": None if parser.postprocessing is None else asdict(parser.postprocessing),
        "version": __version__,
    }


def digest(path: Path) -> str:
    """What a file holds, or the files of a folder and its subfolders with their names, in 64 signs."""
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    inner = [(file.relative_to(path).as_posix(), digest(file)) for file in sorted(path.rglob("*")) if file.is_file()]
    return hashlib.sha256(json.dumps(inner).encode()).hexdigest()


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """What is another in two ways, in words; empty where they are the same."""
    return ", ".join(sorted(name for name in {*before, *now} if before.get(name) != now.get(name)))


class Record:
    """What an output folder remembers of its files, for a run that parses in one way.

    A file is listed before it is written, so that a killed run can go on. One that is replaced is listed again by
    ``end`` alone: until then nobody can tell which of both it is. Raises UsageError for a record that nobody can read.
    """

    def __init__(self, output: Path, way: Way) -> None:
        self.output, self.path = output, output / RECORD
        self.way: Way = json.loads(json.dumps(way))
        self._begun = False
        self._lock = threading.Lock()
        self._read()

    def refuse_others(self, wanted: Collection[Path], beside: Iterable[Path] = ()) -> None:
        """Raise UsageError where a file was not made in this way.

        Of the ``wanted`` files this must be known. Those ``beside`` them only must not be known to be others.
        """
        ways = self._read()
        for file in wanted:
            if self._key(file) not in ways and is_there(file):
                raise UsageError(
                    f"{file} lies there, and nothing says how it was made, as of an earlier version or another "
                    f"program; {MEND}"
                )
        for file in (*wanted, *beside):
            before = ways.get(self._key(file), self.way)
            if before != self.way and is_there(file):
                raise UsageError(f"{file} was made with another {differences(before, self.way)}; parse as then, {MEND}")

    def begin(self, files: Iterable[Path]) -> None:
        """List the files that are about to be written, once a run; any thread may call it before each of them."""
        with self._lock:
            if self._begun:
                return
            ways = self._read()
            for file in files:
                if not is_there(file):
                    ways[self._key(file)] = self.way
                elif ways.get(self._key(file)) != self.way:
                    ways.pop(self._key(file), None)
            self._write(ways)
            self._begun = True

    def end(self, files: Iterable[Path]) -> None:
        """List the files that were written."""
        before = self._read()
        after = before | {self._key(file): self.way for file in files if is_there(file)}
        if after != before:
            self._write(after)

    def _key(self, file: Path) -> str:
        return file.relative_to(self.output).as_posix()

    def _read(self) -> dict[str, Way]:
        """The ways of all files that are listed."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {file: each["way"] for each in content for file in each["files"]}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError):
            raise UsageError(
                f"{self.path}, the record of how these results were made, is damaged; remove it, and add --overwrite."
            ) from None

    def _write(self, ways: Mapping[str, Way]) -> None:
        groups: dict[str, list[str]] = {}
        for file, way in ways.items():
            groups.setdefault(json.dumps(way, sort_keys=True), []).append(file)
        content = [{"way": json.loads(way), "files": sorted(files)} for way, files in groups.items()]
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
