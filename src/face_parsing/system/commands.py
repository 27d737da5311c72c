"""What the commands share: the wrapper around each one's ``main``, the look of their help, and common arguments."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec

from face_parsing.sizes import LARGEST_SIDE, SMALLEST_SIDE
from face_parsing.system.files import identity_of
from face_parsing.weights import or_shipped

P = ParamSpec("P")

MOST_WARNINGS = 3
"""Of odd files that are named one by one."""

if TYPE_CHECKING:
    Subcommands = argparse._SubParsersAction[argparse.ArgumentParser]


class UsageError(ValueError):
    """A command that cannot be carried out; the message says why and what to do."""


def command(
    name: str, *, interrupted: str = "interrupted.", processes: bool = False
) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Wrap the body of a command's ``main``, so that all commands end alike.

    The body returns the exit code. What it raises becomes a sentence on stderr, ``NAME.py: sentence``, and a code:

    - ValueError and OSError: the error's own sentence, 2.
    - KeyboardInterrupt, from Ctrl-C: its text, or ``interrupted`` where it has none, 130.
    - With ``processes``, the error of a process of torchrun that has lost another one: what to do then, 2.

    Everything else is a bug, and is raised. With ``processes`` the body runs joined to the other processes of
    torchrun, and the sentence is printed once for all of them.
    """

    def wrap(body: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(body)
        def main(*args: P.args, **kwargs: P.kwargs) -> int:
            together = _several_processes() if processes else None
            with contextlib.nullcontext() if together is None else together.joined():
                return _exit_code(name, lambda: body(*args, **kwargs), interrupted, together)

        return main

    return wrap


def _several_processes() -> ModuleType | None:
    """``system.distributed`` where torchrun started this process, else None: it imports torch, which takes a second."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    from face_parsing.system import distributed

    return distributed


@contextlib.contextmanager
def _warnings_said() -> Iterator[None]:
    """Have the package's own warnings become sentences: the first few, and a count of the rest."""
    warn, told = warnings.showwarning, 0

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        nonlocal told
        if category.__module__.partition(".")[0] != __name__.partition(".")[0]:
            warn(message, category, *rest, **more)
            return
        told += 1
        if told <= MOST_WARNINGS:
            _print_beside_bars(f"Warning: {message}")

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = warn
        if told > MOST_WARNINGS:
            print(f"Warning: the same of {told - MOST_WARNINGS} more.", file=sys.stderr)


def _print_beside_bars(sentence: str) -> None:
    """Print on stderr, on a line of its own where a progress bar is drawn."""
    bars = sys.modules.get("tqdm")  # not loaded for it
    write = print if bars is None else bars.tqdm.write
    write(sentence, file=sys.stderr)


def _exit_code(name: str, body: Callable[[], int], interrupted: str, together: ModuleType | None) -> int:
    say: Callable[[str], object] = functools.partial(print, file=sys.stderr) if together is None else together.say
    try:
        with _warnings_said():
            return body()
    except (ValueError, OSError) as error:
        say(f"{name}: {error}")
        return 2
    except RuntimeError as error:
        if together is None or not together.is_lost(error):
            raise
        say(f"{name}: {together.LOST}")
        return 2
    except KeyboardInterrupt as error:
        say(f"\n{name}: {str(error) or interrupted}")  # a terminal has just printed ^C
        return 130


class _Help(argparse.HelpFormatter):
    """Wraps prose, leaves an example whole, to be copied, and says of a value what it is instead of its option."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"max_help_position": 34, **options})

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        kinds: dict[Any, str] = {
            Path: "PATH",
            a_path: "PATH",
            int: "N",
            positive: "N",
            sample_bits: "N",
            image_side: "PIXELS",
            float: "X",
        }
        return kinds.get(action.type) or super()._get_default_metavar_for_optional(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("example: ") else super()._fill_text(text, width, indent)


def command_parser(
    name: str, purpose: str, *, example: str | None = None, usage: str | None = None
) -> argparse.ArgumentParser:
    """The parser of a command, by its file's name, what it is for, and one line that calls it.

    Without an example, because its subcommands have theirs, the help says how to see them. ``usage`` stands for a list
    of all options where that would be long.
    """
    epilog = f"{name} SUBCOMMAND --help says what each takes." if example is None else f"example: {example}"
    return argparse.ArgumentParser(prog=name, usage=usage, description=purpose, epilog=epilog, formatter_class=_Help)


def add_subcommand(
    subcommands: Subcommands,
    name: str,
    purpose: str,
    *,
    example: str,
    more: str = "",
    **options: Any,
) -> argparse.ArgumentParser:
    """A subcommand's parser. ``purpose``, without its full stop, also stands in the list; ``more`` in its own help."""
    description = f"{purpose}. {more}".strip()
    return subcommands.add_parser(
        name, help=purpose, description=description, epilog=f"example: {example}", formatter_class=_Help, **options
    )


def add_device(group: argparse._ActionsContainer, *, threads: bool = False) -> None:
    """--device, and --threads where it is wanted."""
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if any")
    if threads:
        group.add_argument("--threads", type=positive, default=0, help="CPU threads (left to torch)")


def add_overwrite(group: argparse._ActionsContainer, what: str = "files that exist") -> None:
    """--overwrite."""
    group.add_argument("--overwrite", action="store_true", help=f"replace {what}")


def add_mask_ids(group: argparse._ActionsContainer) -> None:
    """--mask_ids."""
    # As data.mask_palettes has them, which stands on a floor above.
    group.add_argument(
        "--mask_ids",
        choices=("auto", "index", "palette"),
        default="auto",
        help="where a mask's ids come from: its indices, its palette's colors, or (auto) what the palette says",
    )


def a_path(text: str) -> Path:
    """An argument's path. An empty one would mean the current folder, which nobody named."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; name a file or folder")
    return Path(text)


def a_network(text: str) -> Path:
    """An argument's checkpoint or ONNX file: a shipped one's bare name too, where no such file lies here."""
    return or_shipped(a_path(text), text)


def positive(text: str) -> int:
    """An argument's whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def sample_bits(text: str) -> int:
    """An argument's number of bits that a 16-bit sample may hold."""
    value = int(text)
    if not 8 <= value <= 16:
        raise argparse.ArgumentTypeError(f"{text} is not from 8 to 16 bits")
    return value


def refuse_existing(wanted: Sequence[Path], *, overwrite: bool, mend: str = "add --overwrite") -> None:
    """Raise UsageError where files would be replaced that nobody asked to replace; ``mend`` says how to ask."""
    existing = [path for path in wanted if path.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]}{more} would be replaced; {mend} or choose another output.")


def replaced_input(written: Sequence[Path], inputs: Sequence[Path]) -> tuple[Path, Path] | None:
    """The first file to be written that is one of those that are read, whatever leads to it, and that one; or None."""
    read = {identity: path for path in inputs if (identity := identity_of(path)) is not None}
    for path in written:
        identity = identity_of(path)
        if identity is not None and identity in read:
            return path, read[identity]
    return None


def refuse_inputs(written: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raise UsageError where a file that is read would be replaced by what is made of it."""
    if found := replaced_input(written, inputs):
        path, source = found
        raise UsageError(f"{source} is an input, and {path} would be written in its place; choose another output.")


def refuse_for_onnx(path: Path, asked: Mapping[str, object], *, alone: bool) -> None:
    """Raise UsageError where an ONNX file shall do what only checkpoints do.

    ``asked`` are these options, true where they were given; ``alone`` is whether the file is the only model.
    """
    refused = [option for option, given in asked.items() if given]
    if refused or not alone:
        much = ", ".join(refused) or "the other models"
        raise UsageError(f"{path} predicts as it is, by itself: leave out {much}, or name a checkpoint.")


def image_side(text: str) -> int:
    """An argument's image size, as a checkpoint may have it."""
    value = int(text)
    if not SMALLEST_SIDE <= value <= LARGEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text} is not from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    return value
