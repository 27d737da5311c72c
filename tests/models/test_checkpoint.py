"""Checkpoints: there and back, never half-written, and never run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from face_parsing.config.sections import Config
from face_parsing.labels import CELEBAMASK, CLASS_NAMES, NUM_CLASSES, group_labels
from face_parsing.models import build_model
from face_parsing.models.checkpoint import (
    FORMAT_VERSION,
    CheckpointError,
    label_set,
    load_checkpoint,
    restore_model,
    save_checkpoint,
)

TINY: dict[str, Any] = {"name": "unet", "channels": [8, 8, 8], "blocks": [0, 0, 1], "plain_stages": 2, "expansion": 2.0}


def tiny(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(TINY, NUM_CLASSES)


def save(path: Path, *, seed: int = 0, **changes: Any) -> None:
    values: dict[str, Any] = {
        "state_dict": tiny(seed).state_dict(), "model": TINY, "image_size": 64, "track": "challenge",
        "inference": Config().to_dict()["inference"], "scores": {"f_score": 0.5},
    }  # fmt: skip
    save_checkpoint(path, **{**values, **changes})


def message(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    return str(caught.value)


# --- there and back ---------------------------------------------------------------------------------


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "best_model.pth"
    model = tiny().train()
    model(torch.randn(2, 3, 32, 32))  # moves BatchNorm's statistics
    optimizer = torch.optim.AdamW(model.parameters())
    training = {"trainer": {"optimizer": optimizer.state_dict()}, "epoch": 3, "history": [{"loss": 1.5}], "best": {}}
    save(path, state_dict=model.state_dict(), training=training)
    content = load_checkpoint(path)
    assert content["format"] == FORMAT_VERSION
    assert label_set(content) is CELEBAMASK
    assert content["model"] == TINY
    assert (content["image_size"], content["track"], content["scores"]) == (64, "challenge", {"f_score": 0.5})
    assert content["inference"] == Config().to_dict()["inference"]
    assert content["training"] == training
    restored = restore_model(content, path)
    assert not restored.training
    assert list(restored.state_dict()) == list(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(restored.state_dict()[name], value), name
    photo = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        assert torch.equal(restored(photo), model.eval()(photo))
    assert [p.name for p in path.parent.iterdir()] == ["best_model.pth"]


def test_a_coarser_tasks_classes_come_back(tmp_path: Path) -> None:
    six = group_labels({"background": [], "eyes": ["l_eye", "r_eye"], "lips": ["u_lip", "l_lip"]})
    model = build_model(TINY, 3)
    save(tmp_path / "model.pth", state_dict=model.state_dict(), labels=six)
    content = load_checkpoint(tmp_path / "model.pth")
    assert label_set(content) == six
    assert restore_model(content, tmp_path / "model.pth")(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_a_list_of_the_19_names_is_still_read(tmp_path: Path) -> None:
    save(tmp_path / "model.pth")
    content = torch.load(tmp_path / "model.pth", weights_only=True)
    torch.save({**content, "classes": list(CLASS_NAMES)}, tmp_path / "model.pth")
    assert label_set(load_checkpoint(tmp_path / "model.pth")) is CELEBAMASK


@pytest.mark.parametrize("classes", [None, ["a", "b"], {"a": ["no_class"], "b": []}, {"a": ["skin"]}, 3])
def test_unknown_classes_are_refused(tmp_path: Path, classes: Any) -> None:
    save(tmp_path / "model.pth")
    content = torch.load(tmp_path / "model.pth", weights_only=True)
    torch.save({**content, "classes": classes}, tmp_path / "model.pth")
    assert "other classes" in message(tmp_path / "model.pth")


def test_a_checkpoint_ready_for_use_has_no_state_of_training(tmp_path: Path) -> None:
    save(tmp_path / "model.pth")
    assert "training" not in load_checkpoint(tmp_path / "model.pth")


def test_a_checkpoint_replaces_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    save(path, seed=0)
    save(path, seed=1, image_size=96)
    content = load_checkpoint(path)
    assert content["image_size"] == 96
    assert torch.equal(content["state_dict"]["head.1.weight"], tiny(1).state_dict()["head.1.weight"])
    assert [p.name for p in tmp_path.iterdir()] == ["model.pth"]


def test_judges_find_the_weights_under_state_dict_without_the_project(tmp_path: Path) -> None:
    save(tmp_path / "model.pth")
    content = torch.load(tmp_path / "model.pth", weights_only=True)
    assert set(content["state_dict"]) == set(tiny().state_dict())
    assert all(isinstance(value, torch.Tensor) for value in content["state_dict"].values())


# --- saving that fails ------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["torch.save", "os.fsync", "os.replace"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "model.pth"
    save(path, seed=0)
    before = path.read_bytes()

    def fail(*args: object, **options: object) -> None:
        if call == "torch.save":
            args[1].write(b"half a file")  # type: ignore[attr-defined]
        raise OSError("disk full")

    monkeypatch.setattr(call, fail)
    with pytest.raises(OSError, match="disk full"):
        save(path, seed=1)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.pth"]
    assert torch.equal(load_checkpoint(path)["state_dict"]["head.1.weight"], tiny(0).state_dict()["head.1.weight"])


# --- files that cannot be used ----------------------------------------------------------------------


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "it-ran"
    content = {"format": FORMAT_VERSION, "model": TINY, "image_size": 64, "state_dict": {"weight": Evil(trace)}}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    text = message(path)
    assert not trace.exists()
    assert str(path) in text
    assert "refused without running any of it" in text
    if form == "zip":
        torch.load(path, weights_only=False)
        assert trace.exists()  # it would have run


def test_a_whole_model_is_refused(tmp_path: Path) -> None:
    torch.save(tiny(), tmp_path / "model.pth")
    assert "refused without running any of it" in message(tmp_path / "model.pth")


def test_a_missing_file(tmp_path: Path) -> None:
    text = message(tmp_path / "absent.pth")
    assert f"There is no checkpoint {tmp_path / 'absent.pth'}" in text
    assert "train.py" in text
    assert "There is no checkpoint" in message(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = tmp_path / "model.pth"
    save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    text = message(path)
    assert str(path) in text
    assert "\n" not in text


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("legacy", [False, True])
def test_a_damaged_file_loads_or_is_refused_with_a_sentence(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "model.pth"
    content = {"format": FORMAT_VERSION, "classes": list(CLASS_NAMES), "model": TINY, "image_size": 64,
               "state_dict": {"weight": torch.arange(8.0)}}  # fmt: skip
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = loaded = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), size=rng.integers(1, 20)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(1, len(whole))] if rng.random() < 0.3 else damaged)
        try:
            load_checkpoint(path)
        except CheckpointError as error:
            refused += str(path) in str(error)
            continue
        loaded += 1
    assert refused + loaded == 150
    assert refused > 30


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all\n", b"PK\x03\x04", b"\x80\x02}.", b"\x80\x02]q\x00."])
def test_another_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    assert str(path) in message(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 99}, "has format 99, this version reads format 1"),
        ({"classes": ["a", "b"]}, r"was trained on other classes: ['a', 'b']"),
        ({"classes": None}, "was trained on other classes: None"),
        ({"model": ...}, "lacks the model's description"),
        ({"state_dict": ...}, "lacks the model's description"),
        ({"format": ...}, "lacks the model's description"),
    ],
)
def test_a_file_of_another_kind(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "model.pth"
    save(path)
    content = {**torch.load(path, weights_only=True), **changes}
    torch.save({key: value for key, value in content.items() if value is not ...}, path)
    text = message(path)
    assert str(path) in text
    assert sentence in text


def test_a_bare_state_dict_is_told_to_lack_its_description(tmp_path: Path) -> None:
    torch.save(tiny().state_dict(), tmp_path / "model.pth")
    assert "lacks the model's description" in message(tmp_path / "model.pth")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {**TINY, "channels": [8, 8, 16]}},
        {"model": {**TINY, "name": "vit"}},
        {"model": {**TINY, "depth": 3}},
        {"state_dict": {}},
        {"state_dict": {"weight": torch.zeros(1)}},
    ],
    ids=["channels", "name", "argument", "empty", "other"],
)
def test_weights_that_do_not_fit_their_description(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "model.pth"
    save(path, **changes)
    with pytest.raises(CheckpointError, match="do not fit its own description") as caught:
        restore_model(load_checkpoint(path), path)
    assert str(path) in str(caught.value)
