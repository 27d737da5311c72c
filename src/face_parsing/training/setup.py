"""What a run begins with: its data, its network and its checks."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from face_parsing.challenge import PARAMETER_LIMIT, RULES
from face_parsing.config.loading import ConfigError
from face_parsing.config.sections import Config, as_dict
from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import TrainingSet
from face_parsing.data.pairs import find_pairs
from face_parsing.data.problems import DataError
from face_parsing.data.provenance import PROVENANCE, broken_rule
from face_parsing.data.sampler import repeat_factors
from face_parsing.data.split import Split, load_split, load_stems, make_split
from face_parsing.labels import group_labels
from face_parsing.models import build_model, count_parameters
from face_parsing.models.checkpoint import CheckpointError, label_set, load_checkpoint
from face_parsing.synthetic.dataset import write_dataset
from face_parsing.system import distributed
from face_parsing.system.environment import PROJECT_ROOT
from face_parsing.training.run_folder import RunFolder


def resolve_path(text: str) -> Path:
    """A path of a config: as it is where absolute or found from here, else from the project's folder."""
    path = Path(text)
    return path if path.is_absolute() or path.exists() else PROJECT_ROOT / path


def check_size(config: Config, parameters: int) -> None:
    """Raise ConfigError where the challenge's limit on parameters is broken."""
    if config.track == "challenge" and parameters >= PARAMETER_LIMIT:
        raise ConfigError(
            f"The model has {parameters:,} parameters, but the challenge allows fewer than {PARAMETER_LIMIT:,}; "
            "choose a smaller model, or set track=open."
        )


def check_processes(config: Config, pairs: int = sys.maxsize) -> None:
    """Raise ConfigError where a batch, which is that of all processes together, cannot be split evenly over them.

    It is never larger than the number of training pairs, where that is known already.
    """
    count = distributed.world_size()
    for i, stage in enumerate(config.schedule.stages):
        size = min(stage.batch_size, pairs)
        if size % count:
            why = "" if size == stage.batch_size else f" (here {size}, as there are no more training pairs)"
            raise ConfigError(
                f"schedule.stages.{i}.batch_size = {stage.batch_size}{why} is the batch of all processes together and "
                f"cannot be split evenly over {count}; choose a multiple of {count}, or start another number of them."
            )


def check_same_data(weights: np.ndarray, train: PairStore, val: PairStore) -> None:
    """Raise DataError where the processes, which may be on several machines, have not read the same pairs."""
    stems = "/".join(pair.stem for store in (train, val) for pair in store.pairs)
    digest = hashlib.sha256(stems.encode() + weights.tobytes() + train.pixel_counts.tobytes()).hexdigest()
    if len(set(distributed.from_all(digest))) > 1:
        raise DataError("The machines of this run have not the same training pairs; copy one's data folder to all.")


def build_network(config: Config, *, resume: bool = False) -> nn.Module:
    """The config's model with fresh weights or, on the open track, given ones.

    Raises ConfigError for too many parameters, CheckpointError for weights that do not fit.
    """
    # Weights that are loaded afterwards need no download of others before.
    pretrained = not (resume or config.run.init_from or config.open_track.pretrained)
    model = build_model(config.to_dict()["model"], len(group_labels(config.data.classes)), pretrained=pretrained)
    check_size(config, count_parameters(model))
    if config.open_track.pretrained:
        path = resolve_path(config.open_track.pretrained)
        _load_weights(model, load_checkpoint(path), path)
    return model


def _load_weights(model: nn.Module, content: dict[str, Any], path: Path) -> None:
    """Give the config's model the weights of the checkpoint at path. Raises CheckpointError where they do not fit."""
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:500]
        raise CheckpointError(f"The weights in {path} do not fit the config's model: {reason}") from None


def check_provenance(config: Config, root: Path) -> None:
    """Raise DataError for a data set that is against the rules of the challenge, on that track."""
    rule = broken_rule(root) if config.track == "challenge" else None
    if rule is not None:
        what = RULES.get(rule, rule)
        raise DataError(
            f"{root / PROVENANCE} says how {root} was made, but the challenge allows {what}; "
            "choose another data.root or set track=open."
        )


def load_data(config: Config, saved_split: Path | None) -> tuple[PairStore, PairStore, Split]:
    """Training pairs, validation pairs, and which is which; all checked and, where they fit, cached.

    External pairs stand behind the training pairs of ``Split.train``.

    Draws the synthetic set first where the config asks for one and its folder does not exist. A resumed run
    gives the split it saved. Raises DataError with all that is wrong with the files.
    """
    root = resolve_path(config.data.root)
    count = config.data.synthetic_pairs
    if count and distributed.is_first_here() and not root.exists():
        print(f"Drawing {count} synthetic training faces into {root}", flush=True)
        write_dataset(root, train=count, val=max(count // 6, 1), test=8, size=config.data.size, seed=0)
    distributed.barrier()
    check_provenance(config, root)
    if saved_split is not None:
        path = saved_split
        split = distributed.from_main(lambda: load_split(path, root))
    else:
        stems = resolve_path(config.data.val_stems) if config.data.val_stems else None
        split = make_split(root, val_stems=stems, val_fraction=config.data.val_fraction, seed=config.data.split_seed)
    extra = [pair for data in config.open_track.external_data for pair in find_pairs(resolve_path(data.root) / "train")]
    labels = group_labels(config.data.classes)
    limit = config.data.cache_gb * 1e9
    repair = config.data.repair_mirrored
    val = PairStore(split.val, config.data.size, repair=False, limit_bytes=limit, labels=labels)
    train = PairStore(split.train + extra, config.data.size, repair=repair, limit_bytes=limit, labels=labels)
    print(
        f"Data: {len(train)} training pairs ({train.mirrored} mirrored with left and right labels not swapped: "
        f"{'repaired' if repair else 'left as they are'}), "
        f"{len(val)} validation pairs ({val.mirrored} such: left as they are)."
    )
    if not train.cached:
        print("Warning: the training pairs exceed data.cache_gb and are decoded anew at each use.", file=sys.stderr)
    return train, val, split


def draw_weights(config: Config, train: PairStore) -> np.ndarray:
    """How often each training pair (N,) is drawn: by its rare classes and, if external, by its data set's weight."""
    weights = repeat_factors(train.presence, config.data.repeat_threshold)
    for data in config.open_track.external_data:
        folder = resolve_path(data.root) / "train"
        weights[[pair.image.parent.parent == folder for pair in train.pairs]] *= data.weight
    return weights


def build_training_set(config: Config, train: PairStore) -> TrainingSet:
    """The training pairs, augmented as the config says, by its seed."""
    augmentation = as_dict(config.augmentation)
    enabled = augmentation.pop("enabled")
    return TrainingSet(train, seed=config.run.seed, augmentation=augmentation if enabled else None)


def load_initial_weights(config: Config, split: Split, model: nn.Module) -> None:
    """Give a fresh network the best weights of the earlier run ``run.init_from``, if the rules allow it.

    Raises ConfigError, DataError or CheckpointError for a run that had another track, other pairs or another network.
    """
    assert config.run.init_from is not None
    earlier = RunFolder(PROJECT_ROOT / config.run.init_from)
    content = load_checkpoint(earlier.best_model)
    if config.track == "challenge" and content.get("track") != "challenge":
        raise ConfigError(
            f"run.init_from = {config.run.init_from} is a run of the track {content.get('track')}, but the challenge "
            f"allows {RULES['pretrained']}; name a run of the challenge track or set track=open."
        )
    # Of a data set with a folder val/, a pair to validate on may have the name of another one to train on.
    more = set(load_stems(earlier.split)["train"]) - {pair.stem for pair in split.train}
    judged = more & {pair.stem for pair in split.val}
    if judged:
        raise DataError(
            f"{earlier.split}: the run to start from has trained on {len(judged)} pairs that this one is judged by, "
            f"the first: {min(judged)}; give both the same split (data.val_stems, data.val_fraction, data.split_seed)."
        )
    if config.track == "challenge" and more:
        raise DataError(
            f"{earlier.split}: the run to start from has trained on {len(more)} pairs that are none of this one's, the "
            f"first: {min(more)}, but the challenge allows {RULES['external_data']}; train both on the same data."
        )
    if label_set(content) != group_labels(config.data.classes):
        raise CheckpointError(f"{earlier.best_model}, to start from, tells other classes apart than data.classes.")
    _load_weights(model, content, earlier.best_model)
    print(f"Starting from {earlier.best_model}.")
