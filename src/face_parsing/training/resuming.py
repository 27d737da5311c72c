"""What last_model.pth holds of a run beside its weights, and how a resumed run takes it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from face_parsing.config.renamed import current_figure
from face_parsing.data.sampler import EpochSampler
from face_parsing.models.checkpoint import CheckpointError
from face_parsing.training.trainer import EpochProgress, Trainer


def _renamed(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures by name, of which earlier versions gave one another name."""
    return {current_figure(name): value for name, value in figures.items()}


@dataclass(kw_only=True)
class RunState:
    """How far a run has come, beside the states of its trainer and its sampler."""

    history: list[dict[str, Any]] = field(default_factory=list)
    """One row a validation."""
    best: dict[str, float] = field(default_factory=dict)
    """Scores and epoch of the best model; empty before the first validation."""
    seconds: float = 0.0
    """Time that all its steps and validations have taken."""
    progress: EpochProgress = field(default_factory=EpochProgress)
    """Of the epoch that has begun."""
    cycle_ends: list[dict[str, Tensor]] = field(default_factory=list)
    """Averaged weights, on the CPU, that the last cycles of the learning rate have ended with."""
    random: list[dict[str, Tensor]] = field(default_factory=list)
    """Random states of the processes where the run was left within an epoch, one a process."""

    def to_save(self, trainer: Trainer, epoch: int, within: Mapping[str, Any] | None) -> dict[str, Any]:
        """All that ``take_up`` needs after epoch epochs; ``within`` says how far the next one has come."""
        return {
            "trainer": trainer.state(),
            "epoch": epoch,
            "history": self.history,
            "best": self.best,
            "seconds": self.seconds,
            "cycle_ends": self.cycle_ends,
            "within": within,
        }

    def keep_cycle_end(self, weights: Mapping[str, Tensor], most: int) -> None:
        """Keep what a cycle has ended with, and of earlier ones as many as make ``most``."""
        ends = [*self.cycle_ends, {name: value.detach().cpu().clone() for name, value in weights.items()}]
        self.cycle_ends = ends[len(ends) - min(most, len(ends)) :]

    def within(self, random: list[dict[str, Tensor]]) -> dict[str, Any]:
        """How far the epoch has come, with the random states of all processes."""
        return {"progress": self.progress.state(), "random": random}


def _taken_up(
    content: Mapping[str, Any], trainer: Trainer, sampler: EpochSampler, epochs: int, device: torch.device
) -> RunState:
    saved = content["training"]
    trainer.load_state(saved["trainer"], content["state_dict"])
    epoch = range(epochs + 1)[saved["epoch"]]
    sampler.first_epoch = epoch
    state = RunState(
        history=[_renamed(row) for row in saved["history"]],
        best=_renamed(saved["best"]),
        seconds=float(saved["seconds"]),
        cycle_ends=[dict(end) for end in saved.get("cycle_ends", ())],
    )
    within = saved.get("within")  # an epoch; the first checkpoints were written at the ends of epochs alone
    if within is not None:
        state.progress = EpochProgress.restored(within["progress"], device)
        sampler.first_step = range(sampler.steps(epoch) + 1)[state.progress.steps]
        state.random = list(within["random"])
    return state


def take_up(
    content: Mapping[str, Any],
    path: Path,
    *,
    trainer: Trainer,
    sampler: EpochSampler,
    epochs: int,
    device: torch.device,
) -> RunState:
    """The state of the run of a loaded checkpoint, of epochs epochs, where trainer and sampler then go on.

    Raises CheckpointError, naming the checkpoint's path, where it holds no such state.
    """
    if content.get("training") is None:
        raise CheckpointError(f"{path} holds no state of a training; it cannot be resumed.")
    try:
        state = _taken_up(content, trainer, sampler, epochs, device)
    except Exception as error:  # what torch makes of a state that is not its own has no class in common
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"The training in {path} cannot be resumed ({reason[:500]}); start anew.") from None
    steps = f" and {state.progress.steps} steps of the next" if state.progress.steps else ""
    print(f"Resuming after epoch {sampler.first_epoch} of {epochs}{steps}.")
    return state
