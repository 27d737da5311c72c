"""What people expect of a training: TensorBoard, an early end, and a network of others for one's own classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from run_files import Start, history, interrupted_before

import train
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.training import tensorboard


def test_a_run_that_brings_nothing_better_ends(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = "schedule.stages=[{image_size: 32, epochs: 9, batch_size: 4}]"
    still = ("optimizer.lr=1e-12", "optimizer.ema_decay=0", "augmentation.enabled=false")  # nothing is learned
    assert start(tmp_path / "run", overrides=(stages, *still, "run.patience=2")) == 0
    rows = history(tmp_path / "run")
    best = load_checkpoint(tmp_path / "run/checkpoints/best_model.pth")["scores"]["epoch"]
    assert len(rows) == best + 2 < 9
    assert (tmp_path / "run/scores.json").is_file()
    capsys.readouterr()
    assert start(tmp_path / "run", "--resume", overrides=(stages, *still, "run.patience=2")) == 0
    assert len(history(tmp_path / "run")) == best + 2, "a run that has ended does not begin again"


def test_tensorboard_shows_curves_and_faces(start: Start, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert start(tmp_path / "run", overrides=("run.tensorboard=true",)) == 0
    events = accumulator.EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    rows = history(tmp_path / "run")
    shown = {event.step: event.value for event in events.Scalars("run/f_score")}
    assert shown == pytest.approx({int(row["epoch"]): float(row["f_score"]) for row in rows}, rel=1e-6)
    assert "classes/f1_skin" in events.Tags()["scalars"]
    assert "loss/loss_dice" in events.Tags()["scalars"]
    assert [image.step for image in events.Images("validation faces")] == list(shown)


def test_a_resumed_run_takes_back_what_tensorboard_had_of_later_epochs(start: Start, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with interrupted_before(3):
        assert start(tmp_path / "run", overrides=("run.tensorboard=true",)) == 130
    assert start(tmp_path / "run", "--resume", overrides=("run.tensorboard=true",)) == 0
    events = accumulator.EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("run/f_score")] == [1, 2, 3, 4]


def test_tensorboard_that_is_not_installed_is_named_before_the_first_step(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    assert start(tmp_path / "run", overrides=("run.tensorboard=true",)) == 2
    assert "requirements-tensorboard.txt" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_own_classes_take_all_but_the_classifier(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(tmp_path / "first") == 0
    weights = tmp_path / "first/checkpoints/best_model.pth"
    classes = "data.classes={rest: [], hair: [hair, hat]}"
    more = ("track=open", f"open_track.pretrained={weights}", "optimizer.lr=1e-12", "optimizer.ema_decay=0")
    capsys.readouterr()
    assert start(tmp_path / "second", overrides=(classes, *more)) == 0
    assert "tell 19 classes apart, data.classes 2: the classifier is new" in capsys.readouterr().out
    first, second = (load_checkpoint(tmp_path / name / "checkpoints/last_model.pth") for name in ("first", "second"))
    given = load_checkpoint(weights)["state_dict"]
    found = second["training"]["trainer"]["model"]
    body = [name for name in given if "running" not in name and "num_batches" not in name]
    for name in body:
        if name.startswith("head."):
            assert found[name].shape != given[name].shape
        else:
            torch.testing.assert_close(found[name], given[name], atol=1e-6, rtol=0)
    assert second["classes"] == {"rest": [], "hair": ["hair", "hat"]} or list(second["classes"]) == ["rest", "hair"]
    assert first["track"] == "challenge"
    assert second["track"] == "open"


def test_weights_of_another_network_do_not_fit(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(tmp_path / "first") == 0
    weights = tmp_path / "first/checkpoints/best_model.pth"
    more = ("data.classes={rest: [], hair: [hair]}", "track=open", f"open_track.pretrained={weights}")
    assert start(tmp_path / "second", overrides=(*more, "model.channels=[16, 24, 24]")) == 2
    assert "do not fit the config's model" in capsys.readouterr().err


def test_a_key_that_is_set_twice_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["optimizer.lr=1", "run.seed=3", "--set", "optimizer.lr=2", "optimizer.lr = 3"]
    assert train.main(["--config", "absent.yaml", "--set", *words]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "Config: optimizer.lr is set 3 times; the last one counts: optimizer.lr = 3."
    assert len(rest) == 1  # of the config that is not there
