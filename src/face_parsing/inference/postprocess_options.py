"""Post-processing on the command line, alike for inference and evaluation."""

from __future__ import annotations

import argparse
from pathlib import Path

from face_parsing.inference.logit_biases import read_biases
from face_parsing.inference.postprocess import OPTIONS, STEPS, Postprocessing
from face_parsing.inference.postprocess_steps import PERSON
from face_parsing.labels import LabelSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--postprocess with the numbers of its steps, and --biases."""
    group = parser.add_argument_group("post-processing", "Steps after the network; none unless asked for.")
    group.add_argument("--postprocess", nargs="+", choices=STEPS, default=[], help="steps, done in this order")
    group.add_argument("--biases", type=Path, help="JSON file of fit_biases.py: what is added to each class's decision")
    group.add_argument("--grabcut_classes", nargs="+", help=f"whose outline GrabCut redraws ({PERSON}), or class names")
    for name, (step, meaning) in OPTIONS.items():
        default = getattr(Postprocessing(), name)
        group.add_argument(f"--{name}", type=type(default), help=f"{step}: {meaning} ({default:g})")


def settings_of(args: argparse.Namespace, labels: LabelSet) -> Postprocessing | None:
    """What the arguments ask for, or None. Raises ValueError where they make no sense or do not fit the classes."""
    given = {name: getattr(args, name) for name in (*OPTIONS, "grabcut_classes") if getattr(args, name) is not None}
    for name in given:
        step = OPTIONS[name][0] if name in OPTIONS else "grabcut"
        if step not in args.postprocess:
            raise ValueError(f"--{name} does nothing without --postprocess {step}; add it or leave --{name} out.")
    if not args.postprocess and args.biases is None:
        return None
    biases = None if args.biases is None else read_biases(args.biases, labels)
    if "grabcut_classes" in given:
        given["grabcut_classes"] = tuple(given["grabcut_classes"])
    settings = Postprocessing(steps=tuple(args.postprocess), biases=biases, **given)
    settings.check(labels)
    return settings
