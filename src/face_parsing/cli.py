"""Predict masks: ``python src/inference.py --input photo_or_folder --output folder``.

In several processes, each of which takes its share of the photos: ``torchrun --nproc_per_node 2 src/inference.py`` and
the same words; with --resume it goes on wherever it was stopped.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from face_parsing import __version__
from face_parsing.data.photo_search import FoundPhotos, search_photos
from face_parsing.faces import options as face_options
from face_parsing.faces.given import faces_of_photos, files_of_faces, read_given_faces, unused_note
from face_parsing.inference.face_order import MEND, MEND_BY_FACES, FaceOrder, odd_order
from face_parsing.inference.folder import side_by_side
from face_parsing.inference.outputs import RESULTS, Files, printable, written_places
from face_parsing.inference.postprocess_options import add_arguments, given_numbers, settings_of
from face_parsing.parsed_folder import FacesOf, Report, parse_folder, refuse_others, way_of_photos
from face_parsing.parser import FaceParser, default_weights
from face_parsing.provenance import Record
from face_parsing.system import distributed
from face_parsing.system.commands import (
    UsageError,
    a_path,
    add_overwrite,
    command,
    command_parser,
    image_side,
    positive,
    refuse_existing,
    refuse_for_onnx,
    refuse_inputs,
    sample_bits,
)
from face_parsing.video.clip import is_clip

PROGRAM = "face-parsing" if Path(sys.argv[0]).stem == "face-parsing" else "inference.py"
"""What the command was called as: the installed one, or the file of a checkout."""

MOST_AT_ONCE = 8
"""Photos that are parsed side by side, at most: each is in memory."""


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = command_parser(
        PROGRAM,
        "Parse photos of people, however they stand in them: write the mask of 19 classes of each.",
        usage=f"{PROGRAM} --input PATH ... --output FOLDER [options]",
        example=f"{'face-parsing' if PROGRAM == 'face-parsing' else 'python src/inference.py'}"
        " --input docs/images/astronaut.jpg --output parsed --color --overlay",
    )
    files = parser.add_argument_group("photos and masks")
    files.add_argument("--input", type=a_path, nargs="+", required=True, help="photos, clips, or folders of photos")
    files.add_argument("--recursive", action="store_true", help="also their subfolders: masks/<subfolder>/<name>.png")
    files.add_argument("--output", type=a_path, required=True, help="folder for masks/<name>.png; it is created")
    files.add_argument(
        "--bits", type=sample_bits, help="how many bits the samples of 16-bit files hold (all, or what the file says)"
    )
    files.add_argument("--color", action="store_true", help="also write color/<name>.png")
    files.add_argument("--overlay", action="store_true", help="also write overlay/<name>.jpg")
    add_overwrite(files)
    resumed = "add what is missing; refused where files were made in another way, or nothing says how"
    files.add_argument("--resume", action="store_true", help=resumed)
    files.add_argument("--submission", action="store_true", help="also write and check submission.zip")
    face_options.add_arguments(parser)

    network = parser.add_argument_group(
        "network", "The open track's reference in 8 bits unless something else is named."
    )
    network.add_argument(
        "--model_path", type=a_path, nargs="+", help="FILE.onnx, a shipped file's name, or checkpoints to be averaged"
    )
    network.add_argument("--track", choices=("challenge", "open"), default="challenge", help="open allows an ensemble")
    network.add_argument("--batch_size", type=positive, default=4, help="photos of one size at a time (4); 1 for a zip")
    network.add_argument("--threads", type=positive, default=0, help="CPU threads (left to the library)")
    network.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto takes a GPU for checkpoints, if any; cuda also one for ONNX files, with onnxruntime-gpu",
    )

    checkpoint = parser.add_argument_group(
        "of checkpoints alone",
        "Without --model_path these and post-processing take the open reference in fp32, --submission the challenge's.",
    )
    checkpoint.add_argument(
        "--tta", action="store_true", help="average over the checkpoint's scales and flip: better, slower"
    )
    checkpoint.add_argument(
        "--size", type=image_side, help="longer side at which the network sees a photo (the checkpoint's own)"
    )
    checkpoint.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: faster on GPUs and new CPUs, less exact"
    )
    parser.add_argument("--version", action="version", version=f"face-parsing {__version__}")
    add_arguments(parser)
    return parser.parse_args(argv)


def _refuse_before_loading(args: argparse.Namespace) -> None:
    """Raise UsageError or ValueError for options that exclude each other."""
    if args.submission and (args.postprocess or args.biases is not None):
        raise UsageError(
            "--submission takes no --postprocess and no --biases: the judges run the submission's own run.py, which "
            "does without them, and must get the same masks."
        )
    if args.submission and args.bits is not None:
        raise UsageError("--submission takes no --bits: the judges' run.py reads photos as their files say.")
    if args.submission and args.precision != "fp32":
        raise UsageError("--submission takes no --precision: the judges' run.py computes in fp32.")
    if args.submission and args.model_path and len(args.model_path) > 1:
        raise UsageError("--submission takes one --model_path: the challenge allows no ensemble of models.")
    face_options.refuse(args)
    given_numbers(args)


def _open_network(args: argparse.Namespace, count: int) -> tuple[FaceParser, int]:
    """What so many photos are parsed with, and how many of them at once, 0 for batches.

    Raises UsageError for what it cannot do, or a submission must not hold.
    """
    asked = {"--tta": args.tta, "--size": args.size, "--submission": args.submission, "--postprocess": args.postprocess}
    asked |= {"--biases": args.biases, "--precision": args.precision != "fp32"}
    paths = args.model_path or [
        default_weights(checkpoint=any(asked.values()), device=args.device, submission=args.submission)
    ]
    at_once, threads = 0, args.threads
    if paths[0].suffix == ".onnx":
        refuse_for_onnx(paths[0], asked, alone=len(paths) == 1)
        at_once, threads = side_by_side(count, args.threads, MOST_AT_ONCE)
    refined = args.postprocess or args.biases is not None
    parser = FaceParser(
        paths,
        tta=args.tta,
        size=args.size,
        precision=args.precision,
        device=args.device,
        threads=threads,
        track=args.track,
        postprocess=functools.partial(settings_of, args) if refined else None,
        faces=face_options.mode_of(args),
        soft=args.soft,
        **face_options.given(args),
    )
    if args.submission:
        from face_parsing.inference.run_py import refuse_to_submit

        assert parser.checkpoint is not None
        refuse_to_submit(parser.checkpoint.content, parser.weights.files[0])
    return parser, at_once


def _choose_photos(args: argparse.Namespace) -> tuple[FoundPhotos, list[Path]]:
    """All photos, and those that are to be predicted. Raises UsageError where files would be replaced unasked."""
    if args.submission and distributed.world_size() > 1:
        raise UsageError("--submission is for one process; start it without torchrun.")
    if args.submission and args.recursive:
        raise UsageError("--submission takes no --recursive: the challenge's masks lie in one folder.")
    if args.resume and args.overwrite:
        raise UsageError("--resume and --overwrite exclude each other; give one of them.")
    found = search_photos(
        args.input, recursive=args.recursive, own=written_places(args.output, args.input), results=RESULTS
    )
    if args.submission:
        found.refuse_one_stem()
    files, names = _files(args), found.names
    refuse_inputs(files.places(args.output, names), [*names, *(files_of_faces(args.points) if args.points else [])])
    wanted = [] if args.resume else [path for one in found.photos for path in files.replaced(args.output, names[one])]
    if args.submission:
        wanted.append(args.output / "submission.zip")
    refuse_existing(wanted, overwrite=args.overwrite)
    if not args.resume:
        return found, found.photos
    return found, [photo for photo in found.photos if not files.are_there(args.output, names[photo])]


def _files(args: argparse.Namespace) -> Files:
    """Which files a photo becomes."""
    return Files(**{name: getattr(args, name) for name in Files.__dataclass_fields__})


def _given_faces(args: argparse.Namespace, names: Mapping[Path, str]) -> FacesOf | None:
    """The faces that --points names, of all photos. Raises GivenFacesError."""
    if args.points is None:
        return None
    given = read_given_faces(args.points)
    if distributed.is_main() and (note := unused_note(given, names, args.points)):
        print(f"Note: {printable(note)}", file=sys.stderr)
    return faces_of_photos(given, names, args.points).__getitem__


def _pack(args: argparse.Namespace, parser: FaceParser, photos: Sequence[Path]) -> None:
    """Write and check submission.zip."""
    from face_parsing.inference.submission import pack_submission

    assert parser.checkpoint is not None
    path, content, tta = args.output / "submission.zip", parser.checkpoint.content, parser.checkpoint.augmentation
    pack_submission(path, masks=args.output / "masks", photos=photos, content=content, tta=tta)
    print(f"wrote {path}, checked with the judges' own command")


def _run(args: argparse.Namespace) -> int:
    """Parse what was named: photos and folders of them, then clips."""
    _refuse_before_loading(args)
    clips = [path for path in args.input if is_clip(path)]
    args.input = [path for path in args.input if path not in clips]
    runs = [_clips(args, clips)] if clips else []  # all is checked before the first begins
    runs += [_photos(args, told=bool(clips))] if args.input else []
    try:
        return max([run() for run in runs])
    except KeyboardInterrupt:
        again = "Start again, with --overwrite." if args.overwrite and args.input else "Go on with --resume."
        raise KeyboardInterrupt(f"interrupted. {again}") from None


def _clips(args: argparse.Namespace, clips: Sequence[Path]) -> Callable[[], int]:
    """What parses clips. Raises UsageError where it must not."""
    from face_parsing.video.command import check_clips, check_resumed, results_of, run_clips

    wanted = results_of(args)
    check_clips(clips, args.output, wanted, resume=args.resume, overwrite=args.overwrite)
    # Between faces a frame without one is background: whole, it would be parsed in another way than its neighbors.
    parser, at_once = _open_network(
        argparse.Namespace(**{**vars(args), "no_face": args.no_face or "empty"}), MOST_AT_ONCE
    )
    if args.resume:
        check_resumed(clips, args.output, wanted, parser)
    return functools.partial(
        run_clips, PROGRAM, clips, args.output, parser, wanted,
        at_once=max(1, at_once), resume=args.resume, overwrite=args.overwrite,
    )  # fmt: skip


def _photos(args: argparse.Namespace, *, told: bool) -> Callable[[], int]:
    """What parses photos. Raises UsageError where it must not. ``told``: the weights are named already, for clips."""
    found, chosen = distributed.from_main(lambda: _choose_photos(args))
    own = chosen[distributed.rank() :: distributed.world_size()]
    given = _given_faces(args, found.names)
    parser, at_once = _open_network(args, len(own))
    record = Record(args.output, way_of_photos(parser, points=args.points, bits=args.bits))
    if args.resume:
        distributed.from_main(lambda: refuse_others(record, _files(args), found.names))
    return lambda: _parse_photos(args, found, len(chosen), own, given, parser, at_once, record, told=told)


def _parse_photos(
    args: argparse.Namespace,
    found: FoundPhotos,
    chosen: int,
    own: Sequence[Path],
    given: FacesOf | None,
    parser: FaceParser,
    at_once: int,
    record: Record,
    *,
    told: bool,
) -> int:
    """Parse this process's ``own`` photos of all that were ``chosen``, and say what became of these."""
    if not told:
        print(parser.weights)
    order = FaceOrder(parser.labels)
    # run.py predicts one photo at a time, and a batch rounds differently.
    batch_size = 1 if args.submission else args.batch_size
    report = parse_folder(
        parser, own, args.output, _files(args), names=found.names, faces_of=given, batch_size=batch_size,
        at_once=at_once, bits=args.bits, look=order.look, record=record, keep=args.resume,
    )  # fmt: skip
    report = Report.merged(distributed.from_all(report))
    odd = [photo for some in distributed.from_all(order.odd) for photo in some]
    if not distributed.is_main():
        return 0
    record.end(file for photo in report.found for file in _files(args).wanted(args.output, found.names[photo]))
    for failure in report.failures:
        print(f"{PROGRAM}: {printable(failure)}", file=sys.stderr)
    for note in [*odd_order(odd, MEND if args.submission else MEND_BY_FACES), *found.notes()]:
        print(f"Note: {printable(note)}", file=sys.stderr)
    asked, missed = chosen + found.missed, len(report.failures) + found.missed
    there = f"; {report.there(len(found.photos) - chosen)}" if args.resume else ""
    wrote = f"wrote {report.masks} of {asked - len(report.kept)} masks to {args.output / 'masks'}{there}"
    print(wrote, *report.lines(found.names), sep="\n")
    if missed:
        named = f" (the note names {found.missed} of them)" if found.missed else ""
        rest = named + "; no submission.zip was written" if args.submission else named
        print(f"{PROGRAM}: {missed} of {asked} photos could not be read{rest}.", file=sys.stderr)
        return 1
    if args.submission:
        _pack(args, parser, found.photos)
    return 0


@command(PROGRAM, processes=True)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 1 where photos lie there that could not be read; 2 after one sentence on stderr."""
    return _run(parse_arguments(argv))


if __name__ == "__main__":
    raise SystemExit(main())
