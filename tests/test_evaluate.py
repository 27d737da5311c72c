"""Judging a folder of masks: the same figures as the referee, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluate import judge_folders, main
from pictures import save_mask


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and truth of three masks, the predictions a shifted truth."""
    rng = np.random.default_rng(0)
    predictions, truth = tmp_path / "predictions", tmp_path / "truth"
    for i in range(3):
        mask = np.kron(rng.integers(0, 19, (8, 8)), np.ones((8, 8))).astype(np.uint8)
        save_mask(mask, truth / f"{i}.png")
        save_mask(np.roll(mask, i, axis=1), predictions / f"{i}.png")
    return predictions, truth


def test_figures_are_the_referees(
    folders: tuple[Path, Path], tmp_path: Path, referee: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, truth = folders
    out = tmp_path / "scores.json"
    assert main(["--predictions", str(predictions), "--truth", str(truth), "--json", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    expected = referee.score(referee.masks_in(predictions), referee.masks_in(truth))
    assert found["f_score"] == pytest.approx(expected["f_score"], abs=1e-9)
    assert found["f_score_in_order"] == pytest.approx(expected["f_score_left_right_in_order"], abs=1e-9)
    assert found["miou"] == pytest.approx(expected["miou"], abs=1e-9)
    assert found["f1"] == pytest.approx(expected["f1_per_class"], abs=1e-9)
    assert f"F-Score {expected['f_score']:.4f}" in capsys.readouterr().out


def test_worst_masks_are_drawn_first(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predictions, truth = folders
    _, each = judge_folders(predictions, truth, progress=False)
    # Mask i was shifted by i pixels.
    assert sorted(each, key=lambda name: each[name]) == ["2.png", "1.png", "0.png"]
    assert each["0.png"] == pytest.approx(1)
    picture = tmp_path / "worst.png"
    assert main(["--predictions", str(predictions), "--truth", str(truth), "--worst", str(picture)]) == 0
    with Image.open(picture) as image:
        assert image.width < 2.5 * 256 + 50
        assert image.height > 3 * 256


def _missing_prediction(predictions: Path, truth: Path) -> str:
    (predictions / "1.png").unlink()
    return "1.png"


def _wrong_size(predictions: Path, truth: Path) -> str:
    Image.new("L", (32, 64)).save(predictions / "2.png")
    return "32x64"


def _colours(predictions: Path, truth: Path) -> str:
    Image.new("RGB", (64, 64)).save(predictions / "0.png")
    return "mode RGB"


def _ignored(predictions: Path, truth: Path) -> str:
    Image.new("L", (64, 64), 255).save(predictions / "0.png")
    return "255"


def _empty(predictions: Path, truth: Path) -> str:
    for path in truth.iterdir():
        path.unlink()
    return "no PNG masks"


@pytest.mark.parametrize("spoil", [_missing_prediction, _wrong_size, _colours, _ignored, _empty])
def test_refusals(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], spoil: Any) -> None:
    word = spoil(*folders)
    assert main(["--predictions", str(folders[0]), "--truth", str(folders[1])]) == 2
    assert word in capsys.readouterr().err
