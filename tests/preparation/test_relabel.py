"""Labels corrected by a network: which ones, and what the command leaves and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import prepare
import train
from face_parsing.config.sections import Config
from face_parsing.data.masks import read_mask, save_mask
from face_parsing.data.provenance import read_provenance
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, is_mirrored, swap_left_right
from face_parsing.models import build_model
from face_parsing.models.checkpoint import save_checkpoint
from face_parsing.preparation.copying import PreparationError
from face_parsing.preparation.corrections import KEPT, Thresholds, correct, count_changes, report_text

SKIN, NOSE, HAIR, HAT = (CLASS_NAMES.index(name) for name in ("skin", "nose", "hair", "hat"))
TINY = {"name": "unet", "channels": [8, 8, 8], "blocks": [0, 0, 1], "plain_stages": 2, "expansion": 2.0}


def probabilities(*pixels: dict[int, float]) -> np.ndarray:
    """(19, 1, W) with what each pixel's dict says, the rest spread over background."""
    values = np.zeros((19, 1, len(pixels)), dtype=np.float32)
    for x, pixel in enumerate(pixels):
        values[0, 0, x] = 1 - sum(pixel.values())
        for c, value in pixel.items():
            values[c, 0, x] += value
    return values


def test_correcting_by_hand() -> None:
    mask = np.array([[SKIN, SKIN, SKIN, HAT, IGNORE_INDEX, HAIR]], dtype=np.uint8)
    given = probabilities(
        {NOSE: 0.95, SKIN: 0.05},  # sure of another class
        {NOSE: 0.85, SKIN: 0.15},  # not sure enough
        {SKIN: 0.99, NOSE: 0.01},  # agrees
        {HAIR: 0.99, HAT: 0.01},  # sure, but hats are kept
        {HAIR: 0.99, SKIN: 0.01},  # ignored pixels stay
        {SKIN: 0.6, HAIR: 0.02},  # unsure, and the label is hardly possible
    )
    kept = correct(mask, given, Thresholds(confidence=0.9))
    assert kept.tolist() == [[NOSE, SKIN, SKIN, HAT, IGNORE_INDEX, HAIR]]
    assert kept.dtype == np.uint8
    ignoring = correct(mask, given, Thresholds(confidence=0.9, ignore=0.05, keep=()))
    assert ignoring.tolist() == [[NOSE, SKIN, SKIN, HAIR, IGNORE_INDEX, IGNORE_INDEX]]


@pytest.mark.parametrize(
    ("values", "words"),
    [({"confidence": 1.5}, "--confidence"), ({"max_change": -0.1}, "--max_change"), ({"keep": ("cap",)}, "'cap'")],
)
def test_thresholds_that_make_no_sense(values: dict[str, object], words: str) -> None:
    with pytest.raises(PreparationError, match=words):
        Thresholds(**values)  # type: ignore[arg-type]


@pytest.fixture
def data(tmp_path: Path, faces: Path) -> Path:
    """The tiny set with one training mask mirrored without its labels."""
    root = tmp_path / "data"
    shutil.copytree(faces, root)
    first = sorted((root / "train" / "masks").iterdir())[0]
    mask = swap_left_right(read_mask(first))
    assert is_mirrored(mask)
    save_mask(mask, first)
    return root


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network that calls everything hair."""
    network = build_model(TINY, 19)
    for name, value in network.state_dict().items():
        if name == "head.1.weight":
            value.zero_()
        if name == "head.1.bias":
            value.zero_()
            value[4 * HAIR : 4 * HAIR + 4] = 20.0
    path = tmp_path / "hair.pth"
    save_checkpoint(
        path, state_dict=network.state_dict(), model=TINY, image_size=64, inference=Config().to_dict()["inference"],
        track="challenge", scores={},
    )  # fmt: skip
    return path


def call(model: Path, data: Path, output: Path, *words: str) -> int:
    words = ("--model_path", str(model), "--data", str(data), "--output", str(output), *words)
    return prepare.main(["relabel", *words])


def test_a_sure_network_changes_training_labels_and_no_others(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    output = tmp_path / "new"
    assert call(model, data, output, "--max_change", "1") == 0
    for path in sorted((data / "train" / "masks").iterdir()):
        old, new = read_mask(path), read_mask(output / "train" / "masks" / path.name)
        kept = np.isin(old, [CLASS_NAMES.index(name) for name in KEPT])
        assert np.array_equal(new, np.where(kept, old, HAIR))
    for split in ("val", "test"):
        for path in (data / split).rglob("*.*"):
            assert (output / path.relative_to(data)).read_bytes() == path.read_bytes() or path.suffix == ".png"
    for path in (data / "val" / "masks").iterdir():
        assert np.array_equal(read_mask(path), read_mask(output / "val" / "masks" / path.name))
    content = json.loads((output / "relabel.json").read_text(encoding="utf-8"))
    assert len(content["changed"]) == 12
    assert len(content["repaired"]) == 1
    record = read_provenance(output)
    assert record is not None
    assert record["command"][:4] == ["prepare.py", "relabel", "--model_path", str(model)]
    assert record["recipe"]["subcommand"] == "relabel"
    assert content["left_alone"] == []
    assert (output / "most_changed.png").is_file()
    text = capsys.readouterr().out
    assert "in 12 of 12 masks; 1 mirrored masks repaired" in text
    assert "-> hair" in text


def test_masks_that_would_change_too_much_stay_but_are_repaired(model: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "new"
    assert call(model, data, output) == 0
    content = json.loads((output / "relabel.json").read_text(encoding="utf-8"))
    assert len(content["left_alone"]) == 12
    assert set(content["changed"].values()) == {0.0}
    assert not any(is_mirrored(read_mask(path)) for path in (output / "train" / "masks").iterdir())
    assert call(model, data, output) == 0  # again: all is there, and the list is not doubled
    assert json.loads((output / "relabel.json").read_text(encoding="utf-8")) == content


def test_the_challenge_refuses_what_was_relabelled_and_the_open_track_goes_on_from_it(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new"
    assert call(model, data, output, "--max_change", "1") == 0
    tiny = [
        "data.size=64", "model={name: unet, channels: [8,8,8], blocks: [0,0,1], plain_stages: 2, expansion: 2.0}",
        "schedule.stages=[{image_size: 64, epochs: 1, batch_size: 4}]", "schedule.average_cycles=0",
        "schedule.warmup_epochs=0", "run.workers=0", "run.threads=1", f"data.root={output}",
        f"run.output={tmp_path / 'run'}",
    ]  # fmt: skip
    assert train.main(["--set", *tiny]) == 2
    assert "no knowledge distillation" in capsys.readouterr().err
    assert train.main(["--set", *tiny, "track=open", f"open_track.pretrained={model}"]) == 0


def test_refusals(model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(data / "val", tmp_path / "elsewhere")
    assert call(model, data, tmp_path / "new") == 2
    assert "--val_stems" in capsys.readouterr().err
    stems = tmp_path / "val.txt"
    stems.write_text("00001\n", encoding="utf-8")
    assert call(model, data, data / "inside", "--val_stems", str(stems)) == 2
    assert "inside" in capsys.readouterr().err
    assert call(tmp_path / "no.pth", data, tmp_path / "new", "--val_stems", str(stems)) == 2
    assert "no.pth" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_changes_are_counted_by_old_and_new_label() -> None:
    counts = np.zeros((19, 20), dtype=np.int64)
    counts[SKIN, SKIN], counts[SKIN, NOSE], counts[HAIR, 19] = 90, 10, 100
    text = report_text(counts, {"a": 0.5, "b": 0.0}, ["a"], ["b"])
    assert "55.000% of the pixels changed, in 1 of 2 masks; 1 mirrored masks repaired; 1 masks left alone" in text
    assert "skin -> nose: 10 pixels" in text
    assert "hair -> ignored: 100 pixels" in text
    assert "skin                 100   10.00%    0.00%" in text
    assert count_changes([], Path("nowhere"))[1] == {}
