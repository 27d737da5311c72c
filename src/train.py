"""Train a face parser: ``python src/train.py [--config configs/X.yaml] [--set key=value ...] [--resume]``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from config import Config, load_config
from engine import NonFiniteLossError
from run_folder import RunFolder, check_resumable, load_saved_config
from runtime import PROJECT_ROOT, describe_environment
from training import Training

DEFAULT_CONFIG = PROJECT_ROOT / "configs" / "default.yaml"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a face parser, judge it, and leave its best weights.")
    parser.add_argument("--config", type=Path, help="YAML file (configs/default.yaml)")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="extend",
        nargs="+",
        default=[],
        metavar="section.key=value",
        help="override keys of the config, for example optimizer.lr=1e-3",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier run in the output folder")
    return parser.parse_args(argv)


def _folder(config: Config) -> RunFolder:
    # A relative folder lies in the project, wherever the command was started.
    return RunFolder(PROJECT_ROOT / config.run.output)


def load_run(arguments: argparse.Namespace) -> tuple[Config, RunFolder]:
    """The config and the folder of this call; a resumed run without --config goes on with the config it saved."""
    config = load_config(arguments.config or DEFAULT_CONFIG, arguments.overrides)
    folder = _folder(config)
    folder.check(resume=arguments.resume, overwrite=arguments.overwrite)
    if arguments.resume:
        saved = load_saved_config(folder.config)
        if arguments.config is None:
            config = load_config(folder.config, arguments.overrides)
        check_resumable(saved, config, folder.root)
    return config, folder


class Interruption:
    """What SIGINT and SIGTERM do: end the program at once, but while it trains, after the step it is at.

    An exception out of nowhere can land in a clean-up callback, where Python prints and forgets it. A second
    signal does not wait.
    """

    def __init__(self) -> None:
        self.waits = False
        self.requested = False
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def __enter__(self) -> Interruption:
        for number in self._before:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, signum: int, frame: object) -> None:
        if self.requested or not self.waits:
            raise KeyboardInterrupt
        self.requested = True

    def check(self) -> None:
        """Raise KeyboardInterrupt where a signal has come."""
        if self.requested:
            raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 2 after a sentence on stderr; 130 where it was interrupted."""
    arguments = parse_arguments(argv)
    folder: RunFolder | None = None
    try:
        with Interruption() as interruption:
            config, folder = load_run(arguments)
            training = Training(config, folder, resume=arguments.resume)
            if arguments.overwrite:
                folder.clear()
            folder.describe(config, describe_environment(training.device), training.split)
            interruption.waits = True
            training.run(between_steps=interruption.check)
            interruption.waits = False
            training.finish()
    except (ValueError, NonFiniteLossError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        saved = folder is not None and folder.last_model.exists()
        print(
            "\ntrain.py: interrupted. " + ("Go on with --resume." if saved else "Nothing was saved."), file=sys.stderr
        )
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
