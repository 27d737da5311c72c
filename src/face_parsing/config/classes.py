"""The file that ``--classes`` names."""

from __future__ import annotations

from pathlib import Path

from face_parsing.config.loading import ConfigError, parse_yaml
from face_parsing.labels import LabelSet, group_labels


def read_classes(path: Path) -> LabelSet:
    """The classes that a YAML file lists, each with names of the 19: a mapping by itself or a config's data.classes."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), "the text")
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"--classes {path} cannot be read: {' '.join(str(error).split())}") from None
    groups = content
    if isinstance(content, dict) and isinstance(content.get("data"), dict):
        groups = content["data"].get("classes")
    if not isinstance(groups, dict) or not groups:
        raise ConfigError(
            f"--classes {path} holds no classes; it needs a mapping such as 'eyes: [l_eye, r_eye]', by itself or "
            "as data.classes of a config."
        )
    for name, members in groups.items():
        if not isinstance(name, str) or not isinstance(members, list) or not all(isinstance(m, str) for m in members):
            raise ConfigError(f"--classes {path}: {name} must be a name with a list of class names.")
    try:
        return group_labels(groups)
    except ValueError as error:
        raise ConfigError(f"--classes {path}: {error}.") from None
