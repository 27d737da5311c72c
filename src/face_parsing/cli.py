"""Predict masks: ``python src/inference.py --input photo_or_folder --output folder``.

In several processes, each of which takes its share of the photos: ``torchrun --nproc_per_node 2 src/inference.py`` and
the same words; with --resume it goes on wherever it was stopped.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from face_parsing.data.photo_files import find_photos
from face_parsing.inference.folder import Parse, output_paths, predict_folder
from face_parsing.inference.onnx_network import read_onnx
from face_parsing.inference.postprocess import refine
from face_parsing.inference.postprocess_options import add_arguments, settings_of
from face_parsing.inference.predict import prepare_model
from face_parsing.inference.run_py import check_network
from face_parsing.inference.submission import pack_submission
from face_parsing.inference.torch_network import Refine, parse_with
from face_parsing.labels import LabelSet
from face_parsing.models.checkpoint import augmentation_of, label_set, load_networks
from face_parsing.system import distributed
from face_parsing.system.cli import UsageError, image_side, positive, refuse_existing, refuse_for_onnx
from face_parsing.system.device import choose_device, prepare_device
from face_parsing.system.environment import PROJECT_ROOT

DEFAULT_MODEL = PROJECT_ROOT / "weights" / "face_parsing.pth"


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
        help="checkpoint (weights/face_parsing.pth), several are averaged (track open); or FILE.onnx of export.py",
    )
    parser.add_argument("--track", choices=("challenge", "open"), default="challenge", help="open allows an ensemble")
    parser.add_argument("--color", action="store_true", help="also write color/<name>.png")
    parser.add_argument("--overlay", action="store_true", help="also write overlay/<name>.jpg")
    parser.add_argument(
        "--tta", action="store_true", help="average over the checkpoint's scales and flip: better, slower"
    )
    parser.add_argument(
        "--size", type=image_side, help="longer side at which the network sees a photo (the checkpoint's own)"
    )
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: faster on GPUs and new CPUs, less exact"
    )
    parser.add_argument("--submission", action="store_true", help="also write and check submission.zip")
    parser.add_argument("--batch_size", type=positive, default=4, help="photos of one size at a time (4); 1 for a zip")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if any")
    parser.add_argument("--threads", type=positive, help="CPU threads (left to torch)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist in the output folder")
    parser.add_argument("--resume", action="store_true", help="leave out photos whose files are all there already")
    add_arguments(parser)
    return parser


def _load(
    paths: Sequence[Path], *, track: str, size: int | None, submission: bool
) -> tuple[list[nn.Module], dict[str, Any]]:
    """The networks, and the content of the first checkpoint. Raises UsageError for what a submission must not be."""
    if len(paths) > 1 and submission:
        raise UsageError("--submission takes one --model_path: the challenge allows no ensemble of models.")
    models, content = load_networks(paths, track=track, size=size)
    if submission and content.get("track") != "challenge":
        raise UsageError(
            f"{paths[0]} was trained on the track {content.get('track')!r}, with what the challenge forbids; "
            "leave out --submission or name a checkpoint of the track 'challenge'."
        )
    if submission:
        check_network(content["model"].get("name", "unet"))
    return models, content


def _refine(args: argparse.Namespace, labels: LabelSet) -> Refine | None:
    if args.submission and (args.postprocess or args.biases is not None):
        raise UsageError(
            "--submission takes no --postprocess and no --biases: the judges run the submission's own run.py, which "
            "does without them, and must get the same masks."
        )
    if args.submission and args.precision != "fp32":
        raise UsageError("--submission takes no --precision: the judges' run.py computes in fp32.")
    settings = settings_of(args, labels)
    if settings is None:
        return None
    return functools.partial(refine, settings=settings, labels=labels)


def _choose_photos(args: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """All photos, and those that are to be predicted. Raises UsageError where files would be replaced unasked."""
    if args.submission and distributed.world_size() > 1:
        raise UsageError("--submission is for one process; start it without torchrun.")
    if args.resume and args.overwrite:
        raise UsageError("--resume and --overwrite exclude each other; give one of them.")
    photos = find_photos(args.input)

    def files(photo: Path) -> Iterable[Path]:
        return output_paths(args.output, photo.stem, color=args.color, overlay=args.overlay).values()

    wanted = [] if args.resume else [path for photo in photos for path in files(photo)]
    if args.submission:
        wanted.append(args.output / "submission.zip")
    refuse_existing(wanted, overwrite=args.overwrite)
    if not args.resume:
        return photos, photos
    return photos, [photo for photo in photos if not all(path.exists() for path in files(photo))]


def _exported(path: Path, args: argparse.Namespace) -> tuple[Parse, LabelSet]:
    """An ONNX file's masks, and their classes. Raises UsageError for what is only done with a checkpoint."""
    asked = {"--tta": args.tta, "--size": args.size, "--submission": args.submission, "--postprocess": args.postprocess}
    asked |= {"--biases": args.biases, "--device cuda": args.device == "cuda", "--precision": args.precision != "fp32"}
    refuse_for_onnx(path, asked, alone=len(args.model_path) == 1)
    network = read_onnx(path, args.threads or 0)
    return network.parse, network.labels


def _run(args: argparse.Namespace) -> int:
    photos, chosen = distributed.from_main(lambda: _choose_photos(args))
    paths = args.model_path or [DEFAULT_MODEL]
    content: dict[str, Any] = {}
    tta: dict[str, Any] = {}
    if paths[0].suffix == ".onnx":
        parse, labels = _exported(paths[0], args)
    else:
        device = distributed.own_device(choose_device(args.device))
        prepare_device(device, threads=args.threads or 0)
        models, content = _load(paths, track=args.track, size=args.size, submission=args.submission)
        labels, tta = label_set(content), augmentation_of(content, tta=args.tta)
        parse = parse_with(
            [prepare_model(model, device) for model in models],
            device=device,
            precision=args.precision,
            refine=_refine(args, labels),
            image_size=content["image_size"],
            labels=labels,
            **tta,
        )
    failures = predict_folder(
        parse,
        chosen[distributed.rank() :: distributed.world_size()],
        args.output,
        labels=labels,
        # run.py predicts one photo at a time, and a batch rounds differently.
        batch_size=1 if args.submission else args.batch_size,
        color=args.color,
        overlay=args.overlay,
    )
    failures = [failure for some in distributed.from_all(failures) for failure in some]
    if not distributed.is_main():
        return 0
    for failure in failures:
        print(f"inference.py: {failure}", file=sys.stderr)
    there = f"; {len(photos) - len(chosen)} were there already" if args.resume else ""
    print(f"wrote {len(chosen) - len(failures)} of {len(chosen)} masks to {args.output / 'masks'}{there}")
    if failures:
        rest = "; no submission.zip was written" if args.submission else ""
        print(f"inference.py: {len(failures)} of {len(chosen)} photos could not be read{rest}.", file=sys.stderr)
        return 1
    if args.submission:
        zip_path = args.output / "submission.zip"
        pack_submission(zip_path, masks=args.output / "masks", photos=photos, content=content, tta=tta)
        print(f"wrote {zip_path}, checked with the judges' own command")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 1 where photos could not be read; 2 after one sentence on stderr."""
    with distributed.joined():
        args = _parser().parse_args(argv)
        try:
            return _run(args)
        except (ValueError, OSError) as error:
            distributed.say(f"inference.py: {error}")
        except RuntimeError as error:
            if not distributed.is_lost(error):
                raise
            distributed.say(f"inference.py: {distributed.LOST}")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
