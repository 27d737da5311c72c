"""Which steps of post-processing there are, and how strong each is: a frozen ``Postprocessing``. It needs no OpenCV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from face_parsing.labels import CLASS_NAMES, LabelSet

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
