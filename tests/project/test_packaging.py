"""The package's description: its extras, its pins, its version, and how little importing it takes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import face_parsing
from face_parsing.config.renamed import RENAMED
from face_parsing.weights import BEST, CHALLENGE, EIGHT_BITS, LICENCE, Weights, find_weights

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

FILES = {
    "requirements.txt": [*PROJECT["dependencies"], *EXTRAS["train"]],
    **{f"requirements-{name}.txt": EXTRAS[name] for name in EXTRAS if name != "train"},
}
"""Each file of pins, and the ranges that it pins."""


def named(lines: list[str]) -> dict[str, Requirement]:
    """Requirements by name, this project's own extras left out."""
    parsed = [Requirement(line) for line in lines]
    return {one.name.lower(): one for one in parsed if one.name != PROJECT["name"]}


def lines_of(file: str) -> list[str]:
    text = (ROOT / file).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_each_extra_has_its_file_of_pins() -> None:
    assert sorted(FILES) == sorted(path.name for path in ROOT.glob("requirements*.txt"))


@pytest.mark.parametrize("file", FILES)
def test_pins_and_extras_agree(file: str) -> None:
    pins, ranges = named([line for line in lines_of(file) if not line.startswith("-r ")]), named(FILES[file])
    assert pins.keys() == ranges.keys()
    for name, pin in pins.items():
        (version,) = [specifier.version for specifier in pin.specifier]
        assert ranges[name].specifier.contains(version), f"{file} pins {pin}, but the extra says {ranges[name]}"


@pytest.mark.parametrize("file", FILES)
def test_a_file_builds_on_the_files_its_extra_builds_on(file: str) -> None:
    own = [one for one in map(Requirement, FILES[file]) if one.name == PROJECT["name"]]
    extras = {extra for one in own for extra in one.extras}
    wanted = {"requirements.txt" if extra == "train" else f"requirements-{extra}.txt" for extra in extras}
    assert {line.removeprefix("-r ") for line in lines_of(file) if line.startswith("-r ")} == wanted


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", face_parsing.__version__)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert newest is not None
    assert newest[1] == citation["version"] == face_parsing.__version__
    assert newest[2] == str(citation["date-released"])


def test_the_changelog_has_every_renamed_key() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for old, new in RENAMED.items():
        assert f"| `{old}` | `{old.rpartition('.')[0]}.{new}` |" in text


def python(code: str, *options: str) -> str:
    """What a fresh interpreter prints that knows src/ alone."""
    command = [sys.executable, *options, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SAY = "print(*sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
HEAVY = {"torch", "torchvision", "cv2", "pydantic", "albumentations", "matplotlib", "scipy", "yaml"}


def test_importing_the_package_loads_nothing_and_takes_no_time() -> None:
    code = "import time; start = time.perf_counter(); import face_parsing; print(time.perf_counter() - start)"
    assert min(float(python(code)) for _ in range(3)) < 0.2
    loaded = set(python(f"import face_parsing; face_parsing.__version__\n{SAY}").split())
    assert not loaded & {*HEAVY, "numpy", "PIL", "onnxruntime"}


def test_parsing_with_an_onnx_file_loads_no_torch(tmp_path: Path) -> None:
    words = ["--input", "docs/images/astronaut.jpg", "--output", str(tmp_path), "--color", "--overlay"]
    code = f"from face_parsing.cli import main; assert main({words}) == 0; sys.stdout.flush()"
    loaded = set(python(f"{code}\n{SAY}").splitlines()[-1].split())
    assert {"numpy", "PIL", "onnxruntime"} <= loaded
    assert not loaded & HEAVY


def test_what_the_package_offers_is_there() -> None:
    assert {"FaceParser", "ParsedPhoto", "__version__"} <= set(dir(face_parsing))
    assert face_parsing.FaceParser.__module__ == "face_parsing.parser"
    with pytest.raises(AttributeError, match="no attribute 'FaceMaker'"):
        face_parsing.FaceMaker  # type: ignore[attr-defined]  # noqa: B018


def test_weights_are_found_and_their_line_says_what_they_are() -> None:
    for name in (EIGHT_BITS, BEST, CHALLENGE, "face_parsing_fast.onnx"):
        assert find_weights(name) == ROOT / "weights" / name
    with pytest.raises(FileNotFoundError, match=r"holds no other\.pth: packages come with the ONNX files alone"):
        find_weights("other.pth")
    line = str(Weights((Path("a.pth"), Path("b.pth")), "open\x1b[2J"))
    assert line == f"weights a.pth + b.pth, track open [2J; licence: {LICENCE}"


def test_the_licence_of_the_weights_is_beside_them() -> None:
    text = (ROOT / "weights" / "LICENSE").read_text(encoding="utf-8")
    assert "non-commercial research and education" in " ".join(text.split())
