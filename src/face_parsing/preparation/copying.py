"""What all preparations share: small jobs on all cores, an output folder that is safe to go on with, its provenance.

A job writes one pair. Each file appears whole or not at all, so a job whose files are there is done, and a
second call after a crash does what is missing. ``provenance.json`` says from the first moment on what a
folder is made of; a folder that something else made is refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import platform
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.photos import PhotoError
from face_parsing.data.problems import PROBLEMS_SHOWN, DataError
from face_parsing.data.provenance import PROVENANCE, read_provenance
from face_parsing.system.files import atomic_path

T = TypeVar("T")

SPLITS = ("train", "val", "test")
IN_FLIGHT = 4  # jobs that are handed to a process ahead of time


class PreparationError(ValueError):
    """A preparation that cannot be carried out; the message says why and what to do."""


@dataclass(frozen=True)
class Job:
    """The files of one pair, or of one photo without a mask, and the call that writes those of them that are missing.

    ``make`` must be picklable, and may return a MaskLog. It raises DataError or PhotoError for input that cannot be
    used, before it writes.
    """

    outputs: tuple[Path, ...]
    make: Callable[[], object]


@dataclass(frozen=True)
class Plan:
    """What a preparation is going to write.

    ``recipe`` holds the subcommand and every option that changes what is written, as plain values. ``reads`` are
    the folders it reads. ``problems`` are lines about files that are left out.
    """

    recipe: dict[str, Any]
    breaks: str | None
    jobs: list[Job]
    reads: list[Path]
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What became of a plan: pairs and photos without a mask that lie in the output now, by split."""

    pairs: dict[str, int]
    photos: dict[str, int]
    made: int
    present: int
    problems: list[str]
    log: MaskLog = field(default_factory=MaskLog)
    """What is worth a word of the source's masks that were read."""

    def summary(self) -> str:
        """One line for the terminal."""
        parts = [f"{name} {self.pairs[name]} pairs" for name in SPLITS if self.pairs.get(name)]
        parts += [f"{name} {self.photos[name]} photos" for name in SPLITS if self.photos.get(name)]
        return f"{', '.join(parts) or 'nothing'}; {self.made} made now, {self.present} were there already"


def problems_text(problems: Sequence[str]) -> str:
    """How many files are bad, and the first PROBLEMS_SHOWN of them, one a line."""
    more = len(problems) - PROBLEMS_SHOWN
    lines = [*problems[:PROBLEMS_SHOWN], *([f"... and {more} more"] if more > 0 else [])]
    head = f"{len(problems)} problem{'s' * (len(problems) > 1)}; the rest is done. Mend these and call again:"
    return "\n  ".join([head, *lines])


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker() -> None:
    # Ctrl+C reaches the whole process group: the parent lets the workers finish what they write.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if platform.system() == "Linux":
        # Else the workers of a parent that was killed would wait for work forever.
        with contextlib.suppress(OSError, AttributeError):
            PR_SET_PDEATHSIG = 1
            ctypes.CDLL("libc.so.6").prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _guarded(call: Callable[[], T]) -> T | DataError:
    try:
        return call()
    except (DataError, PhotoError) as error:
        return DataError(str(error))


def each_result(calls: Sequence[Callable[[], T]], workers: int) -> Iterator[tuple[int, T | DataError]]:
    """(index, result) of every call as it is done, or the DataError of a bad file; other errors are raised.

    With one worker the calls run in this process, in order. Only a few are in flight at a time.
    """
    if workers <= 1 or len(calls) < 2:
        for i, call in enumerate(calls):
            yield i, _guarded(call)
        return
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(workers, len(calls)), mp_context=fork, initializer=_start_worker) as pool:
        running: dict[Future[T | DataError], int] = {}
        remaining = iter(enumerate(calls))

        def submit(count: int) -> None:
            running.update({pool.submit(_guarded, call): i for i, call in islice(remaining, count)})

        try:
            submit(workers * IN_FLIGHT)
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                finished = [(running.pop(future), future.result()) for future in done]
                submit(len(finished))
                yield from finished
        except BrokenProcessPool:
            raise PreparationError(
                "A worker process died, perhaps for want of memory; call again with fewer --workers to go on."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _part_folders(output: Path) -> list[Path]:
    return [output / split / part for split in SPLITS for part in ("images", "masks")]


def _check_places(source: Path, output: Path, reads: Iterable[Path]) -> None:
    source, target = source.resolve(), output.resolve()
    if source == target:
        raise PreparationError(f"--output {output} is the source itself; name another folder.")
    if target.is_relative_to(source):
        raise PreparationError(f"--output {output} lies inside the source {source}; name a folder outside it.")
    for folder in reads:
        for split in SPLITS:
            # --overwrite would delete what is about to be read, perhaps through a link.
            if folder.resolve().is_relative_to((output / split).resolve()):
                raise PreparationError(f"{folder} is read but lies inside --output {output}; name another folder.")


def _claim(output: Path, record: dict[str, Any], *, overwrite: bool) -> None:
    """Make sure that output holds nothing, or what the same preparation left there."""
    if output.exists() and not output.is_dir():
        raise PreparationError(f"--output {output} is a file; name a folder.")
    held = [folder for folder in _part_folders(output) if folder.is_dir() and any(folder.iterdir())]
    if overwrite:
        for folder in held:
            shutil.rmtree(folder)
        (output / PROVENANCE).unlink(missing_ok=True)
        return
    before = read_provenance(output)
    if before is None and held:
        raise PreparationError(
            f"{held[0]} holds files that this command did not make; choose another --output, or replace them with "
            "--overwrite."
        )
    if before is not None and any(before.get(key) != record[key] for key in ("source", "recipe")):
        command = " ".join(map(str, before.get("command", [])))
        raise PreparationError(
            f"{output} was made by another command ({command}); choose another --output, or replace it with "
            "--overwrite."
        )
    for folder in held:
        for path in folder.glob(".*"):  # half-written files of a process that was killed
            if re.match(r"\.\d+\.", path.name):
                path.unlink(missing_ok=True)


def _write_record(output: Path, record: dict[str, Any]) -> None:
    with atomic_path(output / PROVENANCE) as path:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _count(jobs: Iterable[Job], files: int) -> dict[str, int]:
    """Jobs of so many files, by split."""
    return dict(Counter(job.outputs[0].parent.parent.name for job in jobs if len(job.outputs) == files))


def carry_out(
    plan: Plan,
    *,
    source: Path,
    output: Path,
    command: Sequence[str],
    workers: int,
    overwrite: bool = False,
    progress: bool = True,
) -> Outcome:
    """Write what is missing of a plan, and provenance.json. Bad files are left out and named in the outcome.

    With ``overwrite`` the image and mask folders of output are emptied first; its other files stay. Raises
    PreparationError for an output that is in the source or that another command made, OSError for a full disk.
    """
    _check_places(source, output, plan.reads)
    names = [path for job in plan.jobs for path in job.outputs]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise PreparationError(f"Two files of {source} would both become {twice}; rename one.")
    record: dict[str, Any] = {
        "command": list(command),
        "source": str(source.resolve()),
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "breaks": plan.breaks,
        "pairs": None,  # until all is done
        "recipe": json.loads(json.dumps(plan.recipe)),
    }
    _claim(output, record, overwrite=overwrite)
    # Before the first pair, so that a training on half a set is refused for its rules as on a whole one.
    _write_record(output, record)
    missing = [job for job in plan.jobs if not all(path.exists() for path in job.outputs)]
    bad: set[int] = set()
    log = MaskLog()
    problems = list(plan.problems)
    # The processes start before the bar, whose thread they would otherwise inherit.
    results = each_result([job.make for job in missing], workers)
    with tqdm(total=len(plan.jobs), initial=len(plan.jobs) - len(missing), unit="pair", disable=not progress) as bar:
        for i, result in results:
            if isinstance(result, DataError):
                bad.add(i)
                problems.append(str(result))
            elif isinstance(result, MaskLog):
                log.add(result)
            bar.update()
    failed = {id(missing[i]) for i in bad}
    there = [job for job in plan.jobs if id(job) not in failed]
    pairs = _count(there, 2)
    _write_record(output, record | {"pairs": sum(pairs.values())})
    present = len(plan.jobs) - len(missing)
    return Outcome(pairs, _count(there, 1), len(missing) - len(bad), present, sorted(problems), log)
