"""Bring a data set into the layout of data/README.md: ``python src/prepare.py SUBCOMMAND --source A --output B``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from face_parsing.preparation.command_line import parse_arguments
from face_parsing.preparation.copying import carry_out, problems_text
from face_parsing.preparation.corrections import Thresholds
from face_parsing.preparation.flipped import mirrored_note
from face_parsing.preparation.statistics import image_statistics, training_images
from face_parsing.synthetic.dataset import write_dataset
from face_parsing.system.commands import command, refuse_existing


def _tell(problems: Sequence[str]) -> int:
    """The exit status."""
    if problems:
        print(f"prepare.py: {problems_text(problems)}", file=sys.stderr)
    return 1 if problems else 0


def _statistics(args: argparse.Namespace, call: Sequence[str]) -> int:
    if args.json is not None:
        refuse_existing([args.json], overwrite=args.overwrite)
    figures, problems = image_statistics(training_images(args.source), args.workers)
    print(figures.text())
    if args.json is not None:
        figures.save(args.json)
    return _tell(problems)


def _copy(args: argparse.Namespace, call: Sequence[str]) -> int:
    outcome = carry_out(
        args.plan(args),
        source=args.source,
        output=args.output,
        command=call,
        workers=args.workers,
        overwrite=args.overwrite,
    )
    outcome.log.tell()
    print(f"{args.output}: {outcome.summary()}")
    note = mirrored_note(args.source, args.workers, args.mask_ids) if args.subcommand == "flip" else None
    if note is not None:
        print(note)
    return _tell(outcome.problems)


def _relabel(args: argparse.Namespace, call: Sequence[str]) -> int:
    # Imported here: torch takes a second, which the other subcommands do without.
    from face_parsing.preparation.relabelled import relabel

    thresholds = Thresholds(
        confidence=args.confidence, ignore=args.ignore, max_change=args.max_change, keep=tuple(args.keep)
    )
    outcome, report = relabel(
        args.data, args.output, args.model_path, thresholds, val_stems=args.val_stems, tta=args.tta,
        device_name=args.device, command=call, overwrite=args.overwrite,
    )  # fmt: skip
    print(report)
    outcome.log.tell()
    print(f"{args.output}: {outcome.summary()}; relabel.json and most_changed.png say what changed")
    print(f"Train on it: --set track=open data.root={args.output} open_track.pretrained={args.model_path[0]}")
    return _tell(outcome.problems)


def _synthetic(args: argparse.Namespace, call: Sequence[str]) -> int:
    write_dataset(args.output, train=args.train, val=args.val, test=args.test, size=args.size, seed=args.seed)
    print(f"wrote {args.train + args.val + args.test} faces of {args.size} px to {args.output}")
    return 0


RUNS = {"statistics": _statistics, "relabel": _relabel, "synthetic": _synthetic}
"""All other subcommands copy a data set by a plan."""


@command("prepare.py")
def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, 1 where bad files were left out, 2 after a sentence on stderr, 130 after Ctrl+C."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = parse_arguments(words)
    try:
        return RUNS.get(args.subcommand, _copy)(args, ["prepare.py", *words])
    except KeyboardInterrupt:
        if args.subcommand == "synthetic":
            raise KeyboardInterrupt("interrupted; nothing was written.") from None
        again = " (without --overwrite)" if args.overwrite else ""
        raise KeyboardInterrupt(f"interrupted; the same command{again} goes on where it stopped.") from None


if __name__ == "__main__":
    raise SystemExit(main())
