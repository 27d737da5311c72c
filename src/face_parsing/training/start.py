"""What a call of ``train.py`` starts: a new run, one that replaces another, or the rest of one that was stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from face_parsing.config.loading import load_config
from face_parsing.config.sections import Config
from face_parsing.system import distributed
from face_parsing.system.environment import PROJECT_ROOT, describe_environment
from face_parsing.training.run import Training
from face_parsing.training.run_folder import RunFolder, check_resumable, load_saved_config

DEFAULT_CONFIG = PROJECT_ROOT / "configs" / "default.yaml"


class Start(NamedTuple):
    """What a call does: the config and the folder of the run, and whether it goes on or replaces what is there."""

    config: Config
    folder: RunFolder
    resume: bool
    overwrite: bool


def _is_restarted(folder: RunFolder) -> bool:
    """Whether this very call of torchrun has begun the run in the folder, and now starts its processes again."""
    try:
        content = json.loads(folder.environment.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("launch") == distributed.launch() is not None


def load_start(config_file: Path | None, overrides: Sequence[str], *, resume: bool, overwrite: bool) -> Start:
    """What was asked for; a resumed run without a config file goes on with the config it saved.

    A run that torchrun restarts goes on with what it has written, whatever was asked for at its start.
    """
    config = load_config(config_file or DEFAULT_CONFIG, overrides)
    folder = RunFolder(config.paths.output)
    if _is_restarted(folder):
        resume = folder.last_model.exists()
        overwrite = not resume
    folder.check(resume=resume, overwrite=overwrite)
    if resume:
        saved = load_saved_config(folder.config)
        if config_file is None:
            config = load_config(folder.config, overrides, announce=False)  # done above
        check_resumable(saved, config, folder.root)
    return Start(config, folder, resume, overwrite)


def claim_folder(start: Start, training: Training) -> None:
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
