"""The folder of one run: what lies where, when a run may use it, and what is written into it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from face_parsing.config.loading import ConfigError, load_config, save_config
from face_parsing.config.sections import Config
from face_parsing.data.split import Split
from face_parsing.drawing.plots import plot_history
from face_parsing.evaluation.metrics import Scores
from face_parsing.system.files import atomic_path

# A resumed run may change these: they decide where and how fast it runs, not what it computes.
CHANGEABLE = {
    "data.root",
    "data.cache_gb",
    "run.output",
    "run.device",
    "run.workers",
    "run.resident_share",
    "run.threads",
    "run.compile",
    "run.cuda_graphs",
    "run.save_every_minutes",
    "run.panel_faces",
    "run.patience",
    "run.tensorboard",
    "run.pack_submission",
    "inference",
}


class RunFolderError(ValueError):
    """A run folder that cannot be used as asked; the message says what to do."""


class RunFolder:
    """Paths of a run's folder, and its text files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.best_model = root / "checkpoints" / "best_model.pth"
        self.last_model = root / "checkpoints" / "last_model.pth"
        self.config = root / "config.yaml"
        self.environment = root / "environment.json"
        self.split = root / "split.json"
        self.history = root / "history.csv"
        self.scores = root / "scores.json"
        self.panel = root / "validation_panel.png"
        self.pictures = (self.panel, root / "training_loss.png", root / "f_score.png")
        self.predictions = root / "test"
        self.tensorboard = root / "tensorboard"

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raise RunFolderError for an earlier run in the folder, unless resume or overwrite is given."""
        if resume and overwrite:
            raise RunFolderError("--resume and --overwrite exclude each other; give one of them.")
        begun = self.last_model.exists()
        # A run that was killed in its first epoch may have left its best model alone.
        anew = " and with --overwrite" if self.best_model.exists() else ""
        if resume and not begun:
            raise RunFolderError(
                f"There is nothing to resume: {self.last_model} is not there. Start without --resume{anew}."
            )
        if (begun or self.best_model.exists()) and not (resume or overwrite):
            resumed = "Go on with it by --resume, replace" if begun else "Replace"
            raise RunFolderError(
                f"{self.root} holds an earlier run. {resumed} it by --overwrite, "
                "or choose another folder by --set run.output=FOLDER."
            )

    def clear(self) -> None:
        """Remove what an earlier run wrote here, and nothing else."""
        for path in (self.last_model, self.best_model, self.history, self.scores, self.split, *self.pictures):
            path.unlink(missing_ok=True)
        for folder in (self.tensorboard, self.predictions / "masks", self.predictions / "color"):
            shutil.rmtree(folder, ignore_errors=True)
        (self.predictions / "submission.zip").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove the half-written files of a run that was killed here."""
        texts = (self.config, self.environment, self.split, self.history, self.scores)
        for path in (self.last_model, self.best_model, *texts, *self.pictures):
            for half_written in path.parent.glob(f".[0-9]*.{path.name}"):
                half_written.unlink(missing_ok=True)

    def describe(self, config: Config, environment: Mapping[str, Any], split: Split) -> None:
        """Write config.yaml, environment.json and split.json."""
        with atomic_path(self.config) as path:
            save_config(config, path)
        with atomic_path(self.environment) as path:
            path.write_text(json.dumps(environment, indent=1) + "\n", encoding="utf-8")
        with atomic_path(self.split) as path:
            split.save(path)

    def write_history(self, rows: Sequence[Mapping[str, Any]], *, curves: bool) -> None:
        """Write history.csv, one line a validation, and, with curves, the pictures of it."""
        columns: dict[str, None] = {}
        for row in rows:
            columns.update(dict.fromkeys(row))
        with atomic_path(self.history) as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(columns), restval="")
            writer.writeheader()
            writer.writerows(rows)
        if rows and curves:
            plot_history(self.history, self.root)

    def write_scores(self, scores: Scores, facts: Mapping[str, Any]) -> None:
        """Write scores.json: the final figures of the best model, with facts such as epoch and seconds."""
        per_class: dict[str, Any] = {
            "f1": scores.f1,
            "precision": scores.precision,
            "recall": scores.recall,
            "iou": scores.iou,
        }
        per_class |= {"holders": scores.holders}
        content = {**scores.summary(), "images": scores.images, **facts, "classes": per_class}
        with atomic_path(self.scores) as path:
            path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat.update(_flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return flat


def check_resumable(saved: Config, asked: Config, folder: Path) -> None:
    """Raise RunFolderError where a resumed run's config would compute something else than the saved one."""
    before, now = _flat(saved.to_dict()), _flat(asked.to_dict())
    changed = [
        f"{key}: was {before[key]!r}, now {now[key]!r}"
        for key in before
        if before[key] != now[key] and key not in CHANGEABLE and key.split(".")[0] not in CHANGEABLE
    ]
    if changed:
        lines = "\n  ".join(changed)
        way = (
            "\nTo train on where it ended, start a further run from its best weights: "
            f"--set run.init_from={folder} run.output=FOLDER, without --resume."
        )
        longer = any(line.startswith("schedule.stages") for line in changed)
        raise RunFolderError(
            f"The run in {folder} was started with another config; --resume cannot change:\n  {lines}{way * longer}"
        )


def load_saved_config(path: Path) -> Config:
    """The config that a run saved. Raises RunFolderError where it is gone or was written by another version."""
    try:
        return load_config(path, announce=False)  # nobody wrote it by hand
    except ConfigError as error:
        raise RunFolderError(f"The config of the run to resume cannot be used: {error}") from None
