"""The command line's options about faces: which are looked for, how, and what is written of them."""

from __future__ import annotations

import argparse
import math
from typing import Any

from face_parsing.faces.choice import FACES_MODES, FacesMode
from face_parsing.faces.search import LEAST_SCORE, LEAST_SIZE
from face_parsing.system.commands import UsageError, a_path

NO_FACE = {"whole": "parsed whole", "empty": "given an empty mask", "skip": "left out"}
"""What is done with a photo without a face, and how that is told."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The group of options."""
    group = parser.add_argument_group(
        "faces", "Found, turned upright, parsed one by one and put back; then the network sees them as it was trained."
    )
    group.add_argument(
        "--faces",
        choices=FACES_MODES,
        help="auto (the default with the shipped weights): an aligned portrait stays as it is, else all faces; "
        "off (the default with --model_path and --submission): the photo is parsed whole",
    )
    group.add_argument(
        "--least_score",
        type=share,
        metavar="X",
        help=f"leave out faces that the detector is less sure of ({LEAST_SCORE:g})",
    )
    group.add_argument(
        "--least_size",
        type=pixels,
        metavar="PIXELS",
        help=f"leave out faces whose shorter side is smaller ({LEAST_SIZE:g})",
    )
    group.add_argument(
        "--no_face",
        choices=NO_FACE,
        help="a photo without a face is parsed whole (whole), gets an empty mask, or none (no clip's frame)",
    )
    group.add_argument("--margin", type=margin, metavar="X", help="how much wider a face is cut out, 0.5 to 4 (1)")
    group.add_argument(
        "--points",
        type=a_path,
        metavar="PATH",
        help="faces that you name instead: FILE.json {photo: [box or five points]}, FILE.csv, a line a face, or the "
        "folder json of an earlier run",
    )
    files = parser.add_argument_group("more files")
    files.add_argument("--crops", action="store_true", help="also write crops/ and crop_masks/<name>_<number>.png")
    files.add_argument("--instances", action="store_true", help="also write instances/<name>.png: whose a pixel is")
    files.add_argument("--json", action="store_true", help="also write json/<name>.json: faces, points, pixels a class")
    files.add_argument("--soft", action="store_true", help="also write soft/<name>.npz: class probabilities, 0 to 255")


def mode_of(args: argparse.Namespace) -> FacesMode:
    """--faces, or what it is where nobody gave it."""
    if args.faces is not None:
        mode: FacesMode = args.faces
        return mode
    if args.points is not None:
        return "all"
    return "off" if args.submission or args.model_path else "auto"


def given(args: argparse.Namespace) -> dict[str, Any]:
    """What FaceParser takes, as far as it was given."""
    values = {name: getattr(args, name) for name in ("least_score", "least_size", "no_face", "margin")}
    return {name: value for name, value in values.items() if value is not None}


def refuse(args: argparse.Namespace) -> None:
    """Raise UsageError for options that exclude each other, or have nothing to do with --faces off."""
    asked = [f"--{name}" for name in given(args)]
    asked += [f"--{name}" for name in ("crops", "instances") if getattr(args, name)]
    asked += ["--points"] * (args.points is not None)
    if args.submission:
        asked = ["--faces"] * (args.faces not in (None, "off")) + asked
        if asked:
            raise UsageError(
                f"--submission takes no {', '.join(asked)}: the detector of faces is pretrained, which the challenge "
                "forbids, and the judges' run.py parses photos whole."
            )
    if asked and mode_of(args) == "off":
        why = "was given" if args.faces else "is the default with --model_path"
        raise UsageError(f"{asked[0]} needs faces, and --faces off {why}; add --faces all, or leave {asked[0]} out.")
    if args.points is not None and (args.least_score is not None or args.faces in ("auto", "largest")):
        other = "--least_score" if args.least_score is not None else f"--faces {args.faces}"
        raise UsageError(f"--points names the faces, and {other} is about looking for them; leave one of them out.")


def _number(text: str, least: float, most: float) -> float:
    value = float(text)
    if not (math.isfinite(value) and least <= value <= most):
        raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:g}")
    return value


def share(text: str) -> float:
    """An argument from 0 to 1."""
    return _number(text, 0, 1)


def pixels(text: str) -> float:
    """An argument in pixels of a photo."""
    return _number(text, 0, 100_000)


def margin(text: str) -> float:
    """How much wider than the aligned crop."""
    return _number(text, 0.5, 4)
