"""Decision biases: a number for each class, added to its log-probability before the largest one wins.

The F-Score averages over the classes that a face has, so a rare class weighs as much as a large one, and the most
probable class is not always the best guess. ``evaluation/bias_fitting.py`` finds them, and
``bias_merging.py`` puts them into a network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.labels import LabelSet


def add_biases(probabilities: np.ndarray, biases: Sequence[float] | np.ndarray) -> np.ndarray:
    """Scores (C, h, w) whose largest is that of log(probabilities) + biases."""
    return probabilities * np.exp(np.asarray(biases, dtype=np.float32))[:, None, None]


def named(biases: Sequence[float] | np.ndarray, labels: LabelSet) -> str:
    """Those that are not 0, with their classes, for people."""
    return ", ".join(f"{name} {bias:+.2f}" for name, bias in zip(labels.names, biases, strict=True) if bias)


def write_biases(path: Path, biases: Sequence[float] | np.ndarray, labels: LabelSet) -> None:
    """Write a JSON file of class name: bias."""
    values = {name: round(float(bias), 4) for name, bias in zip(labels.names, biases, strict=True)}
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_biases(path: Path, labels: LabelSet) -> tuple[float, ...]:
    """The biases of a file of write_biases, in the order of the classes. Raises ValueError that names the file."""
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"The biases {path} cannot be read: {error}; fit them with src/biases.py fit.") from None
    if not isinstance(values, Mapping) or set(values) != set(labels.names):
        raise ValueError(f"{path} must give one number for each of the classes {', '.join(labels.names)}.")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{path}: the bias of {name} is {value!r}; it must be a finite number.")
    return tuple(float(values[name]) for name in labels.names)
