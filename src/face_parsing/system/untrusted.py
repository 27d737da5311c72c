"""Limits for values that come out of strangers' files."""

from __future__ import annotations

import re
from typing import Any

# Of a checkpoint's description, far beyond any that is meant.
MOST_ENTRIES = 10_000
MOST_CHARACTERS = 100_000
DEEPEST = 30


def check_extent(values: Any) -> None:
    """Raise ValueError for nested containers with more entries or text than a description can need, or no end.

    In a few bytes of a checkpoint, one list may stand in another a thousand times over, or in itself.
    """
    entries = characters = 0
    waiting: list[tuple[Any, int]] = [(values, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep, or inside itself")
        if isinstance(value, dict | list | tuple | set | frozenset):
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            entries += len(inner)
            if entries > MOST_ENTRIES:
                raise ValueError(f"it holds more than {MOST_ENTRIES:,} values, aliases resolved")
            waiting += [(one, depth + 1) for one in inner]
        elif isinstance(value, str | bytes | bytearray):
            characters += len(value)
            if characters > MOST_CHARACTERS:
                raise ValueError(f"it holds more than {MOST_CHARACTERS:,} characters, aliases resolved")
            if isinstance(value, str) and not value.isascii() and re.search("[\ud800-\udfff]", value):
                raise ValueError("it holds a lone half of a surrogate pair, which is no character")
        elif isinstance(value, int) and value.bit_length() > 64:
            raise ValueError("it holds a whole number of more than 64 bits")
