"""What TensorBoard shows of a run, where ``run.tensorboard`` asks for it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from face_parsing.config.loading import ConfigError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def need_tensorboard() -> None:
    """Raise ConfigError where the package is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "run.tensorboard is true, but the package tensorboard is not installed: pip install -r "
            "requirements-tensorboard.txt, or set it to false; history.csv holds the same curves."
        )


class Board:
    """The curves and panels of a run, in a folder that TensorBoard reads. ``epoch`` is how many are done already."""

    def __init__(self, folder: Path, epoch: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # A resumed run takes back what an interrupted one had shown of later epochs.
        self._writer: SummaryWriter = SummaryWriter(str(folder), purge_step=epoch + 1)  # type: ignore[no-untyped-call]

    def show(self, row: Mapping[str, Any], panel: np.ndarray | None) -> None:
        """A row of the history, whose classes are shown apart, and the panel (H, W, 3) uint8 of validation faces."""
        epoch = row["epoch"]
        for name, value in row.items():
            if name != "epoch":
                group = "classes/" if name.startswith("f1_") else "loss/" if name.startswith("loss") else "run/"
                self._writer.add_scalar(group + name, value, epoch)  # type: ignore[no-untyped-call]
        if panel is not None:
            self._writer.add_image("validation faces", panel, epoch, dataformats="HWC")  # type: ignore[no-untyped-call]
        self._writer.flush()  # type: ignore[no-untyped-call]
