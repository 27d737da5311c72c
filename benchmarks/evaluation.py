"""How much faster is metrics.ScoreKeeper than the rules' definition written as a plain loop, and does it agree?

    python benchmarks/evaluation.py [--images 100] [--rounds 5] [--predictions FOLDER --truth FOLDER]

Evaluates masks of 512 px, raw and left/right corrected: synthetic faces against themselves shifted by a few
pixels, or two folders of PNG masks. Prints CPU time an image, one thread, medians of rounds in which the two take
turns, and the largest difference of the two F-Scores.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import numpy as np
import torch
from tqdm import tqdm

from face_parsing.data.masks import read_mask
from face_parsing.evaluation.confusion import EPS
from face_parsing.evaluation.metrics import ScoreKeeper
from face_parsing.labels import is_mirrored, swap_left_right
from face_parsing.synthetic.dataset import make_pair

BATCHES = (1, 20)  # as evaluate.py and as training's validation do


def f_score(prediction: np.ndarray, truth: np.ndarray) -> float:
    """One image's F-Score, class by class, as the rules define it."""
    scores = []
    for c in np.unique(truth):
        true_positives = np.sum((prediction == c) & (truth == c))
        false_positives = np.sum((prediction == c) & (truth != c))
        false_negatives = np.sum((prediction != c) & (truth == c))
        precision = true_positives / (true_positives + false_positives + EPS)
        recall = true_positives / (true_positives + false_negatives + EPS)
        scores.append(2 * precision * recall / (precision + recall + EPS))
    return float(np.mean(scores))


def lr_corrected(mask: np.ndarray) -> np.ndarray:
    """The mask with its left labels right of the right ones."""
    return swap_left_right(mask) if is_mirrored(mask) else mask


def plain_loop(predictions: np.ndarray, truths: np.ndarray) -> tuple[float, float]:
    """The F-Score raw and in order of masks (N, H, W)."""
    pairs = list(zip(predictions, truths, strict=True))
    raw = [f_score(prediction, truth) for prediction, truth in pairs]
    ordered = [f_score(lr_corrected(prediction), lr_corrected(truth)) for prediction, truth in pairs]
    return float(np.mean(raw)), float(np.mean(ordered))


def score_keeper(predictions: np.ndarray, truths: np.ndarray, batch: int) -> tuple[float, float]:
    """The same as the project counts it, with all its other figures."""
    keeper = ScoreKeeper()
    for i in range(0, len(truths), batch):
        keeper.update(torch.from_numpy(predictions[i : i + batch]), torch.from_numpy(truths[i : i + batch]))
    scores = keeper.scores()
    return scores.f_score, scores.f_score_lr_corrected


def make_masks(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and truths (N, 512, 512); every tenth pair is mirrored without its labels being swapped."""
    masks = np.stack([make_pair(seed)[1] for seed in tqdm(range(count), desc="drawing faces", leave=False)])
    masks[::10] = masks[::10, :, ::-1]
    rng = np.random.default_rng(0)
    shifted = [np.roll(mask, rng.integers(-4, 5, 2), (0, 1)) for mask in masks]
    guesses = np.stack(shifted)
    guesses[::10] = swap_left_right(guesses[::10])  # as a network, which sees the photo alone, names them
    return guesses, masks


def read_masks(predictions: Path, truth: Path) -> tuple[np.ndarray, np.ndarray]:
    """Those of two folders, by name."""
    paths = sorted(truth.glob("*.png"))
    return np.stack([read_mask(predictions / p.name) for p in paths]), np.stack([read_mask(p) for p in paths])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--predictions", type=Path, help="folder of PNG masks of one size")
    parser.add_argument("--truth", type=Path, help="folder of PNG masks")
    args = parser.parse_args(argv)
    if (args.predictions is None) != (args.truth is None):
        parser.error("--predictions and --truth go together")
    torch.set_num_threads(1)
    if args.truth is None:
        predictions, truths = make_masks(args.images)
    else:
        predictions, truths = read_masks(args.predictions, args.truth)
    ways: dict[str, Callable[[], tuple[float, float]]] = {"plain loop": lambda: plain_loop(predictions, truths)}
    for batch in BATCHES:
        ways[f"ScoreKeeper, {batch} a batch"] = lambda batch=batch: score_keeper(predictions, truths, batch)  # type: ignore[misc]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, tuple[float, float]] = {}
    for _ in tqdm(range(args.rounds), desc="rounds", leave=False):
        for name, evaluate in ways.items():
            start = time.process_time()
            answers[name] = evaluate()
            seconds[name].append((time.process_time() - start) / len(truths))
    N, H, W = truths.shape
    print(
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}; {N} masks of {H}x{W}, one thread; numpy {np.__version__}\n"
    )
    print("| way | ms of CPU per image | times as fast | F-Score raw | left/right corrected | largest difference |")
    print("|---|---:|---:|---:|---:|---:|")
    slow, wanted = statistics.median(seconds["plain loop"]), answers["plain loop"]
    for name, found in answers.items():
        taken = statistics.median(seconds[name])
        off = max(abs(a - b) for a, b in zip(found, wanted, strict=True))
        print(f"| {name} | {1000 * taken:.3f} | {slow / taken:.1f} | {found[0]:.6f} | {found[1]:.6f} | {off:.1e} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
