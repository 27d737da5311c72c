"""All that is wrong with a data set, in one message."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PROBLEMS_SHOWN = 30

LAYOUT_HINT = (
    "data/README.md says how to lay out the data, and 'python src/train.py --config configs/demo.yaml' needs none."
)


class DataError(ValueError):
    """All that is wrong with a data set, one line a file."""


def problems_message(where: Path | str, problems: Sequence[str]) -> str:
    """The problems of the files in a folder, one per line; past PROBLEMS_SHOWN their number alone."""
    shown = "\n  ".join(problems[:PROBLEMS_SHOWN])
    more = len(problems) - PROBLEMS_SHOWN
    rest = f"\n  ... and {more} more" if more > 0 else ""
    return (
        f"{len(problems)} problem{'s' * (len(problems) > 1)} in {where}; mend or remove these files:\n  {shown}{rest}"
    )
