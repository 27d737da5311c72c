"""Every recipe but the long way: its own model, loss and schedule, a step of training and inference on tiny faces."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

import train
from face_parsing.cli import main as infer
from face_parsing.config.loading import load_config
from face_parsing.models.checkpoint import load_checkpoint

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
RECIPES = sorted(path for folder in ("earlier", "networks", "open") for path in (CONFIGS / folder).glob("*.yaml"))

# 390 million parameters take gigabytes; the smallest of the family goes the same way.
SMALLER = {"tu-convnext_xlarge.fb_in22k_ft_in1k_384": "tu-convnext_atto"}


def overrides(recipe: Path, root: Path, output: Path) -> list[str]:
    """What makes a recipe tiny and lets it do without downloads and earlier runs; all else stays the recipe's own."""
    config = load_config(recipe)
    words = [
        f"data.root={root}", "data.size=64", "schedule.stages=[{image_size: 64, epochs: 1, batch_size: 4}]",
        "schedule.warmup_epochs=0.5", f"run.output={output}", "run.workers=0", "run.threads=1", "run.panel_faces=1",
        "inference.scales=[1.0]",
    ]  # fmt: skip
    if config.model.name == "smp":
        words.append("model.encoder_weights=null")
        if config.model.encoder in SMALLER:
            words += [f"model.encoder={SMALLER[config.model.encoder]}", "model.options={decoder_channels: 32}"]
    if config.open_track.external_data:
        words.append("open_track.external_data=[]")
    if config.paths.pretrained is not None and not config.paths.pretrained.is_file():
        words.append(f"open_track.pretrained={output.parent / 'first' / 'checkpoints' / 'best_model.pth'}")
    return words


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_trains_and_its_weights_predict(recipe: Path, faces: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    config = load_config(recipe)
    if config.model.name == "smp":
        pytest.importorskip("segmentation_models_pytorch")
    if config.paths.pretrained is not None and not config.paths.pretrained.is_file():
        # The recipe that this one goes on from.
        assert config.open_track.pretrained is not None
        earlier = recipe.with_name(f"{Path(config.open_track.pretrained).parent.parent.name}.yaml")
        first = tmp_path / "first"
        assert train.main(["--config", str(earlier), "--set", *overrides(earlier, faces, first)]) == 0
    assert train.main(["--config", str(recipe), "--set", *overrides(recipe, faces, output)]) == 0
    best = output / "checkpoints" / "best_model.pth"
    assert load_checkpoint(best)["track"] == config.track
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(sorted((faces / "test" / "images").iterdir())[0], photos / "face.jpg")
    words = ["--input", str(photos), "--output", str(tmp_path / "parsed")]
    assert infer(["--model_path", str(best), *words]) == 0
    assert (tmp_path / "parsed" / "masks" / "face.png").is_file()


def test_the_second_cycle_goes_on_from_the_first(faces: Path, tmp_path: Path) -> None:
    first, second = CONFIGS / "first_cycle.yaml", CONFIGS / "second_cycle.yaml"
    assert load_config(second).run.init_from == load_config(first).run.output
    assert train.main(["--config", str(first), "--set", *overrides(first, faces, tmp_path / "first")]) == 0
    words = [*overrides(second, faces, tmp_path / "second"), f"run.init_from={tmp_path / 'first'}"]
    assert train.main(["--config", str(second), "--set", *words]) == 0


def test_the_networks_are_compared_on_equal_terms() -> None:
    rest = []
    for path in sorted((CONFIGS / "networks").glob("*.yaml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert values.pop("model")["name"] == path.stem
        assert values["run"].pop("output") == f"outputs/networks/{path.stem}"
        rest.append(values)
    assert len(rest) == 4
    assert all(values == rest[0] for values in rest)
