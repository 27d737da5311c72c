"""The words of ``evaluate.py``, and which of them make no sense together."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from face_parsing.inference.postprocess_options import add_arguments
from face_parsing.system.commands import (
    UsageError,
    a_network,
    add_device,
    add_mask_ids,
    add_overwrite,
    command_parser,
    image_side,
    positive,
    refuse_existing,
)


def _pixels(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of pixels above 0")
    return value


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = command_parser(
        "evaluate.py",
        "Score predicted masks, or a network's, against ground truth as the challenge does, and beyond.",
        usage="evaluate.py (--predictions PATH | --model_path PATH ...) (--truth PATH | --data PATH) [options]",
        example="python src/evaluate.py --model_path weights/face_parsing.pth --data data",
    )
    what = parser.add_argument_group("what is scored (one of the two)")
    what.add_argument("--predictions", type=Path, help="folder of PNG masks from inference.py, or a submission.zip")
    what.add_argument(
        "--model_path", type=a_network, nargs="+", help="checkpoint, several are averaged (track open); or FILE.onnx"
    )
    what.add_argument("--track", choices=("challenge", "open"), default="challenge", help="open allows an ensemble")
    what.add_argument("--tta", action="store_true", help="average over the checkpoint's scales and flip")
    what.add_argument(
        "--size", type=image_side, help="longer side at which the network sees a photo (the checkpoint's own)"
    )
    what.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="of checkpoints: bf16 is faster, less exact"
    )
    what.add_argument("--classes", type=Path, help="YAML of a coarser task: each class with the names of the 19 in it")
    add_device(what, threads=True)

    truth = parser.add_argument_group("by what it is scored (--truth or --data)")
    truth.add_argument("--truth", type=Path, help="folder of PNG masks; each needs its prediction")
    truth.add_argument("--images", type=Path, help="folder of their photos, for a network or for --panels")
    truth.add_argument("--data", type=Path, help="data set with train/{images,masks} and so on")
    truth.add_argument("--split", choices=("val", "train", "test"), default="val", help="part of --data (val)")
    truth.add_argument("--val_stems", type=Path, help="who is validated on, where --data has no val/; or a split.json")
    add_mask_ids(truth)
    truth.add_argument(
        "--groups", action="store_true", help="also by skin tone, glasses, hats and long hair; looks at the photos"
    )
    truth.add_argument(
        "--boundary_px", type=_pixels, metavar="PIXELS", help="boundary F1's tolerance (0.75%% of the diagonal)"
    )

    other = parser.add_argument_group("compare two on the same faces")
    other.add_argument("--compare", type=a_network, nargs="+", help="another folder, zip or checkpoint")
    other.add_argument("--compare_size", type=image_side, help="--size for the other checkpoint")
    other.add_argument("--compare_tta", action="store_true", help="--tta for the other checkpoint alone")
    other.add_argument("--compare_plain", action="store_true", help="no post-processing for the other checkpoint")
    add_arguments(parser)

    out = parser.add_argument_group("what is written")
    out.add_argument("--json", type=Path, help="all figures")
    out.add_argument("--csv", type=Path, help="a row a class, and one of all")
    out.add_argument("--per_image", type=Path, help="CSV, a row a face with its F-Scores")
    out.add_argument("--confusion", type=Path, help="confusion matrix as PNG, PDF or SVG")
    out.add_argument("--worst", type=Path, help="PNG of the ten worst masks beside their truth")
    out.add_argument("--panels", type=Path, help="PNG of photo, truth, prediction and where they differ")
    out.add_argument("--faces", type=positive, default=8, help="rows of --panels (8)")
    out.add_argument("--choose", choices=("worst", "best", "random"), default="worst", help="which faces (worst)")
    add_overwrite(out)
    return parser.parse_args(argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Raise UsageError for options that contradict each other, and for outputs that would be replaced unasked."""
    if (args.predictions is None) == (args.model_path is None):
        raise UsageError("Name what is to be scored: --predictions FOLDER_OR_ZIP or --model_path CHECKPOINT.")
    if (args.truth is None) == (args.data is None):
        raise UsageError("Name the true masks: --truth FOLDER or --data DATA_SET, one of the two.")
    if args.classes is not None and args.model_path is not None:
        raise UsageError("--classes is for --predictions; a checkpoint holds its own classes.")
    for name in ("compare_tta", "compare_size"):
        if getattr(args, name) and args.compare is None:
            raise UsageError(f"--{name} needs --compare CHECKPOINT.")
    if args.compare_plain and not (args.compare and (args.postprocess or args.biases)):
        raise UsageError("--compare_plain needs --compare CHECKPOINT, and post-processing for it to do without.")
    wanted = (args.json, args.csv, args.per_image, args.confusion, args.worst, args.panels)
    outputs = [path for path in wanted if path is not None]
    twice = next((path for path in outputs if outputs.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is named for two outputs; give each its own file.")
    refuse_existing(outputs, overwrite=args.overwrite)
    for name in ("worst", "panels"):
        path = getattr(args, name)
        if path is not None and path.suffix.lower() != ".png":
            raise UsageError(f"--{name} {path}: the name must end in .png.")
    if args.confusion is not None and args.confusion.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--confusion {args.confusion}: the name must end in .png, .pdf or .svg.")
