"""Score masks or a network: ``python src/evaluate.py --predictions outputs/x/masks --truth data/val/masks``.

Or from a checkpoint: ``python src/evaluate.py --model_path outputs/checkpoints/best_model.pth --data data``.
The F-Scores' definition is in ``metrics.py``, what intervals and p-values mean in ``significance.py``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from face_parsing.config.classes import read_classes
from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import IdRule
from face_parsing.drawing.plots import plot_confusion
from face_parsing.evaluation.command_line import check_arguments, parse_arguments
from face_parsing.evaluation.evaluator import (
    EvaluationResult,
    evaluate_predictions,
    items_in,
    items_of,
    refuse_background_truth,
)
from face_parsing.evaluation.groups import group_figures, group_report, read_traits
from face_parsing.evaluation.panels import choose_faces, draw_faces
from face_parsing.evaluation.predictors import Computing, System, is_stored, open_system, training_faces_note
from face_parsing.evaluation.report import Comparison, report, write_csv, write_json, write_per_image
from face_parsing.inference.postprocess_options import refiner_of
from face_parsing.labels import CELEBAMASK
from face_parsing.system.commands import UsageError, command


def _first(args: argparse.Namespace) -> System:
    return System(
        paths=[args.predictions] if args.predictions is not None else args.model_path,
        tta=args.tta,
        size=args.size,
        steps=args.postprocess,
        biases=args.biases,
        refine=refiner_of(args),
    )


def _second(args: argparse.Namespace) -> System:
    """What --compare names: made as the first one is, unless it holds masks or was asked for otherwise."""
    stored = is_stored(args.compare[0])
    plain = args.compare_plain or stored
    return System(
        paths=args.compare,
        tta=args.compare_tta or (args.tta and not stored),
        size=args.compare_size,
        size_option="--compare_size",
        steps=() if plain else args.postprocess,
        biases=None if plain else args.biases,
        refine=None if plain else refiner_of(args),
    )


def _write(
    args: argparse.Namespace,
    result: EvaluationResult,
    comparison: Comparison | None,
    groups: dict[str, Any] | None,
) -> None:
    if args.json is not None:
        write_json(result, comparison, args.json, groups)
    if args.csv is not None:
        write_csv(result, args.csv)
    if args.per_image is not None:
        write_per_image(result, None if comparison is None else comparison.other, args.per_image)
    if args.confusion is not None:
        plot_confusion(result.confusion.numpy(), result.labels.names, args.confusion)


def _tell(truth: MaskLog, predicted: MaskLog, result: EvaluationResult) -> None:
    """Say once what is odd about the masks."""
    truth.tell()
    predicted.tell_palettes()
    if result.empty:
        some = "predictions hold" if len(result.empty) > 1 else "prediction holds"
        print(f"Note: {len(result.empty)} {some} background alone; the first: {result.empty[0]}.", file=sys.stderr)


@command("evaluate.py")
def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    args = parse_arguments(argv)
    check_arguments(args)
    faces = items_in(args.truth, args.images) if args.data is None else items_of(args.data, args.split, args.val_stems)
    classes = CELEBAMASK if args.classes is None else read_classes(args.classes)
    rule = IdRule(mask_ids=args.mask_ids)
    refuse_background_truth(faces, args.data or args.truth, rule)
    computing = Computing(
        track=args.track, device=args.device, precision=args.precision, threads=args.threads, rule=rule
    )
    scored = [*(args.model_path or []), *(args.compare or [])]
    any_checkpoint = any(path.suffix not in (".onnx", ".zip", "") for path in scored)

    truth = MaskLog()
    first, second = _first(args), None if args.compare is None else _second(args)
    this = open_system(first, faces, computing, labels=classes, any_checkpoint=any_checkpoint)
    predictor, labels = this.predictor, this.labels
    notes = [training_faces_note(first.name, this.trained_on, faces)]
    other = None
    if second is not None:
        other = open_system(second, faces, computing, labels=labels, any_checkpoint=any_checkpoint)
        notes.append(training_faces_note(second.name, other.trained_on, faces))
        if other.labels != labels:
            raise UsageError(
                f"{this.name} and {other.name} tell other classes apart; only systems of one task compare."
            )
    traits = read_traits(faces, labels, rule) if args.groups else None
    result = evaluate_predictions(faces, predictor, labels, tolerance=args.boundary_px, rule=rule, log=truth)
    print(report(result, args.boundary_px))
    groups = None if traits is None else group_figures(result, traits)
    if groups is not None:
        print(group_report(groups))
    comparison = None
    if other is not None:
        theirs = evaluate_predictions(faces, other.predictor, labels, tolerance=args.boundary_px, rule=rule)
        comparison = Comparison(result, theirs, this.name, other.name)
        print(comparison.report())
    for note in filter(None, notes):
        print(note, file=sys.stderr)
    _tell(truth, computing.log, result)
    _write(args, result, comparison, groups)
    if args.worst is not None:
        worst = choose_faces(result.f_score, 10, "worst")
        draw_faces(result, faces, predictor, worst, args.worst, full=False, rule=rule)
    if args.panels is not None:
        chosen = choose_faces(result.f_score, args.faces, args.choose)
        draw_faces(result, faces, predictor, chosen, args.panels, full=True, rule=rule)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
