"""Configs in files, and the errors they raise."""

from __future__ import annotations

from pathlib import Path

import pytest

from face_parsing.config.loading import ConfigError, load_config

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
