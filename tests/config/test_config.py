"""The configuration: precedence, numbers, and errors that name the key, the value and what is allowed."""

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
from hypothesis import given
from hypothesis import strategies as st

from face_parsing.challenge import PARAMETER_LIMIT, RULES
from face_parsing.config import data, loading, networks, optimization, sections
from face_parsing.config.loading import ConfigError, from_dict, load_config, save_config
from face_parsing.config.networks import NETWORKS, DeepLabV3Plus, LightUNet, Smp, UNet
from face_parsing.config.optimization import Schedule, Stage
from face_parsing.config.sections import Config

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPES = sorted((ROOT / "configs").rglob("*.yaml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def message(path: Path | None = None, *overrides: str) -> str:
    """The text of the ConfigError that these raise."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


# --- filling ----------------------------------------------------------------------------------------


def test_defaults() -> None:
    assert load_config() == Config() == from_dict({})
    assert Config().track == "challenge"
    assert PARAMETER_LIMIT == 1_821_085


def test_the_file_comes_before_the_defaults_and_set_before_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "optimizer: {lr: 0.5, clip_norm: 2}\nrun:\n  seed: 3\n  output: there\n")
    found = load_config(path, ["optimizer.lr=0.25", "run.seed=4", "run.seed=5"])
    assert (found.optimizer.lr, found.run.seed) == (0.25, 5)
    assert (found.optimizer.clip_norm, found.run.output) == (2.0, "there")
    assert found.optimizer.weight_decay == Config().optimizer.weight_decay
    assert found.data == Config().data


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "# nothing yet\n")) == Config()


@pytest.mark.parametrize(
    ("text", "value"),
    [("6e-4", 6e-4), ("1e-3", 1e-3), ("1E-3", 1e-3), ("1.5e+2", 150.0), (".5e1", 5.0), ("5.e-1", 0.5), ("1", 1.0),
     ("+3e-3", 3e-3), ("0.003", 0.003)],
)  # fmt: skip
def test_numbers_are_numbers(tmp_path: Path, text: str, value: float) -> None:
    from_file = load_config(write(tmp_path, f"optimizer:\n  lr: {text}\n")).optimizer.lr
    from_set = load_config(None, [f"optimizer.lr={text}"]).optimizer.lr
    assert from_file == from_set == value
    assert isinstance(from_file, float)


def test_set_reaches_into_lists() -> None:
    found = load_config(None, ["schedule.stages.0.epochs=7", "inference.scales.2=1.5", "model.channels.0=24"])
    assert found.schedule.stages == (Stage(image_size=512, epochs=7, batch_size=16),)
    assert found.inference.scales == (0.75, 1.0, 1.5)
    assert found.model.channels == (24, *Config().model.channels[1:])


def test_set_reaches_into_defaults_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "inference: {flip: false}\nschedule: {warmup_epochs: 1}\n")
    found = load_config(path, ["inference.scales.0=0.5", "schedule.stages.0.epochs=7"])
    assert (found.inference.flip, found.inference.scales) == (False, (0.5, 1.0, 1.25))
    assert (found.schedule.warmup_epochs, found.schedule.epochs) == (1.0, 7)


def test_set_replaces_whole_lists_and_sections() -> None:
    found = load_config(None, ["schedule.stages=[{image_size: 64, epochs: 3}, {image_size: 96, epochs: 4}]",
                               "inference.scales=[1]", "data.val_stems=null", "augmentation={flip: 0}"])  # fmt: skip
    assert [(stage.image_size, stage.epochs, stage.batch_size) for stage in found.schedule.stages] == [
        (64, 3, 16),
        (96, 4, 16),
    ]
    assert found.inference.scales == (1.0,)
    assert found.augmentation == dataclasses.replace(Config().augmentation, flip=0.0)


def test_stages_are_found_by_epoch() -> None:
    schedule = Schedule(stages=(Stage(image_size=64, epochs=3), Stage(image_size=96, epochs=2)), warmup_epochs=1)
    assert schedule.epochs == 5
    assert [schedule.stage_at(epoch).image_size for epoch in range(5)] == [64, 64, 64, 96, 96]
    with pytest.raises(IndexError):
        schedule.stage_at(5)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().run.seed = 1  # type: ignore[misc]


# --- errors -----------------------------------------------------------------------------------------


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "optimiser: {lr: 1}\ndata: {size: big}\nloss: {class_weights: squared}\n")
    overrides = (
        "augmentation.flip=1.5", "schedule.stages.0.epochs=0", "run.workrs=2", "run.device=tpu", "loss.dice=-1",
        "model={name: unet, blocks: [0, 1, 1]}", "run.seed=true", "schedule.stages.0.imagesize=3",
    )  # fmt: skip
    text = message(path, *overrides)
    lines = [line.strip() for line in text.splitlines()]
    wanted = {
        "optimiser": ("unknown key", "Did you mean optimizer?", "schedule"),
        "data.size": ('"big"', "integer"),
        "loss.class_weights": ('"squared"', "'none', 'sqrt' or 'effective'"),
        "augmentation.flip": ("1.5", "less than or equal to 1"),
        "schedule.stages.0.epochs": ("= 0", "greater than 0"),
        "schedule.stages.0.imagesize": ("unknown key", "Did you mean image_size?", "epochs, batch_size"),
        "run.workrs": ("unknown key", "Did you mean workers?", "seed, device"),
        "run.device": ('"tpu"', "'auto', 'cpu' or 'cuda'"),
        "model": ("blocks has 3 entries", "one a stage, 5"),
        "loss.dice": ("= -1", "greater than or equal to 0"),
        "run.seed": ("= true", "integer"),
    }
    assert lines[0] == "The configuration is wrong:"
    assert len(lines) == 1 + len(wanted)
    for key, parts in wanted.items():
        (line,) = [line for line in lines[1:] if line.startswith((f"{key}:", f"{key} ="))]
        assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("optimizer.lr=0", ("optimizer.lr = 0", "greater than 0")),
        ("optimizer.lr=fast", ('optimizer.lr = "fast"', "number")),
        ("optimizer.lr=.inf", ("optimizer.lr = Infinity", "finite")),
        ("data.size=.nan", ("data.size = NaN", "integer")),
        ("data.size=1.5", ("data.size = 1.5", "integer")),
        ("data.val_fraction=1", ("data.val_fraction = 1", "less than 1")),
        ("data.root=3", ("data.root = 3", "string")),
        ("run.channels_last=1", ("run.channels_last = 1", "boolean")),
        ("run.compile='yes'", ('run.compile = "yes"', "boolean")),
        ("data=null", ("data = null", "object")),
        ("optimizer.betas=[0.9]", ("optimizer.betas.1", "required")),
        ("augmentation.scale=[1.2, 0.9]", ("augmentation: scale is [1.2, 0.9]", "smaller one comes first")),
        ("schedule.stages=[]", ("schedule: stages is empty", "one entry at least")),
        ("schedule.stages=[{image_size: 64}]", ("schedule.stages.0.epochs", "required")),
        ("schedule.stages.0.image_size=16", ("schedule.stages.0.image_size = 16", "greater than or equal to 32")),
        ("schedule.warmup_epochs=300", ("warmup_epochs is 300", "below the 300 epochs")),
        ("run.precision=int8", ('run.precision = "int8"', "'auto', 'fp32', 'bf16' or 'fp16'")),
        ("model.name=vit", ('model.name = "vit"', "'unet', 'deeplabv3plus', 'light_unet', 'separable_unet' or 'smp'")),
        ("model.name=null", ("model.name = null", "'unet'")),
        ("model.name=[unet]", ('model.name = ["unet"]', "'unet'")),
        ("model=3", ("model = 3", "object")),
        ("model.channels.0=4.5", ("  model.channels.0 = 4.5", "integer")),
        (
            "model.chanels=[8]",
            ("model.chanels: unknown key. Did you mean channels?", "model (light_unet) knows: name, channels"),
        ),
        ("track=closed", ('track = "closed"', "'challenge' or 'open'")),
        ("color=1", ("color: unknown key", "the config knows: track, data, model")),
        ("data.1=3", ("data.1: unknown key", "data knows: root")),
    ],
)
def test_an_error_names_key_value_and_what_is_allowed(override: str, parts: tuple[str, ...]) -> None:
    text = message(None, override)
    assert all(part in text for part in parts), text


def test_no_term_of_the_loss_is_left() -> None:
    assert "loss: ce, dice and focal are all 0" in message(None, "loss.ce=0", "loss.dice=0", "loss.focal=0")


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("optimizer.lr", ("section.key=value", "optimizer.lr=3e-3")),
        ("=3", ("section.key=value",)),
        ("optimizer..lr=3", ("section.key=value",)),
        ("optimizer.lr.low=3", ("optimizer.lr is a value, not a section",)),
        ("schedule.stages.1.epochs=3", ("schedule.stages has the entries 0 to 0", "'1'")),
        ("schedule.stages.first.epochs=3", ("schedule.stages has the entries 0 to 0", "'first'")),
        ("inference.scales.-1=2", ("inference.scales has the entries 0 to 2", "'-1'")),
        ("inference.scales.²=2", ("inference.scales has the entries 0 to 2", "'²'")),
        ("inference.scales=[1", ("--set inference.scales=[1", "not valid YAML")),
        ("augmentation={flip: 0, flip: 1}", ("'flip' is given twice",)),
    ],
)
def test_an_override_that_cannot_be_applied(override: str, parts: tuple[str, ...]) -> None:
    text = message(None, override)
    assert f"--set {override}" in text
    assert all(part in text for part in parts), text


def test_an_override_into_an_empty_list_says_that_it_is_empty() -> None:
    text = message(None, "track=open", "open_track.external_data.0=more")
    assert "open_track.external_data" in text
    assert "-1" not in text  # as in "the entries 0 to -1"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (
            b"data: {size: 64}\nrun: {seed: 1}\ndata: {size: 32}\n",
            ("not valid YAML", "'data' is given twice", "line 1"),
        ),
        (b"run:\n  seed: 1\n  seed: 2\n", ("'seed' is given twice", "line 2")),
        (b"run: [\n", ("not valid YAML", "line 2")),
        (b"run: !!python/object/apply:os.getcwd []\n", ("not valid YAML", "python/object")),
        (b"- data\n- run\n", ("holds a list", "sections")),
        (b"just text\n", ("holds a str", "sections")),
        (b"run: {output: \xff\xfe}\n", ("not a UTF-8 text file",)),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes, parts: tuple[str, ...]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    text = message(path)
    assert str(path) in text
    assert all(part in text for part in parts), text


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    text = message(tmp_path / "absent.yaml")
    assert f"{tmp_path / 'absent.yaml'} cannot be read: No such file or directory" in text
    assert f"{tmp_path} cannot be read" in message(tmp_path)


# --- tracks -----------------------------------------------------------------------------------------

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


# --- networks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_name_chooses_the_network_and_its_defaults(tmp_path: Path, name: str) -> None:
    wanted = NETWORKS[name]()
    path = write(tmp_path, f"model: {{name: {name}}}\n")
    assert load_config(path).model == load_config(None, [f"model.name={name}"]).model == wanted
    assert load_config(path, ["model.name=unet"]).model == UNet()
    config = Config(model=wanted)
    assert config.model is wanted
    assert from_dict(config.to_dict()) == config
    save_config(config, path)
    assert load_config(path) == config


def test_keys_of_a_network_may_be_set_before_its_name(tmp_path: Path) -> None:
    wanted = DeepLabV3Plus(width=0.5, rates=(3, 6, 12))
    assert load_config(None, ["model.width=0.5", "model.rates.2=12", "model.name=deeplabv3plus"]).model == wanted
    path = write(tmp_path, "model: {name: light_unet, dropout: 0.2}\n")
    wanted_light = LightUNet(channels=(8, 64, 80, 96, 112, 128), dropout=0.2)
    assert load_config(path, ["model.channels.0=8"]).model == wanted_light


def test_a_section_without_a_name_is_the_references() -> None:
    section = {"channels": [8, 12, 16], "space_to_depth": 1}
    assert from_dict({"model": section}).model == LightUNet(channels=(8, 12, 16), space_to_depth=1)


def test_keys_of_another_network_do_not_belong(tmp_path: Path) -> None:
    path = write(tmp_path, "model: {name: unet, channels: [8, 8, 8], blocks: [0, 1, 1]}\n")
    lines = message(path, "model.name=deeplabv3plus", "model.widht=0.5").splitlines()[1:]
    knows = "model (deeplabv3plus) knows: name, width, aspp_channels, rates, dropout"
    assert [line.strip().split(":")[0] for line in lines] == ["model.channels", "model.blocks", "model.widht"]
    assert all(line.endswith(knows) for line in lines)
    assert "Did you mean width?" in lines[2]


def test_options_of_smp_are_free_but_for_those_of_the_project(tmp_path: Path) -> None:
    options = {"decoder_channels": [64, 32], "encoder_depth": 2, "decoder_use_norm": "batchnorm", "x": None, "y": 0.5}
    path = write(tmp_path, yaml.safe_dump({"model": {"name": "smp", "options": options}}))
    found = load_config(path)
    assert found.model == Smp(options=options)
    assert from_dict(found.to_dict()) == found
    text = message(path, "model.options.classes=3", "model.options.encoder_name=resnet18")
    assert "model: options holds classes, encoder_name, which this project sets; take it out" in text
    assert "model.options = 3: input should be an object" in message(None, "model.name=smp", "model.options=3")


# --- there and back ---------------------------------------------------------------------------------


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


# --- recipes and the module itself ------------------------------------------------------------------


def test_there_are_recipes() -> None:
    assert RECIPES


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


def test_yaml_merge_keys_and_self_references(tmp_path: Path) -> None:
    merged = write(tmp_path, "optimizer: &o {lr: 1e-4}\n")
    assert load_config(merged).optimizer.lr == 1e-4
    path = write(tmp_path, "optimizer:\n  <<: {lr: 2e-4}\n  weight_decay: 0.5\n")
    assert (load_config(path).optimizer.lr, load_config(path).optimizer.weight_decay) == (2e-4, 0.5)
    path = write(tmp_path, "data: &d {root: x, more: *d}\n")
    with pytest.raises(ConfigError):
        load_config(path)


def test_only_the_challenge_track_packs_a_submission() -> None:
    with pytest.raises(ConfigError, match=r"run\.pack_submission"):
        load_config(None, ["track=open", "run.pack_submission=true"])


def test_an_error_of_a_file_names_it_once(tmp_path: Path) -> None:
    path = write(tmp_path, "run: [")
    assert message(path).count(str(path)) == 1


def test_aliases_may_be_used_and_merged(tmp_path: Path) -> None:
    path = write(tmp_path, "loss: &l {ce: 2}\ndata: {classes: {a: &c [], b: [nose]}}\nrun: &r {seed: 3}\n")
    assert load_config(path).loss.ce == 2
    stages = "- &s {image_size: 64, epochs: 3}\n  - {<<: *s, image_size: 96}\n  - *s"
    found = load_config(write(tmp_path, f"schedule:\n  stages:\n  {stages}\n"))
    assert [(stage.image_size, stage.epochs) for stage in found.schedule.stages] == [(64, 3), (96, 3), (64, 3)]


@pytest.mark.parametrize("parts", [31, 5000])
def test_a_key_without_end_ends_in_a_sentence(parts: int) -> None:
    text = message(None, ".".join(["a"] * parts) + "=1")
    assert f"the key has {parts} parts" in text
    assert len(text) < 200
