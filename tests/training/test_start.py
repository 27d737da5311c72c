"""Where a training starts: from other weights, with a teacher, with more data, and by whose rules."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from run_files import PLATEAU, Start, history

import train
from face_parsing.config.loading import load_config
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.synthetic.dataset import write_dataset
from face_parsing.training.pairs import load_data, sampling_weights


def test_open_track_trains_from_a_checkpoint_with_a_teacher(start: Start, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert start(first) == 0
    best = first / "checkpoints" / "best_model.pth"
    more = (f"open_track.pretrained={best}", f"open_track.teacher={best}")
    assert start(second, overrides=("track=open", *more)) == 0
    assert "loss_teacher" in history(second)[0]
    assert load_checkpoint(second / "checkpoints" / "best_model.pth")["track"] == "open"


def test_a_run_starts_from_another_ones_best_weights(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, still, second = tmp_path / "first", tmp_path / "still", tmp_path / "second"
    assert start(first) == 0
    begins = f"run.init_from={first}"
    # Steps of no length leave the weights, and so the average, where they began.
    assert start(still, overrides=(begins, "run.seed=7", "optimizer.lr=1e-12", "optimizer.weight_decay=0")) == 0
    best = [load_checkpoint(run / "checkpoints" / "best_model.pth")["state_dict"] for run in (first, still)]
    for name in best[0]:
        if name.endswith("weight"):
            torch.testing.assert_close(best[0][name], best[1][name], atol=1e-8, rtol=0)
    assert start(second, overrides=(begins,)) == 0
    assert "Starting from" in capsys.readouterr().out
    shutil.rmtree(first)  # a run that goes on needs it no more
    assert start(second, "--resume", overrides=(begins,)) == 0
    assert start(second, "--resume", overrides=("run.init_from=null",)) == 2
    assert "run.init_from" in capsys.readouterr().err


def test_a_run_starts_from_no_run_against_the_rules(
    start: Start, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    begins = f"run.init_from={first}"

    def refused(*overrides: str) -> str:
        assert start(second, overrides=(begins, *overrides)) == 2
        assert not second.exists()
        return capsys.readouterr().err

    assert str(first) in refused()
    assert start(first, overrides=("track=open",)) == 0
    assert "track open" in refused()
    assert "do not fit" in refused("track=open", "model.channels=[8, 16, 24]")
    assert "keep the one" in refused("track=open", "open_track.pretrained=x.pth")

    assert start(first, "--overwrite") == 0
    split = json.loads((first / "split.json").read_text(encoding="utf-8"))
    (first / "split.json").write_text(json.dumps({**split, "train": [*split["train"], "unknown"]}), encoding="utf-8")
    assert "none of this one's, the first: unknown" in refused()
    shutil.copytree(faces / "train", tmp_path / "undivided" / "train")
    (first / "split.json").write_text(json.dumps(split), encoding="utf-8")
    assert "validated on, the first: 0" in refused("track=open", f"data.root={tmp_path / 'undivided'}")
    (first / "split.json").write_text("{", encoding="utf-8")
    assert "split.json cannot be read" in refused()


def test_external_pairs_are_drawn_by_their_weight(config_file: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    write_dataset(more, train=6, val=1, test=1, size=64, seed=9, progress=False)
    config = load_config(
        config_file,
        ["track=open", "data.repeat_threshold=0", f"open_track.external_data=[{{root: {more}, weight: 0.5}}]"],
    )
    store, _, split = load_data(config, None)
    assert (len(store), len(split.train)) == (18, 12)
    assert sampling_weights(config, store).tolist() == [1.0] * 12 + [0.5] * 6
    mixed = f"open_track.external_data=[{{root: {more}, weight: 0.5}}]"
    words = ["--config", str(config_file), "--set", f"run.output={tmp_path / 'run'}", mixed, *PLATEAU]
    assert train.main(words) == 0


def test_fewer_pairs_are_among_more_and_external_ones_come_last(config_file: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    write_dataset(more, train=6, val=1, test=1, size=64, seed=9, progress=False)
    mixed = ["track=open", f"open_track.external_data=[{{root: {more}}}]"]
    known: list[set[Path]] = []
    for count in (3, 7, 14, 40):
        config = load_config(config_file, [*mixed, f"data.max_pairs={count}"])
        store, val, split = load_data(config, None)
        assert (len(store), len(split.train), len(val)) == (min(count, 18), min(count, 12), 4)
        assert [pair.image.is_relative_to(more) for pair in store.pairs] == [i >= 12 for i in range(len(store))]
        assert sampling_weights(config, store).shape == (len(store),)
        known.append({pair.image for pair in store.pairs})
    assert known[0] < known[1] < known[2] < known[3]


def test_external_pairs_that_are_validated_on_are_refused(
    start: Start, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = tmp_path / "more"
    write_dataset(more, train=3, val=1, test=1, size=64, seed=9, progress=False)
    known = min((faces / "val/images").iterdir())
    shutil.copy(known, more / "train/images" / f"again{known.suffix}")
    shutil.copy(faces / "val/masks" / f"{known.stem}.png", more / "train/masks/again.png")
    mixed = f"open_track.external_data=[{{root: {more}}}]"
    assert start(tmp_path / "run", overrides=("track=open", mixed)) == 2
    told = capsys.readouterr().err
    assert f"1 problem in {more / 'train'}" in told
    assert f"again{known.suffix}: is the photo, or nearly, of the validation pair {known}" in told


def test_a_set_marked_as_external_is_for_the_open_track(
    start: Start, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(faces, root)
    (root / "provenance.json").write_text(json.dumps({"breaks": "external_data"}), encoding="utf-8")
    assert start(tmp_path / "run", overrides=(f"data.root={root}",)) == 2
    assert "no external data" in capsys.readouterr().err
    (root / "provenance.json").write_text("{", encoding="utf-8")
    assert start(tmp_path / "run", overrides=(f"data.root={root}",)) == 2
    assert "provenance.json cannot be read" in capsys.readouterr().err
    grouped = {"breaks": None, "recipe": {"classes": [["rest", []], ["eyes", ["l_eye", "r_eye"]]]}}
    (root / "provenance.json").write_text(json.dumps(grouped), encoding="utf-8")
    assert start(tmp_path / "run", overrides=(f"data.root={root}",)) == 2
    assert "data.classes" in capsys.readouterr().err
    (root / "provenance.json").write_text(json.dumps({"breaks": None}), encoding="utf-8")
    assert start(tmp_path / "run", overrides=(f"data.root={root}",)) == 0


def test_a_set_is_not_external_to_itself(
    start: Start, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = f"open_track.external_data=[{{root: {faces}}}]"
    assert start(tmp_path / "run", overrides=("track=open", mixed)) == 2
    assert f"names {faces}, which is data.root itself" in capsys.readouterr().err


def test_a_missing_external_set_is_told_with_its_key(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = tmp_path / "more"
    mixed = f"open_track.external_data=[{{root: {more}}}]"
    assert start(tmp_path / "run", overrides=("track=open", mixed)) == 2
    assert f"There is no folder {more}, which open_track.external_data names" in capsys.readouterr().err


def test_a_grouped_set_is_no_external_data(
    start: Start, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = tmp_path / "more"
    shutil.copytree(faces, more)
    grouped = {"breaks": None, "recipe": {"classes": [["rest", []], ["eyes", ["l_eye", "r_eye"]]]}}
    (more / "provenance.json").write_text(json.dumps(grouped), encoding="utf-8")
    mixed = f"open_track.external_data=[{{root: {more}}}]"
    assert start(tmp_path / "run", overrides=("track=open", mixed)) == 2
    assert f"{more} is a grouped set" in capsys.readouterr().err
