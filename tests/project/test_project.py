"""What the project promises from outside: its two commands, its recipes, its pins."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import quick_test

from face_parsing.config.loading import load_config

ROOT = Path(__file__).resolve().parent.parent.parent


def test_quick_test_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert quick_test.main() == 0
    assert "PASS" in capsys.readouterr().out


def test_quick_test_says_what_failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(quick_test, "PARAMETER_LIMIT", 1000)
    assert quick_test.main() == 1
    assert "FAIL: network" in capsys.readouterr().out


def test_the_two_commands_are_in_the_readme() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert "pip install -r requirements.txt && python src/train.py --config configs/demo.yaml" in lines
    assert "pip install -r requirements-dev.txt && pytest" in lines


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.name)
def test_recipes_load_and_open_with_their_command(path: Path) -> None:
    load_config(path)
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert head.startswith("#")
    assert re.search(r"^#\s+python src/train.py", head, flags=re.MULTILINE)


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_requirements_are_exact(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "-r"))]
    assert pins
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+(\[[a-z]+\])?==[0-9][0-9a-z.]*", pin) for pin in pins)


def test_no_image_of_the_data_set_is_tracked() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    assert not [name for name in done.stdout.splitlines() if re.search(r"[0-9a-f]{32}\.(jpe?g|png)$", name)]
