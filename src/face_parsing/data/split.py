"""Which pairs are trained on and which validated on."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_parsing.data.pairs import Pair, find_pairs
from face_parsing.data.photo_files import PHOTO_SUFFIXES
from face_parsing.data.problems import LAYOUT_HINT, DataError


@dataclass(frozen=True)
class Split:
    """Which stems are trained and which validated on, and where they lie."""

    train: list[Pair]
    val: list[Pair]
    pooled: bool = False
    """Whether either may hold pairs of train/ as well as of val/."""

    def save(self, path: Path) -> None:
        """Write the stems as JSON."""
        stems: dict[str, object] = {"train": [p.stem for p in self.train], "val": [p.stem for p in self.val]}
        if self.pooled:
            stems["pooled"] = True
        path.write_text(json.dumps(stems, indent=1) + "\n", encoding="utf-8")


def read_stems(path: Path) -> list[str]:
    """The stems in a file, one per line, suffixes of photos left out. Raises DataError, naming the file."""
    try:
        stems = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The file of validation stems {path} cannot be read: {error}.") from None
    if not stems:
        raise DataError(f"The file of validation stems {path} is empty.")
    return [Path(stem).stem if stem.lower().endswith((*PHOTO_SUFFIXES,)) else stem for stem in stems]


def all_pairs(root: Path) -> list[Pair]:
    """The pairs of root/train and, where it exists, of root/val. Raises DataError where both have one of a name."""
    if not root.is_dir():
        raise DataError(f"There is no data folder {root}; {LAYOUT_HINT}")
    train, val = find_pairs(root / "train"), find_pairs(root / "val") if (root / "val").is_dir() else []
    twice = {pair.stem for pair in train} & {pair.stem for pair in val}
    if twice:
        raise DataError(
            f"{root}: {len(twice)} names are in train/ as well as in val/, the first: {min(twice)}; rename the pairs "
            "of one of them, so that all can be trained on."
        )
    return train + val


def some_of(pairs: list[Pair], count: int, *, seed: int) -> list[Pair]:
    """So many of the pairs, in their order. By one seed, a smaller choice is part of a larger one."""
    chosen = sorted(np.random.default_rng(seed).permutation(len(pairs))[:count].tolist())
    return [pairs[i] for i in chosen]


def fold_split(root: Path, fold: tuple[int, int], *, seed: int) -> Split:
    """The k-th (from 1) of n seeded parts of all pairs to validate on, the others to train on. Raises DataError."""
    pairs, (k, n) = all_pairs(root), fold
    if len(pairs) < n:
        raise DataError(f"{root} has {len(pairs)} pairs, which are too few for {n} folds.")
    chosen = set(np.random.default_rng(seed).permutation(len(pairs))[k - 1 :: n].tolist())
    parts: tuple[list[Pair], list[Pair]] = ([], [])
    for i, pair in enumerate(pairs):
        parts[i in chosen].append(pair)
    return Split(*parts, pooled=True)


def make_split(root: Path, *, val_stems: Path | None, val_fraction: float, seed: int) -> Split:
    """The split of a data set: root/val where it exists, else the stems of a file, else a seeded share.

    Raises DataError for missing folders or pairs, and for stems that root/train lacks.
    """
    if not root.is_dir():
        raise DataError(f"There is no data folder {root}; {LAYOUT_HINT}")
    pairs = find_pairs(root / "train")
    if (root / "val").is_dir():
        if val_stems is not None:
            raise DataError(
                f"data.val_stems = {val_stems} and the folder {root / 'val'} are both there; keep one of them."
            )
        return Split(pairs, find_pairs(root / "val"))
    if val_stems is not None:
        chosen = set(read_stems(val_stems))
        missing = sorted(chosen - {p.stem for p in pairs})
        if missing:
            raise DataError(f"{val_stems}: {len(missing)} stems are not in {root / 'train'}, the first: {missing[0]}.")
    else:
        count = max(1, math.floor(len(pairs) * val_fraction + 0.5))
        order = np.random.default_rng(seed).permutation(len(pairs))
        chosen = {pairs[i].stem for i in order[:count]}
    train = [p for p in pairs if p.stem not in chosen]
    if not train:
        raise DataError(f"All pairs of {root / 'train'} are validated on; none is left to train on.")
    return Split(train, [p for p in pairs if p.stem in chosen])


def load_stems(path: Path) -> dict[str, list[str]]:
    """The stems of a split that a run saved: those of ``train`` and of ``val``. Raises DataError."""
    try:
        stems = json.loads(path.read_text(encoding="utf-8"))
        return {part: [str(stem) for stem in stems[part]] for part in ("train", "val")}
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(f"The split {path} cannot be read ({type(error).__name__}: {error}); start anew.") from None


def load_split(path: Path, root: Path) -> Split:
    """The split that a run saved, for resuming it. Raises DataError where it or pairs of it have vanished since.

    One whose run was trained on all pairs has none to validate on.
    """
    known = load_stems(path)
    pooled = _is_pooled(path)
    if not known["train"] or not (known["val"] or pooled):
        raise DataError(f"The split {path} has no pairs to train or none to validate on; start anew.")
    pairs = {p.stem: p for p in (all_pairs(root) if pooled else find_pairs(root / "train"))}
    apart = (root / "val").is_dir() and not pooled
    val_pairs = {p.stem: p for p in find_pairs(root / "val")} if apart else pairs
    missing = [
        stem for part, have in (("train", pairs), ("val", val_pairs)) for stem in known[part] if stem not in have
    ]
    if missing:
        raise DataError(f"{len(missing)} pairs of the split {path} are no longer in {root}, the first: {missing[0]}.")
    return Split([pairs[s] for s in known["train"]], [val_pairs[s] for s in known["val"]], pooled)


def _is_pooled(path: Path) -> bool:
    return json.loads(path.read_text(encoding="utf-8")).get("pooled") is True
