"""Predict masks: ``python src/inference.py --input photo_or_folder --output folder``."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from checkpoint import label_set, load_checkpoint, restore_model
from folder import Refine, find_photos, output_paths, predict_folder
from labels import LabelSet
from postprocess import OPTIONS, PERSON, STEPS, Postprocessing, read_biases, refine
from predict import prepare_model
from runtime import PROJECT_ROOT, choose_device, prepare_device
from submission import pack_submission

DEFAULT_MODEL = PROJECT_ROOT / "weights" / "face_parsing.pth"


class UsageError(ValueError):
    """A command that cannot be carried out; the message says why and what to do."""


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Predict the face-parsing mask of a photo, or of every photo in a folder."
    )
    parser.add_argument("--input", type=Path, required=True, help="a photo, or a folder of them (not its subfolders)")
    parser.add_argument("--output", type=Path, required=True, help="folder for masks/<name>.png; it is created")
    parser.add_argument(
        "--model_path",
        type=Path,
        nargs="+",
        help="checkpoint (weights/face_parsing.pth); several are averaged (track open)",
    )
    parser.add_argument("--track", choices=("challenge", "open"), default="challenge", help="open allows an ensemble")
    parser.add_argument("--color", action="store_true", help="also write color/<name>.png")
    parser.add_argument("--overlay", action="store_true", help="also write overlay/<name>.jpg")
    parser.add_argument(
        "--tta", action="store_true", help="average over the checkpoint's scales and flip: better, slower"
    )
    parser.add_argument("--submission", action="store_true", help="also write and check submission.zip")
    parser.add_argument("--batch_size", type=_positive, default=4, help="photos of one size at a time (4); 1 for a zip")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if any")
    parser.add_argument("--threads", type=_positive, help="CPU threads (left to torch)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist in the output folder")
    group = parser.add_argument_group("post-processing", "Steps after the network; none unless asked for.")
    group.add_argument("--postprocess", nargs="+", choices=STEPS, default=[], help="steps, done in this order")
    group.add_argument("--biases", type=Path, help="JSON file of fit_biases.py: what is added to each class's decision")
    group.add_argument("--grabcut_classes", nargs="+", help=f"whose outline GrabCut redraws ({PERSON}), or class names")
    for name, (step, meaning) in OPTIONS.items():
        default = getattr(Postprocessing(), name)
        group.add_argument(f"--{name}", type=type(default), help=f"{step}: {meaning} ({default:g})")
    return parser


def _postprocessing(args: argparse.Namespace, labels: LabelSet) -> Refine | None:
    """What --postprocess, --biases and their numbers ask for, or None. Raises UsageError where they make no sense."""
    given = {name: getattr(args, name) for name in (*OPTIONS, "grabcut_classes") if getattr(args, name) is not None}
    for name in given:
        step = OPTIONS[name][0] if name in OPTIONS else "grabcut"
        if step not in args.postprocess:
            raise UsageError(f"--{name} does nothing without --postprocess {step}; add it or leave --{name} out.")
    if not args.postprocess and args.biases is None:
        return None
    if args.submission:
        raise UsageError(
            "--submission takes no --postprocess and no --biases: the judges run the submission's own run.py, which "
            "does without them, and must get the same masks."
        )
    biases = None if args.biases is None else read_biases(args.biases, labels)
    if "grabcut_classes" in given:
        given["grabcut_classes"] = tuple(given["grabcut_classes"])
    settings = Postprocessing(steps=tuple(args.postprocess), biases=biases, **given)
    settings.check(labels)
    return functools.partial(refine, settings=settings, labels=labels)


def _load(paths: Sequence[Path], *, track: str, submission: bool) -> tuple[list[nn.Module], dict[str, Any]]:
    """The networks, and the content of the first checkpoint. Raises UsageError for what the track forbids."""
    if len(paths) > 1 and submission:
        raise UsageError("--submission takes one --model_path: the challenge allows no ensemble of models.")
    if len(paths) > 1 and track != "open":
        raise UsageError(
            f"--model_path names {len(paths)} checkpoints, but the challenge allows no ensemble of models; "
            "name one, or add --track open."
        )
    contents = [load_checkpoint(path) for path in paths]
    if submission and contents[0].get("track") != "challenge":
        raise UsageError(
            f"{paths[0]} was trained on the track {contents[0].get('track')!r}, with what the challenge forbids; "
            "leave out --submission or name a checkpoint of the track 'challenge'."
        )
    for path, content in zip(paths, contents, strict=True):
        if label_set(content) != label_set(contents[0]):
            raise UsageError(f"{path} and {paths[0]} tell different classes apart; an ensemble needs the same.")
        if content["image_size"] != contents[0]["image_size"]:
            raise UsageError(
                f"{path} works at {content['image_size']} pixels and {paths[0]} at {contents[0]['image_size']}; "
                "an ensemble needs one size."
            )
    return [restore_model(content, path) for path, content in zip(paths, contents, strict=True)], contents[0]


def _refuse_existing(args: argparse.Namespace, photos: Sequence[Path]) -> None:
    wanted: list[Path] = []
    for photo in photos:
        wanted += output_paths(args.output, photo.stem, color=args.color, overlay=args.overlay).values()
    if args.submission:
        wanted.append(args.output / "submission.zip")
    existing = [path for path in wanted if path.exists()]
    if existing and not args.overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]}{more} would be replaced; add --overwrite or choose another --output.")


def _run(args: argparse.Namespace) -> int:
    photos = find_photos(args.input)
    _refuse_existing(args, photos)
    device = choose_device(args.device)
    prepare_device(device, threads=args.threads or 0)
    models, content = _load(args.model_path or [DEFAULT_MODEL], track=args.track, submission=args.submission)
    after = _postprocessing(args, label_set(content))
    tta: dict[str, Any] = {"scales": (1.0,), "flip": False}
    if args.tta:
        tta = {key: content["inference"][key] for key in tta}
    failures = predict_folder(
        [prepare_model(model, device) for model in models],
        photos,
        args.output,
        image_size=content["image_size"],
        scales=tta["scales"],
        flip=tta["flip"],
        labels=label_set(content),
        device=device,
        # run.py predicts one photo at a time, and a batch rounds differently.
        batch_size=1 if args.submission else args.batch_size,
        refine=after,
        color=args.color,
        overlay=args.overlay,
    )
    for failure in failures:
        print(f"inference.py: {failure}", file=sys.stderr)
    print(f"wrote {len(photos) - len(failures)} of {len(photos)} masks to {args.output / 'masks'}")
    if failures:
        rest = "; no submission.zip was written" if args.submission else ""
        print(f"inference.py: {len(failures)} of {len(photos)} photos could not be read{rest}.", file=sys.stderr)
        return 1
    if args.submission:
        zip_path = args.output / "submission.zip"
        pack_submission(zip_path, masks=args.output / "masks", photos=photos, content=content, tta=tta)
        print(f"wrote {zip_path}, checked with the judges' own command")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 1 where photos could not be read; 2 after one sentence on stderr."""
    args = _parser().parse_args(argv)
    try:
        return _run(args)
    except (ValueError, OSError) as error:
        print(f"inference.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
