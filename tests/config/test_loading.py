"""Loading: precedence, numbers, and errors that name the key, the value and what is allowed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from config_files import message, write

from face_parsing.config.loading import ConfigError, load_config
from face_parsing.config.optimization import Stage
from face_parsing.config.sections import Config


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
            ("model.chanels: unknown key. Did you mean channels?", "Known in model (light_unet): name, channels"),
        ),
        ("track=closed", ('track = "closed"', "'challenge' or 'open'")),
        ("zzz=1", ("zzz: unknown key. Known in the config: track, data, model",)),
        ("data.1=3", ("data.1: unknown key. Known in data: root",)),
        ("rare_frequency=1", ("rare_frequency: unknown key. Did you mean data.repeat_threshold? Known in the config",)),
        ("color=1", ("color: unknown key. Did you mean augmentation.color? Known in the config: track",)),
        ("epochs=1", ("Did you mean schedule.stages.0.epochs?",)),
    ],
)
def test_an_error_names_key_value_and_what_is_allowed(override: str, parts: tuple[str, ...]) -> None:
    text = message(None, override)
    assert all(part in text for part in parts), text


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


def test_yaml_merge_keys_and_self_references(tmp_path: Path) -> None:
    merged = write(tmp_path, "optimizer: &o {lr: 1e-4}\n")
    assert load_config(merged).optimizer.lr == 1e-4
    path = write(tmp_path, "optimizer:\n  <<: {lr: 2e-4}\n  weight_decay: 0.5\n")
    assert (load_config(path).optimizer.lr, load_config(path).optimizer.weight_decay) == (2e-4, 0.5)
    path = write(tmp_path, "data: &d {root: x, more: *d}\n")
    with pytest.raises(ConfigError):
        load_config(path)


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
