"""Words of messages."""

from __future__ import annotations

from collections.abc import Sequence


def first_of(names: Sequence[str], most: int) -> str:
    """The first names, so many at most, and how many more there are: ``a, b, c and 4 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def count_of(number: int, one: str) -> str:
    """So many of what one is called: ``1 photo``, ``2 photos``, ``no photo``."""
    return f"{number or 'no'} {one}{'s' * (number > 1)}"
