"""What a training leaves, as its tests compare it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent.parent
Start = Callable[..., int]


def weights(output: Path) -> dict[str, torch.Tensor]:
    """All tensors of a run's last state: live model, average and optimiser."""
    content = load_checkpoint(output / "checkpoints" / "last_model.pth")
    trainer = content["training"]["trainer"]
    found = {f"average.{k}": v for k, v in content["state_dict"].items()}
    found |= {f"model.{k}": v for k, v in trainer["model"].items()}
    for index, state in trainer["optimizer"]["state"].items():
        found |= {f"optimizer.{index}.{k}": v for k, v in state.items() if isinstance(v, torch.Tensor)}
    return found


def assert_same_weights(first: Path, second: Path) -> None:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


@contextmanager
def interrupted_before(epoch: int) -> Iterator[None]:
    """Trainings in here are interrupted before the epoch-th epoch, from 1, of all of them together."""
    original, epochs = Trainer.train_epoch, 0

    def count(self: Trainer, *args: object, **options: object) -> object:
        nonlocal epochs
        epochs += 1
        if epochs == epoch:
            raise KeyboardInterrupt
        return original(self, *args, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", count)
        yield


def history(output: Path) -> list[dict[str, str]]:
    with (output / "history.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


PLATEAU = ("track=open", "schedule.decay=plateau", "schedule.plateau_patience=1")
