"""Judge masks or a network: ``python src/evaluate.py --predictions outputs/x/masks --truth data/val/masks``.

Or from a checkpoint: ``python src/evaluate.py --model_path outputs/checkpoints/best_model.pth --data data``.
The F-Scores' definition is in ``metrics.py``, what intervals and p-values mean in ``significance.py``.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from face_parsing.config.classes import read_classes
from face_parsing.drawing.plots import plot_confusion
from face_parsing.evaluation.evaluator import (
    EvaluationItem,
    EvaluationResult,
    Predictor,
    evaluate_predictions,
    exported,
    items_in,
    items_of,
    networks,
    stored_masks,
)
from face_parsing.evaluation.panels import choose_faces, draw_faces
from face_parsing.evaluation.report import Comparison, figures, report, write_csv, write_per_image
from face_parsing.inference.postprocess import refine
from face_parsing.inference.postprocess_options import add_arguments, settings_of
from face_parsing.inference.torch_network import Refine
from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.system.cli import UsageError, image_side, positive, refuse_existing, refuse_for_onnx
from face_parsing.system.device import choose_device, prepare_device
from face_parsing.system.files import atomic_path


def _pixels(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of pixels above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Score predicted masks, or a network's, against ground truth as the challenge does, and beyond."
    )
    what = parser.add_argument_group("what is judged (one of the two)")
    what.add_argument("--predictions", type=Path, help="folder of PNG masks from inference.py, or a submission.zip")
    what.add_argument(
        "--model_path", type=Path, nargs="+", help="checkpoint, several are averaged (track open); or FILE.onnx"
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
    what.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if any")
    what.add_argument("--threads", type=positive, help="CPU threads (left to torch)")

    truth = parser.add_argument_group("by what it is judged (--truth or --data)")
    truth.add_argument("--truth", type=Path, help="folder of PNG masks; each needs its prediction")
    truth.add_argument("--images", type=Path, help="folder of their photos, for a network or for --panels")
    truth.add_argument("--data", type=Path, help="data set with train/{images,masks} and so on")
    truth.add_argument("--split", choices=("val", "train", "test"), default="val", help="part of --data (val)")
    truth.add_argument("--val_stems", type=Path, help="who is validated on, where --data has no val/; or a split.json")
    truth.add_argument("--boundary_px", type=_pixels, help="boundary F1's tolerance (0.75%% of the diagonal)")

    other = parser.add_argument_group("compare two on the same faces")
    other.add_argument("--compare", type=Path, nargs="+", help="another folder, zip or checkpoint")
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
    out.add_argument("--overwrite", action="store_true", help="replace files that exist")
    return parser


def _check(args: argparse.Namespace) -> None:
    if (args.predictions is None) == (args.model_path is None):
        raise UsageError("Name what is to be judged: --predictions FOLDER_OR_ZIP or --model_path CHECKPOINT.")
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
    if args.confusion is not None and args.confusion.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--confusion {args.confusion}: the name must end in .png, .pdf or .svg.")


def _predictor(
    paths: Sequence[Path],
    faces: Sequence[EvaluationItem],
    args: argparse.Namespace,
    *,
    tta: bool,
    size: int | None,
    refined: bool,
    labels: LabelSet | None,
) -> tuple[Predictor, LabelSet, str]:
    """Predictions from a folder, a zip or checkpoints, their classes, and what to call them.

    labels are those of a folder or zip; None where it is compared with what has its own.
    """
    name = " + ".join(map(str, paths))
    if len(paths) == 1 and (paths[0].is_dir() or paths[0].suffix in ("", ".zip")):
        if tta or size or (refined and (args.postprocess or args.biases)):
            raise UsageError(
                f"Test-time augmentation, a size and post-processing need a checkpoint; {paths[0]} holds masks."
            )
        known = labels or CELEBAMASK
        return stored_masks(paths[0], faces, known), known, name
    if paths[0].suffix == ".onnx":
        asked = {"--tta": tta, "--size" if paths is args.model_path else "--compare_size": size}
        if refined:
            asked |= {"--postprocess": args.postprocess, "--biases": args.biases}
        judged = [*(args.model_path or []), *(args.compare or [])]
        if all(path.suffix in (".onnx", ".zip", "") for path in judged):  # or these are for the checkpoint
            asked |= {"--device cuda": args.device == "cuda", "--precision": args.precision != "fp32"}
        refuse_for_onnx(paths[0], asked, alone=len(paths) == 1)
        return *exported(paths[0], threads=args.threads or 0), name
    device = choose_device(args.device)
    prepare_device(device, threads=args.threads or 0)

    def after(labels: LabelSet) -> Refine | None:
        settings = settings_of(args, labels) if refined else None
        return None if settings is None else functools.partial(refine, settings=settings, labels=labels)

    predictor, known = networks(
        paths, tta=tta, track=args.track, device=device, size=size, precision=args.precision, refine=after
    )
    more = [text for text, used in (("test-time augmentation", tta), ("post-processing", after(known))) if used]
    name = f"{name} at {size} px" if size else name
    return predictor, known, f"{name} with {' and '.join(more)}" if more else name


def _draw(
    args: argparse.Namespace, result: EvaluationResult, faces: Sequence[EvaluationItem], predictor: Predictor
) -> None:
    if args.confusion is not None:
        plot_confusion(result.confusion.numpy(), result.labels.names, args.confusion)
    if args.worst is not None:
        worst = choose_faces(result.f_score, 10, "worst")
        draw_faces(result, faces, predictor, worst, args.worst, full=False)
    if args.panels is not None:
        chosen = choose_faces(result.f_score, args.faces, args.choose)
        draw_faces(result, faces, predictor, chosen, args.panels, full=True)


def _run(args: argparse.Namespace) -> None:
    _check(args)
    if args.data is not None:
        faces = items_of(args.data, args.split, args.val_stems)
    else:
        faces = items_in(args.truth, args.images)
    classes = read_classes(args.classes) if args.classes is not None else CELEBAMASK
    paths = [args.predictions] if args.predictions is not None else args.model_path
    predictor, labels, name = _predictor(paths, faces, args, tta=args.tta, size=args.size, refined=True, labels=classes)
    second = None
    if args.compare is not None:
        stored = args.compare[0].is_dir() or args.compare[0].suffix in ("", ".zip")
        tta = args.compare_tta or (args.tta and not stored)
        refined = not (args.compare_plain or stored)
        size = args.compare_size
        second = _predictor(args.compare, faces, args, tta=tta, size=size, refined=refined, labels=labels)
        if second[1] != labels:
            raise UsageError(f"{name} and {second[2]} tell other classes apart; only systems of one task compare.")
    result = evaluate_predictions(faces, predictor, labels, tolerance=args.boundary_px)
    print(report(result, args.boundary_px))
    content = figures(result)
    other = None
    if second is not None:
        other = evaluate_predictions(faces, second[0], labels, tolerance=args.boundary_px)
        comparison = Comparison(result, other, name, second[2])
        print(comparison.report())
        content["comparison"] = comparison.figures()
    if args.json is not None:
        with atomic_path(args.json) as path:
            path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if args.csv is not None:
        write_csv(result, args.csv)
    if args.per_image is not None:
        write_per_image(result, other, args.per_image)
    _draw(args, result, faces, predictor)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    args = _parser().parse_args(argv)
    try:
        _run(args)
    except (ValueError, OSError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
