"""The shipped weights: where they lie, in a checkout or inside the installed package, and their licence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LICENCE = "As the data the weights were trained on; CelebAMask-HQ is for non-commercial research and education alone."
"""Of shipped weights, and of any others that were trained on these data. The code is MIT."""

EIGHT_BITS = "face_parsing_open.onnx"
"""The reference network of the open track in 8 bits: what parses photos unless something else is asked for."""
BEST = "face_parsing_open.pth"
"""The same in float32: for all that a checkpoint alone can do."""
CHALLENGE = "face_parsing.pth"
"""The reference network of the challenge's track: for submissions, which take no other track's."""

DETECTOR = "face_detector.onnx"
"""What finds faces in a photo; it is pretrained, by others, and MIT."""

PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Weights:
    """Which weights are used: their files, the track they were trained on, and their licence."""

    files: tuple[Path, ...]
    track: str = "unknown"
    licence: str = LICENCE
    detector: Path | None = None
    """What finds the faces, if anything does: pretrained, whatever the track of the others."""

    def __str__(self) -> str:
        line = f"weights {' + '.join(map(str, self.files))}, track {self.track[:100]}; licence: {self.licence[:300]}"
        if self.detector is not None:
            line = line.removesuffix(".") + f"; faces are found by {self.detector.name}, which is pretrained (MIT)"
        return "".join(sign if sign.isprintable() else " " for sign in line)  # files are strangers' too


def _places() -> tuple[Path, Path]:
    """Where shipped weights lie: of a wheel, of a checkout."""
    return PACKAGE / "weights", PACKAGE.parents[1] / "weights"


def find_weights(name: str) -> Path:
    """The file of that name among the shipped ones. Raises FileNotFoundError where this installation has none."""
    found = next((place / name for place in _places() if (place / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"This installation holds no {name}: packages come with the ONNX files alone. Name a checkpoint, such as "
            f"weights/{name} of the repository."
        )
    return found


def shipped_networks() -> list[str]:
    """The names of the networks that this installation holds."""
    found = {path.name for place in _places() for path in place.glob("*") if path.suffix in (".onnx", ".pth")}
    return sorted(found - {DETECTOR})


def or_shipped(path: Path, name: str) -> Path:
    """The path or, where nothing lies there and ``name`` is the bare name of a shipped network, the place of that."""
    return path if path.exists() or name not in shipped_networks() else find_weights(name)


def named_weights(path: Path) -> Path:
    """The file that somebody named: a path, or the bare name of a shipped network where no such file lies here.

    Raises FileNotFoundError, which names the shipped ones, where there is neither.
    """
    found = or_shipped(path, str(path))
    if found.is_file():
        return found
    what = "file" if path.suffix == ".onnx" else "checkpoint"
    raise FileNotFoundError(
        f"There is no {what} {path}; name an existing one, or one that is shipped: {', '.join(shipped_networks())}."
    )
