"""Train a face parser: ``python src/train.py [--config configs/X.yaml] [--set key=value ...] [--resume]``.

In several processes: ``torchrun --nproc_per_node 2 src/train.py`` and the same words.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

# Threads that wait for each other keep a core busy, far longer by default, which any other program pays for.
# OpenMP reads it as torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from face_parsing.config.loading import load_config
from face_parsing.system import distributed
from face_parsing.system.commands import UsageError, add_overwrite, command, command_parser, positive
from face_parsing.system.workers import is_dead_worker
from face_parsing.training.folds import fold_folder, fold_overrides, is_done, write_summary
from face_parsing.training.interruption import Interruption
from face_parsing.training.run import Interrupted, Training
from face_parsing.training.run_folder import RunFolder
from face_parsing.training.start import DEFAULT_CONFIG, claim_folder, load_start
from face_parsing.training.trainer import NonFiniteLossError


def number_of_folds(text: str) -> int:
    """A whole number from 2 on, for argparse."""
    number = positive(text)
    if number < 2:
        raise argparse.ArgumentTypeError("one fold has nothing to train on; name 2 or more")
    return number


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = command_parser(
        "train.py",
        "Train a face parser, score it on validation faces, and leave its best weights.",
        example="python src/train.py --config configs/cpu.yaml --set data.root=data run.output=outputs/mine",
    )
    recipe = parser.add_argument_group("the recipe")
    recipe.add_argument("--config", type=Path, help="YAML file (configs/default.yaml)")
    recipe.add_argument(
        "--set",
        dest="overrides",
        action="extend",
        nargs="+",
        default=[],
        metavar="section.key=value",
        help="override keys of the config, for example optimizer.lr=1e-3",
    )
    recipe.add_argument(
        "--folds",
        type=number_of_folds,
        metavar="N",
        help="cross-validate the recipe: train N networks, each judged by the N-th of all pairs that it never saw",
    )
    folder = parser.add_argument_group("an earlier run in the output folder")
    folder.add_argument("--resume", action="store_true", help="go on with it")
    add_overwrite(folder, "it")
    return parser.parse_args(argv)


def _repeated_notes(overrides: Sequence[str]) -> list[str]:
    """A sentence on each key that --set has more than once: a list of common ones may come first, to be overridden."""
    last = {override.partition("=")[0].strip(): override for override in overrides}
    counts = Counter(override.partition("=")[0].strip() for override in overrides)
    return [f"{key} is set {n} times; the last one counts: {last[key]}" for key, n in counts.items() if n > 1]


def _train(args: argparse.Namespace, overrides: Sequence[str] = (), *, resume: bool) -> None:
    """One run from its start, or its last save, to its end. ``overrides`` come behind those of the command line."""
    folder: RunFolder | None = None
    try:
        with Interruption() as interruption:
            start = distributed.from_main(
                lambda: load_start(args.config, [*args.overrides, *overrides], resume=resume, overwrite=args.overwrite)
            )
            folder = start.folder
            training = Training(start.config, folder, resume=start.resume)
            claim_folder(start, training)
            interruption.waits = True
            training.run(interrupted=lambda: interruption.requested)
            interruption.waits = False
            if distributed.any_of(interruption.requested):  # after the last step
                raise KeyboardInterrupt
            training.finish()
    except NonFiniteLossError as error:
        raise UsageError(str(error)) from error
    except RuntimeError as error:
        if not is_dead_worker(error) or distributed.is_lost(error):
            raise
        reason = " ".join(str(error).split())
        raise UsageError(
            f"A process that reads the pairs has died ({reason}); --resume with fewer run.workers."
        ) from error
    except Interrupted as error:
        raise KeyboardInterrupt(f"interrupted and {error}. Go on with --resume.") from None
    except KeyboardInterrupt:
        saved = folder is not None and folder.last_model.exists()
        raise KeyboardInterrupt("interrupted. " + ("Go on with --resume." if saved else "Nothing was saved.")) from None


def _cross_validate(args: argparse.Namespace) -> None:
    """One run a fold, in folders of their own, and the table of all; with --resume, what is still missing."""
    config = load_config(args.config or DEFAULT_CONFIG, args.overrides)
    output, n = config.paths.output, args.folds
    for k in range(1, n + 1):
        run = RunFolder(fold_folder(output, k))
        if args.resume and is_done(output, k):
            continue
        if distributed.is_main():
            print(f"Fold {k} of {n}: {run.root}", flush=True)
        _train(args, fold_overrides(output, k, n), resume=args.resume and run.last_model.exists())
    if distributed.is_main():
        print(write_summary(output, n))
        print(f"Folds: {output}")


@command("train.py", processes=True)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 2 after a sentence on stderr; 130 where it was interrupted."""
    args = parse_arguments(argv)
    if distributed.is_main():
        for note in _repeated_notes(args.overrides):
            print(f"Config: {note}.", file=sys.stderr)
    if args.folds is None:
        _train(args, resume=args.resume)
    else:
        _cross_validate(args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
