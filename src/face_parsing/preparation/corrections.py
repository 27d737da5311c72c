"""Labels that a trained network corrects: which ones, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import Pair
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, NUM_CLASSES, class_ids, is_mirrored, swap_left_right
from face_parsing.preparation.copying import PreparationError

KEPT = ("eye_g", "hat", "ear_r", "neck_l")
"""Rare classes, which a network misses more often than the person who drew them invented them."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a label is replaced."""

    confidence: float = 0.9
    """A pixel becomes the network's class where that one's probability is at least this."""
    ignore: float = 0.0
    """Where nothing is that sure, a label less probable than this becomes the ignore label; 0 ignores none."""
    max_change: float = 0.1
    """A mask of which a larger share would change stays as it is: there the network is wrong, or the face special."""
    keep: tuple[str, ...] = KEPT
    """Labels of these classes always stay."""

    def __post_init__(self) -> None:
        for name in ("confidence", "ignore", "max_change"):
            if not 0 <= getattr(self, name) <= 1:
                raise PreparationError(f"--{name} is {getattr(self, name)}; it is a share from 0 to 1.")
        for name in self.keep:
            if name not in CLASS_NAMES:
                raise PreparationError(f"--keep names {name!r}; the classes are {', '.join(CLASS_NAMES)}.")


def correct(mask: np.ndarray, probabilities: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """The mask (H, W) uint8 with the labels replaced of which probabilities (19, H, W) are sure that they are wrong.

    Ignored pixels stay ignored.
    """
    best = probabilities.argmax(0).astype(np.uint8)
    fixed = np.isin(mask, [*class_ids(*thresholds.keep), IGNORE_INDEX])
    sure = probabilities.max(0) >= thresholds.confidence
    corrected = np.where(sure & ~fixed, best, mask)
    if thresholds.ignore:
        label = np.where(mask == IGNORE_INDEX, 0, mask)[None].astype(np.intp)
        doubtful = np.take_along_axis(probabilities, label, 0)[0] < thresholds.ignore
        corrected = np.where(doubtful & ~sure & ~fixed, np.uint8(IGNORE_INDEX), corrected)
    return corrected


def count_changes(pairs: Iterable[Pair], output: Path) -> tuple[np.ndarray, dict[str, float], list[str]]:
    """Pixels (19, 20) by old and new label (the last column: ignored), the changed share of each mask, and the
    stems of repaired ones. Pairs whose corrected mask is missing are left out.
    """
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES + 1), dtype=np.int64)
    shares: dict[str, float] = {}
    repaired: list[str] = []
    for pair in pairs:
        path = output / "train" / "masks" / f"{pair.stem}.png"
        if not path.is_file():
            continue
        old, new = read_mask(pair.mask), read_mask(path)
        if is_mirrored(old):
            old = swap_left_right(old)
            repaired.append(pair.stem)
        valid = old != IGNORE_INDEX
        column = np.where(new == IGNORE_INDEX, NUM_CLASSES, new)[valid].astype(np.int64)
        cells = np.bincount(old[valid] * np.int64(NUM_CLASSES + 1) + column, minlength=counts.size)
        counts += cells.reshape(counts.shape)
        shares[pair.stem] = float((old != new).mean())
    return counts, shares, repaired


def report_text(counts: np.ndarray, shares: dict[str, float], repaired: Sequence[str], unchanged: Sequence[str]) -> str:
    """What happened to the labels, as lines: the set's share, each class's, and the most frequent changes."""
    total, changed = int(counts.sum()), int(counts.sum() - np.trace(counts))
    touched = sum(share > 0 for share in shares.values())
    lines = [
        f"{changed / max(total, 1):.3%} of the pixels changed, in {touched} of {len(shares)} masks; {len(repaired)} "
        f"mirrored masks repaired; {len(unchanged)} masks left alone, of which more than the limit would have changed.",
        f"{'class':<12}{'pixels':>12}{'gone':>9}{'come':>9}",
    ]
    names = [*CLASS_NAMES, "ignored"]
    before, after = counts.sum(1), counts.sum(0)
    for c, name in enumerate(CLASS_NAMES):
        if before[c] + after[c]:
            base = max(int(before[c]), 1)
            gone, come = before[c] - counts[c, c], after[c] - counts[c, c]
            lines.append(f"{name:<12}{before[c]:12,}{gone / base:9.2%}{come / base:9.2%}")
    moved = counts.copy()
    np.fill_diagonal(moved, 0)
    for cell in np.argsort(moved, axis=None, kind="stable")[::-1][:8]:
        old, new = divmod(int(cell), NUM_CLASSES + 1)
        if moved[old, new]:
            lines.append(f"{names[old]} -> {names[new]}: {moved[old, new]:,} pixels")
    return "\n".join(lines)
