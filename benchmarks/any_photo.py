"""How well any photo is parsed: whole, and with its faces found, aligned, parsed and put back, as Markdown tables.

    python benchmarks/any_photo.py --data data [--val_stems val.txt] [--faces 25] [--rows turned_30 group ...]
        [--model_path weights/face_parsing.pth] [--threads 2] [--seed 0] [--pictures FOLDER]

Every row makes copies out of the validation faces, each with its mask moved along (benchmarks/any_photo_copies.py), and
parses them twice by the same weights: the whole photo (``--faces off``) and face by face (``--faces auto``). F is the
challenge's F-Score, raw. Behind the faces lie backgrounds of training photos, which count as background; what nobody
knows, such as the corners of a turned photo, is not scored. Times are medians of turns taken, and mean nothing on a
machine that does other work.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import os
import platform
import statistics
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from benchmarks import any_photo_copies as copies
from benchmarks.any_photo_copies import Copy
from PIL import Image
from tqdm import tqdm

from face_parsing.data.pairs import Pair
from face_parsing.data.split import make_split
from face_parsing.evaluation.metrics import ScoreKeeper, Scores
from face_parsing.faces.alignment import crop, quadrangle
from face_parsing.faces.detector import read_detector
from face_parsing.faces.search import find_faces
from face_parsing.inference.onnx_network import read_onnx
from face_parsing.parser import FaceParser
from face_parsing.results import ParsedPhoto
from face_parsing.weights import DETECTOR, EIGHT_BITS, find_weights

LONGEST = 1536
"""Pixels of the longer side of a photo with a distant face, at most; a face is never enlarged."""
FACELESS = 100
FRAMES = 6
TIMED = 40


# --- what each row is made of ------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Where copies come from: validation faces, and training photos for what is behind them."""

    val: Sequence[Pair]
    train: Sequence[Pair]
    seed: int

    def rng(self, *names: object) -> np.random.Generator:
        """The draws of one copy, whatever else is made."""
        return np.random.default_rng([self.seed, *(zlib.crc32(str(name).encode()) for name in names)])

    def faces(self) -> Iterator[Copy]:
        """The validation faces as they are."""
        return map(copies.read_face, self.val)


def aligned(source: Source) -> Iterator[Copy]:
    """The crops as they lie in the data set."""
    return source.faces()


def turned(source: Source, degrees: float) -> Iterator[Copy]:
    """Each turned clockwise."""
    return (copies.turned(face, degrees) for face in source.faces())


def zoomed(source: Source, times: float) -> Iterator[Copy]:
    """Each enlarged about its middle."""
    return (copies.zoomed(face, times) for face in source.faces())


def distant(source: Source, part: float, degrees: float = 0.0, cut_out: bool = False) -> Iterator[Copy]:
    """Each as such a part of a photo 4:3."""
    width = min(LONGEST, round(copies.SIDE / part))
    for number, face in enumerate(source.faces()):
        rng = source.rng("distant", part, degrees, cut_out, number)
        behind = copies.background(source.train, rng, width * 3 // 4, width)
        yield copies.distant(face, behind, rng, side=round(part * width), degrees=degrees, cut_out=cut_out)


def groups(source: Source) -> Iterator[Copy]:
    """Photos of 3, 4, 5, 6, 3 and so on of them, until all were in one."""
    waiting = source.faces()
    for number in itertools.count():
        members = list(itertools.islice(waiting, 3 + number % 4))
        if not members:
            return
        rng = source.rng("group", number)
        height = round(2 * LONGEST / len(members))
        yield copies.group(members, copies.background(source.train, rng, height, LONGEST), rng)


ROWS: dict[str, tuple[str, Callable[[Source], Iterator[Copy]]]] = {
    "aligned": ("the aligned 512 px crop itself", aligned),
    "turned_15": ("turned by 15 degrees", partial(turned, degrees=15)),
    "turned_30": ("turned by 30 degrees", partial(turned, degrees=30)),
    "turned_45": ("turned by 45 degrees", partial(turned, degrees=45)),
    "turned_90": ("turned by 90 degrees", partial(turned, degrees=90)),
    "turned_180": ("turned by 180 degrees", partial(turned, degrees=180)),
    "half": ("half of a photo", partial(distant, part=1 / 2)),
    "third": ("a third of a photo", partial(distant, part=1 / 3)),
    "fifth": ("a fifth of a photo", partial(distant, part=1 / 5)),
    "third_30": ("a third of a photo, turned by 30 degrees", partial(distant, part=1 / 3, degrees=30)),
    "tenth": ("a tenth of 1536 px", partial(distant, part=1 / 10)),
    "group": ("groups of 3 to 6 people", groups),
    "zoomed_15": ("zoomed in 1.5 times", partial(zoomed, times=1.5)),
    "zoomed_20": ("zoomed in 2 times", partial(zoomed, times=2.0)),
    "people": ("people cut out, half of a photo", partial(distant, part=1 / 2, cut_out=True)),
}
OTHERS = ("faceless", "flicker", "time")


def faceless(source: Source) -> Iterator[tuple[str, np.ndarray]]:
    """Photos without a face, each with its kind: samples of packages, then the four other kinds in turn."""
    found = [(f"sample {name}", photo) for name, photo in copies.sample_photos().items()]
    yield from found
    for number in range(FACELESS - len(found)):
        rng = source.rng("faceless", number)
        kind = ("background", "person taken out", "texture", "scene")[number % 4]
        if kind == "background":
            yield kind, copies.background(source.train, rng, 480, 640)
        elif kind == "person taken out":
            yield kind, copies.emptied(copies.read_face(source.train[int(rng.integers(len(source.train)))]))
        else:
            yield kind, copies.texture(rng) if kind == "texture" else copies.scene(rng)


# --- measuring ----------------------------------------------------------------------------------------


@dataclass
class Measured:
    """One row: scores of the whole photo and of the new way, and how the faces were found."""

    whole: ScoreKeeper = field(default_factory=ScoreKeeper)
    by_face: ScoreKeeper = field(default_factory=ScoreKeeper)
    photos: int = 0
    same: int = 0
    """Photos that got the same mask both ways."""
    people: int = 0
    found: int = 0
    """Faces that the new way found; of photos that are taken for portraits it looks for none."""

    def scores(self) -> tuple[Scores, Scores]:
        """Of the whole photo, and of the new way."""
        return self.whole.scores(), self.by_face.scores()


def count_faces(result: ParsedPhoto) -> int:
    """Faces that were found. A photo that was left alone as a portrait has one."""
    return max(len(result.faces), int(result.found == "portrait"))


def measure(made: Iterable[Copy], whole: FaceParser, by_face: FaceParser, pictures: Path | None = None) -> Measured:
    """Parse every copy both ways."""
    row = Measured()
    for copy in made:
        first, second = whole(copy.photo), by_face(copy.photo)
        truth = torch.from_numpy(copy.truth)[None]
        row.whole.update(torch.from_numpy(first.mask)[None], truth)
        row.by_face.update(torch.from_numpy(second.mask)[None], truth)
        row.same += int(np.array_equal(first.mask, second.mask))
        row.people += copy.people
        row.found += count_faces(second)
        if pictures is not None and row.photos < 8:
            save_picture(pictures / f"{row.photos}.jpg", first, second)
        row.photos += 1
    return row


def save_picture(path: Path, *results: ParsedPhoto) -> None:
    """Overlays side by side, at most 1024 px high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.hstack([result.overlay() for result in results]))
    picture.thumbnail((4096, 1024))
    picture.save(path, quality=90)


def flicker(source: Source, parser: FaceParser) -> float:
    """The part of a face's pixels that change class from frame to frame, while the face moves by whole pixels."""
    changed = []
    for number, face in enumerate(source.faces()):
        rng = source.rng("flicker", number)
        behind = copies.background(source.train, rng, 768, 1024)
        before: np.ndarray | None = None
        for photo, (dx, dy) in copies.frames(face, behind, rng, count=FRAMES):
            mask = np.roll(parser(photo).mask, (-dy, -dx), (0, 1))
            if before is not None:
                on = (mask > 0) | (before > 0)
                changed.append(float((mask != before)[on].mean()) if on.any() else 0.0)
            before = mask
    return statistics.mean(changed)


def in_turns(runs: Sequence[Callable[[], object]]) -> list[float]:
    """The median seconds of each, which take turns."""
    spent: list[list[float]] = [[] for _ in runs]
    for _ in range(TIMED):
        for run, seconds in zip(runs, spent, strict=True):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds[2:]) for seconds in spent]


# --- the tables ---------------------------------------------------------------------------------------


def print_copies(
    source: Source, rows: Sequence[str], whole: FaceParser, by_face: FaceParser, pictures: Path | None
) -> None:
    """A line a kind of copy; the aligned crops are always measured, for the others to be compared with."""
    print("| photo | F, whole photo | F, face by face | against the aligned crop | faces found |")
    print("|---|---:|---:|---:|---:|")
    aligned_f = 0.0
    later: list[str] = []
    for name in dict.fromkeys(["aligned", *rows]):
        title, make = ROWS[name]
        made = tqdm(
            make(source), desc=name, unit="photo", leave=False, total=None if name == "group" else len(source.val)
        )
        row = measure(made, whole, by_face, pictures and pictures / name)
        before, after = row.scores()
        aligned_f = after.f_score if name == "aligned" else aligned_f
        print(
            f"| {title} | {before.f_score:.4f} | {after.f_score:.4f} | {after.f_score - aligned_f:+.4f} "
            f"| {row.found} of {row.people} |",
            flush=True,
        )
        if name == "aligned":
            later.append(f"Aligned crops: {row.same} of {row.photos} masks are the same both ways.")
        if name == "people":
            later += [
                f"People cut out, half of a photo, F1 over the photo: {label} {before.f1[label]:.4f} whole, "
                f"{after.f1[label]:.4f} face by face."
                for label in ("hair", "cloth")
            ]
    print("\n" + "\n".join(later), flush=True)


def print_faceless(source: Source, parser: FaceParser, pictures: Path | None) -> None:
    """How many faces are found in photos without one, and where."""
    found: dict[str, int] = {}
    for number, (kind, photo) in enumerate(tqdm(faceless(source), total=FACELESS, desc="faceless", leave=False)):
        result = parser(photo)
        if count_faces(result):
            found[kind] = found.get(kind, 0) + count_faces(result)
            if pictures is not None:
                save_picture(pictures / "faceless" / f"{number}.jpg", result)
    named = ", ".join(f"{count} in {kind}" for kind, count in found.items())
    print(f"\nFalse faces in {FACELESS} photos without one: {sum(found.values())}{f' ({named})' if named else ''}.")


def print_flicker(source: Source, whole: FaceParser, by_face: FaceParser) -> None:
    """How much masks change from frame to frame."""
    parts = [100 * flicker(source, parser) for parser in (whole, by_face)]
    print(
        f"\nPixels of a face that change class from frame to frame, moved by up to 2 px with noise, no smoothing: "
        f"{parts[0]:.2f} % whole, {parts[1]:.2f} % face by face ({len(source.val)} faces, {FRAMES} frames each)."
    )


def print_time(source: Source, threads: int) -> None:
    """Finding and aligning one face, against one pass of the network."""
    rng = source.rng("time")
    behind = copies.background(source.train, rng, 854, 1280)
    photo = copies.distant(next(source.faces()), behind, rng, side=427).photo
    detector, network = read_detector(find_weights(DETECTOR)), read_onnx(find_weights(EIGHT_BITS), threads)

    def find() -> np.ndarray:
        return crop(photo, quadrangle(find_faces(detector, photo, threads=threads or os.cpu_count() or 1)[0].points))

    face = find()
    seen = np.asarray(Image.fromarray(face).resize((network.image_size,) * 2))[None]
    found, graph, parsed = in_turns([find, lambda: network.run(seen), lambda: network.parse([face])])
    print(
        f"\nFinding and aligning one face in 1280 x 854: {1000 * found:.1f} ms; one pass of the network in 8 bits "
        f"{1000 * graph:.1f} ms ({found / graph:.2f} times), from the crop to its mask {1000 * parsed:.1f} ms "
        f"({found / parsed:.2f} times); {threads or 'all'} threads each."
    )


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/, and val/ or --val_stems")
    parser.add_argument("--val_stems", type=Path, help="file of the stems of train/ that copies are made of")
    parser.add_argument("--faces", type=int, help="the first so many alone, for a quick look")
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, *OTHERS], default=[*ROWS, *OTHERS], help="some rows alone")
    parser.add_argument("--model_path", type=Path, help="ONNX file or checkpoint (the shipped reference in 8 bits)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    parser.add_argument("--seed", type=int, default=0, help="of the copies (0)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="overlays of 8 copies a row, to look at")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    args = parse_arguments(argv)
    split = make_split(args.data, val_stems=args.val_stems, val_fraction=0.1, seed=0)
    source = Source(split.val[: args.faces], split.train, args.seed)
    weights = args.model_path or find_weights(EIGHT_BITS)
    whole, by_face = (FaceParser(weights, faces=faces, threads=args.threads) for faces in ("off", "auto"))
    print(
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}; {platform.processor() or platform.machine()}, "
        f"{os.cpu_count()} cores, {args.threads} threads; {weights.name}; {len(source.val)} faces, seed {args.seed}\n"
    )
    chosen = [name for name in args.rows if name in ROWS]
    if chosen:
        print_copies(source, chosen, whole, by_face, args.pictures)
    if "faceless" in args.rows:
        print_faceless(source, by_face, args.pictures)
    if "flicker" in args.rows:
        print_flicker(source, whole, by_face)
    if "time" in args.rows:
        print_time(source, args.threads)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
