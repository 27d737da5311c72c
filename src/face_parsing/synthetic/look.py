"""What is decided about a synthetic person before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from face_parsing.synthetic.canvas import HAIR_COLORS, LIP_COLORS, SKIN_TONES, Color, Points, mix, pick, tint

HAIR_STYLES = ("bald", "short", "parted", "bangs", "curly", "long", "long", "bob")
HATS = ("beanie", "brim", "cap")


@dataclass(frozen=True)
class Look:
    """What is decided about a person before anything is drawn, because several parts depend on it."""

    skin: Color
    hair: Color
    lips: Color
    style: str  # one of HAIR_STYLES
    covers_ears: bool
    height: float  # half the head's height
    jaw: float  # 0: round, 0.3: pointed
    hat: str  # one of HATS, or "" for none
    glasses: str  # "clear", "dark" or ""
    necklace: bool
    earrings: bool

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Look:
        """Draw a person."""
        tone = rng.uniform(0, len(SKIN_TONES) - 1.001)
        skin = mix(SKIN_TONES[int(tone)], SKIN_TONES[int(tone) + 1], tone % 1)
        style = pick(rng, HAIR_STYLES)
        earrings = bool(rng.random() < 0.4)
        return cls(
            skin=skin,
            hair=tint(pick(rng, HAIR_COLORS), rng.uniform(0.9, 1.1)),
            lips=mix(pick(rng, LIP_COLORS), skin, rng.uniform(0.1, 0.4)),
            style=style,
            # Earrings hang under visible ears, so who wears them mostly shows the ears.
            covers_ears=style in ("long", "bob", "curly") and bool(rng.random() < (0.15 if earrings else 0.6)),
            height=rng.uniform(1.2, 1.36),
            jaw=rng.uniform(0.04, 0.26),
            hat=pick(rng, HATS) if rng.random() < 0.22 else "",
            glasses=("dark" if rng.random() < 0.3 else "clear") if rng.random() < 0.26 else "",
            necklace=bool(rng.random() < 0.28),
            earrings=earrings,
        )

    def outline(self, yaw: float) -> Points:
        """The head's edge (N, 2); turned, its chin moves the way the nose points."""
        t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        low = np.clip(np.sin(t), 0, 1)
        x = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.9 * (1 - self.jaw * low**1.5)
        return np.stack([x + 0.3 * np.sin(yaw) * low**2, self.height * np.sin(t)], axis=1)
