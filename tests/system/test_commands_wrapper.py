"""What ends a command: the sentence, the exit code, and which errors are left alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from face_parsing.system import distributed
from face_parsing.system.commands import UsageError, command, command_parser

SOURCE = Path(__file__).resolve().parents[2] / "src"


def raising(error: BaseException, **options: bool | str) -> Callable[[], int]:
    def main() -> int:
        raise error

    return command("try.py", **options)(main)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_bodys_code_is_the_commands(code: int) -> None:
    @command("try.py")
    def main(factor: int, *, plus: int = 0) -> int:
        """What it does."""
        return factor * code + plus

    assert (main(1), main.__name__, main.__doc__) == (code, "main", "What it does.")
    assert main(1, plus=3) == code + 3


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("a.png is no mask; name one."), "try.py: a.png is no mask; name one.\n"),
        (UsageError("Give one of them."), "try.py: Give one of them.\n"),
        (FileNotFoundError(2, "No such file", "a.png"), "try.py: [Errno 2] No such file: 'a.png'\n"),
    ],
)
@pytest.mark.parametrize("processes", [False, True])
def test_what_a_user_can_mend_is_a_sentence(
    error: Exception, sentence: str, processes: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(error, processes=processes)() == 2
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("", {}, "interrupted."),
        ("", {"interrupted": "interrupted; --resume goes on."}, "interrupted; --resume goes on."),
        ("interrupted, and saved.", {"interrupted": "interrupted; --resume goes on."}, "interrupted, and saved."),
    ],
)
def test_ctrl_c_says_how_to_go_on(
    text: str, options: dict[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(KeyboardInterrupt(*[text] * bool(text)), **options)() == 130
    assert capsys.readouterr() == ("", f"\ntry.py: {sentence}\n")


@pytest.mark.parametrize("error", [RuntimeError("Connection closed by peer"), KeyError("x"), AssertionError()])
def test_bugs_are_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        raising(error, processes=True)()


def test_in_several_processes_one_says_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "this")
    monkeypatch.setenv("WORLD_SIZE", "1")
    told: list[str] = []
    monkeypatch.setattr(distributed, "say", told.append)
    monkeypatch.setattr(distributed, "is_lost", lambda error: "closed" in str(error))
    assert raising(RuntimeError("Connection closed by peer"), processes=True)() == 2
    assert raising(ValueError("No."), processes=True)() == 2
    with pytest.raises(RuntimeError, match="another"):
        raising(RuntimeError("another"), processes=True)()
    assert told == [f"try.py: {distributed.LOST}", "try.py: No."]
    # A command of one process, as torchrun starts it too, knows nothing of the others.
    assert raising(ValueError("Alone."))() == 2
    assert capsys.readouterr().err == "try.py: Alone.\n"


def test_help_keeps_its_example_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    example = "python src/try.py --input a --output a_folder_with_a_long_name"
    text = command_parser("try.py", "One sentence that is wrapped where it is long.", example=example).format_help()
    assert text.endswith(f"\nexample: {example}\n")
    assert "One sentence that is wrapped where it\nis long." in text


def test_the_command_line_alone_needs_no_torch() -> None:
    modules = ("face_parsing.system.commands", "prepare")
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SOURCE, check=False).returncode == 0
