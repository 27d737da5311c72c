"""What is written for readers holds: command lines parse, configs load, files and links exist, sentences are short."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from face_parsing.config.loading import from_dict, load_config
from face_parsing.models.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *(ROOT / name for name in (
    "weights/README.md", "data/README.md", "web/README.md",
))]  # fmt: skip
RECIPES = sorted((ROOT / "recipes").glob("*.sh"))
HEADED = sorted([*(ROOT / "configs").rglob("*.yaml"), *(ROOT / "benchmarks/ladders").glob("*.yaml")])

LONGEST_SENTENCE = 25  # words
OURS = ("configs/", "weights/", "docs/", "recipes/", "benchmarks/")
"""Folders in which what a command names exists; all else is the reader's own."""


class Command(NamedTuple):
    """A command line as words, where it stands, and whether it is given whole or only named in a sentence."""

    document: str
    words: tuple[str, ...]
    whole: bool = True

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join(self.words)[:100]}"


def split(line: str) -> Iterator[tuple[str, ...]]:
    """The commands of a line of shell, comments dropped."""
    for part in line.split("&&"):
        words = shlex.split(part, comments=True)
        if words:
            yield tuple(words)


def commands_of_a_document(path: Path) -> Iterator[Command]:
    """What stands in blocks of bash is whole; what stands between backticks may be a name alone."""
    text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
    for block in re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield from (Command(name, words) for words in split(line))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for span in re.findall(r"`((?:python|torchrun|face-parsing) [^`]+)`", prose):
        yield from (Command(name, words, whole=False) for words in split(span))


def commands_of_a_head(path: Path) -> Iterator[Command]:
    """The commands in the comment that a YAML file opens with."""
    comment = [line[1:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(comment)).splitlines():
        if re.match(r"\s+(python|torchrun) ", line):
            yield from (Command(str(path.relative_to(ROOT)), words) for words in split(line))


def commands_of_a_recipe(path: Path) -> Iterator[Command]:
    """What bash makes of the script: it is run with a ``python`` that only writes down its words."""
    with tempfile.TemporaryDirectory() as folder:
        stub, record = Path(folder, "python"), Path(folder, "words")
        stub.write_text('#!/bin/sh\nprintf "%s\\0" "$@" "" >> "$RECORD"\n', encoding="utf-8")
        stub.chmod(0o755)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "RECORD": str(record)}
        subprocess.run(["bash", str(path)], env=environment, check=True)
        for words in record.read_text(encoding="utf-8").removesuffix("\0").split("\0\0"):
            yield Command(str(path.relative_to(ROOT)), ("python", *words.strip("\0").split("\0")))


COMMANDS = sorted({
    *(command for path in DOCUMENTS for command in commands_of_a_document(path)),
    *(command for path in HEADED for command in commands_of_a_head(path)),
    *(command for path in RECIPES for command in commands_of_a_recipe(path)),
})  # fmt: skip


def script_of(command: Command) -> str | None:
    """The file of ours that a command runs, or None: pip, pytest, other people's scripts."""
    if command.words[0] == "face-parsing":
        return "src/inference.py"
    found = re.search(r"(?<!\S)((src|benchmarks)/\w+\.py)(?!\S)", " ".join(command.words))
    return found[1] if found and command.words[0] in ("python", "torchrun") else None


class Parsed(BaseException):
    """Carries what was parsed past all that a command's wrapper catches."""


def loaded(script: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module of its own: ``inference.py`` is in two folders."""
    monkeypatch.syspath_prepend(str((ROOT / script).parent))
    spec = importlib.util.spec_from_file_location("documented_" + re.sub(r"\W", "_", script), ROOT / script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def parsed(command: Command, script: str, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """What the command's own parser makes of the words after the script; nothing of the command runs."""
    real = argparse.ArgumentParser.parse_args

    def parse_args(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
        if not command.whole:
            relax(parser)
        raise Parsed(real(parser, *args, **kwargs))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    start = 1 if command.words[0] == "face-parsing" else command.words.index(script) + 1
    monkeypatch.setattr(sys, "argv", [script, *command.words[start:]])
    with pytest.raises(Parsed) as caught:
        loaded(script, monkeypatch).main()
    namespace = caught.value.args[0]
    assert isinstance(namespace, argparse.Namespace)
    return namespace


def relax(parser: argparse.ArgumentParser) -> None:
    """Let a sentence name a command without all that it needs."""
    for action in parser._actions:
        action.required = False
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                relax(sub)


OURS_TO_START_FROM = {f"weights/{path.name}" for path in (ROOT / "weights").glob("*.pth")}


@pytest.mark.parametrize("command", [c for c in COMMANDS if script_of(c)], ids=str)
def test_a_command_line_parses(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    script = script_of(command)
    assert script is not None
    assert (ROOT / script).is_file()
    arguments = parsed(command, script, monkeypatch)
    if script == "src/train.py":
        config = load_config(ROOT / (arguments.config or "configs/default.yaml"), arguments.overrides)
        if config.open_track.pretrained in OURS_TO_START_FROM:
            network = load_checkpoint(ROOT / config.open_track.pretrained)["model"]
            assert from_dict({"track": "open", "model": network}).model == config.model


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_what_a_command_names_of_ours_exists(command: Command) -> None:
    named = [word for word in command.words if word.startswith(OURS)]
    assert not [word for word in named if not (ROOT / word).exists()]


def test_the_extras_that_are_named_are_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    named = {extra for group in re.findall(r'pip install "?\.\[([\w,]+)\]', text) for extra in group.split(",")}
    assert named <= set(declared.get("optional-dependencies", {}))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_opens_with_what_it_takes_and_gives(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)
    lines = path.read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    assert all(any(line.startswith(f"#   {what} ") for line in head) for what in ("Command", "Time", "Score"))
    assert "set -euo pipefail" in lines


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = [*re.findall(r"\]\(([^)]+)\)", text), *re.findall(r'src="([^"]+)"', text)]
    broken = []
    for link in links:
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file) if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_a_page_opens_with_what_it_is_for(path: Path) -> None:
    title, blank, sentence = path.read_text(encoding="utf-8").splitlines()[:3]
    assert title.startswith("# ")
    assert not blank
    assert re.match(r"[A-Z][^|]*[.:]$", sentence)


def sentences(text: str) -> Iterator[str]:
    """The prose of a document: no code, tables, headings or pictures; links by their words."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "#", "<"))]
    prose = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", "\n".join(lines))
    for paragraph in re.split(r"\n\s*\n|\n- |\n\d+\. ", prose):
        yield from re.split(r"(?<=[.?!])[\s*]+", " ".join(paragraph.split()))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_sentences_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not [sentence for sentence in sentences(text) if len(sentence.split()) > LONGEST_SENTENCE]
