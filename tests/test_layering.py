"""Imports point to a lower level, never sideways or upwards."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"

# A module imports from the levels above its own line and from nowhere else of the project.
LEVELS: dict[str, list[str]] = {
    "0   facts and the machine": ["labels", "runtime", "distributed", "command_line"],
    "0.5 the configuration": ["config"],
    "1   functions on arrays and tensors": [
        "losses", "metrics", "significance", "transforms", "optim", "predict", "pictures", "plots", "synthetic",
        "models", "biases", "near_duplicates", "accessories", "textures",
    ],
    "1.5 of these: for whole batches, from a file, recorded, and sewn": [
        "batch_transforms", "onnx_file", "recorded_step", "hoods",
    ],
    "2   files": ["dataset", "checkpoint", "folder", "submission", "postprocess"],
    "2.5 parts of a training, and judging": [
        "engine", "device_loader", "run_folder", "judging", "preparation", "auditing",
    ],
    "2.7 a training, and a report of judging": ["training", "report", "postprocess_options"],
    "3   commands": [
        "train", "inference", "evaluate", "draw", "prepare", "fit_biases", "fold_biases", "convert_masks",
        "audit", "relabel", "export", "average",
    ],
}  # fmt: skip
LEVEL = {module: number for number, modules in enumerate(LEVELS.values()) for module in modules}

# Copied as they are into a submission's run.py, which may need nothing but these.
COPIED = {
    "labels.py": {"numpy"},
    "predict.py": {"numpy", "torch", "PIL", "labels"},
    "models/layers.py": {"torch"},
    "models/unet.py": {"torch", "models.layers"},
    "models/deeplabv3plus.py": {"torch", "models.layers"},
    "models/light_unet.py": {"torch", "models.layers"},
    "models/separable_unet.py": {"torch", "models.layers"},
}

FILES = sorted(SOURCE.rglob("*.py"))


def module_of(path: Path) -> str:
    """The flat module, or the package, that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[str, int]]:
    """Every module that a file imports anywhere, in full, with the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(("." * node.level + (node.module or ""), node.lineno))
    return found


def test_there_is_something_to_look_at() -> None:
    assert {"labels", "engine", "train", "models"} <= {module_of(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_point_to_a_lower_level(path: Path) -> None:
    own = module_of(path)
    assert own in LEVEL, (
        f"src/{own} is on no level; put it into LEVELS in tests/test_layering.py, above all it imports."
    )
    project = {module_of(other) for other in FILES}
    for name, line in imported(path):
        where = f"{path.relative_to(SOURCE)}:{line}"
        first = name.split(".")[0]
        assert first != "src", f"{where} imports {name}: two copies of one module; leave out 'src'."
        assert not name.startswith("."), f"{where} imports relatively; modules are flat siblings, name the module."
        if first not in project or (first == own and path.parent != SOURCE):  # a package may import its own parts
            continue
        assert first in LEVEL, f"{where} imports {first}, which is on no level of tests/test_layering.py."
        assert LEVEL[first] < LEVEL[own], f"{where}: {own} (level {LEVEL[own]}) imports {first} (level {LEVEL[first]})."


@pytest.mark.parametrize("name", COPIED)
def test_what_a_submission_copies_needs_little(name: str) -> None:
    modules = [module for module, _ in imported(SOURCE / name)]
    needed = {module if module.startswith("models") else module.split(".")[0] for module in modules}
    assert needed - set(sys.stdlib_module_names) <= COPIED[name]


def test_modules_are_flat_and_do_nothing_when_imported() -> None:
    assert not (SOURCE / "__init__.py").exists()
    assert not (SOURCE / "utils.py").exists()
    shadowed = {module_of(path) for path in FILES} & set(sys.stdlib_module_names)
    assert not shadowed, f"{shadowed} would hide modules of Python's own library."
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        guards = [node for node in tree.body if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)]
        assert bool(guards) == any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body), (
            path
        )
        assert ast.get_docstring(tree), f"{path} has no docstring"
