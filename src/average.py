"""Average the weights of runs that started from the same one: ``python src/average.py RUN RUN --output FOLDER``.

One network of the same size (model soups, Wortsman et al. 2022). Runs that started from the same weights
(``run.init_from``) and went different ways, by other seeds or augmentations, can be averaged: the loss between them
stays low (Frankle et al. 2020). Others cannot. So each run and the average are scored on the validation pairs, which
all of them must share. The average's BatchNorm statistics are found anew on the training pairs, augmented as for the
first run (Izmailov et al. 2018).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from face_parsing.system.commands import a_network, add_device, add_overwrite, command, command_parser, image_side
from face_parsing.training.averaging import average_runs


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = command_parser(
        "average.py",
        "Average the weights of runs that started from the same one, and score the result beside them.",
        example="python src/average.py outputs/seed_1 outputs/seed_2 --output outputs/average",
    )
    what = parser.add_argument_group("what is averaged")
    what.add_argument(
        "runs",
        type=a_network,
        nargs="+",
        metavar="RUN",
        help="folders of the runs, whose best is averaged, or the checkpoint that the first one started from",
    )
    what.add_argument("--last", action="store_true", help="average what the runs ended with, not their best")
    what.add_argument(
        "--size", type=image_side, help="longer side at which all are scored and the average sees a photo"
    )
    what.add_argument("--data", type=Path, help="data set of the runs (where the first one has found it)")
    add_device(what, threads=True)
    out = parser.add_argument_group("what is written")
    out.add_argument("--output", type=Path, required=True, help="folder for the average, laid out as a run's")
    add_overwrite(out, "an average in the output folder")
    return parser.parse_args(argv)


@command("average.py")
def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    args = parse_arguments(argv)
    average_runs(
        args.runs,
        args.output,
        last=args.last,
        size=args.size,
        data=args.data,
        device_name=args.device,
        threads=args.threads,
        overwrite=args.overwrite,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
