"""What a training leaves, as its tests compare it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import torch

from face_parsing.models.checkpoint import load_checkpoint

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


def history(output: Path) -> list[dict[str, str]]:
    with (output / "history.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


PLATEAU = ("track=open", "schedule.decay=plateau", "schedule.plateau_patience=1")
