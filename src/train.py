"""Train a face parser: ``python src/train.py [--config configs/X.yaml] [--set key=value ...] [--resume]``.

In several processes: ``torchrun --nproc_per_node 2 src/train.py`` and the same words.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from face_parsing.config.loading import load_config
from face_parsing.config.sections import Config
from face_parsing.system import distributed
from face_parsing.system.environment import PROJECT_ROOT, describe_environment
from face_parsing.system.workers import is_dead_worker
from face_parsing.training.interruption import Interruption
from face_parsing.training.run import Interrupted, Training
from face_parsing.training.run_folder import RunFolder, check_resumable, load_saved_config
from face_parsing.training.trainer import NonFiniteLossError

DEFAULT_CONFIG = PROJECT_ROOT / "configs" / "default.yaml"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a face parser, evaluate it, and leave its best weights.")
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


def _is_restarted(folder: RunFolder) -> bool:
    """Whether this very call of torchrun has begun the run in the folder, and now starts its processes again."""
    try:
        content = json.loads(folder.environment.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("launch") == distributed.launch() is not None


class Start(NamedTuple):
    """What a call does: the config and the folder of the run, and whether it goes on or replaces what is there."""

    config: Config
    folder: RunFolder
    resume: bool
    overwrite: bool


def load_run(arguments: argparse.Namespace) -> Start:
    """What the words ask for; a resumed run without --config goes on with the config it saved.

    A run that torchrun restarts goes on with what it has written, whatever the words of its start.
    """
    config = load_config(arguments.config or DEFAULT_CONFIG, arguments.overrides)
    folder = RunFolder(config.paths.output)
    resume, overwrite = arguments.resume, arguments.overwrite
    if _is_restarted(folder):
        resume = folder.last_model.exists()
        overwrite = not resume
    folder.check(resume=resume, overwrite=overwrite)
    if resume:
        saved = load_saved_config(folder.config)
        if arguments.config is None:
            config = load_config(folder.config, arguments.overrides, announce=False)  # done above
        check_resumable(saved, config, folder.root)
    return Start(config, folder, resume, overwrite)


def _describe(start: Start, training: Training) -> None:
    """Make the folder that of this run, where it has been found to be possible in all processes."""
    distributed.barrier()
    if not distributed.is_main():
        return
    if start.overwrite:
        start.folder.clear()
    start.folder.sweep()
    environment = describe_environment(training.device)
    if distributed.started_by_torchrun():
        environment |= {"processes": distributed.world_size(), "launch": distributed.launch()}
    start.folder.describe(start.config, environment, training.split)


def _run(argv: Sequence[str] | None) -> int:
    arguments = parse_arguments(argv)
    folder: RunFolder | None = None
    try:
        with Interruption() as interruption:
            start = distributed.from_main(lambda: load_run(arguments))
            folder = start.folder
            training = Training(start.config, folder, resume=start.resume)
            _describe(start, training)
            interruption.waits = True
            training.run(interrupted=lambda: interruption.requested)
            interruption.waits = False
            if distributed.any_of(interruption.requested):  # after the last step
                raise KeyboardInterrupt
            training.finish()
    except (ValueError, NonFiniteLossError, OSError) as error:
        distributed.say(f"train.py: {error}")
        return 2
    except RuntimeError as error:
        if distributed.is_lost(error):
            distributed.say(f"train.py: {distributed.LOST}")
        elif is_dead_worker(error):
            reason = " ".join(str(error).split())
            distributed.say(
                f"train.py: A process that reads the pairs has died ({reason}); --resume with fewer run.workers."
            )
        else:
            raise
        return 2
    except Interrupted as error:
        distributed.say(f"\ntrain.py: interrupted and {error}. Go on with --resume.")
        return 130
    except KeyboardInterrupt:
        saved = folder is not None and folder.last_model.exists()
        distributed.say("\ntrain.py: interrupted. " + ("Go on with --resume." if saved else "Nothing was saved."))
        return 130
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 2 after a sentence on stderr; 130 where it was interrupted."""
    with distributed.joined():
        return _run(argv)


if __name__ == "__main__":
    raise SystemExit(main())
