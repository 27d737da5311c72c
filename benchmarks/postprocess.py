"""What each post-processing option does to the F-Score of the validation pairs, as a Markdown table.

    python benchmarks/postprocess.py --data data --val_stems val.txt [--biases biases.json] [--tta]

The network predicts once; every row then refines the same probabilities. The grid is small and fixed, and the
defaults of inference/postprocess.py are within it: they were chosen on such a table, so the best row flatters itself.
"better" and "worse" are said where a sign-flip test of the paired differences has p < 0.05 after Bonferroni's
correction for the number of rows; anything else is noise.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import cv2
import numpy as np
import torch
from tqdm import tqdm

from face_parsing.data.pairs import read_pair
from face_parsing.data.split import make_split
from face_parsing.evaluation.confusion import class_counts, confusion_matrices, lr_corrected, mirrored
from face_parsing.evaluation.metrics import f_scores
from face_parsing.evaluation.significance import bootstrap_interval, sign_flip_p
from face_parsing.inference.logit_biases import read_biases
from face_parsing.inference.postprocess import refine
from face_parsing.inference.postprocess_settings import Postprocessing
from face_parsing.inference.predict import predict_probabilities, prepare_model
from face_parsing.labels import LabelSet
from face_parsing.models.checkpoint import augmentation_of, label_set, load_checkpoint, restore_model
from face_parsing.system.environment import PROJECT_ROOT

GRID: list[tuple[str, str, dict[str, Any]]] = [
    ("components", "25 ppm", {"min_component": 25.0}),
    ("components", "100 ppm", {"min_component": 100.0}),
    ("components", "400 ppm", {"min_component": 400.0}),
    ("components", "100 ppm, small classes too", {"min_component": 100.0, "keep": ()}),
    ("smooth", "sigma 1", {"smooth_sigma": 1.0}),
    ("smooth", "sigma 1.5", {"smooth_sigma": 1.5}),
    ("smooth", "sigma 3", {"smooth_sigma": 3.0}),
    ("smooth", "sigma 1.5, small classes too", {"smooth_sigma": 1.5, "keep": ()}),
    ("guided", "radius 2", {"guided_radius": 2.0}),
    ("guided", "radius 4", {"guided_radius": 4.0}),
    ("guided", "radius 8", {"guided_radius": 8.0}),
    ("grabcut", "person, band 3", {"grabcut_band": 3.0}),
    ("grabcut", "person, band 6", {"grabcut_band": 6.0}),
    ("grabcut", "hair, band 6", {"grabcut_classes": ("hair",), "grabcut_band": 6.0}),
    ("crf", "weight 1, distance 20", {"crf_weight": 1.0}),
    ("crf", "weight 2, distance 20", {"crf_weight": 2.0}),
    ("crf", "weight 2, distance 40", {"crf_weight": 2.0, "crf_distance": 40.0}),
    ("crf smooth components", "defaults", {}),
]


def score(masks: list[np.ndarray], truths: torch.Tensor, labels: LabelSet) -> tuple[np.ndarray, np.ndarray]:
    """The F-Score of each mask, raw and left/right corrected: (N,) each."""
    predicted = torch.from_numpy(np.stack(masks))
    counts = confusion_matrices(predicted, truths, len(labels))
    ordered = lr_corrected(counts, mirrored(predicted, labels), mirrored(truths, labels), labels)
    return f_scores(class_counts(counts)).numpy(), f_scores(class_counts(ordered)).numpy()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/, and val/ or --val_stems")
    parser.add_argument("--val_stems", type=Path, help="file of the stems of train/ that are validated on")
    parser.add_argument("--model_path", type=Path, default=PROJECT_ROOT / "weights" / "face_parsing.pth")
    parser.add_argument("--biases", type=Path, help="file of biases.py fit, for one more row")
    parser.add_argument("--tta", action="store_true", help="predict with the checkpoint's scales and flip")
    parser.add_argument("--only", nargs="+", help="these options alone")
    parser.add_argument("--limit", type=int, help="the first so many pairs alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    content = load_checkpoint(args.model_path)
    labels, size = label_set(content), content["image_size"]
    models = [prepare_model(restore_model(content, args.model_path), torch.device("cpu"))]
    tta = augmentation_of(content, tta=args.tta)
    grid = [row for row in GRID if args.only is None or row[0] in args.only]
    if args.biases is not None:
        grid.insert(0, ("biases", args.biases.name, {"biases": read_biases(args.biases, labels)}))
    pairs = make_split(args.data, val_stems=args.val_stems, val_fraction=0.1, seed=0).val[: args.limit]
    photos, truths, probabilities = [], [], []
    for pair in tqdm(pairs, desc="predicting", unit="pair", leave=False):
        photo, mask = read_pair(pair, size)
        batch = torch.from_numpy(photo[None])
        found = predict_probabilities(models, batch, image_size=size, labels=labels, **tta)
        photos.append(photo)
        truths.append(labels.table[mask])
        probabilities.append(found[0].numpy().astype(np.float16))  # 10 MB a photo instead of 20
    truth = torch.from_numpy(np.stack(truths))
    plain = score([p.argmax(0).astype(np.uint8) for p in probabilities], truth, labels)
    print("| option | setting | F-Score raw | in order | change in order (95 % interval) | p | that is | ms a photo |")
    print("|---|---|---:|---:|---|---:|---|---:|")
    print(f"| none | | {plain[0].mean():.4f} | {plain[1].mean():.4f} | | | | |")
    for option, setting, values in grid:
        steps = () if option == "biases" else tuple(option.split())
        settings = Postprocessing(steps=steps, **values)
        masks: list[np.ndarray] = []
        seconds = 0.0
        for photo, kept in zip(tqdm(photos, desc=option, unit="photo", leave=False), probabilities, strict=True):
            full = kept.astype(np.float32)
            start = time.perf_counter()
            scores = refine(photo, full, settings, labels)
            seconds += time.perf_counter() - start
            masks.append(scores.argmax(0).astype(np.uint8))
        scored = score(masks, truth, labels)
        change = scored[1] - plain[1]
        low, high = bootstrap_interval(change)
        p = sign_flip_p(change)
        shown = f"{p:.4f}" if p >= 1e-4 else "< 0.0001"
        verdict = "noise" if p * len(grid) >= 0.05 else "better" if change.mean() > 0 else "worse"
        print(
            f"| {option} | {setting} | {scored[0].mean():.4f} | {scored[1].mean():.4f} "
            f"| {change.mean():+.4f} ({low:+.4f} to {high:+.4f}) | {shown} | {verdict} "
            f"| {1000 * seconds / len(photos):.0f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
