"""Correct training labels by a trained network: ``python src/relabel.py --model_path CKPT --data ROOT --output NEW``.

Self-distillation, for the open track alone: where the network is sure and disagrees, its class replaces the
label (Xie et al. 2020 train on all of a teacher's labels; here the given ones stay wherever it is unsure).
Training goes on from the same checkpoint:
``python src/train.py --set track=open data.root=NEW open_track.pretrained=CKPT``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from face_parsing.data.masks import read_mask, save_mask
from face_parsing.data.pairs import Pair
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.data.split import Split
from face_parsing.drawing.pictures import contact_sheet, difference, save_picture
from face_parsing.inference.predict import exact_arithmetic, predict_probabilities
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, NUM_CLASSES, class_ids, is_mirrored, swap_left_right
from face_parsing.preparation.copying import Job, Plan, PreparationError
from face_parsing.preparation.layouts import OWN_LAYOUT, copy_job, find_splits, output_files, plan_pairs
from face_parsing.preparation.pairs import copy_photo

KEPT = ("eye_g", "hat", "ear_r", "neck_l")
"""Rare classes, which a network misses more often than the person who drew them invented them."""

Probabilities = Callable[[np.ndarray], np.ndarray]
"""Photo (H, W, 3) uint8 to class probabilities (19, H, W) float32."""


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


def relabel_pair(
    image: Path,
    mask: Path,
    outputs: tuple[Path, ...],
    probabilities: Probabilities,
    thresholds: Thresholds,
    unchanged: Path,
) -> None:
    """Write the image as outputs[0] and its corrected mask as outputs[1]; one that stays is noted in unchanged.

    A mirrored mask is repaired first: the network never learned those labels. Raises PhotoError and DataError.
    """
    photo, ids = read_photo(image), read_mask(mask)
    if ids.shape != photo.shape[:2]:
        raise DataError(f"{mask}: its size is not that of its image")
    if is_mirrored(ids):
        ids = swap_left_right(ids)
    corrected = correct(ids, probabilities(photo), thresholds)
    if (corrected != ids).mean() > thresholds.max_change:
        corrected = ids
        with unchanged.open("a", encoding="utf-8") as file:
            file.write(f"{mask.stem}\n")
    save_mask(corrected, outputs[1])
    copy_photo(image, outputs[0])


def network_probabilities(
    models: Sequence[nn.Module], *, image_size: int, scales: Sequence[float], flip: bool, device: torch.device
) -> Probabilities:
    """What the networks, prepared for the device, say of a photo, averaged."""

    def probabilities(photo: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(photo[None]).to(device)
        with exact_arithmetic():
            found = predict_probabilities(models, batch, image_size=image_size, scales=scales, flip=flip)
        found = F.interpolate(found, size=photo.shape[:2], mode="bilinear", align_corners=False)
        return found[0].cpu().numpy()

    return probabilities


def plan_relabelling(
    root: Path, output: Path, split: Split, probabilities: Probabilities, thresholds: Thresholds, recipe: dict[str, Any]
) -> Plan:
    """Copy root; training pairs of split get corrected masks, those validated on and tested on keep theirs."""
    splits = find_splits(root, OWN_LAYOUT)
    trained = {pair.image for pair in split.train}
    unchanged = output / "left_alone.txt"

    def jobs_of(name: str, image: Path, mask: Path | None) -> list[Job]:
        if mask is None or image not in trained:
            return [copy_job(output, name, image, mask)]
        outputs = output_files(output, name, image, mask)
        return [Job(outputs, partial(relabel_pair, image, mask, outputs, probabilities, thresholds, unchanged))]

    return plan_pairs(splits, jobs_of, recipe=recipe, breaks="teacher")


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


def draw_most_changed(
    pairs: Sequence[Pair], output: Path, shares: dict[str, float], path: Path, count: int = 8
) -> None:
    """Photo, label and corrected label of the masks that changed most."""
    chosen = sorted(shares, key=lambda stem: -shares[stem])[:count]
    by_stem = {pair.stem: pair for pair in pairs}
    old = [read_mask(by_stem[stem].mask) for stem in chosen]
    old = [swap_left_right(mask) if is_mirrored(mask) else mask for mask in old]
    new = [read_mask(output / "train" / "masks" / f"{stem}.png") for stem in chosen]
    photos = [read_photo(by_stem[stem].image) for stem in chosen]
    rows = [[p, o, n, difference(o, n, p)] for p, o, n in zip(photos, old, new, strict=True)]
    titles = ["photo", "label", "corrected", "what changed"]
    save_picture(contact_sheet(rows, titles, [f"{stem}   {shares[stem]:.1%} changed" for stem in chosen]), path)
