"""Pairs of photos and masks: finding, checking, splitting, caching, and the loader of a training.

Everything that can be wrong with the files is found while they are read into memory, before the first
step, and told in one message. A pair's augmentation depends on (seed, epoch, index) alone, whatever the
number of workers, so that no epoch repeats another and a resumed run sees what it would have seen.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from accessories import AccessoryChoice, part_centres
from hoods import HoodChoice
from labels import CELEBAMASK, IGNORE_INDEX, NUM_CLASSES, LabelSet, is_mirrored, swap_left_right
from predict import PhotoError, open_image, read_photo
from runtime import LOADED_AHEAD, mix_seeds
from textures import TextureChoice
from transforms import build_augmentation, resize_pair

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
PROBLEMS_SHOWN = 30
MAPPED = 2048  # pairs that wait for their turn to be read

T = TypeVar("T")

Batch = tuple[Tensor, Tensor]
"""Images (B, H, W, 3) and masks (B, H, W), uint8."""

SampleKey = tuple[int, int, int]
"""(epoch, index, image size): what a sampler asks of the training set."""


LAYOUT_HINT = (
    "data/README.md says how to lay out the data, and 'python src/train.py --config configs/demo.yaml' needs none."
)


class DataError(ValueError):
    """All that is wrong with a data set, one line a file."""


@dataclass(frozen=True)
class Pair:
    """A photo and its mask."""

    stem: str
    image: Path
    mask: Path


def _problems_message(where: Path, problems: Sequence[str]) -> str:
    shown = "\n  ".join(problems[:PROBLEMS_SHOWN])
    more = len(problems) - PROBLEMS_SHOWN
    rest = f"\n  ... and {more} more" if more > 0 else ""
    return (
        f"{len(problems)} problem{'s' * (len(problems) > 1)} in {where}; mend or remove these files:\n  {shown}{rest}"
    )


def photos_in(folder: Path) -> list[Path]:
    """The JPEG and PNG files of a folder, by name; hidden ones are left out."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES and not p.name.startswith("."))


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs of folder/images and folder/masks, by stem.

    Raises DataError for missing folders, for a grouped set, and for every file without its partner or with two.
    """
    for part in ("images", "masks"):
        if not (folder / part).is_dir():
            raise DataError(f"There is no folder {folder / part}; {LAYOUT_HINT}")
    refuse_grouped(folder.parent)
    problems: list[str] = []
    found: dict[str, dict[str, Path]] = {}
    for part in ("images", "masks"):
        found[part] = {}
        for path in photos_in(folder / part):
            if path.stem in found[part]:
                problems.append(f"{path}: {found[part][path.stem].name} has the same stem")
            found[part][path.stem] = path
    images, masks = found["images"], found["masks"]
    problems += [
        f"{images[stem]}: no mask {folder / 'masks' / stem}.png" for stem in sorted(images.keys() - masks.keys())
    ]
    problems += [
        f"{masks[stem]}: no image of this name in {folder / 'images'}" for stem in sorted(masks.keys() - images.keys())
    ]
    if problems:
        raise DataError(_problems_message(folder, problems))
    if not images:
        raise DataError(f"There are no JPEG or PNG files in {folder / 'images'}.")
    return [Pair(stem, images[stem], masks[stem]) for stem in sorted(images)]


def decode_mask(source: Path | BytesIO, name: str) -> np.ndarray:
    """The values (H, W) uint8, whatever they are, of a P- or L-mode image. Raises DataError that begins with name."""
    try:
        with open_image(source) as image:
            if image.mode not in ("L", "P"):
                raise DataError(f"{name}: mode {image.mode}; a mask is single-channel, mode L or P, with class ids")
            image.load()
            return np.array(image)
    except DataError:
        raise
    except Exception as error:  # decoders raise anything at all on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: cannot be read as an image ({reason})") from None


def read_mask(path: Path) -> np.ndarray:
    """Class ids (H, W) uint8 of a P- or L-mode mask. Raises DataError that names the file."""
    mask = decode_mask(path, str(path))
    unknown = np.setdiff1d(np.flatnonzero(np.bincount(mask.ravel())), [*range(NUM_CLASSES), IGNORE_INDEX])
    if len(unknown):
        raise DataError(f"{path}: label {unknown[0]}; ids are 0 to {NUM_CLASSES - 1}, or {IGNORE_INDEX} to ignore")
    return mask


def read_pair(pair: Pair, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (size, size, 3) and mask (size, size), uint8. Raises DataError that names what is wrong."""
    try:
        image = read_photo(pair.image)
    except PhotoError as error:
        raise DataError(str(error)) from None
    mask = read_mask(pair.mask)
    if image.shape[:2] != mask.shape:
        raise DataError(
            f"{pair.mask}: {mask.shape[1]}x{mask.shape[0]}, but its image is {image.shape[1]}x{image.shape[0]}"
        )
    return resize_pair(image, mask, size)


class PairStore:
    """Checked pairs at one size, decoded once and kept in memory where limit_bytes allows.

    Forked loader workers share the memory. ``mirrored`` counts the pairs whose left and right labels
    were out of order and, with repair, have been swapped; ``pixel_counts`` (C,), ``presence`` (N, C) and, of
    the 19 classes alone, ``centres`` (N, 19) (``accessories.part_centres``) describe the masks. The masks, of
    19 ids on disk, hold the C classes of ``labels``.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        size: int,
        *,
        repair: bool,
        limit_bytes: float,
        labels: LabelSet = CELEBAMASK,
        progress: bool = True,
    ) -> None:
        self.pairs = list(pairs)
        self.labels = labels
        self._table = labels.table
        self.size = size
        self.repair = repair
        N = len(self.pairs)
        self.cached = N * size * size * 4 <= limit_bytes
        self._images = np.empty((N if self.cached else 0, size, size, 3), dtype=np.uint8)
        self._masks = np.empty((N if self.cached else 0, size, size), dtype=np.uint8)
        self.presence = np.zeros((N, len(labels)), dtype=bool)
        self.pixel_counts = np.zeros(len(labels), dtype=np.int64)
        self.centres = np.full((N, NUM_CLASSES), np.nan, dtype=complex)
        self._swapped = np.zeros(N, dtype=bool)
        self._load(progress)

    def _load(self, progress: bool) -> None:
        def load(i: int) -> str | None:
            try:
                image, mask = read_pair(self.pairs[i], self.size)
            except DataError as error:
                return str(error)
            self._swapped[i] = is_mirrored(mask)
            mask = self._classes(mask, i)
            if self.labels is CELEBAMASK:
                self.centres[i] = part_centres(mask)
            if self.cached:
                self._images[i], self._masks[i] = image, mask
            counts = np.bincount(mask.ravel(), minlength=256)[: len(self.labels)]
            self.presence[i] = counts > 0
            per_image[i] = counts
            return None

        per_image = np.zeros((len(self.pairs), len(self.labels)), dtype=np.int64)
        with ThreadPoolExecutor() as pool:
            # A call of map takes a kilobyte for each of its pairs: a part of them at a time.
            parts = range(0, len(self.pairs), MAPPED)
            answers = (answer for i in parts for answer in pool.map(load, range(len(self.pairs))[i : i + MAPPED]))
            bar = tqdm(
                answers, total=len(self.pairs), desc="reading pairs", unit="pair", disable=not progress, leave=False
            )
            problems = [problem for problem in bar if problem is not None]
        if problems:
            raise DataError(_problems_message(self.pairs[0].image.parent.parent, problems))
        self.pixel_counts = per_image.sum(0)

    def _classes(self, mask: np.ndarray, i: int) -> np.ndarray:
        """The mask of pair i as it was read, repaired where it must be, in the classes of ``labels``."""
        if self.repair and self._swapped[i]:
            mask = swap_left_right(mask)
        return mask if self.labels is CELEBAMASK else self._table[mask]

    @property
    def mirrored(self) -> int:
        """How many pairs have left and right out of order."""
        return int(self._swapped.sum())

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (size, size, 3) and mask (size, size), uint8; not to be written to."""
        if self.cached:
            return self._images[i], self._masks[i]
        image, mask = read_pair(self.pairs[i], self.size)
        return image, self._classes(mask, i)


def rarity_weights(presence: np.ndarray, threshold: float) -> np.ndarray:
    """How often each image is drawn, relative to an ordinary one: (N,) from presence (N, C) of classes in images.

    The largest sqrt(threshold / f) over the image's classes, at least 1, where f is the share of images
    that hold the class: the repeat factors of Gupta et al. 2019 (LVIS).
    """
    if threshold <= 0:
        return np.ones(len(presence))
    share = presence.mean(0)
    factor = np.maximum(1.0, np.sqrt(threshold / np.maximum(share, 1e-9)))
    return np.where(presence, factor, 1.0).max(1)


class EpochSampler(Sampler[list[SampleKey]]):
    """The batches of all epochs from first_epoch and its first_step on, one after the other, as lists of
    (epoch, index, size).

    An epoch's order depends on (seed, epoch) alone. ``stage(epoch)`` gives (image size, batch size). With
    weights, an epoch draws each image in proportion to its weight (systematic resampling: the count is
    the expected one rounded up or down); with equal ones, each image once. An incomplete last batch is
    dropped, unless it is the only one. ``share`` (i, n) gives the i-th of n equal parts of each batch, which
    n must divide.
    """

    def __init__(
        self,
        weights: np.ndarray,
        *,
        seed: int,
        epochs: int,
        first_epoch: int,
        first_step: int = 0,
        stage: Callable[[int], tuple[int, int]],
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.weights = weights
        self.seed = seed
        self.epochs = epochs
        self.first_epoch = first_epoch
        self.first_step = first_step
        self.stage = stage
        self.share = share

    def steps(self, epoch: int) -> int:
        """Batches of an epoch."""
        return max(len(self.weights) // self.stage(epoch)[1], 1)

    def order(self, epoch: int) -> np.ndarray:
        """The indices (N,) that an epoch draws, in order."""
        N = len(self.weights)
        rng = np.random.default_rng(mix_seeds(self.seed, epoch))
        shuffled = rng.permutation(N)
        edges = np.cumsum(self.weights[shuffled])
        places = (np.arange(N) + rng.random()) * edges[-1] / N
        drawn = shuffled[np.minimum(np.searchsorted(edges, places, side="right"), N - 1)]
        return rng.permutation(drawn)

    def __len__(self) -> int:
        return sum(self.steps(epoch) for epoch in range(self.first_epoch, self.epochs)) - self.first_step

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for epoch in range(self.first_epoch, self.epochs):
            size, batch_size = self.stage(epoch)
            order = self.order(epoch)
            part = batch_size // self.share[1]
            for step in range(self.first_step if epoch == self.first_epoch else 0, self.steps(epoch)):
                first = step * batch_size + self.share[0] * part
                yield [(epoch, int(i), size) for i in order[first : first + part]]


class TrainingSet(Dataset[tuple[Tensor, Tensor]]):
    """Augmented pairs. ``dataset[epoch, index, size]`` gives image (size, size, 3) and mask (size, size), uint8.

    ``augmentation`` is what ``build_augmentation`` was given, None for none; what is taken of other faces (``altered``)
    is no part of it.
    """

    def __init__(self, store: PairStore, *, seed: int, augmentation: dict[str, object] | None) -> None:
        self.store = store
        self.seed = seed
        self.augmentation: dict[str, Any] | None = None
        self.transform = None
        self.accessories: AccessoryChoice | None = None
        self.textures: TextureChoice | None = None
        self.hoods: HoodChoice | None = None
        if augmentation is not None:
            options: dict[str, Any] = dict(augmentation)
            paste, retexture, hood = (options.pop(name, 0.0) for name in ("paste", "retexture", "hood"))
            self.augmentation = {**options, "flip_table": store.labels.flip_table}
            self.transform = build_augmentation(**self.augmentation)
            if paste:
                self.accessories = AccessoryChoice(store.presence, store.centres, probability=paste)
            if retexture:
                self.textures = TextureChoice(store.presence, probability=retexture)
            if hood:
                self.hoods = HoodChoice(store.presence, store.centres, probability=hood)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        epoch, index, _ = key
        image, mask = self.altered(key) or self._resized(key, index)
        if self.transform is None:
            image, mask = image.copy(), mask.copy()
        else:
            # Seeding each draw by itself is what makes it independent of workers, and of albumentations'
            # own random state, which repeats itself in every worker and every epoch. Each step has a seed of its
            # own: from one for all, all would draw the same number, and grey faces would all be flipped, and so on.
            for number, step in enumerate(self.transform.transforms):
                step.set_random_seed(mix_seeds(self.seed, epoch, index, 1, number))
            done = self.transform(image=image, mask=mask)
            image, mask = done["image"], done["mask"]
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(np.ascontiguousarray(mask))

    def other_side(self, key: SampleKey) -> tuple[bool, bool]:
        """``resize_pair``'s, for all that the pair of that key is made of: either, as often as the other."""
        if self.transform is None:
            return False, False
        epoch, index, _ = key
        coins = mix_seeds(self.seed, epoch, index, 4)
        return bool(coins & 1), bool(coins & 2)

    def _resized(self, key: SampleKey, index: int) -> tuple[np.ndarray, np.ndarray]:
        return resize_pair(*self.store[index], key[2], other_side=self.other_side(key))

    def altered(self, key: SampleKey) -> tuple[np.ndarray, np.ndarray] | None:
        """The pair of that key, not augmented yet, with what it gets of other faces; None where it gets nothing."""
        epoch, index, _ = key
        textures = self.textures(index, seed=mix_seeds(self.seed, epoch, index, 5)) if self.textures else []
        pasted = self.accessories(index, seed=mix_seeds(self.seed, epoch, index, 3)) if self.accessories else None
        hood = self.hoods(index, seed=mix_seeds(self.seed, epoch, index, 6)) if self.hoods else None
        changes = [change for change in (*textures, pasted, hood) if change is not None]
        if not changes:
            return None
        pair = self._resized(key, index)
        for change in changes:
            pair = change(pair, self._resized(key, change.donor))
        return pair


class ValidationSet(Dataset[tuple[Tensor, Tensor]]):
    """Pairs as they are: image (size, size, 3) and mask (size, size), uint8."""

    def __init__(self, store: PairStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = self.store[index]
        return torch.from_numpy(image), torch.from_numpy(mask)


STOPPING = {signal.SIGINT, signal.SIGTERM}


def _heed_parent_alone(worker: int) -> None:
    """Begin a loader process, which has STOPPING blocked: it ends where its parent sends one of these, and goes on
    where another does. A terminal, a service or a batch system signals all processes of a training, of which the first
    has a step to finish and to save.
    """

    def wait() -> None:
        while signal.sigwaitinfo(STOPPING).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def build_loader(
    dataset: Dataset[Any], sampler: Sampler[Any], *, workers: int, pin: bool, whole_batches: bool = False
) -> DataLoader[Any]:
    """A loader of all the sampler's epochs in one pass, so that workers start once and run ahead across epochs.

    ``whole_batches``: the dataset is asked for all that the sampler gives together, and what it gives is the batch.
    """
    how: dict[str, Any] = {"batch_sampler": sampler}
    if whole_batches:
        how = {"sampler": sampler, "batch_size": None, "collate_fn": _as_it_is}
    return DataLoader(
        dataset,
        **how,
        num_workers=workers,
        pin_memory=pin,
        # Forked workers see the parent's cache without copying it.
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=_heed_parent_alone,
        prefetch_factor=LOADED_AHEAD if workers else None,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def batches_of(loader: DataLoader[T]) -> Iterator[T]:
    """The loader's batches. Raises DataError, in one sentence, for what a loader process found, and RuntimeError
    (``runtime.is_dead_worker``) where one has died.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # which the loader processes inherit
    try:
        batches = iter(loader)  # now: it draws from torch's generator, which each epoch seeds anew
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def told() -> Iterator[T]:
        try:
            yield from batches
        except DataError as error:  # raised in another process, it holds that one's traceback
            raise DataError(str(error).rsplit("DataError: ", 1)[-1].strip()) from None
        except (ConnectionError, EOFError) as error:  # the process died while it handed a batch over
            raise RuntimeError(f"DataLoader worker is gone: {error}") from None

    return told()


PROVENANCE = "provenance.json"


def read_provenance(root: Path) -> dict[str, Any] | None:
    """What the maker of a prepared data set wrote of it, None where nobody did. Raises DataError for a bad file."""
    path = root / PROVENANCE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); prepare the data set anew or remove the file.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no provenance; prepare the data set anew or remove the file.")
    return content


def broken_rule(root: Path) -> str | None:
    """Which key of the config's open_track a prepared data set stands for; None: nothing is against the challenge."""
    breaks = (read_provenance(root) or {}).get("breaks")
    return None if breaks is None else str(breaks)


def refuse_grouped(root: Path) -> None:
    """Raise DataError where masks hold ids of groups, which would be taken for ids of the 19 classes."""
    recipe = (read_provenance(root) or {}).get("recipe")
    if isinstance(recipe, dict) and "classes" in recipe:
        raise DataError(
            f"{root} is a grouped set; name the set of 19 classes that it was made of, and group it by data.classes."
        )


@dataclass(frozen=True)
class Split:
    """Which stems are trained and which validated on, and where they lie."""

    train: list[Pair]
    val: list[Pair]

    def save(self, path: Path) -> None:
        """Write the stems as JSON."""
        stems = {"train": [p.stem for p in self.train], "val": [p.stem for p in self.val]}
        path.write_text(json.dumps(stems, indent=1) + "\n", encoding="utf-8")


def read_stems(path: Path) -> list[str]:
    try:
        stems = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The file of validation stems {path} cannot be read: {error}.") from None
    if not stems:
        raise DataError(f"The file of validation stems {path} is empty.")
    return [Path(stem).stem if stem.lower().endswith((*PHOTO_SUFFIXES,)) else stem for stem in stems]


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
    """The split that a run saved, for resuming it. Raises DataError where it or pairs of it have vanished since."""
    known = load_stems(path)
    if not all(known.values()):
        raise DataError(f"The split {path} has no pairs to train or none to validate on; start anew.")
    pairs = {p.stem: p for p in find_pairs(root / "train")}
    val_pairs = {p.stem: p for p in find_pairs(root / "val")} if (root / "val").is_dir() else pairs
    missing = [
        stem for part, have in (("train", pairs), ("val", val_pairs)) for stem in known[part] if stem not in have
    ]
    if missing:
        raise DataError(f"{len(missing)} pairs of the split {path} are no longer in {root}, the first: {missing[0]}.")
    return Split([pairs[s] for s in known["train"]], [val_pairs[s] for s in known["val"]])
