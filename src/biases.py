"""Decision biases, which say a rare class more often: ``python src/biases.py {fit,merge} ...``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from face_parsing.evaluation.bias_fitting import fit_biases
from face_parsing.evaluation.bias_search import LIMIT
from face_parsing.inference.bias_merging import merge_into_checkpoint
from face_parsing.inference.logit_biases import write_biases
from face_parsing.system.commands import (
    a_network,
    add_device,
    add_overwrite,
    add_subcommand,
    command,
    command_parser,
    refuse_existing,
)
from face_parsing.system.environment import PROJECT_ROOT
from face_parsing.system.files import atomic_path
from face_parsing.weights import CHALLENGE, find_weights


def _limit(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 4:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.1 to 4")
    return value


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = command_parser("biases.py", "Fit a bias for each class's decision, and put such biases into a network.")
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")

    fit = add_subcommand(
        subcommands,
        "fit",
        "Fit biases to what networks say of a data set's pairs",
        example="python src/biases.py fit --on val --classes hat cloth --limit 3 --output biases.json",
        more="On training pairs it also tells the gain on validation pairs.",
    )
    pairs = fit.add_argument_group("the pairs")
    pairs.add_argument("--data", type=Path, default=PROJECT_ROOT / "data", help="folder with train/ (data)")
    pairs.add_argument("--val_stems", type=Path, help="file of the stems of train/ that are validated on, not fitted")
    pairs.add_argument("--val_fraction", type=float, default=0.1, help="share validated on without such a file (0.1)")
    pairs.add_argument("--seed", type=int, default=0, help="of the split and the folds (0)")
    pairs.add_argument("--on", choices=("train", "val"), default="train", help="the pairs to fit on (train)")
    pairs.add_argument("--max_pairs", type=int, help="fit on that many pairs only")
    what = fit.add_argument_group("what is fitted")
    what.add_argument(
        "--model_path", type=a_network, nargs="+", metavar="PTH",
        help="checkpoint (weights/face_parsing.pth); several, of one recipe, get biases that suit them all",
    )  # fmt: skip
    what.add_argument("--classes", nargs="+", metavar="CLASS", help="fit these alone (all)")
    what.add_argument("--limit", type=_limit, default=LIMIT, metavar="X", help=f"the largest bias ({LIMIT:g})")
    add_device(what)
    fit.add_argument("--output", type=Path, required=True, help="JSON file to write")
    fit.set_defaults(run=_fit)

    merge = add_subcommand(
        subcommands,
        "merge",
        "Add biases to the classifier of a checkpoint's network",
        example="python src/biases.py merge --model_path weights/face_parsing.pth --biases biases.json --output b.pth",
        more="It decides with them by itself then, in a submission and in an ONNX file too.",
    )
    merge.add_argument("--model_path", type=a_network, required=True, help="checkpoint")
    merge.add_argument("--biases", type=Path, required=True, help="JSON file of biases.py fit")
    merge.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    merge.set_defaults(run=_merge)
    for sub in (fit, merge):
        add_overwrite(sub, "the output file")
    return parser.parse_args(argv)


def _fit(args: argparse.Namespace) -> None:
    biases, labels = fit_biases(
        args.data,
        args.model_path or [find_weights(CHALLENGE)],
        on=args.on,
        val_stems=args.val_stems,
        val_fraction=args.val_fraction,
        seed=args.seed,
        classes=args.classes,
        limit=args.limit,
        max_pairs=args.max_pairs,
        device_name=args.device,
    )
    with atomic_path(args.output) as path:
        write_biases(path, biases, labels)
    print(f"wrote {args.output}; use it with inference.py --biases {args.output}, or biases.py merge")


def _merge(args: argparse.Namespace) -> None:
    found = merge_into_checkpoint(args.model_path, args.biases, args.output)
    print(f"wrote {args.output}: {found or 'nothing'} was added to what {args.model_path} decides with")


@command("biases.py")
def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    args = parse_arguments(argv)
    refuse_existing([args.output], overwrite=args.overwrite)
    args.run(args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
