"""Numbers that cannot rot: the faces, the loss, the metric and an epoch of training give what they gave when written.

The values were computed by the code at the time; that it was right then is what the other tests show. They were the
same to the given tolerances with oneDNN's and ATen's kernels for AVX-512, AVX2 and SSE 4.1 (ONEDNN_MAX_CPU_ISA and
ATEN_CPU_CAPABILITY): on the epoch's loss 3e-8 apart, on the weights 1.3e-6, and 7e-5 on the F-Score, which jumps where
a pixel changes its class. A change that is meant changes a value here, and says so.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import train
from face_parsing.evaluation.boundary import boundary_f1
from face_parsing.evaluation.metrics import ScoreKeeper
from face_parsing.labels import NUM_CLASSES
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.synthetic.dataset import make_pair
from face_parsing.training import run_folder
from face_parsing.training.fused_loss import CombinedLoss
from face_parsing.training.losses import class_weights
from face_parsing.training.run_folder import RunFolder

SIZE = 64
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def truth() -> torch.Tensor:
    """Masks (2, 64, 64) of two synthetic faces."""
    return torch.from_numpy(np.stack([make_pair(seed, size=SIZE)[1] for seed in SEEDS]))


def logits() -> torch.Tensor:
    """(2, 19, 64, 64) from a formula: no generator of random numbers has to stay as it is."""
    c, h, w = np.ogrid[:NUM_CLASSES, :SIZE, :SIZE]
    planes = [3 * np.sin(0.37 * c * c + 0.11 * h + 0.05 * (b + 1) * w) for b in range(len(SEEDS))]
    return torch.from_numpy(np.stack(planes).astype(np.float32))


def test_the_faces() -> None:
    pixels = [np.bincount(make_pair(seed, size=SIZE)[1].ravel(), minlength=NUM_CLASSES).tolist() for seed in SEEDS]
    assert pixels == PIXELS


def test_the_loss(truth: torch.Tensor) -> None:
    counts = torch.bincount(truth.flatten().long(), minlength=NUM_CLASSES)
    for scheme, expected in LOSSES.items():
        loss = CombinedLoss(label_smoothing=0.05, weights=class_weights(counts, scheme))
        found = {name: float(value) for name, value in loss(logits(), truth.long()).items()}
        assert found == pytest.approx(expected, rel=1e-5), scheme


def test_the_metric(truth: torch.Tensor) -> None:
    """Counts of whole pixels: nothing to round but the last division."""
    predicted = torch.roll(truth, (2, 3), (1, 2))
    keeper = ScoreKeeper()
    keeper.update(predicted, truth)
    scores = keeper.scores()
    assert scores.summary() == pytest.approx(SUMMARY, rel=1e-12)
    assert {name: scores.f1[name] for name in F1} == pytest.approx(F1, rel=1e-12)
    boundary = boundary_f1(predicted[0].numpy(), truth[0].numpy(), tolerance=2.0)
    assert float(np.nanmean(boundary)) == pytest.approx(BOUNDARY, rel=1e-9)


def epoch(folder: Path, faces: Path, name: str) -> Path:
    """One epoch of three steps in float32 on the synthetic faces, in folder/name."""
    config = {
        "data": {"root": str(faces), "size": SIZE},
        "model": {"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1], "plain_stages": 2},
        "optimizer": {"name": "adamw"},  # Muon makes more of the last bits, in which machines differ
        "schedule": {"stages": [{"image_size": SIZE, "epochs": 1, "batch_size": 4}], "warmup_epochs": 0},
        "run": {"precision": "fp32", "device": "cpu", "workers": 0, "threads": 1, "panel_faces": 0, "seed": 0},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert train.main(["--config", str(folder / "c.yaml"), "--set", f"run.output={folder / name}"]) == 0
    return folder / name


def weights_of(output: Path) -> dict[str, torch.Tensor]:
    """The live model's weights after the run."""
    weights: dict[str, torch.Tensor] = load_checkpoint(RunFolder(output).last_model)["training"]["trainer"]["model"]
    return weights


def digest(weights: dict[str, torch.Tensor]) -> str:
    """Of every name and every byte."""
    found = hashlib.sha256()
    for name, value in weights.items():
        found.update(name.encode() + value.contiguous().numpy().tobytes())
    return found.hexdigest()


def test_an_epoch_of_training_and_the_same_once_more(
    tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "plot_history", lambda *files: None)  # drawing takes longer than the training
    first, second = epoch(tmp_path, faces, "first"), epoch(tmp_path, faces, "second")
    assert digest(weights_of(first)) == digest(weights_of(second))
    for name in ("best_model.pth", "last_model.pth"):
        one, other = (load_checkpoint(output / "checkpoints" / name)["state_dict"] for output in (first, second))
        assert digest(one) == digest(other)
    with RunFolder(first).history.open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert {name: float(row[name]) for name in EPOCH} == pytest.approx(EPOCH, rel=1e-5)
    assert {name: float(row[name]) for name in EPOCH_SCORES} == pytest.approx(EPOCH_SCORES, abs=5e-4)
    size = sum(float(value.double().abs().sum()) for value in weights_of(first).values() if value.is_floating_point())
    assert size == pytest.approx(EPOCH_WEIGHTS, rel=1e-5)


# --- the values -----------------------------------------------------------------------------------

PIXELS = [
    [2179, 499, 41, 0, 22, 27, 10, 15, 0, 51, 38, 20, 20, 503, 0, 39, 64, 217, 351],
    [1870, 412, 31, 0, 18, 13, 14, 12, 49, 0, 0, 19, 24, 560, 435, 27, 0, 139, 473],
]
LOSSES = {
    "none": {
        "loss": 7.028354167938232,
        "ce": 4.125187397003174,
        "focal": 3.8860063552856445,
        "dice": 0.960163414478302,
    },
    "sqrt": {
        "loss": 7.333283424377441,
        "ce": 4.489422798156738,
        "focal": 3.7673940658569336,
        "dice": 0.960163414478302,
    },
    "effective": {
        "loss": 7.656517028808594,
        "ce": 4.7492241859436035,
        "focal": 3.894258499145508,
        "dice": 0.960163414478302,
    },
}
SUMMARY = {
    "f_score": 0.3658536017974564,
    "f_score_lr_corrected": 0.3658536017974564,
    "miou": 0.2686715343136312,
    "pixel_accuracy": 0.7294921875,
}
F1 = {
    "background": 0.8669957999887269,
    "skin": 0.5684937335581897,
    "l_eye": 0.1843433833652361,
    "hair": 0.6513170472918421,
    "neck": 0.5904584584169281,
}
BOUNDARY = 0.57834410522624
EPOCH = {
    "loss": 5.648265202840169, "loss_ce": 3.2107345263163247, "loss_dice": 0.9640591541926066,
    "loss_focal": 2.9469432830810547,
}  # fmt: skip
EPOCH_SCORES = {"f_score": 0.019667649812247473, "f_score_lr_corrected": 0.019899805667017136}
EPOCH_WEIGHTS = 3508.979182603217
