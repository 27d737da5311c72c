"""What the maker of a prepared data set wrote of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from face_parsing.data.problems import DataError
from face_parsing.labels import CELEBAMASK, LabelSet, group_labels

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


def labels_of_set(root: Path) -> LabelSet:
    """The classes whose ids a prepared data set's masks hold: groups where its maker says so, else the 19.

    Raises DataError for a provenance that cannot be read.
    """
    recipe = (read_provenance(root) or {}).get("recipe")
    groups = recipe.get("classes") if isinstance(recipe, dict) else None
    try:
        return group_labels(dict(groups)) if groups else CELEBAMASK
    except (TypeError, ValueError) as error:
        raise DataError(f"{root / PROVENANCE}: classes: {error}; prepare the data set anew.") from None


def labels_of_masks(place: Path) -> LabelSet:
    """The classes of a mask, or of a folder of them, by the prepared set that it lies in, if any."""
    for root in [place, *place.resolve().parents][:4]:
        if (root / PROVENANCE).is_file():
            return labels_of_set(root)
    return CELEBAMASK


def refuse_grouped(root: Path) -> None:
    """Raise DataError where masks hold ids of groups, which would be taken for ids of the 19 classes."""
    recipe = (read_provenance(root) or {}).get("recipe")
    if isinstance(recipe, dict) and "classes" in recipe:
        raise DataError(
            f"{root} is a grouped set; name the set of 19 classes that it was made of, and group it by data.classes."
        )
