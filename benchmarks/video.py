"""Clips: frames/s and memory, and how much masks flicker and lag, as Markdown tables.

    python benchmarks/video.py [--frames 200] [--size 1280 720] [--threads 2] [--rows speed flicker]
        [--data data --val_stems val.txt --faces 10]

Speed is of a clip of one face that moves, with sound, from its file to the files of the result; each row is a process
of its own. Flicker is the part of a person's pixels that change class from one frame to the next, the person moved
back; beside it stand the pixels that change anywhere in the frame, as a part of the person's.
``shaking`` moves by up to 2 px each way in each frame, ``gliding`` by 6 px in each; all frames have a sensor's noise.
F is the challenge's F-Score of all frames against the labels, moved along. Without --data there is no flicker.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
if "PYTHONPATH" not in os.environ:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import av
import numpy as np
from PIL import Image

from face_parsing import FaceParser
from face_parsing.faces import steadiness
from face_parsing.video import parse_video

PHOTO = Path(__file__).resolve().parent.parent / "docs/images/astronaut.jpg"
SPEED = {
    "masks": [],
    "masks, overlay": ["overlay"],
    "masks, overlay, colors, instances, JSON": ["overlay", "color", "instances", "json"],
}
SHAKE, GLIDE, NOISE = 2, 6, 4.0
SIDE = 480  # pixels of a face's photo in the frames whose flicker is measured
FRAMES = 24  # of these


def write_clip(path: Path, frames: Iterator[np.ndarray], size: tuple[int, int], *, exact: bool) -> None:
    """Write frames at 25 a second: ``exact``, or as a camera does, with sound."""
    with av.open(str(path), "w") as container:
        options = {"qp": "0", "preset": "ultrafast"} if exact else {"crf": "18", "preset": "veryfast"}
        stream: Any = container.add_stream("libx264rgb" if exact else "libx264", rate=25, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "rgb24" if exact else "yuv420p"
        sound: Any = None if exact else container.add_stream("aac", rate=48000)
        if sound is not None:
            sound.layout = "mono"
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts = i
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
            if sound is not None:
                tone = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.float32), format="fltp", layout="mono")
                tone.sample_rate, tone.pts = 48000, 1920 * i
                container.mux(sound.encode(tone))
        container.mux(stream.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))


def moving_face(size: tuple[int, int], count: int) -> Iterator[np.ndarray]:
    """A portrait, two thirds as high as the frame, that moves in a circle over a pattern, with noise."""
    W, H = size
    side = 2 * H // 3
    person = np.asarray(Image.open(PHOTO).convert("RGB").resize((side, side), Image.Resampling.LANCZOS))
    y, x = np.mgrid[:H, :W]
    behind = np.stack([90 + 40 * np.sin(x / 60), 90 + 40 * np.cos(y / 50), np.full((H, W), 100.0)], 2)
    random = np.random.default_rng(0)
    noises = [random.normal(0, NOISE, (H, W, 3)).astype(np.float32) for _ in range(3)]
    for i in range(count):
        left = round((W - side) / 2 + W / 8 * np.sin(i / 15))
        top = round((H - side) / 2 + H / 10 * np.cos(i / 11))
        frame = behind.copy()
        frame[top : top + side, left : left + side] = person
        yield np.clip(frame + noises[i % 3], 0, 255).astype(np.uint8)


def run_once(clip: Path, kinds: Sequence[str], threads: int) -> None:
    """Parse a clip and print, as JSON: seconds, seconds of a core, the most memory in MiB, frames."""
    with tempfile.TemporaryDirectory() as folder:
        parser = FaceParser(threads=1, no_face="empty")
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        result = parse_video(clip, folder, parser, **dict.fromkeys(kinds, True), progress=False, at_once=threads)
        after = resource.getrusage(resource.RUSAGE_SELF)
        core = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.dumps([time.perf_counter() - start, core, after.ru_maxrss / 1024, result.frames]))


def print_speed(size: tuple[int, int], frames: int, threads: int) -> None:
    """A line a choice of results."""
    print("| results | frames/s | ms of one core a frame | memory, MiB |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(clip, moving_face(size, frames), size, exact=False)
        for name, kinds in SPEED.items():
            call = [sys.executable, __file__, "--once", str(clip), "--threads", str(threads), "--kinds", *kinds]
            done = subprocess.run(call, check=True, capture_output=True, text=True)
            seconds, core, memory, count = json.loads(done.stdout.splitlines()[-1])
            print(f"| {name} | {count / seconds:.1f} | {1000 * core / count:.1f} | {memory:.0f} |", flush=True)


def print_flicker(data: Path, val_stems: Path | None, faces: int) -> None:
    """A line a motion and a way to parse."""
    import torch
    from benchmarks import any_photo_copies as copies

    from face_parsing.data.split import make_split
    from face_parsing.evaluation.metrics import ScoreKeeper

    split = make_split(data, val_stems=val_stems, val_fraction=0.1, seed=0)
    parser = FaceParser(faces="all", no_face="empty", threads=1)
    print("| motion | parsed | flicker, % | anywhere, % | F |\n|---|---|---:|---:|---:|", flush=True)
    for motion in ("shaking", "gliding"):
        ways = {"each frame by itself": None, "followed": 0.0, "followed, classes kept still": steadiness.BONUS}
        changed: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        keepers = {way: ScoreKeeper() for way in ways}
        for number, pair in enumerate(split.val[:faces]):
            random = np.random.default_rng(number)
            behind = copies.background(split.train, random, 720, 1280)
            still = copies.distant(copies.read_face(pair), behind, random, side=SIDE)
            steps = steps_of(motion, random)
            frames = [shifted(still.photo, step, random) for step in steps]
            for way, bonus in ways.items():
                masks = [parser(frame).mask for frame in frames] if bonus is None else followed(frames, parser, bonus)
                masks = [np.roll(mask, (-dy, -dx), (0, 1)) for mask, (dx, dy) in zip(masks, steps, strict=True)]
                changed[way] += [changes(*two, still.truth > 0) for two in itertools.pairwise(masks)]
                truth = torch.from_numpy(np.stack([still.truth] * len(masks)))
                keepers[way].update(torch.from_numpy(np.stack(masks)), truth)
        for way in ways:
            flicker, anywhere = 100 * np.mean(changed[way], 0)
            print(
                f"| {motion} | {way} | {flicker:.2f} | {anywhere:.2f} | {keepers[way].scores().f_score:.4f} |",
                flush=True,
            )


def steps_of(motion: str, random: np.random.Generator) -> list[tuple[int, int]]:
    """By how many pixels across and down each frame is moved from the first place."""
    if motion == "gliding":
        return [(GLIDE * abs(i % FRAMES - FRAMES // 2), 0) for i in range(FRAMES)]
    return [(int(dx), int(dy)) for dx, dy in random.integers(-SHAKE, SHAKE + 1, (FRAMES, 2))]


def shifted(photo: np.ndarray, step: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """The photo moved, with a sensor's noise."""
    noisy = np.roll(photo, (step[1], step[0]), (0, 1)) + random.normal(0, NOISE, photo.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def followed(frames: Sequence[np.ndarray], parser: FaceParser, bonus: float) -> list[np.ndarray]:
    """The masks of frames as those of a clip."""
    steadiness.BONUS = bonus
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mkv")
        write_clip(clip, iter(frames), (frames[0].shape[1], frames[0].shape[0]), exact=True)
        result = parse_video(clip, folder, parser, progress=False)
        with av.open(str(result.files["mask"])) as container:
            return [frame.to_ndarray() for frame in container.decode(video=0)]


def changes(mask: np.ndarray, other: np.ndarray, person: np.ndarray) -> tuple[float, float]:
    """The pixels that have another class in two masks: of a person's, and anywhere, as parts of the person's."""
    changed = mask != other
    return float(changed[person].mean()), float(changed.sum() / person.sum())


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=["speed", "flicker"], default=["speed", "flicker"])
    parser.add_argument("--frames", type=int, default=200, help="of the clip whose speed is measured (200)")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720), help="width and height of it (1280 720)")
    parser.add_argument("--threads", type=int, default=2, help="frames that are parsed side by side (2)")
    parser.add_argument("--data", type=Path, help="data set whose validation faces flicker is measured on")
    parser.add_argument("--val_stems", type=Path, help="file of the stems of train/ that are for validation")
    parser.add_argument("--faces", type=int, default=10, help="so many of them (10)")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kinds", nargs="*", default=[], help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    args = parse_arguments(argv)
    if args.once:
        run_once(args.once, args.kinds, args.threads)
        return 0
    if "speed" in args.rows:
        print_speed(tuple(args.size), args.frames, args.threads)
    if "flicker" in args.rows and args.data:
        print_flicker(args.data, args.val_stems, args.faces)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
