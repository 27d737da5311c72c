"""Post-processing on the command line, alike for inference and evaluation.

The steps themselves are in ``postprocess.py``, which needs OpenCV and is loaded where they are asked for.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_parsing.inference.logit_biases import read_biases
from face_parsing.inference.postprocess_settings import OPTIONS, PERSON, STEPS, Postprocessing
from face_parsing.labels import LabelSet

if TYPE_CHECKING:
    from face_parsing.inference.torch_network import Refine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--postprocess with the numbers of its steps, and --biases."""
    group = parser.add_argument_group("post-processing", "Steps after the network; none unless asked for.")
    group.add_argument("--postprocess", nargs="+", choices=STEPS, default=[], metavar="STEP",
                       help=f"any of {', '.join(STEPS)}, done in this order")  # fmt: skip
    group.add_argument("--biases", type=Path, help="JSON file of biases.py fit: what is added to each class's decision")
    group.add_argument(
        "--grabcut_classes",
        nargs="+",
        metavar="CLASS",
        help=f"whose outline GrabCut redraws ({PERSON}), or class names",
    )
    for name, (step, meaning) in OPTIONS.items():
        default = getattr(Postprocessing(), name)
        group.add_argument(f"--{name}", type=type(default), help=f"{step}: {meaning} ({default:g})")
    # The old spelling.
    group.add_argument("--crf_colour", dest="crf_color", type=float, help=argparse.SUPPRESS)


def given_numbers(args: argparse.Namespace) -> dict[str, Any]:
    """The numbers of steps that were given. Raises ValueError for one whose step was not asked for."""
    given = {name: getattr(args, name) for name in (*OPTIONS, "grabcut_classes") if getattr(args, name) is not None}
    for name in given:
        step = OPTIONS[name][0] if name in OPTIONS else "grabcut"
        if step not in args.postprocess:
            raise ValueError(f"--{name} does nothing without --postprocess {step}; add it or leave --{name} out.")
    if "grabcut_classes" in given:
        given["grabcut_classes"] = tuple(given["grabcut_classes"])
    return given


def settings_of(args: argparse.Namespace, labels: LabelSet) -> Postprocessing | None:
    """What the arguments ask for, or None. Raises ValueError where they make no sense or do not fit the classes."""
    given = given_numbers(args)
    if not args.postprocess and args.biases is None:
        return None
    biases = None if args.biases is None else read_biases(args.biases, labels)
    settings = Postprocessing(steps=tuple(args.postprocess), biases=biases, **given)
    settings.check(labels)
    return settings


def refine_of(settings: Postprocessing | None, labels: LabelSet) -> Refine | None:
    """The steps, or None without settings. Raises ValueError where these do not fit the classes."""
    if settings is None:
        return None
    from face_parsing.inference.postprocess import refine  # which loads OpenCV

    settings.check(labels)
    return functools.partial(refine, settings=settings, labels=labels)


def refiner_of(args: argparse.Namespace) -> Callable[[LabelSet], Refine | None]:
    """Makes the post-processing that the arguments ask for, or None, for given classes; raises as settings_of."""

    return lambda labels: refine_of(settings_of(args, labels), labels)
