"""What a person should know of the masks of one set: told once, and not a file."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import NamedTuple

from face_parsing.data.mask_palettes import PaletteKind
from face_parsing.data.problems import DataError
from face_parsing.labels import IGNORE_INDEX

IGNORE_HINT = f"{IGNORE_INDEX} means 'ignore', so a mask of 0 and {IGNORE_INDEX} holds background alone"

# Of 900 masks of the challenge 1 has a part out of place; in other orders of ids it is half of them or more.
ODD_SHARE = 0.2
FEW_MASKS = 5


class SeenMask(NamedTuple):
    """What was seen of one mask."""

    palette: PaletteKind
    empty: bool
    """No pixel of a class but background."""
    ignored: bool
    """Some pixels are IGNORE_INDEX."""
    upright: bool | None = None
    """Whether brows, eyes, nose and lips lie below each other; None where that cannot be told."""


@dataclass
class MaskLog:
    """The masks of one set that were read, by name; threads may share it."""

    seen: dict[str, SeenMask] = field(default_factory=dict)

    def add(self, other: MaskLog) -> None:
        """Take over what another one, perhaps of another process, has seen."""
        self.seen |= other.seen

    def _named(self, palette: PaletteKind) -> list[str]:
        return sorted(name for name, mask in self.seen.items() if mask.palette is palette)

    @property
    def empty(self) -> list[str]:
        """The masks of background alone."""
        return sorted(name for name, mask in self.seen.items() if mask.empty)

    def refuse_background_alone(self, place: object) -> None:
        """Raise DataError where masks were read, and none of them holds any class but background."""
        if self.seen and all(mask.empty for mask in self.seen.values()):
            raise DataError(background_alone(place, ignored=any(mask.ignored for mask in self.seen.values())))

    def palette_notes(self) -> list[str]:
        """One sentence for each kind of palette that is worth a word."""
        renumbered, unknown = self._named(PaletteKind.RENUMBERED), self._named(PaletteKind.UNKNOWN)
        lines = []
        if renumbered:
            what = (
                "the palette's colors at other indices, as PNG optimizers leave them; the colors are read "
                "(--mask_ids or data.mask_ids = index reads the indices)"
            )
            lines.append(f"Note: {_sentence(renumbered, what)}.")
        if unknown:
            what = (
                "a palette that is neither the label set's own nor grey; the indices are read ('draw.py color' shows)"
            )
            lines.append(f"Warning: {_sentence(unknown, what)}.")
        return lines

    def order_notes(self) -> list[str]:
        """That many masks hold parts where a face has none, if so."""
        told = [name for name, mask in self.seen.items() if mask.upright is not None]
        odd = sorted(name for name in told if not self.seen[name].upright)
        if len(told) < FEW_MASKS or len(odd) < ODD_SHARE * len(told):
            return []
        return [
            f"Warning: in {len(odd)} of {len(told)} masks the parts of the face do not lie in their places: the ids "
            "seem to mean other classes than in data/README.md ('prepare.py layout --order' translates), or the faces "
            f"are not upright; the first: {odd[0]}."
        ]

    def notes(self) -> list[str]:
        """One sentence for each thing that is worth a word."""
        empty = self.empty
        why = f" ({IGNORE_HINT})" if any(self.seen[name].ignored for name in empty) else ""
        told = self.palette_notes() + self.order_notes()
        return told + ([f"Note: {_sentence(empty, f'no class but background{why}')}."] if empty else [])

    def tell(self) -> None:
        """Print the notes on stderr."""
        _print(self.notes())

    def tell_palettes(self) -> None:
        """Print those of the palettes alone, where a mask of background is nothing odd."""
        _print(self.palette_notes())


def _print(notes: list[str]) -> None:
    for line in notes:
        print(line, file=sys.stderr)


def background_alone(place: object, *, ignored: bool) -> str:
    """The sentence about a set of such masks; ``ignored``: some pixels are IGNORE_INDEX."""
    why = f"{IGNORE_HINT}; " if ignored else ""
    return (
        f"No mask of {place} holds any class but background, so there is nothing to tell apart: {why}"
        "give the classes their ids, 1 to 18."
    )


def _sentence(names: list[str], what: str) -> str:
    some = f"{len(names)} masks hold" if len(names) > 1 else "1 mask holds"
    return f"{some} {what}; the first: {names[0]}"
