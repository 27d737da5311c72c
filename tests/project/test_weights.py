"""The weights that come with the project: they load, obey the rules, parse faces, and score what their card says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import evaluate
from face_parsing.challenge import PARAMETER_LIMIT
from face_parsing.cli import main
from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import ValidationSet
from face_parsing.data.split import make_split
from face_parsing.evaluation.metrics import Scores
from face_parsing.evaluation.validation import validate
from face_parsing.labels import CLASS_NAMES, is_mirrored
from face_parsing.models import count_parameters
from face_parsing.models.checkpoint import load_checkpoint, restore_model

ROOT = Path(__file__).resolve().parent.parent.parent
WEIGHTS = sorted((ROOT / "weights").glob("*.pth"))


@pytest.fixture(scope="module", params=WEIGHTS, ids=[path.stem for path in WEIGHTS])
def weights(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def content(weights: Path) -> dict[str, Any]:
    return load_checkpoint(weights)


@pytest.fixture(scope="module")
def card(weights: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    return card


def test_they_obey_the_rules(weights: Path, content: dict[str, Any], card: dict[str, Any]) -> None:
    model = restore_model(content, weights)
    assert count_parameters(model) == card["parameters"] < PARAMETER_LIMIT
    assert content["track"] == ("open" if "_open" in weights.stem else "challenge")
    assert weights.stat().st_size < 9e6
    assert all(bool(value.isfinite().all()) for value in content["state_dict"].values())


def test_they_parse_a_public_domain_face(weights: Path, tmp_path: Path) -> None:
    photo = ROOT / "docs" / "images" / "astronaut.jpg"
    assert main(["--model_path", str(weights), "--input", str(photo), "--output", str(tmp_path)]) == 0
    mask = np.array(Image.open(tmp_path / "masks" / "astronaut.png"))
    assert mask.shape == (512, 512)
    share = {name: float((mask == i).mean()) for i, name in enumerate(CLASS_NAMES)}
    # Medians: of the suit, like which nothing was trained on, pieces become hair.
    rows = {name: np.median(np.nonzero(mask == i)[0]) for i, name in enumerate(CLASS_NAMES) if share[name]}
    columns = {name: np.median(np.nonzero(mask == i)[1]) for i, name in enumerate(CLASS_NAMES) if share[name]}
    assert not is_mirrored(mask)
    assert rows["hair"] < rows["l_brow"] < rows["l_eye"] < rows["nose"] < rows["u_lip"] < rows["l_lip"] < rows["cloth"]
    # Below the hair the face is about 150 pixels wide and 170 high: 7 to 8 % of the photo, nose and mouth included.
    assert 200 < columns["nose"] < 280
    face = sum(share[name] for name in ("skin", "nose", "mouth", "u_lip", "l_lip"))
    assert 0.06 < face < 0.12
    assert 0.05 < share["hair"] < 0.25
    assert share["hat"] + share["eye_g"] < 0.01


def scores_of(weights: Path, content: dict[str, Any], real_data: Path, *, step: int = 1) -> Scores:
    """The scores on each step-th face of val.txt."""
    split = make_split(real_data, val_stems=real_data / "val.txt", val_fraction=0.1, seed=0)
    store = PairStore(split.val[::step], 512, repair=False, limit_bytes=1e9, progress=False)
    model = restore_model(content, weights)
    return validate(
        model, ValidationSet(store), image_size=content["image_size"], batch_size=4, device=torch.device("cpu")
    )


# F-Score and left/right corrected F-Score on every fifth face of val.txt; the cards tell those on all 100.
EVERY_FIFTH = {
    "face_parsing": (0.8629286, 0.8779246),
    "face_parsing_fast": (0.8540039, 0.8697333),
    "face_parsing_open": (0.8629549, 0.8776133),
    "face_parsing_open_fast": (0.8586014, 0.8741718),
}


def test_every_fifth_face_scores_as_ever(weights: Path, content: dict[str, Any], real_data: Path) -> None:
    scores = scores_of(weights, content, real_data, step=5)
    assert (scores.f_score, scores.f_score_lr_corrected) == pytest.approx(EVERY_FIFTH[weights.stem], abs=0.001)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_they_score_what_their_card_says(
    weights: Path, content: dict[str, Any], card: dict[str, Any], real_data: Path
) -> None:
    scores = scores_of(weights, content, real_data)
    assert scores.f_score == pytest.approx(card["f_score"], abs=0.002)
    assert scores.f_score_lr_corrected == pytest.approx(card["f_score_lr_corrected"], abs=0.002)


EIGHT_BITS = [path.with_suffix(".onnx") for path in WEIGHTS]


@pytest.mark.parametrize("eight_bits", EIGHT_BITS, ids=lambda path: path.stem)
def test_the_8_bits_parse_as_the_weights_do(eight_bits: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    photo = ROOT / "docs" / "images" / "astronaut.jpg"
    masks = []
    for path in (eight_bits, eight_bits.with_suffix(".pth")):
        output = tmp_path / path.suffix
        assert main(["--model_path", str(path), "--input", str(photo), "--output", str(output)]) == 0
        masks.append(np.array(Image.open(output / "masks" / "astronaut.png")))
    assert eight_bits.stat().st_size < 2e6
    assert (masks[0] == masks[1]).mean() > 0.97


@pytest.mark.timeout(600)
@pytest.mark.parametrize("eight_bits", EIGHT_BITS, ids=lambda path: path.stem)
def test_the_8_bits_lose_little(eight_bits: Path, real_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    scores = tmp_path / "scores.json"
    words = ["--data", str(real_data), "--val_stems", str(real_data / "val.txt"), "--json", str(scores)]
    assert evaluate.main(["--model_path", str(eight_bits), *words]) == 0
    found = json.loads(scores.read_text(encoding="utf-8"))
    card = json.loads(eight_bits.with_suffix(".json").read_text(encoding="utf-8"))
    assert found["f_score_lr_corrected"] == pytest.approx(card["f_score_lr_corrected"], abs=0.002)
