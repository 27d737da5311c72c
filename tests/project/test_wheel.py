"""The wheel, in an environment of its own without PyTorch: it holds one package, and parses a photo as a checkout does.

Needs a package registry, for the build backend and the four packages of the base; without one it is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing import FaceParser, __version__

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "docs" / "images" / "astronaut.jpg"
NO_NETWORK = ("connection", "name resolution", "network is unreachable", "timed out", "no matching distribution found")
"""What pip says, in lower case, where it reaches no registry."""

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def pip(*words: object) -> None:
    """Run pip. The test is skipped where it finds no network, and fails for anything else."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and any(word in done.stderr.lower() for word in NO_NETWORK):
        pytest.skip(f"no package registry is reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel and what it depends on."""

    folder: Path
    wheel: Path

    def run(self, program: str, *words: object) -> subprocess.CompletedProcess[str]:
        """A program of the environment, started outside of the checkout."""
        command: Sequence[str] = [str(self.folder / "bin" / program), *map(str, words)]
        return subprocess.run(command, cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    def python(self, code: str) -> str:
        done = self.run("python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    if sys.platform == "win32":
        pytest.skip("environments have another layout there")
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    pip("--python", python, "install", "--quiet", "--constraint", ROOT / "requirements.txt", wheel)
    return Installed(environment, wheel)


def test_the_wheel_holds_the_package_with_its_weights_and_nothing_else(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"face_parsing", f"face_parsing-{__version__}.dist-info"}
    weights = {name for name in names if name.startswith("face_parsing/weights/")}
    expected = (
        "LICENSE", "LICENSE.face_detector", "face_detector.onnx", "face_parsing.onnx", "face_parsing_fast.onnx",
        "face_parsing_open.onnx", "face_parsing_open_fast.onnx",
    )  # fmt: skip
    assert weights == {f"face_parsing/weights/{name}" for name in expected}
    assert "face_parsing/py.typed" in names
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "face_parsing").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources


def test_it_parses_a_photo_as_the_checkout_does(installed: Installed, tmp_path: Path) -> None:
    assert installed.python("import importlib.util as u; print(u.find_spec('torch'))") == "None"
    done = installed.run("face-parsing", "--input", PHOTO, "--output", tmp_path, "--color", "--overlay")
    assert done.returncode == 0, done.stderr
    assert "site-packages/face_parsing/weights/face_parsing_open.onnx, track open; licence: " in done.stdout
    result = FaceParser()(PHOTO)
    with Image.open(tmp_path / "masks" / "astronaut.png") as mask:
        np.testing.assert_array_equal(np.array(mask), result.mask)
    with Image.open(tmp_path / "color" / "astronaut.png") as picture:
        np.testing.assert_array_equal(np.array(picture), result.color())
    assert (tmp_path / "overlay" / "astronaut.jpg").is_file()


def test_its_fast_network_is_named_by_the_files_name(installed: Installed, tmp_path: Path) -> None:
    words = ["--input", PHOTO, "--output", tmp_path, "--model_path", "face_parsing_fast.onnx", "--faces", "all"]
    done = installed.run("face-parsing", *words)
    assert done.returncode == 0, done.stderr
    assert "site-packages/face_parsing/weights/face_parsing_fast.onnx, track challenge" in done.stdout


def test_from_python_as_well(installed: Installed) -> None:
    code = (
        f"from face_parsing import FaceParser; r = FaceParser()({str(PHOTO)!r}); print(r.mask.shape, r['hair'].sum())"
    )
    result = FaceParser()(PHOTO)
    assert installed.python(code) == f"{result.mask.shape} {result['hair'].sum()}"


def test_its_command_helps_and_says_which_extra_a_checkpoint_needs(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("face-parsing", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: face-parsing ")
    assert installed.run("face-parsing", "--version").stdout == f"face-parsing {__version__}\n"
    for words in (["--tta"], ["--submission"], ["--model_path", str(ROOT / "weights" / "face_parsing.pth")]):
        done = installed.run("face-parsing", "--input", PHOTO, "--output", tmp_path, *words)
        assert done.returncode == 2
        assert done.stderr.startswith("face-parsing: ")
        assert 'needs PyTorch: pip install "face-parsing[train]"' in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
