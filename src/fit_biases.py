"""Fit decision biases: ``python src/fit_biases.py --data data --output biases.json``.

On the training pairs, by default. The network has seen these, so the gain is told three times: on the pairs it was
fitted on, on folds of them that were left out of the fit, and on the validation pairs, which neither the network nor
the fit has seen. But where a network is unsure on new faces, it is not on those it has learnt: ``--on val`` fits on the
validation pairs, a few ``--classes`` best, and the folds left out are then the only honest gain. Of several networks of
one recipe (``--model_path A.pth B.pth``) it finds what suits them all, and so less of what is one network's chance.
``merge_biases.py`` puts the result into a network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from face_parsing.data.split import make_split
from face_parsing.evaluation.bias_fitting import STRIDE, predict_pair, report_validation
from face_parsing.evaluation.significance import bootstrap_interval
from face_parsing.inference.logit_biases import LIMIT, Samples, named, write_biases
from face_parsing.inference.predict import prepare_model
from face_parsing.labels import is_mirrored, swap_left_right
from face_parsing.models.checkpoint import label_set, load_checkpoint, restore_model
from face_parsing.system.cli import refuse_existing
from face_parsing.system.device import choose_device, prepare_device
from face_parsing.system.environment import PROJECT_ROOT
from face_parsing.system.files import atomic_path


def _limit(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 4:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.1 to 4")
    return value


def _run(args: argparse.Namespace) -> None:
    refuse_existing([args.output], overwrite=args.overwrite)
    split = make_split(args.data, val_stems=args.val_stems, val_fraction=args.val_fraction, seed=args.seed)
    device = choose_device(args.device)
    prepare_device(device)
    contents = [load_checkpoint(path) for path in args.model_path]
    labels = label_set(contents[0])
    if any(label_set(content) != labels for content in contents):
        raise ValueError("The networks of --model_path tell different classes apart; fit their biases one by one.")
    unknown = sorted(set(args.classes or ()) - set(labels.names))
    if unknown:
        raise ValueError(f"--classes: there is no class {unknown[0]}; choose from {', '.join(labels.names)}.")
    classes = None if args.classes is None else [labels.names.index(name) for name in args.classes]
    networks = [
        (prepare_model(restore_model(content, path), device), int(content["image_size"]))
        for content, path in zip(contents, args.model_path, strict=True)
    ]
    samples = Samples(labels, limit=args.limit)
    kind = "training" if args.on == "train" else "validation"
    pairs = (split.train if args.on == "train" else split.val)[: args.max_pairs]
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} {kind} pairs are too few to fit on; two at least are needed.")
    for model, size in networks:
        for pair in tqdm(pairs, desc="predicting", unit="pair", leave=False):
            probabilities, mask = predict_pair(model, pair, size, device)
            if is_mirrored(mask):
                mask = swap_left_right(mask)
            samples.add(probabilities[:, ::STRIDE, ::STRIDE], labels.table[mask[::STRIDE, ::STRIDE]])
    N, count = len(pairs), len(networks)
    change = samples.cross_validate(args.seed, classes=classes, rounds=count).reshape(count, N).mean(0)
    biases = samples.fit(np.ones(N * count, dtype=bool), classes)
    plain, fitted = (samples.f_scores(values).mean() for values in (np.zeros(len(labels)), biases))
    low, high = bootstrap_interval(change)
    print(
        f"{kind}, {N} pairs{f' by {count} networks' if count > 1 else ''}: F-Score {plain:.4f} -> {fitted:.4f}; "
        f"on folds left out of the fit {change.mean():+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
    )
    if args.on == "train":
        for model, size in networks:
            report_validation(model, split.val, size, device, biases, labels)
    print(named(biases, labels))
    with atomic_path(args.output) as path:
        write_biases(path, biases, labels)
    print(f"wrote {args.output}; use it with inference.py --biases {args.output}, or merge_biases.py")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    parser = argparse.ArgumentParser(description="Fit a bias for each class's decision.")
    parser.add_argument("--data", type=Path, default=PROJECT_ROOT / "data", help="folder with train/ (data)")
    parser.add_argument("--val_stems", type=Path, help="file of the stems of train/ that are validated on, not fitted")
    parser.add_argument("--val_fraction", type=float, default=0.1, help="share validated on without such a file (0.1)")
    parser.add_argument("--seed", type=int, default=0, help="of the split and the folds (0)")
    parser.add_argument(
        "--model_path", type=Path, nargs="+", default=[PROJECT_ROOT / "weights" / "face_parsing.pth"], metavar="PTH"
    )
    parser.add_argument("--on", choices=("train", "val"), default="train", help="the pairs to fit on (train)")
    parser.add_argument("--classes", nargs="+", metavar="CLASS", help="fit these alone (all)")
    parser.add_argument("--limit", type=_limit, default=LIMIT, help=f"the largest bias ({LIMIT:g})")
    parser.add_argument("--max_pairs", type=int, help="fit on that many pairs only")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if any")
    parser.add_argument("--overwrite", action="store_true", help="replace the output file")
    args = parser.parse_args(argv)
    try:
        _run(args)
    except (ValueError, OSError) as error:
        print(f"fit_biases.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
