"""The sections: a sentence for every key, tracks and their rules, and there and back."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_files import RECIPES, ROOT, message
from hypothesis import given
from hypothesis import strategies as st

from face_parsing.challenge import PARAMETER_LIMIT, RULES
from face_parsing.config import data, loading, networks, optimization, sections
from face_parsing.config.loading import ConfigError, from_dict, load_config, save_config
from face_parsing.config.networks import NETWORKS, Smp
from face_parsing.config.optimization import Schedule, Stage
from face_parsing.config.sections import Config


def test_defaults() -> None:
    assert load_config() == Config() == from_dict({})
    assert Config().track == "challenge"
    assert PARAMETER_LIMIT == 1_821_085


def test_stages_are_found_by_epoch() -> None:
    schedule = Schedule(stages=(Stage(image_size=64, epochs=3), Stage(image_size=96, epochs=2)), warmup_epochs=1)
    assert schedule.epochs == 5
    assert [schedule.stage_at(epoch).image_size for epoch in range(5)] == [64, 64, 64, 96, 96]
    with pytest.raises(IndexError):
        schedule.stage_at(5)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().run.seed = 1  # type: ignore[misc]


def test_no_term_of_the_loss_is_left() -> None:
    assert "loss: ce, dice and focal are all 0" in message(None, "loss.ce=0", "loss.dice=0", "loss.focal=0")


FORBIDDEN = {
    "pretrained": ("open_track.pretrained=weights/a.pth", "no pretrained weights"),
    "external_data": ("open_track.external_data=[{root: more}]", "no external data"),
    "teacher": ("open_track.teacher=weights/b.pth", "no knowledge distillation"),
}


@pytest.mark.parametrize("key", FORBIDDEN)
def test_the_challenge_track_refuses_by_rule_what_the_open_track_allows(key: str) -> None:
    override, rule = FORBIDDEN[key]
    text = message(None, override)
    assert f"open_track.{key} is set" in text
    assert rule in text
    assert "track=open" in text
    assert getattr(load_config(None, [override, "track=open"]).open_track, key)


def test_every_broken_rule_is_told() -> None:
    text = message(None, *[override for override, _ in FORBIDDEN.values()])
    assert all(rule in text for _, rule in FORBIDDEN.values())
    assert set(RULES) == set(FORBIDDEN)


def test_the_challenge_track_refuses_pretrained_encoders() -> None:
    text = message(None, "model.name=smp", "model.encoder_weights=imagenet", FORBIDDEN["teacher"][0])
    assert "model.encoder_weights is set" in text
    assert "no pretrained weights" in text
    assert "no knowledge distillation" in text
    found = load_config(None, ["model.name=smp", "model.encoder_weights=imagenet", "track=open"])
    assert isinstance(found.model, Smp)
    assert found.model.encoder_weights == "imagenet"
    assert load_config(None, ["model.name=smp"]).track == "challenge"
    text = message(None, "model.name=smp", "run.pack_submission=true")
    assert "run.pack_submission is true, but a network of model.name = smp needs more packages" in text


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "saved.yaml"
    stages = "[{image_size: 64, epochs: 3}, {image_size: 96, epochs: 1, batch_size: 2}]"
    overrides = [
        "track=open", "open_track.external_data=[{root: a, weight: 0.5}, {root: b}]", "optimizer.lr=6e-4",
        "data.val_stems=val.txt",
        f"schedule.stages={stages}",
    ]  # fmt: skip
    for wanted in (Config(), load_config(None, overrides)):
        values = wanted.to_dict()
        assert json.loads(json.dumps(values)) == values  # plain containers, lists for tuples
        assert from_dict(values) == wanted
        save_config(wanted, path)
        assert load_config(path) == wanted
        assert list(yaml.safe_load(path.read_text(encoding="utf-8"))) == [f.name for f in dataclasses.fields(Config)]


@pytest.mark.parametrize(
    "name", ["1e5", "12", "null", "true", "~", "0x1f", "1_000", "2026-01-01", "é à", " a: b # c", "4E-2"]
)
def test_a_name_that_looks_like_something_else_survives(tmp_path: Path, name: str) -> None:
    wanted = from_dict({"run": {"output": name}})
    assert wanted.run.output == name
    save_config(wanted, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == wanted


FLOATS = {
    "optimizer.lr": st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    "optimizer.weight_decay": st.floats(min_value=0, allow_infinity=False),
    "loss.focal_gamma": st.floats(min_value=0, allow_infinity=False),
    "data.cache_gb": st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    "data.val_fraction": st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True),
    "augmentation.flip": st.floats(min_value=0, max_value=1),
    "augmentation.rotate": st.floats(min_value=0, max_value=180),
    "optimizer.ema_decay": st.floats(min_value=0, max_value=1, exclude_max=True),
    "inference.scales.0": st.floats(min_value=0.1, max_value=4, exclude_min=True),
}


@given(st.fixed_dictionaries({}, optional=FLOATS))
def test_any_allowed_number_survives_override_file_and_dict(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, float]
) -> None:
    path = tmp_path_factory.getbasetemp() / "floats.yaml"
    found = load_config(None, [f"{key}={value!r}" for key, value in values.items()])
    for key, value in values.items():
        place: Any = found
        for part in key.split("."):
            place = place[int(part)] if part.isdigit() else getattr(place, part)
        assert place == value
        assert math.copysign(1, place) == math.copysign(1, value)
    assert from_dict(found.to_dict()) == found
    save_config(found, path)
    assert load_config(path) == found


KEYS = [
    f"{section}.{key}" for section, values in Config().to_dict().items() if isinstance(values, dict) for key in values
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2000) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=4))
def test_any_content_is_a_config_or_a_config_error(values: dict[str, Any]) -> None:
    nested = Config().to_dict()
    for key, value in values.items():
        section, name = key.split(".")
        nested[section][name] = value
    try:
        found = from_dict(nested)
    except ConfigError as error:
        text = str(error)
    else:
        text = ""
        assert from_dict(found.to_dict()) == found
    assert not text or any(f"  {key.split('.')[0]}" in text for key in values)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_recipe_is_valid(path: Path) -> None:
    found = load_config(path)
    assert from_dict(found.to_dict()) == found


def imports(tree: ast.Module) -> set[str]:
    """First parts of all modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or ".").split(".")[0])
    return names


def test_the_config_imports_neither_torch_nor_more_of_the_project_than_facts() -> None:
    for source in sorted(Path(loading.__file__).parent.glob("*.py")):
        found = imports(ast.parse(source.read_text(encoding="utf-8")))
        assert found <= {*sys.stdlib_module_names, "yaml", "pydantic", "face_parsing"}, source


def test_every_key_has_its_sentence() -> None:
    modules = (sections, data, optimization, networks)
    trees = [ast.parse(Path(module.__file__).read_text(encoding="utf-8")) for module in modules]
    classes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    named = {type(getattr(Config(), f.name)).__name__ for f in dataclasses.fields(Config)} - {"str"}
    named |= {"Stage", "ExternalData", "Config", *(network.__name__ for network in NETWORKS.values())}
    assert {node.name for node in classes} == named
    for section in classes:
        assert ast.get_docstring(section), section.name
        for field, following in zip(section.body, [*section.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and section.name != "Config":
                assert isinstance(following, ast.Expr), f"{section.name}.{ast.unparse(field.target)} has no sentence"


def test_only_the_challenge_track_packs_a_submission() -> None:
    with pytest.raises(ConfigError, match=r"run\.pack_submission"):
        load_config(None, ["track=open", "run.pack_submission=true"])
