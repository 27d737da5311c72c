"""Averaging the weights of runs that started from the same one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import average
import train
from face_parsing.data.dataset import ValidationSet
from face_parsing.evaluation.validation import validate
from face_parsing.models.checkpoint import load_checkpoint, restore_model
from face_parsing.training.pairs import load_data
from face_parsing.training.run_folder import load_saved_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, faces: Path, write_tiny: Callable[..., Path]) -> list[Path]:
    """Two runs that go on from a first one."""
    folder = tmp_path_factory.mktemp("runs")
    config = write_tiny(folder / "tiny.yaml", faces)
    words = ["--config", str(config), "--set"]
    assert train.main([*words, f"run.output={folder / 'first'}"]) == 0
    found = []
    for seed in (1, 2):
        output = folder / f"seed_{seed}"
        more = [f"run.output={output}", f"run.init_from={folder / 'first'}", f"run.seed={seed}"]
        assert train.main([*words, *more]) == 0
        found.append(output)
    return found


def best(run: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_checkpoint(run / "checkpoints" / "best_model.pth")["state_dict"]
    return weights


def test_the_average_is_a_network_to_judge_and_start_from(
    runs: list[Path], tmp_path: Path, faces: Path, write_tiny: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "average"
    words = [*map(str, runs), "--output", str(output)]
    assert average.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if line.startswith("F-Score")]
    assert len(told) == 3
    assert "the average" in told[2]
    for name, value in best(output).items():
        one, other = (best(run)[name] for run in runs)
        assert value.dtype == one.dtype
        if not value.is_floating_point():
            continue
        if "running" in name:  # found anew, not far from what both had
            assert not torch.equal(value, (one + other) / 2)
            torch.testing.assert_close(value, (one + other) / 2, atol=0.5, rtol=1.0)
        else:
            torch.testing.assert_close(value, (one + other) / 2)
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    assert f"{scores['f_score']:.4f}" in told[2]
    assert load_checkpoint(output / "checkpoints" / "best_model.pth")["track"] == "challenge"

    assert average.main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert average.main([*words, "--overwrite"]) == 0
    more = [f"run.output={tmp_path / 'next'}", f"run.init_from={output}"]
    assert train.main(["--config", str(write_tiny(tmp_path / "tiny.yaml", faces)), "--set", *more]) == 0


def test_what_runs_ended_with_is_averaged_where_their_best_have_not_the_same_size(
    runs: list[Path], tmp_path: Path
) -> None:
    other, output = tmp_path / "other", tmp_path / "average"
    shutil.copytree(runs[1], other)
    path = other / "checkpoints" / "best_model.pth"
    torch.save({**torch.load(path, weights_only=True), "image_size": 128}, path)
    assert average.main([str(runs[0]), str(other), "--last", "--output", str(output)]) == 0
    ends = [load_checkpoint(run / "checkpoints" / "last_model.pth")["state_dict"] for run in (runs[0], other)]
    for name, value in best(output).items():
        if value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(value, (ends[0][name] + ends[1][name]) / 2)


def test_an_average_may_have_another_image_size_than_its_runs(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, output = tmp_path / "other", tmp_path / "average"
    shutil.copytree(runs[1], other)
    path = other / "checkpoints" / "best_model.pth"
    torch.save({**torch.load(path, weights_only=True), "image_size": 128}, path)
    assert average.main([str(runs[0]), str(other), "--output", str(output), "--size", "96"]) == 0
    assert load_checkpoint(output / "checkpoints" / "best_model.pth")["image_size"] == 96
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    assert scores["image_size"] == 96
    # It was judged at that size too.
    told = capsys.readouterr().out.splitlines()
    config = load_saved_config(output / "config.yaml")
    _, val, _ = load_data(config, output / "split.json")
    average_of_both = output / "checkpoints" / "best_model.pth"
    model = restore_model(load_checkpoint(average_of_both), average_of_both)
    found = validate(model, ValidationSet(val), image_size=96, batch_size=8, device=torch.device("cpu"))
    assert found.f_score == pytest.approx(scores["f_score"], abs=1e-6)
    assert f"{found.f_score:.4f}" in next(line for line in told if "the average" in line)


def test_only_runs_of_one_network_and_split_are_averaged(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, output = tmp_path / "other", tmp_path / "average"

    def refused(*words: str) -> str:
        assert average.main([str(runs[0]), *words]) == 2
        assert not output.exists()
        return capsys.readouterr().err

    to = ("--output", str(output))
    assert "name two" in refused(*to)
    assert str(other) in refused(str(other), *to)
    assert "one of the runs" in refused(str(runs[1]), "--output", str(runs[1]))
    assert "There is no folder" in refused(str(runs[1]), *to, "--data", str(tmp_path / "nowhere"))

    shutil.copytree(runs[1], other)
    split = json.loads((other / "split.json").read_text(encoding="utf-8"))
    split["train"].append(split["val"].pop())
    (other / "split.json").write_text(json.dumps(split), encoding="utf-8")
    assert "split.json differ" in refused(str(other), *to)

    path = other / "checkpoints" / "best_model.pth"
    content = torch.load(path, weights_only=True)
    torch.save({**content, "image_size": 128}, path)
    told = refused(str(other), *to)
    assert "not the same image size: 128 and 64" in told
    assert "--last" in told
    assert "--size" in told
    torch.save({key: value for key, value in content.items() if key != "inference"}, path)
    assert average.main([str(other), str(runs[0]), *to]) == 2
    assert "lacks inference" in capsys.readouterr().err


@pytest.mark.parametrize("first", [0, 1])
def test_an_average_is_of_the_open_track_where_one_of_its_runs_is(first: int, runs: list[Path], tmp_path: Path) -> None:
    opened, output = tmp_path / "opened", tmp_path / "average"
    shutil.copytree(runs[1], opened)
    path = opened / "checkpoints" / "best_model.pth"
    torch.save({**torch.load(path, weights_only=True), "track": "open"}, path)
    both = [str(runs[0]), str(opened)]
    assert average.main([both[first], both[1 - first], "--output", str(output)]) == 0
    assert load_checkpoint(output / "checkpoints" / "best_model.pth")["track"] == "open"


def test_a_run_is_averaged_with_the_checkpoint_that_it_started_from_and_with_no_other(
    runs: list[Path], tmp_path: Path, faces: Path, write_tiny: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    start, opened, output = tmp_path / "start.pth", tmp_path / "opened", tmp_path / "average"
    shutil.copy(runs[0] / "checkpoints" / "best_model.pth", start)
    config = write_tiny(tmp_path / "tiny.yaml", faces)
    words = ["--set", f"run.output={opened}", "track=open", f"open_track.pretrained={start}"]
    assert train.main(["--config", str(config), *words]) == 0
    assert average.main([str(opened), str(start), "--output", str(output)]) == 0
    first, second, found = best(opened), best(runs[0]), best(output)
    name = next(name for name in found if name.endswith("weight"))
    torch.testing.assert_close(found[name], (first[name] + second[name]) / 2)
    assert load_checkpoint(output / "checkpoints" / "best_model.pth")["track"] == "open"
    capsys.readouterr()
    for named in ([opened, runs[0] / "checkpoints" / "best_model.pth"], [runs[0], start]):
        assert average.main([*map(str, named), "--output", str(tmp_path / "other")]) == 2
        assert f"not the checkpoint that {named[0]} started from (open_track.pretrained: " in capsys.readouterr().err
    assert average.main([str(start), str(start), "--output", str(tmp_path / "other")]) == 2
    assert "No run's folder is among" in capsys.readouterr().err
    assert average.main([str(tmp_path / "nowhere"), str(start), "--output", str(tmp_path / "other")]) == 2
    assert f"There is no folder {tmp_path / 'nowhere'}; name folders of runs" in capsys.readouterr().err
    assert average.main([str(tmp_path), str(start), "--output", str(tmp_path / "other")]) == 2
    assert f"{tmp_path} is no folder of a run: it has no config.yaml" in capsys.readouterr().err


@pytest.mark.timeout(300)
def test_the_open_recipe_is_averaged_with_the_shipped_weights(faces: Path, tmp_path: Path) -> None:
    """As recipes/open.sh does: from the checkout's root, by a relative path, with weights older than some keys."""
    words = [
        f"data.root={faces}", "data.size=64", "schedule.stages=[{image_size: 64, epochs: 1, batch_size: 4}]",
        "schedule.warmup_epochs=0.5", "run.workers=0", "run.threads=1", "run.panel_faces=0", "inference.scales=[1.0]",
        "open_track.external_data=[]", f"run.output={tmp_path / 'run'}",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    for command in (
        ["src/train.py", "--config", "configs/open/fast.yaml", "--set", *words],
        ["src/average.py", str(tmp_path / "run"), "weights/face_parsing_fast.pth", "--size", "64",
         "--output", str(tmp_path / "average")],
    ):  # fmt: skip
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert load_checkpoint(tmp_path / "average" / "checkpoints" / "best_model.pth")["track"] == "open"
