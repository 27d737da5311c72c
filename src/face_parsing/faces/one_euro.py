"""The One Euro filter: values that stand still are smoothed, values that change are followed.

Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class OneEuro:
    """A filter's state after a value: itself, smoothed, and its speed, smoothed too. Times are in seconds.

    What changes slower than ``cutoff`` hertz passes; that grows by ``beta`` hertz with each unit of speed a second.
    """

    value: np.ndarray
    speed: np.ndarray
    cutoff: float
    beta: float
    speed_cutoff: float = 1.0

    def after(self, value: np.ndarray, seconds: float) -> OneEuro:
        """The state once ``value`` was seen, so many seconds after the last one."""
        seen = (value - self.value) / max(seconds, 1e-6)
        speed = self.speed + (seen - self.speed) * _share(self.speed_cutoff, seconds)
        share = _share(self.cutoff + self.beta * np.abs(speed), seconds)
        return replace(self, value=self.value + (value - self.value) * share, speed=speed)


def _share(cutoff: np.ndarray | float, seconds: float) -> np.ndarray:
    """How much of a new value a low-pass filter of that cutoff takes."""
    turn = 2 * np.pi * np.asarray(cutoff) * seconds
    return np.asarray(turn / (turn + 1))
