"""Where a config's files and folders lie: resolved once, for this machine, beside what the user wrote."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from face_parsing.config.loading import load_config, save_config
from face_parsing.config.paths import Paths
from face_parsing.config.sections import Config
from face_parsing.labels import CELEBAMASK
from face_parsing.system.environment import PROJECT_ROOT

EVERY_PATH = [
    "track=open", "data.root=pairs", "data.val_stems=val.txt", "run.output=outputs/a", "open_track.teacher=big.pth",
    "open_track.external_data=[{root: more}, {root: /data/other}]",
]  # fmt: skip


def test_paths_to_read_are_found_from_here_or_else_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pairs", "more"):
        (tmp_path / name).mkdir()
    found = load_config(None, [*EVERY_PATH, "open_track.pretrained=/weights/a.pth"]).paths
    assert found == Paths(
        root=Path("pairs"),
        val_stems=PROJECT_ROOT / "val.txt",
        output=PROJECT_ROOT / "outputs" / "a",
        init_from=None,
        pretrained=Path("/weights/a.pth"),
        teacher=PROJECT_ROOT / "big.pth",
        external_data=(Path("more"), Path("/data/other")),
    )


def test_a_run_lies_in_the_project_wherever_the_command_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "a").mkdir(parents=True)
    found = load_config(None, ["run.output=outputs/a", "run.init_from=outputs/a"]).paths
    assert found.output == found.init_from == PROJECT_ROOT / "outputs" / "a"
    assert load_config(None, [f"run.output={tmp_path}"]).paths.output == tmp_path


def test_a_saved_config_holds_what_the_user_wrote(tmp_path: Path) -> None:
    config = load_config(None, EVERY_PATH)
    assert config.paths.output.is_absolute()
    assert config.to_dict()["run"]["output"] == "outputs/a"
    save_config(config, tmp_path / "saved.yaml")
    assert str(PROJECT_ROOT) not in (tmp_path / "saved.yaml").read_text(encoding="utf-8")
    assert load_config(tmp_path / "saved.yaml") == config


def test_they_are_resolved_once_and_anew_in_another_process_or_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(None, ["data.root=pairs"])
    assert config.paths.root == PROJECT_ROOT / "pairs"
    sent = pickle.dumps(config)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs").mkdir()
    assert config.paths.root == PROJECT_ROOT / "pairs"
    received = pickle.loads(sent)
    assert received == config
    assert received.paths.root == Path("pairs")
    changed = dataclasses.replace(config, data=dataclasses.replace(config.data, root=str(tmp_path)))
    assert changed.paths.root == tmp_path


def test_labels_are_those_of_the_classes() -> None:
    assert Config().labels is CELEBAMASK
    assert load_config(None, ["data.classes={rest: [], eyes: [l_eye, r_eye]}"]).labels.names == ("rest", "eyes")


def test_reading_a_config_loads_no_torch() -> None:
    code = "import sys; from face_parsing.config.loading import load_config; load_config().paths; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT / "src", capture_output=True, text=True, check=True
    )
    assert "torch" not in done.stdout.split()
