"""What the project promises from outside: its commands, its README, its recipes, its pins."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import quick_test

import train
from face_parsing import cli
from face_parsing.config.loading import load_config

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    """Each command of the README's code blocks, as words; comments dropped."""
    found: list[list[str]] = []
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL):
        for line in block.splitlines():
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words:
                    found.append(words)
    return found


def test_quick_test_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert quick_test.main() == 0
    assert "PASS" in capsys.readouterr().out


def test_quick_test_says_what_failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(quick_test, "PARAMETER_LIMIT", 1000)
    assert quick_test.main() == 1
    assert "FAIL: network" in capsys.readouterr().out


def test_the_two_commands_are_in_the_readme() -> None:
    joined = [" ".join(words) for words in commands()]
    for wanted in (
        "pip install -r requirements.txt",
        "python src/train.py --config configs/demo.yaml",
        "pip install -r requirements-dev.txt",
        "pytest",
    ):
        assert wanted in joined


@pytest.mark.parametrize("words", [w for w in commands() if w[0] == "python"], ids=" ".join)
def test_commands_of_the_readme_parse(words: list[str]) -> None:
    script, arguments = words[1], words[2:]
    assert (ROOT / script).is_file()
    if script == "src/train.py":
        parsed = train.parse_arguments(arguments)
        load_config(ROOT / (parsed.config or "configs/default.yaml"), parsed.overrides)
    elif script == "src/inference.py":
        cli.parse_arguments(arguments)


def test_links_of_the_readme_exist() -> None:
    found = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    links = [link for link in found if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


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
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+==[0-9][0-9a-z.]*", pin) for pin in pins)


def test_no_image_of_the_data_set_is_tracked() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    assert not [name for name in done.stdout.splitlines() if re.search(r"[0-9a-f]{32}\.(jpe?g|png)$", name)]
