"""Keys and figures that have another name now: files that hold the old ones are still read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RENAMED = {
    "data.rare_frequency": "repeat_threshold",
    "model.fold": "space_to_depth",
    "augmentation.colour": "color",
    "augmentation.colour_strength": "color_strength",
    "schedule.stages.predict_size": "eval_size",
    "run.start_from": "init_from",
    "run.record_steps": "cuda_graphs",
}
"""The old key, entries of lists left out, and the last part of the new one."""

RENAMED_FIGURES = {"f_score_in_order": "f_score_lr_corrected"}
"""Of histories and checkpoints: the old name of a figure, and the new one."""


def current_figure(name: str) -> str:
    """What a figure of a history or a checkpoint is called now."""
    return RENAMED_FIGURES.get(name, name)


def current_key(keys: list[str]) -> list[str]:
    """The parts of a key, of which numbers pick entries of lists, as it is called now."""
    new = RENAMED.get(".".join(key for key in keys if not key.isdecimal()))
    return keys if new is None else [*keys[:-1], new]


def keys_of(value: Any, keys: list[str]) -> Iterator[list[str]]:
    """The parts of the key of a value, and of each key inside it; numbers pick entries of lists."""
    yield keys
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from keys_of(inner, [*keys, str(key)])
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from keys_of(inner, [*keys, str(number)])


def with_current_names(values: Any, section: str = "") -> tuple[Any, list[str]]:
    """Values of a section, the whole config by default, under current names, and a note on each that had an old one.

    Raises ValueError where a key is there under both names.
    """
    if isinstance(values, list):
        entries = [with_current_names(value, section) for value in values]
        return [entry for entry, _ in entries], [line for _, lines in entries for line in lines]
    if not isinstance(values, Mapping):
        return values, []
    renamed: dict[Any, Any] = {}
    notes: list[str] = []
    for key, value in values.items():
        path = f"{section}.{key}" if section else str(key)
        new = RENAMED.get(path, key)
        if new != key:
            if new in values:
                raise ValueError(f"{path} is the old name of {section}.{new}, and both are given; keep the new one")
            notes.append(f"{path} is called {section}.{new} now")
        renamed[new], lines = with_current_names(value, path)
        notes += lines
    return renamed, notes
