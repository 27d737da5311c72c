"""The pairs of a run: which it trains and which it validates on, how often each is drawn, and its batches."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from face_parsing.audit.near_duplicates import find_copies, thumbnail_of
from face_parsing.challenge import RULES
from face_parsing.config.sections import Config, as_dict
from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import Batch, TrainingSet
from face_parsing.data.device_loader import augments_on_device, build_device_loader, joined_batches
from face_parsing.data.loader import batches_of, build_loader
from face_parsing.data.mask_palettes import IdRule
from face_parsing.data.pairs import Pair, find_pairs, folders_of
from face_parsing.data.problems import DataError, problems_message
from face_parsing.data.provenance import PROVENANCE, broken_rule
from face_parsing.data.sampler import EpochSampler, repeat_factors
from face_parsing.data.split import Split, all_pairs, fold_split, load_split, make_split, some_of
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.synthetic.dataset import write_dataset
from face_parsing.system import distributed
from face_parsing.system.workers import loader_workers
from face_parsing.training.mask_checks import check_masks
from face_parsing.training.run_folder import RunFolder


def check_same_data(weights: np.ndarray, train: PairStore, val: PairStore) -> None:
    """Raise DataError where the processes, which may be on several machines, have not read the same pairs."""
    stems = "/".join(pair.stem for store in (train, val) for pair in store.pairs)
    digest = hashlib.sha256(stems.encode() + weights.tobytes() + train.pixel_counts.tobytes()).hexdigest()
    if len(set(distributed.from_all(digest))) > 1:
        raise DataError("The machines of this run have not the same training pairs; copy one's data folder to all.")


def check_provenance(root: Path, track: str) -> None:
    """Raise DataError for a data set that is against the rules of the challenge, on that track."""
    rule = broken_rule(root) if track == "challenge" else None
    if rule is not None:
        what = RULES.get(rule, rule)
        raise DataError(
            f"{root / PROVENANCE} says how {root} was made, but the challenge allows {what}; "
            "choose another data.root or set track=open."
        )


def external_pairs(folder: Path, root: Path) -> list[Pair]:
    """The pairs of an external data set, which is another one than data.root. Raises DataError."""
    if folder.resolve() == root.resolve():
        raise DataError(f"open_track.external_data names {folder}, which is data.root itself; name another data set.")
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}, which open_track.external_data names; put the pairs there, or do without "
            "them by --set open_track.external_data=[]."
        )
    return find_pairs(folder / "train")


def check_no_copies(val: PairStore, train: PairStore, external: range) -> None:
    """Raise DataError where external pairs of train, by index, show photos that are validated on.

    CelebAMask-HQ has the challenge's photos too: trained on, they would make the score one of faces learnt by heart.
    """
    if not len(val):
        return
    seen, more = (
        np.stack([thumbnail_of(store[i][0]) for i in indices])
        for store, indices in ((val, range(len(val))), (train, external))
    )
    problems = [
        f"{train.pairs[external[copy.second]].image}: is the photo, or nearly, of the validation pair "
        f"{val.pairs[copy.first].image}"
        for copy in find_copies(seen, more)
    ]
    if problems:
        raise DataError(problems_message(folders_of(train.pairs[i] for i in external), problems))


def split_of(config: Config) -> Split:
    """Which pairs the config trains and which it validates on. Raises DataError."""
    split = _whole_split(config)
    if config.data.max_pairs is None:
        return split
    return dataclasses.replace(split, train=some_of(split.train, config.data.max_pairs, seed=config.data.split_seed))


def _whole_split(config: Config) -> Split:
    data, root = config.data, config.paths.root
    if data.all_pairs:
        return Split(all_pairs(root), [], pooled=True)
    if data.fold is not None:
        return fold_split(root, data.fold, seed=data.split_seed)
    return make_split(root, val_stems=config.paths.val_stems, val_fraction=data.val_fraction, seed=data.split_seed)


def load_data(config: Config, saved_split: Path | None) -> tuple[PairStore, PairStore, Split]:
    """Training pairs, validation pairs, and which is which; all checked and, where they fit, cached.

    External pairs stand behind the training pairs of ``Split.train``.

    Draws the synthetic set first where the config asks for one and its folder does not exist. A resumed run
    gives the split it saved. Raises DataError with all that is wrong with the files.
    """
    root = config.paths.root
    count = config.data.synthetic_pairs
    if count and distributed.is_first_here() and not root.exists():
        print(f"Drawing {count} synthetic training faces into {root}", flush=True)
        write_dataset(root, train=count, val=max(count // 6, 1), test=8, size=config.data.size, seed=0)
    distributed.barrier()
    check_provenance(root, config.track)
    if saved_split is not None:
        path = saved_split
        split = distributed.from_main(lambda: load_split(path, root))
    else:
        split = split_of(config)
    extra = [pair for folder in config.paths.external_data for pair in external_pairs(folder, root)]
    if config.data.max_pairs is not None:
        extra = some_of(extra, max(config.data.max_pairs - len(split.train), 0), seed=config.data.split_seed)
    labels = config.labels
    limit = config.data.cache_gb * 1e9
    repair = config.data.repair_mirrored
    rule = IdRule(mask_ids=config.data.mask_ids)
    stores: list[PairStore] = []
    problems: list[str] = []
    for pairs, mended in ((split.val, False), (split.train + extra, repair)):
        try:
            stores.append(
                PairStore(pairs, config.data.size, repair=mended, limit_bytes=limit, labels=labels, rule=rule)
            )
        except DataError as error:  # the other part's problems are told with these
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    val, train = stores
    check_masks(train, val, root)
    if extra:
        check_no_copies(val, train, range(len(split.train), len(train)))
    print(
        f"Data: {len(train)} training pairs ({train.mirrored} mirrored with left and right labels not swapped: "
        f"{'repaired' if repair else 'left as they are'}), "
        + (f"{len(val)} validation pairs ({val.mirrored} such: left as they are)." if val.pairs else "none kept aside.")
    )
    if not train.cached:
        print("Warning: the training pairs exceed data.cache_gb and are decoded anew at each use.", file=sys.stderr)
    return train, val, split


def sampling_weights(config: Config, train: PairStore) -> np.ndarray:
    """How often each training pair (N,) is drawn: by its rare classes and, if external, by its data set's weight."""
    weights = repeat_factors(train.presence, config.data.repeat_threshold)
    for folder, data in zip(config.paths.external_data, config.open_track.external_data, strict=True):
        weights[[pair.image.parent.parent == folder / "train" for pair in train.pairs]] *= data.weight
    return weights


def build_training_set(config: Config, train: PairStore) -> TrainingSet:
    """The training pairs, augmented as the config says, by its seed."""
    augmentation = as_dict(config.augmentation)
    enabled = augmentation.pop("enabled")
    return TrainingSet(train, seed=config.run.seed, augmentation=augmentation if enabled else None)


def stems_trained_on(config: Config, train: PairStore, val: PairStore, resumed: Path | None) -> list[str]:
    """The stems that the weights of this run, which goes on from those of ``resumed`` if any, learn from.

    With those that weights to start from have learned from, where their checkpoint says so. A stem of a validation
    pair as well is left out: of sets that count anew in each folder it would name the wrong face.
    """
    paths = config.paths
    earlier = RunFolder(paths.init_from).best_model if paths.init_from is not None else paths.pretrained
    before = resumed or earlier
    stems = {pair.stem for pair in train.pairs}
    if before is not None:
        stems |= set(load_checkpoint(before).get("trained_on") or ())
    return sorted(stems - {pair.stem for pair in val.pairs})


def training_batches(
    config: Config, train: TrainingSet, sampler: EpochSampler, device: torch.device
) -> Iterator[Batch]:
    """All batches that the sampler still has, augmented where run.augment_on says."""
    run = config.run
    processes = distributed.processes_here()
    batch_bytes = 4 * max(stage.batch_size * stage.image_size**2 for stage in config.schedule.stages)
    on_device = augments_on_device(run.augment_on, device, train.store)
    joined = joined_batches(device, batch_bytes, processes=processes) if on_device else 1
    workers = loader_workers(run.workers, device, processes=processes, batch_bytes=joined * batch_bytes)
    if not on_device:
        pin = device.type == "cuda"
        return batches_of(build_loader(train, sampler, workers=workers, pin=pin))
    loader = build_device_loader(
        train,
        sampler,
        device=device,
        workers=workers,
        resident_share=run.resident_share,
        joined=joined,
    )
    print(f"Pairs are augmented on the {device.type}{', where they all lie' if loader.resident else ''}.")
    return iter(loader)
