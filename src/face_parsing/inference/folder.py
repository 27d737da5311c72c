"""Masks of many photos: reading, the network and writing side by side, with bounded memory."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from face_parsing.data.photos import PhotoError, read_photo
from face_parsing.inference.outputs import Parse, output_paths, write_outputs
from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.system import distributed
from face_parsing.system.cores import usable_cores

# Threads and bars are loaded where there are several photos: one alone is done before they would be.
if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

THREADS = 3
READ_AHEAD = 6  # decoded photos that wait for the network
BATCH_PIXELS = 16 * 2**20  # a photo takes 12 bytes a pixel once it is float32
WAITING_PIXELS = 64 * 2**20  # of photos that wait for others of their size

Read = Callable[[Path], np.ndarray]
"""Of a photo's path: its pixels. Raises PhotoError."""
Found = TypeVar("Found")
"""What is found of a photo: its mask, or more."""
ParseNamed = Callable[[Sequence[Path], Sequence[np.ndarray]], Sequence[Found]]
"""From the paths of photos of one size, and their pixels, to what is found of each."""
Write = Callable[[Path, np.ndarray, Found], None]
"""Of a photo's path, its pixels and what was found: write its files."""


def side_by_side(count: int, threads: int, most: int) -> tuple[int, int]:
    """How many of so many photos an ONNX file parses side by side, ``most`` at most, and how many threads they share.

    ``threads`` is what was asked for, 0 for all cores. Threads of their own do more photos than threads that share one
    photo. One photo alone has all of them.
    """
    if count < 2:
        return 1, threads
    threads = threads or max(1, usable_cores() // distributed.processes_here())
    at_once = min(threads, count, most)
    return at_once, threads - at_once + 1  # each photo's own thread works as well


class _Bar(Protocol):
    def update(self, n: float = ...) -> object: ...


class _NoBar:
    def update(self, n: float = 1) -> None:
        pass


@contextlib.contextmanager
def _bar(total: int, progress: bool) -> Iterator[_Bar]:
    """A bar of so many photos, where somebody wants to see one."""
    if not progress or total < 2:
        yield _NoBar()
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="photo") as bar:
        yield bar


def _read(read: Read, path: Path) -> np.ndarray | PhotoError:
    """The pixels of a photo, or what is wrong with it."""
    try:
        return read(path)
    except PhotoError as error:
        return error


def _decoded(photos: Iterable[Path], read: Read, pool: Executor) -> Iterator[tuple[Path, np.ndarray | PhotoError]]:
    """Each photo with its pixels, or with what is wrong with it; a few are read ahead."""
    remaining = iter(photos)
    ahead = deque((path, pool.submit(_read, read, path)) for path in islice(remaining, READ_AHEAD))
    while ahead:
        path, future = ahead.popleft()
        ahead.extend((following, pool.submit(_read, read, following)) for following in islice(remaining, 1))
        yield path, future.result()


def _batches(
    decoded: Iterable[tuple[Path, np.ndarray | PhotoError]], batch_size: int, failures: list[str]
) -> Iterator[list[tuple[Path, np.ndarray]]]:
    """Photos of one size together, batch_size of them or fewer; what cannot be read goes to failures."""
    waiting: dict[tuple[int, ...], list[tuple[Path, np.ndarray]]] = {}

    def pixels(shape: tuple[int, ...]) -> int:
        return len(waiting[shape]) * shape[0] * shape[1]

    for path, photo in decoded:
        if isinstance(photo, PhotoError):
            failures.append(str(photo))
            continue
        shape = photo.shape
        waiting.setdefault(shape, []).append((path, photo))
        if len(waiting[shape]) == batch_size or pixels(shape) + shape[0] * shape[1] > BATCH_PIXELS:
            yield waiting.pop(shape)
        elif sum(map(pixels, waiting)) > WAITING_PIXELS:
            yield waiting.pop(max(waiting, key=pixels))
    yield from waiting.values()


def _in_batches(
    parse: ParseNamed[Found], photos: Sequence[Path], read: Read, write: Write[Found], batch_size: int, bar: _Bar
) -> list[str]:
    """One batch in the network, while photos are read ahead and the masks of the batch before are written."""
    from concurrent.futures import ThreadPoolExecutor

    failures: list[str] = []
    writing: list[Future[None]] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for batch in _batches(_decoded(photos, read, pool), batch_size, failures):
            paths, pixels = zip(*batch, strict=True)
            found = parse(paths, pixels)
            for future in writing:  # of the batch before: a full disk is told here, and memory stays bounded
                future.result()
            writing = [pool.submit(write, *each) for each in zip(paths, pixels, found, strict=True)]
            bar.update(len(batch))
        for future in writing:
            future.result()
        bar.update(len(failures))
    return failures


def _at_once(
    parse: ParseNamed[Found], photos: Sequence[Path], read: Read, write: Write[Found], count: int, bar: _Bar
) -> list[str]:
    """So many photos at once, each read, parsed and written by one thread: no more of them are in memory."""
    from concurrent.futures import ThreadPoolExecutor

    failures: list[str] = []
    with ThreadPoolExecutor(count) as pool:
        remaining = iter(photos)
        running = deque(pool.submit(_alone, parse, path, read, write) for path in islice(remaining, 2 * count))
        try:
            while running:
                failures += running.popleft().result()
                running.extend(pool.submit(_alone, parse, path, read, write) for path in islice(remaining, 1))
                bar.update(1)
        finally:
            for future in running:  # after an error nothing new is begun
                future.cancel()
    return failures


def _alone(parse: ParseNamed[Found], path: Path, read: Read, write: Write[Found]) -> list[str]:
    """Parse one photo. Returns what is wrong with it, if anything is."""
    photo = _read(read, path)
    if isinstance(photo, PhotoError):
        return [str(photo)]
    write(path, photo, parse([path], [photo])[0])
    return []


def predict_folder(
    parse: Parse,
    photos: Sequence[Path],
    output: Path,
    *,
    labels: LabelSet = CELEBAMASK,
    batch_size: int = 1,
    at_once: int = 0,
    color: bool = False,
    overlay: bool = False,
    names: Mapping[Path, str] | None = None,
    bits: int | None = None,
    look: Callable[[Path, np.ndarray], None] | None = None,
    progress: bool = True,
) -> list[str]:
    """Write output/masks/<name>.png of each photo and, where asked for, output/color and output/overlay.

    Files that exist are replaced. Returns one line for each photo that could not be read. Masks that go into a
    submission need batch_size 1: a batch rounds differently. ``at_once`` photos are parsed side by side, one by one,
    instead of in batches, by a ``parse`` that several threads may call.

    ``names`` says what a photo is called, with folders in front of it; else by its stem. ``bits`` is read_photo's.
    ``look`` is called with each photo's path and its mask, by several threads.
    """

    def write(path: Path, photo: np.ndarray, mask: np.ndarray) -> None:
        name = path.stem if names is None else names[path]
        write_outputs(photo, mask, output_paths(output, name, color=color, overlay=overlay), labels)
        if look is not None:
            look(path, mask)

    return for_each_photo(
        lambda _, pixels: parse(pixels), photos, write,
        batch_size=batch_size, at_once=at_once, bits=bits, progress=progress,
    )  # fmt: skip


def for_each_photo(
    parse: ParseNamed[Found],
    photos: Sequence[Path],
    write: Write[Found],
    *,
    batch_size: int = 1,
    at_once: int = 0,
    bits: int | None = None,
    progress: bool = True,
    read: Read | None = None,
) -> list[str]:
    """Read each photo, let ``parse`` find what is in it, and ``write`` it; as predict_folder does with masks.

    ``read`` stands for read_photo with ``bits``. Returns one line for each photo that could not be read.
    """
    read = read or partial(read_photo, bits=bits)
    with _bar(len(photos), progress) as bar:
        if len(photos) == 1:
            return _alone(parse, photos[0], read, write)
        if at_once:
            return _at_once(parse, photos, read, write, at_once, bar)
        return _in_batches(parse, photos, read, write, batch_size, bar)
