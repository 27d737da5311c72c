"""Correct training labels by a trained network: ``python src/relabel.py --model_path CKPT --data ROOT --output NEW``.

Self-distillation, for the open track alone: where the network is sure and disagrees, its class replaces the
label (Xie et al. 2020 train on all of a teacher's labels; here the given ones stay wherever it is unsure).
Training goes on from the same checkpoint:
``python src/train.py --set track=open data.root=NEW open_track.pretrained=CKPT``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from face_parsing.data.split import make_split
from face_parsing.inference.predict import prepare_model
from face_parsing.labels import CELEBAMASK
from face_parsing.models.checkpoint import augmentation_of, label_set, load_networks
from face_parsing.preparation.copying import PreparationError, carry_out, problems_text
from face_parsing.preparation.relabelled import (
    KEPT,
    Probabilities,
    Thresholds,
    count_changes,
    draw_most_changed,
    network_probabilities,
    plan_relabelling,
    report_text,
)
from face_parsing.system.device import choose_device, prepare_device
from face_parsing.system.files import atomic_path


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Copy a data set with training labels corrected where a trained network is sure (open track)."
    )
    parser.add_argument("--model_path", type=Path, nargs="+", required=True, help="checkpoint; several are averaged")
    parser.add_argument("--data", type=Path, required=True, help="data set to correct; nothing in it is changed")
    parser.add_argument("--val_stems", type=Path, help="pairs of train/ with these stems keep their labels")
    parser.add_argument("--output", type=Path, required=True, help="folder of the corrected copy; it is created")
    defaults = Thresholds()
    parser.add_argument("--confidence", type=float, default=defaults.confidence, help="probability that replaces (0.9)")
    parser.add_argument("--ignore", type=float, default=defaults.ignore, help="labels below it become 255 (0: none)")
    parser.add_argument("--max_change", type=float, default=defaults.max_change, help="larger changes are left (0.1)")
    parser.add_argument("--keep", nargs="*", default=list(KEPT), help=f"labels that stay ({' '.join(KEPT)})")
    parser.add_argument("--tta", action="store_true", help="average over the checkpoint's scales and flip")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if any")
    parser.add_argument("--overwrite", action="store_true", help="replace what another command left in the output")
    return parser.parse_args(argv)


def _networks(args: argparse.Namespace, device: torch.device) -> Probabilities:
    models, first = load_networks(args.model_path, track="open")
    if label_set(first) != CELEBAMASK:
        raise PreparationError(f"{args.model_path[0]} tells other classes apart than the 19; name a network of all 19.")
    return network_probabilities(
        [prepare_model(model, device) for model in models],
        image_size=first["image_size"],
        device=device,
        **augmentation_of(first, tta=args.tta),
    )


def _run(args: argparse.Namespace, command: Sequence[str]) -> int:
    thresholds = Thresholds(
        confidence=args.confidence, ignore=args.ignore, max_change=args.max_change, keep=tuple(args.keep)
    )
    device = choose_device(args.device)
    prepare_device(device)
    if args.val_stems is None and not (args.data / "val").is_dir():
        raise PreparationError(
            f"There is no folder {args.data / 'val'}; name the pairs that are validated on by --val_stems: their "
            "labels must stay."
        )
    split = make_split(args.data, val_stems=args.val_stems, val_fraction=0.1, seed=0)
    recipe = {
        "subcommand": "relabel", "models": [str(path.resolve()) for path in args.model_path], "tta": args.tta,
        "confidence": args.confidence, "ignore": args.ignore, "max_change": args.max_change, "keep": args.keep,
        "val": [pair.stem for pair in split.val],
    }  # fmt: skip
    plan = plan_relabelling(args.data, args.output, split, _networks(args, device), thresholds, recipe)
    if args.overwrite:
        (args.output / "left_alone.txt").unlink(missing_ok=True)
    outcome = carry_out(
        plan, source=args.data, output=args.output, command=["relabel.py", *command], workers=1,
        overwrite=args.overwrite,
    )  # fmt: skip
    pairs = tqdm(split.train, desc="counting changes", unit="mask", leave=False)
    counts, shares, repaired = count_changes(pairs, args.output)
    noted = args.output / "left_alone.txt"
    unchanged = sorted(set(noted.read_text(encoding="utf-8").split())) if noted.is_file() else []
    print(report_text(counts, shares, repaired, unchanged))
    with atomic_path(args.output / "relabel.json") as path:
        content = {"pixels": counts.tolist(), "changed": shares, "repaired": repaired, "left_alone": unchanged}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if shares:
        draw_most_changed(split.train, args.output, shares, args.output / "most_changed.png")
    print(f"{args.output}: {outcome.summary()}; relabel.json and most_changed.png say what changed")
    print(f"Train on it: --set track=open data.root={args.output} open_track.pretrained={args.model_path[0]}")
    if outcome.problems:
        print(f"relabel.py: {problems_text(outcome.problems)}", file=sys.stderr)
    return 1 if outcome.problems else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, 1 where bad files were left out, 2 after a sentence on stderr, 130 after Ctrl+C."""
    command = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(parse_arguments(command), command)
    except (ValueError, OSError) as error:
        print(f"relabel.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("relabel.py: interrupted; the same command goes on where it stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
