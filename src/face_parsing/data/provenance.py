"""What the maker of a prepared data set wrote of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from face_parsing.data.problems import DataError

PROVENANCE = "provenance.json"


def read_provenance(root: Path) -> dict[str, Any] | None:
    """What the maker of a prepared data set wrote of it, None where nobody did. Raises DataError for a bad file."""
    path = root / PROVENANCE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); prepare the data set anew or remove the file.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no provenance; prepare the data set anew or remove the file.")
    return content


def broken_rule(root: Path) -> str | None:
    """Which key of the config's open_track a prepared data set stands for; None: nothing is against the challenge."""
    breaks = (read_provenance(root) or {}).get("breaks")
    return None if breaks is None else str(breaks)


def refuse_grouped(root: Path) -> None:
    """Raise DataError where masks hold ids of groups, which would be taken for ids of the 19 classes."""
    recipe = (read_provenance(root) or {}).get("recipe")
    if isinstance(recipe, dict) and "classes" in recipe:
        raise DataError(
            f"{root} is a grouped set; name the set of 19 classes that it was made of, and group it by data.classes."
        )
