"""Parse photos on all nodes of a Ray cluster: each file once, on past lost workers, and on after a restart.

    pip install ".[ray]"                                        # on every node
    python recipes/ray_folder.py --input PHOTOS --output PARSED [--workers N] [--address auto]
    python recipes/ray_folder.py --input SHARDS --output PARSED # where SHARDS holds WebDataset's .tar files

A folder of photos becomes PARSED/masks/<name>.png; a shard becomes PARSED/masks/<shard>.tar with <key>.png for each of
its photos. A file is there when it is whole, so starting the same command again leaves out what is done. Every node
must see both folders under the same path. A worker takes one core (--threads), or with --gpus a part of a GPU.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from PIL import Image

from face_parsing import FaceParser
from face_parsing.data.photo_files import PHOTO_SUFFIXES, find_photos
from face_parsing.data.photos import PhotoError
from face_parsing.labels import palette_bytes
from face_parsing.system.commands import UsageError, command, positive
from face_parsing.system.files import atomic_path

SAID_EVERY = 5.0  # seconds between two lines that say how far it is


class Worker:
    """What an actor of Ray holds: the network, opened once, and where its masks go."""

    def __init__(self, output: Path, options: dict[str, Any]) -> None:
        self.output, self.parser = output, FaceParser(**options)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Write the masks of files. Returns of each how many photos it held, and what could not be read."""
        results = [self.parse(Path(path)) for path in batch["path"]]
        photos, failures = zip(*results, strict=True)
        return {"photos": np.array(photos), "failures": np.array(["\n".join(lines) for lines in failures])}

    def parse(self, path: Path) -> tuple[int, list[str]]:
        """Write the mask of a photo, or the masks of a shard's photos, unless a worker that was lost did so before."""
        shard = path.suffix == ".tar"
        masks = self.output / "masks" / (path.name if shard else f"{path.stem}.png")
        if masks.exists():
            return (sum(1 for _ in _photos_of(path)) if shard else 1), []
        if shard:
            return self._shard(path)
        try:
            self.parser(path).save(self.output, overwrite=True)
        except PhotoError as error:
            return 0, [str(error)]
        return 1, []

    def _shard(self, path: Path) -> tuple[int, list[str]]:
        count, failures = 0, []
        with atomic_path(self.output / "masks" / path.name) as temporary, tarfile.open(temporary, "w") as masks:
            for name, content in _photos_of(path):
                try:
                    with Image.open(io.BytesIO(content)) as image:
                        mask = Image.fromarray(self.parser(image).mask)
                except Exception as error:  # decoders raise anything at all on damaged bytes
                    failures.append(f"{path}: {name}: cannot be read as a photo ({error}); replace or remove it")
                    continue
                mask.putpalette(palette_bytes(self.parser.labels))
                file = io.BytesIO()
                mask.save(file, format="PNG")
                entry = tarfile.TarInfo(str(Path(name).with_suffix(".png")))
                entry.size = file.tell()
                file.seek(0)
                masks.addfile(entry, file)
                count += 1
        return count, failures


def _photos_of(shard: Path) -> Iterator[tuple[str, bytes]]:
    """The photos of a WebDataset shard, by their names in it."""
    with tarfile.open(shard) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if Path(entry.name).suffix.lower() in PHOTO_SUFFIXES else None
            if file is not None:
                yield entry.name, file.read()


def find_work(source: Path, output: Path) -> tuple[list[Path], int]:
    """The photos or shards of a folder that have no masks yet, and how many have. Raises ValueError for none at all."""
    shards = sorted(source.glob("*.tar"))
    files = shards or find_photos(source)
    there = {path.name for path in (output / "masks").glob("*")}  # one listing, however many there are
    left = [path for path in files if (path.name if shards else f"{path.stem}.png") not in there]
    return left, len(files) - len(left)


def parse_on_ray(worker: type[Worker], left: Sequence[Path], args: argparse.Namespace) -> list[str]:
    """Parse files on the cluster, and say how far it is. Returns a line for each photo that could not be read."""
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    options = {"model_path": args.model_path, "threads": args.threads, "device": "cuda" if args.gpus else "cpu"}
    # Small pieces of work: what a lost worker had begun is done anew by another.
    pieces = max(1, min(10_000, len(left) // args.batch_size))
    paths = ray.data.from_items([{"path": str(path.absolute())} for path in left], override_num_blocks=pieces)
    results = paths.map_batches(
        worker,
        fn_constructor_args=(args.output.absolute(), options),
        batch_size=args.batch_size,
        compute=ray.data.ActorPoolStrategy(size=args.workers),
        num_cpus=args.threads,
        num_gpus=args.gpus or None,
    )
    failures: list[str] = []
    done, photos, start, said = 0, 0, time.monotonic(), 0.0
    for row in results.iter_rows():
        done, photos = done + 1, photos + int(row["photos"])
        failures += [line for line in str(row["failures"]).splitlines() if line]
        now = time.monotonic() - start
        if now - said >= SAID_EVERY or done == len(left):
            said = now
            print(f"{done} of {len(left)} files, {photos} photos, {photos / now:.1f} photos/s", flush=True)
    return failures


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--input", type=Path, required=True, help="a folder of photos, or of WebDataset shards (.tar)")
    parser.add_argument("--output", type=Path, required=True, help="folder for masks/; every node must see it")
    parser.add_argument("--model_path", type=Path, help="FILE.onnx or a checkpoint (the shipped reference in 8 bits)")
    parser.add_argument("--workers", type=positive, default=2, help="processes on the whole cluster (2)")
    parser.add_argument("--threads", type=positive, default=1, help="cores of each (1)")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each, such as 0.5 (0: the CPU)")
    parser.add_argument("--batch_size", type=positive, default=16, help="files that a worker takes at a time (16)")
    parser.add_argument("--address", help="of a running cluster, such as auto; without it one is started here")
    return parser.parse_args(argv)


@command("ray_folder.py")
def main(argv: Sequence[str] | None = None, worker: type[Worker] = Worker) -> int:
    """The command line. Returns 0; 1 where photos could not be read; 2 after one sentence on stderr."""
    args = parse_arguments(argv)
    if not args.input.is_dir():
        raise UsageError(f"There is no folder {args.input}; name an existing one.")
    left, there = find_work(args.input, args.output)
    print(f"{len(left)} files to parse; {there} were there already", flush=True)
    if not left:
        return 0
    local = {} if args.address else {"num_cpus": args.workers * args.threads, "include_dashboard": False}
    ray.init(address=args.address, log_to_driver=False, logging_level="ERROR", **local)
    try:
        failures = parse_on_ray(worker, left, args)
    finally:
        ray.shutdown()
    for failure in failures:
        print(f"ray_folder.py: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
