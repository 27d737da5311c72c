"""What may be asked of post-processing, in code and on the command line, alike for inference and evaluation.

The steps themselves are in ``postprocess.py``, which needs OpenCV; this file needs the labels alone.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_parsing.inference.logit_biases import read_biases
from face_parsing.labels import CLASS_NAMES, LabelSet

if TYPE_CHECKING:
    from face_parsing.inference.torch_network import Refine

STEPS = ("guided", "crf", "grabcut", "smooth", "components")
PERSON = "person"  # in grabcut_classes: everything but the class that holds the background
# Their true masks are made of small or thin pieces, which smoothing and the removal of components would take away.
SMALL_CLASSES = ("eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "ear_r", "neck_l")


@dataclass(frozen=True, kw_only=True)
class Postprocessing:
    """Which steps, and how strong. Raises ValueError, naming the field, for what makes no sense."""

    steps: tuple[str, ...] = ()
    """Any of STEPS; they run in the order of STEPS."""
    biases: tuple[float, ...] | None = None
    """Added to each class's log-probability before the largest one wins."""
    guided_radius: float = 2.0
    """Half the window of the guided filter, pixels at 512."""
    guided_eps: float = 1e-3
    """Variance of colors (0 to 1) below which the guided filter sees no edge."""
    crf_iterations: int = 5
    crf_weight: float = 1.0
    """How strongly near pixels of one color want one label."""
    crf_distance: float = 20.0
    """How near that is, pixels at 512."""
    crf_color: float = 10.0
    """And of how different a color, levels of 255."""
    grabcut_classes: tuple[str, ...] = (PERSON,)
    """The group whose outline GrabCut redraws, by class name; ``person`` is all but the background."""
    grabcut_band: float = 6.0
    """How far the outline may move, pixels at 512."""
    smooth_sigma: float = 1.5
    """Of the Gaussian that each class's region is smoothed with, pixels at 512."""
    min_component: float = 100.0
    """Smaller components are given away: pixels per million of the photo (100 are 26 pixels at 512x512)."""
    keep: tuple[str, ...] = SMALL_CLASSES
    """Classes that smooth and components leave as they are; a group of classes if all its members are named."""

    def __post_init__(self) -> None:
        for step in self.steps:
            if step not in STEPS:
                raise ValueError(f"there is no post-processing step {step!r}; choose from {', '.join(STEPS)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float | int) and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field.name} is {value}; it must be a number above 0")
        for name in self.keep:
            if name not in CLASS_NAMES:
                raise ValueError(f"keep names {name!r}; the classes are {', '.join(CLASS_NAMES)}")

    def check(self, labels: LabelSet) -> None:
        """Raise ValueError where the settings do not fit the classes, or the CRF's package is missing."""
        if self.biases is not None and len(self.biases) != len(labels):
            raise ValueError(
                f"there are {len(self.biases)} biases for {len(labels)} classes; fit them for these classes"
            )
        if "grabcut" in self.steps:
            grabcut_members(self.grabcut_classes, labels)
        if "crf" in self.steps:
            crf_class()


# The numbers of the command line: the step that each belongs to, and what it is.
OPTIONS: dict[str, tuple[str, str]] = {
    "guided_radius": ("guided", "half the guided filter's window, pixels at 512"),
    "guided_eps": ("guided", "variance of colors, 0 to 1, below which it sees no edge"),
    "crf_iterations": ("crf", "rounds of the dense CRF"),
    "crf_weight": ("crf", "how strongly near pixels of one color want one label"),
    "crf_distance": ("crf", "how near that is, pixels at 512"),
    "crf_color": ("crf", "how different a color may be, levels of 255"),
    "grabcut_band": ("grabcut", "how far GrabCut may move the outline, pixels at 512"),
    "smooth_sigma": ("smooth", "of the Gaussian that regions are smoothed with, pixels at 512"),
    "min_component": ("components", "smaller components are given away, pixels per million of the photo"),
}


def crf_class() -> Any:
    try:
        # Imported here: few need it, and it is compiled when it is installed.
        from pydensecrf.densecrf import DenseCRF2D
    except ImportError:
        raise ValueError(
            "the step crf needs the package pydensecrf2; 'pip install -r requirements-crf.txt' installs it"
        ) from None
    return DenseCRF2D


def grabcut_members(names: Sequence[str], labels: LabelSet) -> list[int]:
    """The classes of a group. Raises ValueError for an unknown name and for a group that is everything."""
    members: set[int] = set()
    for name in names:
        if name == PERSON:
            members |= {c for c, ids in enumerate(labels.members) if 0 not in ids}
        elif name in labels.names:
            members.add(labels.names.index(name))
        else:
            raise ValueError(f"grabcut_classes names {name!r}; choose {PERSON} or any of {', '.join(labels.names)}")
    if not 0 < len(members) < len(labels):
        raise ValueError("grabcut_classes must name some of the classes and not all of them")
    return sorted(members)


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
