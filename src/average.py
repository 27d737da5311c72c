"""Average the weights of runs that started from the same one: ``python src/average.py RUN RUN --output FOLDER``.

One network of the same size (model soups, Wortsman et al. 2022). Runs that started from the same weights
(``run.init_from``) and went different ways, by other seeds or augmentations, can be averaged: the loss between them
stays low (Frankle et al. 2020). Others cannot. So each run and the average are judged on the validation pairs, which
all of them must share. The average's BatchNorm statistics are found anew on the training pairs, augmented as for the
first run (Izmailov et al. 2018).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from face_parsing.system.cli import image_side, positive
from face_parsing.training.averaging import average_runs


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    parser = argparse.ArgumentParser(description="Average the weights of runs that started from the same one.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of the runs, whose best is averaged")
    parser.add_argument("--last", action="store_true", help="average what the runs ended with, not their best")
    parser.add_argument(
        "--size", type=image_side, help="longer side at which all are judged and the average sees a photo"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the average, laid out as a run's")
    parser.add_argument("--data", type=Path, help="data set of the runs (where the first one has found it)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if any")
    parser.add_argument("--threads", type=positive, default=0, help="threads of a CPU (0: torch chooses)")
    parser.add_argument("--overwrite", action="store_true", help="replace an average in the output folder")
    args = parser.parse_args(argv)
    try:
        average_runs(args)
    except (ValueError, OSError) as error:
        print(f"average.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
