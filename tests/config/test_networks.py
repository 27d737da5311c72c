"""The section of the network: a name chooses it and its keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from config_files import message, write

from face_parsing.config.loading import from_dict, load_config, save_config
from face_parsing.config.networks import NETWORKS, DeepLabV3Plus, LightUNet, Smp, UNet
from face_parsing.config.sections import Config


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
    known = "Known in model (deeplabv3plus): name, width, aspp_channels, rates, dropout"
    assert [line.strip().split(":")[0] for line in lines] == ["model.channels", "model.blocks", "model.widht"]
    assert all(line.endswith(known) for line in lines)
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
