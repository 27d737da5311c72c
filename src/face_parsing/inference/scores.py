"""What a network says of a photo before it is decided: scores (h, w, C) of each class at each pixel that it saw.

They are as logits are, times a number that is the network's: uint8 of a file in 8 bits, float32 of others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Scores = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""From photos of one size, each (H, W, 3) uint8, to their scores (h, w, C), h and w the size at the network."""

Probabilities = Callable[[np.ndarray], np.ndarray]
"""From scores (n, C) of n pixels, as they are or interpolated, to probabilities (n, C) float32."""


def softmax(scores: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Probabilities (n, C) float32 of logits that are ``scale`` times the scores (n, C)."""
    exponents = scores.astype(np.float32) * np.float32(scale)
    exponents = np.exp(exponents - exponents.max(1, keepdims=True))
    probabilities: np.ndarray = exponents / exponents.sum(1, keepdims=True)
    return probabilities
