"""The architecture, as a drawing: a folder imports from the floors below its own, and from nowhere else."""

from __future__ import annotations

import ast
import graphlib
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGE = SOURCE / "face_parsing"

FLOORS = """
    commands        src/*.py
    front door      cli
    photos to files parsed_folder video
    how it was made provenance
    photo to mask   parser
    what comes out  results
    learning        training
    data sets       preparation audit
    measuring       evaluation
    parsing         inference faces
    faces on paper  drawing synthetic
    files           data models
    pixels          augmentation
    settings        config
    machine         system
    facts           labels challenge sizes weights
"""

FLOOR = {
    room: number for number, line in enumerate(reversed(FLOORS.strip("\n").splitlines())) for room in line[20:].split()
}
SUBMITTED = {"numpy", "torch", "PIL"}
"""All that a submission's run.py may need."""

COPIED = (
    "labels", "sizes", "data/raw_photos", "data/deep_photos", "data/photos", "inference/predict",
    *(f"models/{name}" for name in ("layers", "unet", "light_unet", "separable_unet", "deeplabv3plus")),
)  # fmt: skip
"""The modules that run.py is put together from."""

FILES = sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The folder of the package, or the file beside these folders, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py") if PACKAGE in path.parents else "src/*.py"


def imported(path: Path) -> list[tuple[str, int]]:
    """Every module that a file imports anywhere, in full, with the line."""
    found: list[tuple[str, int]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; name the module in full."
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_point_to_a_lower_floor(path: Path) -> None:
    own = room_of(path)
    if path == PACKAGE / "__init__.py":
        return  # the package's own face: what it offers, it imports when it is asked for it
    assert own in FLOOR, f"{path} stands on no floor; draw it into FLOORS, above all that it imports."
    for name, line in imported(path):
        where = f"{path.relative_to(SOURCE)}:{line}"
        parts = name.split(".")
        assert parts[0] != "src", f"{where} imports {name}: two copies of one module; leave out 'src'."
        if parts[0] != PACKAGE.name:
            assert not (SOURCE / f"{parts[0]}.py").exists(), f"{where} imports the command {parts[0]}."
            continue
        room = parts[1]
        if room == "__version__":
            continue
        assert room in FLOOR, f"{where} imports {name}, which stands on no floor of FLOORS."
        if room != own:
            assert FLOOR[room] < FLOOR[own], f"{where}: {own} imports {room}, which does not stand below it."


def test_no_two_modules_import_each_other() -> None:
    names = {".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    needs = {
        name: {found for module, _ in imported(path) for found in (module, module.rpartition(".")[0]) if found in names}
        - {name, PACKAGE.name}
        for name, path in names.items()
        if name != PACKAGE.name
    }
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError, which names them


@pytest.mark.parametrize("name", COPIED)
def test_what_a_submission_copies_needs_little(name: str) -> None:
    needed = {module for module, _ in imported(PACKAGE / f"{name}.py")}
    project = {module.removeprefix(f"{PACKAGE.name}.") for module in needed if module.startswith(PACKAGE.name)}
    foreign = {module.split(".")[0] for module in needed} - {PACKAGE.name} - set(sys.stdlib_module_names)
    assert foreign <= SUBMITTED
    assert {module.rpartition(".")[0].replace(".", "/") for module in project} <= set(COPIED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_file_says_what_it_is_and_does_nothing_when_imported(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guards = [node for node in tree.body if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)]
    assert bool(guards) == (path.parent == SOURCE or path == PACKAGE / "cli.py")
    if tree.body:
        assert ast.get_docstring(tree), f"{path} has no docstring"
    assert path.stem != "utils", f"{path}: name the thing."


def test_commands_hide_no_module_of_python() -> None:
    assert not {path.stem for path in SOURCE.glob("*.py")} & set(sys.stdlib_module_names)
