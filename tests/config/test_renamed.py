"""Old names: configs answer each by one line with the new one, files that nobody wrote by hand are read silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from face_parsing.config.loading import ConfigError, from_dict, load_config
from face_parsing.config.renamed import RENAMED, current_figure, current_key, with_current_names
from face_parsing.config.sections import Config
from face_parsing.drawing.plots import read_columns
from face_parsing.models.checkpoint import load_checkpoint, restore_model, save_checkpoint
from face_parsing.training.run_folder import load_saved_config

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {old: new for old, new in RENAMED.items() if not old.startswith("schedule.stages.")}
VALUES: dict[str, Any] = {
    "data.rare_frequency": 0.25,
    "model.fold": 4,
    "augmentation.colour": 0.5,
    "augmentation.colour_strength": 0.2,
    "run.start_from": "outputs/earlier",
    "run.record_steps": False,
}
STAGES = [{"image_size": 64, "epochs": 3, "predict_size": 96}, {"image_size": 96, "epochs": 2}]


def value_of(config: Config, key: str) -> Any:
    section, name = key.split(".")
    return config.to_dict()[section][name]


def test_every_plain_old_key_is_tried_here() -> None:
    assert VALUES.keys() == PLAIN.keys()
    assert RENAMED.keys() - PLAIN.keys() == {"schedule.stages.predict_size"}


@pytest.mark.parametrize("old", PLAIN)
@pytest.mark.parametrize("place", ["file", "--set", "--set of the section"])
def test_an_old_key_is_read_and_answered_by_the_new_one(
    old: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section, name = old.split(".")
    new = f"{section}.{RENAMED[old]}"
    assert value_of(Config(), new) != VALUES[old]
    written = yaml.safe_dump(VALUES[old]).removesuffix("...\n").strip()
    path = tmp_path / "old.yaml"
    path.write_text(f"{section}: {{{name}: {written}}}\n" if place == "file" else "", encoding="utf-8")
    override = f"{old}={written}" if place == "--set" else f"{section}={{{name}: {written}}}"
    found = load_config(path, [] if place == "file" else [override])
    assert value_of(found, new) == VALUES[old]
    assert capsys.readouterr().err == f"Config: {old} is called {new} now.\n"


def test_old_keys_inside_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump({"schedule": {"stages": STAGES}}), encoding="utf-8")
    whole = f"schedule.stages={yaml.safe_dump(STAGES, default_flow_style=True)}"
    line = "Config: schedule.stages.predict_size is called schedule.stages.eval_size now.\n"
    for file, overrides in ((path, []), (None, [whole])):
        found = load_config(file, overrides)
        assert [stage.eval_size for stage in found.schedule.stages] == [96, None]
        assert capsys.readouterr().err == line
    found = load_config(None, ["schedule.stages.0.predict_size=96"])
    assert found.schedule.stages[0].eval_size == 96
    assert capsys.readouterr().err == (
        "Config: schedule.stages.0.predict_size is called schedule.stages.0.eval_size now.\n"
    )


def test_an_old_key_given_again_and_again_is_answered_once(capsys: pytest.CaptureFixture[str]) -> None:
    stages = [STAGES[0], STAGES[0]]
    load_config(None, [f"schedule.stages={yaml.safe_dump(stages, default_flow_style=True)}", "model.fold=1"] * 2)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_new_keys_are_answered_by_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    load_config(None, ["model.space_to_depth=4", "schedule.stages.0.eval_size=96"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("old", PLAIN)
def test_both_names_at_once_are_an_error(old: str, tmp_path: Path) -> None:
    section, name = old.split(".")
    content = {section: {name: VALUES[old], RENAMED[old]: VALUES[old]}}
    path = tmp_path / "both.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    said = f"{old} is the old name of {section}.{RENAMED[old]}, and both are given; keep the new one"
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"The config file {path}: {said}."
    override = f"{section}={yaml.safe_dump(content[section], default_flow_style=True).strip()}"
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert str(caught.value) == f"--set {override}: {said}."


def test_both_names_at_once_in_an_entry_of_a_list_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.stages\.predict_size is the old name .* both are given"):
        load_config(None, ["schedule.stages=[{image_size: 64, epochs: 3, predict_size: 96, eval_size: 96}]"])


def test_a_new_key_over_an_old_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("model: {fold: 4}\n", encoding="utf-8")
    assert value_of(load_config(path, ["model.space_to_depth=1"]), "model.space_to_depth") == 1
    assert value_of(load_config(path, ["model.fold=1"]), "model.space_to_depth") == 1


def test_the_same_word_elsewhere_keeps_its_meaning() -> None:
    assert current_key(["data", "fold"]) == ["data", "fold"]
    assert with_current_names({"fold": 2, "run": {"fold": 3}}) == ({"fold": 2, "run": {"fold": 3}}, [])
    with pytest.raises(ConfigError, match=r"run\.fold: unknown key"):
        load_config(None, ["run.fold=2"])


def test_the_config_that_a_run_saved_is_read_silently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    values = Config().to_dict()
    values["run"]["start_from"] = values["run"].pop("init_from")
    values["data"]["rare_frequency"] = values["data"].pop("repeat_threshold")
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert load_saved_config(path) == Config() == from_dict(Config().to_dict())
    assert capsys.readouterr().err == ""


def test_figures_of_an_old_history_are_read(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,f_score,f_score_in_order\n1,0.5,0.6\n2,0.7,\n", encoding="utf-8")
    columns = read_columns(path)
    assert list(columns) == ["epoch", "f_score", "f_score_lr_corrected"]
    assert columns["f_score_lr_corrected"][0] == 0.6
    assert current_figure("f_score") == "f_score"


@pytest.mark.parametrize("name", ["face_parsing.pth", "face_parsing_fast.pth"])
def test_the_shipped_weights_load_silently(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "weights" / name
    content = load_checkpoint(path)
    assert "fold" not in content["model"]
    assert content["model"]["space_to_depth"] in (2, 4)
    assert {"f_score", "f_score_lr_corrected"} <= content["scores"].keys()
    assert restore_model(content, path)
    assert capsys.readouterr() == ("", "")


def test_an_old_checkpoint_is_the_same_network(tmp_path: Path) -> None:
    config = Config().to_dict()
    made = load_checkpoint(ROOT / "weights" / "face_parsing_fast.pth")
    old = {"fold" if key == "space_to_depth" else key: value for key, value in made["model"].items()}
    save_checkpoint(
        tmp_path / "old.pth", state_dict=made["state_dict"], model=old, image_size=64, track="challenge",
        inference=config["inference"], scores={"f_score_in_order": 0.5},
    )  # fmt: skip
    found = load_checkpoint(tmp_path / "old.pth")
    assert found["model"] == made["model"]
    assert found["scores"] == {"f_score_lr_corrected": 0.5}
    photo = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = restore_model(made, tmp_path)(photo)
        assert torch.equal(restore_model(found, tmp_path)(photo), wanted)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("data.rare_frequency=0.1", "data.repeat_threshold=0.2"),
        ("run.start_from=a", "run.init_from=b"),
        ("schedule.stages.0.predict_size=64", "schedule.stages.0.eval_size=96"),
    ],
)
def test_one_key_set_by_both_names_is_refused(old: str, new: str, order: int) -> None:
    names = [text.partition("=")[0] for text in (old, new)]
    with pytest.raises(ConfigError, match=f"{names[0]} is the old name of {names[1]}, and both are set; keep the new"):
        load_config(None, [old, new][::order])


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("data={rare_frequency: 0.2}", "data.repeat_threshold=0.1", ("data.rare_frequency", "data.repeat_threshold")),
        ("data.rare_frequency=0.2", "data={repeat_threshold: 0.1}", ("data.rare_frequency", "data.repeat_threshold")),
        (
            "schedule={stages: [{image_size: 64, epochs: 3, predict_size: 96}]}",
            "schedule.stages.0.eval_size=96",
            ("schedule.stages.0.predict_size", "schedule.stages.0.eval_size"),
        ),
    ],
)
def test_a_name_inside_a_section_counts_as_well(old: str, new: str, names: tuple[str, str], order: int) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [old, new][::order])
    assert str(caught.value) == f"--set {names[0]} is the old name of {names[1]}, and both are set; keep the new one."


def test_one_key_inside_a_section_and_by_itself_takes_the_later() -> None:
    config = load_config(None, ["data={repeat_threshold: 0.1}", "data.repeat_threshold=0.2"])
    assert config.data.repeat_threshold == 0.2


def test_one_key_set_twice_by_one_name_takes_the_later(capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(None, ["data.repeat_threshold=0.1", "data.repeat_threshold=0.2"])
    assert config.data.repeat_threshold == 0.2
    assert capsys.readouterr().err == ""


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_config(Path("configs/no.yaml"))
    assert (
        f"configs/no.yaml cannot be read: No such file or directory (looked for at {tmp_path}/configs/no.yaml)"
        in str(caught.value)
    )
