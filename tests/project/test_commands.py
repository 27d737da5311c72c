"""All commands alike: their help, its examples, and how they answer a wrong option and bad input."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

COMMANDS = ("audit", "average", "biases", "draw", "evaluate", "export", "inference", "prepare", "train")
SUBCOMMANDS = {
    "biases": ("fit", "merge"),
    "draw": (
        "color",
        "ids",
        "overlay",
        "panel",
        "curves",
        "to-kaggle",
        "from-kaggle",
        "to-ids",
        "to-coco",
        "to-voc",
        "to-label-studio",
    ),
    "prepare": ("celebamask-hq", "layout", "group", "face-synthetics", "flip", "relabel", "synthetic", "statistics"),
}
CALLS = [(name,) for name in COMMANDS] + [(name, sub) for name, subs in SUBCOMMANDS.items() for sub in subs]

each_call = pytest.mark.parametrize("call", CALLS, ids=" ".join)


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def help_of(call: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        module(call[0]).main([*call[1:], "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_these_are_the_commands() -> None:
    assert sorted(path.stem for path in SOURCE.glob("*.py")) == sorted(COMMANDS)


@each_call
def test_help_opens_with_a_sentence_and_closes_with_an_example(
    call: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(call, capsys)
    assert text.startswith(f"usage: {' '.join([f'{call[0]}.py', *call[1:]])} ")
    assert re.search(r"\n\n[A-Z][^\n]+", text), "no sentence says what it is for"
    last = text.rstrip().splitlines()[-1]
    if call in [(name,) for name in SUBCOMMANDS]:
        assert last == f"{call[0]}.py SUBCOMMAND --help says what each takes."
        listed = [line.split()[0] for line in text.splitlines() if re.match(r" {4}\w", line)]
        assert listed == list(SUBCOMMANDS[call[0]])
        return
    words = shlex.split(last.removeprefix("example: "))
    assert words[:2] == ["python", f"src/{call[0]}.py"]
    assert words[2 : 1 + len(call)] == list(call[1:])
    module(call[0]).parse_arguments(words[2:])


FROM_ANYWHERE = """
import runpy, sys
folder, *names = sys.argv[1:]
for name in names:
    path = f"{folder}/{name}.py"
    sys.path[0], sys.argv = folder, [path, "--help"]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as ended:
        assert ended.code == 0, path
"""


def test_commands_start_from_any_folder(tmp_path: Path) -> None:
    words = [sys.executable, "-c", FROM_ANYWHERE, SOURCE, *COMMANDS]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == len(COMMANDS)
    assert list(tmp_path.iterdir()) == []


@each_call
def test_a_wrong_option_is_refused(call: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        module(call[0]).main([*call[1:], "--no_such_option"])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("audit --root no --output out", "There is no data folder no"),
        ("average no none --output out", "There is no folder no; name folders of runs"),
        ("biases fit --data no --output out.json", "There is no data folder no"),
        ("biases merge --model_path no.pth --biases no.json --output out.pth", "There is no checkpoint no.pth"),
        ("draw color --input no --output out", "There is no file or folder no"),
        ("draw ids --input no --output out", "There is no file or folder no"),
        ("draw overlay --images no --masks none --output out", "There is no file or folder no"),
        ("draw panel --masks no --output out.png", "There is no file or folder no"),
        ("draw curves no --output out.png", "There is no history no"),
        ("draw to-kaggle --masks no --output out.csv", "There is no folder no of PNG masks"),
        ("draw from-kaggle --csv no.csv --output out", "no.csv cannot be read"),
        ("draw to-ids --masks no --output out", "There is no folder no of PNG masks"),
        ("draw to-coco --masks no --output out.json", "There is no folder no of PNG masks"),
        ("draw to-voc --masks no --output out", "There is no folder no of PNG masks"),
        ("draw to-label-studio --masks no --images none --output out", "There is no folder no of PNG masks"),
        ("evaluate --predictions no --truth none", "There is no folder none of PNG masks"),
        ("export --model_path no.pth --output out.onnx", "There is no checkpoint no.pth"),
        ("inference --input no --output out", "There is no photo or folder no"),
        ("prepare celebamask-hq --source no --output out", "no is not the full CelebAMask-HQ"),
        ("prepare layout --source no --output out", "There is no folder --source no"),
        ("prepare group --source no --output out --classes no.yaml", "no.yaml cannot be read"),
        ("prepare face-synthetics --source no --output out", "There is no folder --source no"),
        ("prepare flip --source no --output out", "There is no folder --source no"),
        ("prepare relabel --model_path no.pth --data no --output out", "There is no folder no/val"),
        ("prepare synthetic --output out --size 4", "size is 4; it must be at least 32 pixels"),
        ("prepare statistics --source no", "no holds no training images"),
        ("train --config no.yaml", "The config file no.yaml cannot be read"),
    ],
)
def test_bad_input_is_answered_with_one_sentence(
    words: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *arguments = words.split()
    assert module(name).main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    said = told.err.split("\r")[-1]  # after a progress bar
    assert said.startswith(f"{name}.py: ")
    assert said.count("\n") == 1
    assert sentence in said
    assert list(tmp_path.iterdir()) == []
