"""A face's classes keep still from frame to frame: where two are as likely, the one before stays.

Crops follow their faces, so a place of the crop is the same place of the face in the next frame. There the class of
the frame before gets a little more score. What really changes has more than that: nothing lags behind.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

BONUS = 0.35
"""By so much, in logits, another class must be ahead of the one before (measured by benchmarks/video.py)."""


@dataclass(eq=False)
class Steadiness:
    """The classes of each face's crop in the frame before; ``score_scale`` is that of the network's scores."""

    score_scale: float = 1.0
    bonus: float = field(default_factory=lambda: BONUS)
    _before: dict[int, np.ndarray] = field(default_factory=dict)

    def steady(self, number: int, scores: np.ndarray) -> np.ndarray:
        """The scores (h, w, C) of the face of that number in the next frame, and what the one before has ahead."""
        classes = scores.argmax(2).astype(np.uint8)
        before = self._before.get(number)
        if before is not None and before.shape == classes.shape and self.bonus:
            row, column = np.nonzero(classes != before)
            kept = before[row, column]
            raised = scores[row, column, kept] + np.float32(self.bonus / self.score_scale)
            scores = scores.copy()
            scores[row, column, kept] = np.minimum(np.round(raised), 255) if scores.dtype == np.uint8 else raised
            classes[row, column] = scores[row, column].argmax(1)
        self._before[number] = classes
        return scores

    def forget_others(self, numbers: Collection[int]) -> None:
        """Keep the faces of these numbers alone: those that are still there."""
        self._before = {number: classes for number, classes in self._before.items() if number in numbers}

    def state(self) -> dict[str, np.ndarray]:
        """All that the next frame depends on, as arrays that can be stored."""
        return {f"classes.{number}": classes for number, classes in self._before.items()}

    def restore(self, facts: dict[str, np.ndarray]) -> None:
        """Go on where ``state`` was taken."""
        self._before = {int(name.split(".")[1]): facts[name] for name in facts if name.startswith("classes.")}
