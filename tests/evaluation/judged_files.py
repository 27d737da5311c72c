"""The command and the files that the tests of the evaluation share."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import evaluate
from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.models import build_model
from face_parsing.models.checkpoint import save_checkpoint

CPU = torch.device("cpu")
TINY = {"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1]}


def run(*words: object) -> int:
    return evaluate.main([str(word) for word in words])


def ids(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def write_model(path: Path, *, seed: int = 0, labels: LabelSet = CELEBAMASK, **changes: Any) -> Path:
    torch.manual_seed(seed)
    network = build_model(TINY, len(labels))
    torch.nn.init.normal_(network.head[1].weight, std=0.3)  # so that the classes differ from pixel to pixel
    values: dict[str, Any] = {
        "state_dict": network.state_dict(), "model": TINY, "image_size": 64, "track": "challenge", "labels": labels,
        "inference": {"scales": [0.75, 1.0], "flip": True, "submission_tta": True}, "scores": {"f_score": 0.5},
    }  # fmt: skip
    save_checkpoint(path, **{**values, **changes})
    return path


def pack(path: Path, folder: Path, prefix: str = "masks/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for mask in sorted(folder.glob("*.png")):
            archive.write(mask, f"{prefix}{mask.name}")
        archive.writestr("solution/run.py", "print()")
        archive.writestr("__MACOSX/masks/._0.png", "no mask")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
