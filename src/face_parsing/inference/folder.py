"""Masks of many photos: reading, the network and writing side by side, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from face_parsing.data.photos import PhotoError, read_photo
from face_parsing.inference.outputs import Parse, output_paths, write_outputs
from face_parsing.labels import CELEBAMASK, LabelSet

THREADS = 3
READ_AHEAD = 6  # decoded photos that wait for the network
BATCH_PIXELS = 16 * 2**20  # a photo takes 12 bytes a pixel once it is float32
WAITING_PIXELS = 64 * 2**20  # of photos that wait for others of their size


def _decoded(photos: Iterable[Path], pool: ThreadPoolExecutor) -> Iterator[tuple[Path, np.ndarray | PhotoError]]:
    """Each photo with its pixels, or with what is wrong with it; a few are read ahead."""

    def read(path: Path) -> np.ndarray | PhotoError:
        try:
            return read_photo(path)
        except PhotoError as error:
            return error

    remaining = iter(photos)
    ahead = deque((path, pool.submit(read, path)) for path in islice(remaining, READ_AHEAD))
    while ahead:
        path, future = ahead.popleft()
        ahead.extend((following, pool.submit(read, following)) for following in islice(remaining, 1))
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


def predict_folder(
    parse: Parse,
    photos: Sequence[Path],
    output: Path,
    *,
    labels: LabelSet = CELEBAMASK,
    batch_size: int = 1,
    color: bool = False,
    overlay: bool = False,
    progress: bool = True,
) -> list[str]:
    """Write output/masks/<stem>.png of each photo and, where asked for, output/color and output/overlay.

    Files that exist are replaced. Returns one line for each photo that could not be read. Masks that go into a
    submission need batch_size 1: a batch rounds differently.
    """
    failures: list[str] = []
    writing: list[Future[None]] = []
    with ThreadPoolExecutor(THREADS) as pool, tqdm(total=len(photos), unit="photo", disable=not progress) as bar:
        for batch in _batches(_decoded(photos, pool), batch_size, failures):
            masks = parse([photo for _, photo in batch])
            for future in writing:  # of the batch before: a full disk is told here, and memory stays bounded
                future.result()
            writing = [
                pool.submit(
                    write_outputs, photo, mask, output_paths(output, path.stem, color=color, overlay=overlay), labels
                )
                for (path, photo), mask in zip(batch, masks, strict=True)
            ]
            bar.update(len(batch))
        for future in writing:
            future.result()
        bar.update(len(failures))
    return failures
