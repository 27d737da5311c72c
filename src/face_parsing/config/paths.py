"""Where the files and folders lie that a config names; the config itself keeps what the user wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from face_parsing.system.environment import PROJECT_ROOT
from face_parsing.weights import or_shipped


def resolve_path(text: str) -> Path:
    """A path to read from: as it is where absolute or found from here, else from the project's folder."""
    path = Path(text)
    return path if path.is_absolute() or path.exists() else PROJECT_ROOT / path


def weights_path(text: str) -> Path:
    """The same of a checkpoint, which may be a shipped one's bare name."""
    return or_shipped(resolve_path(text), text)


def run_path(text: str) -> Path:
    """The folder of a run: a relative one lies in the project, wherever the command was started."""
    return PROJECT_ROOT / text


@dataclass(frozen=True, kw_only=True)
class Paths:
    """The paths of a config, each called as its key is; None where that is not set."""

    root: Path
    val_stems: Path | None
    output: Path
    init_from: Path | None
    pretrained: Path | None
    teacher: Path | None
    external_data: tuple[Path, ...]

    @classmethod
    def resolved(
        cls,
        *,
        root: str,
        val_stems: str | None,
        output: str,
        init_from: str | None,
        pretrained: str | None,
        teacher: str | None,
        external_data: Sequence[str],
    ) -> Paths:
        """The paths that these texts of a config stand for, on this machine and from its working directory."""
        return cls(
            root=resolve_path(root),
            val_stems=resolve_path(val_stems) if val_stems else None,
            output=run_path(output),
            init_from=run_path(init_from) if init_from else None,
            pretrained=weights_path(pretrained) if pretrained else None,
            teacher=weights_path(teacher) if teacher else None,
            external_data=tuple(resolve_path(folder) for folder in external_data),
        )
