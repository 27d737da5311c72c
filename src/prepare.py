"""Bring a data set into the layout of data/README.md: ``python src/prepare.py SUBCOMMAND --source A --output B``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from face_parsing.preparation.celebamask_hq import plan_celebamask_hq
from face_parsing.preparation.copying import Plan, carry_out, default_workers, problems_text
from face_parsing.preparation.face_synthetics import plan_face_synthetics
from face_parsing.preparation.flipped import mirrored_masks, plan_flip
from face_parsing.preparation.grouped import plan_group
from face_parsing.preparation.layouts import LAYOUTS, ORDERS, plan_layout
from face_parsing.preparation.statistics import image_statistics, training_images
from face_parsing.system.cli import positive, refuse_existing

MIRRORED_SHOWN = 30


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = argparse.ArgumentParser(
        description="Bring a data set into the layout that training reads. A call that was interrupted goes on where "
        "it stopped when it is repeated; bad files are named and left out (exit status 1).",
        epilog="SUBCOMMAND --help says what each reads.",
    )
    everyone = argparse.ArgumentParser(add_help=False)
    everyone.add_argument("--source", type=Path, required=True, help="folder to read; nothing in it is changed")
    everyone.add_argument("--workers", type=positive, default=default_workers(), help="processes (one a core)")
    everyone.add_argument("--overwrite", action="store_true", help="replace what another command left in the output")
    copies = argparse.ArgumentParser(add_help=False, parents=[everyone])
    copies.add_argument("--output", type=Path, required=True, help="folder for train/, val/ and test/; it is created")
    copies.add_argument("--link", action="store_true", help="hard-link images that need no change instead of copying")

    commands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")

    def add(name: str, summary: str, more: str, parent: argparse.ArgumentParser = copies) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=summary, description=f"{summary}. {more}", parents=[parent])

    celeba = add(
        "celebamask-hq",
        "the full CelebAMask-HQ, parts merged, in its official split",
        "Reads CelebA-HQ-img/, CelebAMask-HQ-mask-anno/ and CelebA-HQ-to-CelebA-mapping.txt. Open track only.",
    )
    celeba.add_argument("--size", type=positive, default=512, help="width and height of images and masks (512)")
    celeba.add_argument("--mapping", type=Path, help="the mapping file, where it does not lie in the source")
    layout = add(
        "layout",
        "pairs in other folders, or with ids in another order",
        f"Reads {'; '.join(f'{images} with {masks}' for images, masks in LAYOUTS)} for SPLIT train, val and test.",
    )
    layout.add_argument(
        "--order",
        default="celebamask",
        help=f"what the source's ids mean: {', '.join(ORDERS)}, or a YAML file with a list of names (celebamask)",
    )
    layout.add_argument("--size", type=positive, help="width and height of images and masks (as they are)")
    group = add(
        "group",
        "a coarser copy, several classes in one",
        "Training does not need it: it groups on the fly with data.classes. This is for other tools.",
    )
    group.add_argument(
        "--classes",
        type=Path,
        required=True,
        help="YAML: class to list of names, as configs/earlier/six_classes.yaml has it",
    )
    add("face-synthetics", "FaceSynthetics, its classes mapped to ours", "All goes into train/. Open track only.")
    add(
        "flip",
        "a copy with mirrored training pairs beside the originals",
        "Training does not need it: it mirrors on the fly (augmentation.flip). This is for other tools.",
    )
    statistics = add("statistics", "mean and standard deviation of the training images", "", parent=everyone)
    statistics.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args(argv)


def _plan(args: argparse.Namespace) -> Plan:
    source, output, link = args.source, args.output, args.link
    if args.subcommand == "celebamask-hq":
        return plan_celebamask_hq(source, output, size=args.size, mapping=args.mapping, link=link)
    if args.subcommand == "layout":
        return plan_layout(source, output, order=args.order, size=args.size, link=link)
    if args.subcommand == "group":
        return plan_group(source, output, classes=args.classes, link=link)
    if args.subcommand == "face-synthetics":
        return plan_face_synthetics(source, output, link=link)
    return plan_flip(source, output, link=link)


def _tell(problems: Sequence[str]) -> int:
    """The exit status."""
    if problems:
        print(f"prepare.py: {problems_text(problems)}", file=sys.stderr)
    return 1 if problems else 0


def _statistics(args: argparse.Namespace) -> int:
    if args.json is not None:
        refuse_existing([args.json], overwrite=args.overwrite)
    figures, problems = image_statistics(training_images(args.source), args.workers)
    print(figures.text())
    if args.json is not None:
        figures.save(args.json)
    return _tell(problems)


def _copy(args: argparse.Namespace, command: Sequence[str]) -> int:
    outcome = carry_out(
        _plan(args),
        source=args.source,
        output=args.output,
        command=["prepare.py", *command],
        workers=args.workers,
        overwrite=args.overwrite,
    )
    print(f"{args.output}: {outcome.summary()}")
    if args.subcommand == "flip":
        found = mirrored_masks((args.source / "train" / "masks").glob("*.png"), args.workers)
        if found:
            print(
                f"{len(found)} masks of {args.source / 'train'} had left and right out of order before; so have their "
                "mirrored copies. Training repairs both (data.repair_mirrored):"
            )
            rest = len(found) - MIRRORED_SHOWN
            lines = [path.name for path in found[:MIRRORED_SHOWN]] + ([f"... and {rest} more"] if rest > 0 else [])
            print("  " + "\n  ".join(lines))
    return _tell(outcome.problems)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, 1 where bad files were left out, 2 after a sentence on stderr, 130 after Ctrl+C."""
    command = list(sys.argv[1:] if argv is None else argv)
    args = parse_arguments(command)
    try:
        return _statistics(args) if args.subcommand == "statistics" else _copy(args, command)
    except (ValueError, OSError) as error:
        print(f"prepare.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = " (without --overwrite)" if args.overwrite else ""
        print(f"prepare.py: interrupted; the same command{again} goes on where it stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
