"""What time and memory grow with: preparing, loading an epoch of, evaluating and predicting many images, as a table.

    python benchmarks/growth.py [--images 1000 10000] [--size 32] [--cache_gb 0.002] [--work FOLDER]

The images are 50 synthetic faces, linked under as many names as are asked for. Each row is a process of its own, so
that its memory is its own: the most it held, less what it held before it began, when all was imported. cache_gb is
data.cache_gb; the default is so small that no set of 1000 or more is kept, so that memory must not grow with images.
Nothing is computed of the network but in "predict", whose network is tiny. 100,000 take some minutes and 400,000 links.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch
from tqdm import tqdm

import evaluate
from face_parsing import cli
from face_parsing.config.sections import Config
from face_parsing.data.cache import PairStore
from face_parsing.data.loader import batches_of, build_loader
from face_parsing.data.pairs import find_pairs
from face_parsing.data.sampler import EpochSampler, repeat_factors
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model
from face_parsing.models.checkpoint import save_checkpoint
from face_parsing.synthetic.dataset import write_dataset
from face_parsing.training.pairs import build_training_set

FACES = 50
BATCH = 16
TINY = {"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1], "plain_stages": 2}


def make_data(root: Path, images: int, size: int) -> None:
    """root/train of so many pairs, root/predictions of other faces' masks, and root/model.pth."""
    source = root.parent / f"faces_{size}"
    if not source.exists():
        write_dataset(source, train=FACES, val=0, size=size, progress=False)
    for part, suffix, shift in (("train/images", "jpg", 0), ("train/masks", "png", 0), ("predictions", "png", 1)):
        (root / part).mkdir(parents=True)
        kind = "images" if suffix == "jpg" else "masks"
        for i in tqdm(range(images), desc=f"linking {part}", leave=False):
            os.link(source / "train" / kind / f"{(i + shift) % FACES:05d}.{suffix}", root / part / f"{i:07d}.{suffix}")
    torch.manual_seed(0)
    save_checkpoint(
        root / "model.pth", state_dict=build_model(TINY, NUM_CLASSES).state_dict(), model=TINY, image_size=size,
        inference={"scales": [1.0], "flip": False, "submission_tta": False}, track="challenge", scores={},
    )  # fmt: skip


# --- the rows -------------------------------------------------------------------------------------


def prepare(root: Path, size: int, cache_gb: float) -> PairStore:
    """Find and check all pairs."""
    return PairStore(find_pairs(root / "train"), size, repair=True, limit_bytes=cache_gb * 1e9, progress=False)


def epoch(store: PairStore, size: int) -> None:
    """Load and augment each image once, as training does, in this process."""
    sampler = EpochSampler(
        repeat_factors(store.presence, 0.25), seed=0, epochs=1, first_epoch=0, stage=lambda _: (size, BATCH)
    )
    dataset = build_training_set(Config(), store)
    for _ in batches_of(build_loader(dataset, sampler, workers=0, pin=False)):
        pass


def evaluate_folder(root: Path) -> None:
    """Evaluate a folder of masks against another."""
    words = ["--predictions", str(root / "predictions"), "--truth", str(root / "train" / "masks"), "--threads", "1"]
    assert evaluate.main(words) == 0


def predict(root: Path) -> None:
    """Write the mask of each photo."""
    words = ["--model_path", str(root / "model.pth"), "--input", str(root / "train" / "images"), "--threads", "1"]
    words += ["--batch_size", str(BATCH), "--device", "cpu", "--output", str(root / "predicted")]
    assert cli.main(words) == 0


def memory(field: str) -> float:
    """A figure of this process in MB: VmHWM is the most memory it has held, VmRSS what it holds."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.split(f"{field}:")[1].split()[0]) * 1024 / 1e6


def measure(row: str, root: Path, size: int, cache_gb: float) -> dict[str, float]:
    """Seconds and MB of one row, in this process."""
    torch.set_num_threads(1)
    store = prepare(root, size, cache_gb) if row == "epoch" else None
    work: dict[str, Callable[[], object]] = {
        "prepare": lambda: prepare(root, size, cache_gb),
        "epoch": lambda: epoch(store, size) if store is not None else None,
        "evaluate": lambda: evaluate_folder(root),
        "predict": lambda: predict(root),
    }
    before = memory("VmRSS")
    start = time.perf_counter()
    with redirect_stdout(StringIO()):
        work[row]()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "before": before, "most": max(memory("VmHWM") - before, 0.0)}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10000], help="numbers of images (1000 10000)")
    parser.add_argument("--size", type=int, default=32, help="pixels of an image's side (32)")
    parser.add_argument("--cache_gb", type=float, default=0.002, help="memory for decoded pairs (0.002)")
    parser.add_argument("--work", type=Path, help="where the links are made (a temporary folder)")
    parser.add_argument(
        "--rows", nargs="+", default=["prepare", "epoch", "evaluate", "predict"], help="some rows alone"
    )
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # what a row's own process is started with
    args = parser.parse_args()
    if args.measure is not None:
        print(json.dumps(measure(args.rows[0], args.measure, args.size, args.cache_gb)))
        return 0
    print(f"{args.size} px, cache_gb {args.cache_gb}, one thread, torch {torch.__version__}\n")
    print("| what | images | seconds | ms an image | MB above the start | bytes an image |")
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        for images in args.images:
            root = Path(folder) / str(images)
            make_data(root, images, args.size)
            for row in args.rows:
                command = [sys.executable, __file__, "--rows", row, "--measure", str(root), "--size", str(args.size)]
                command += ["--cache_gb", str(args.cache_gb)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"| {row} | {images:,} | {found['seconds']:.1f} | {1000 * found['seconds'] / images:.2f} "
                    f"| {found['most']:.0f} | {1e6 * found['most'] / images:.0f} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
