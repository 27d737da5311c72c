"""What a run begins with: its data, its network, its trainer and its checks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from face_parsing.challenge import PARAMETER_LIMIT, RULES
from face_parsing.config.loading import ConfigError
from face_parsing.config.networks import Smp
from face_parsing.config.optimization import Schedule, Stage
from face_parsing.config.sections import Config, as_dict
from face_parsing.data.cache import PairStore
from face_parsing.data.problems import DataError
from face_parsing.data.sampler import EpochSampler
from face_parsing.data.split import Split, load_stems
from face_parsing.labels import LabelSet
from face_parsing.models import CLASSIFIERS, build_model, count_parameters
from face_parsing.models.checkpoint import CheckpointError, label_set, load_checkpoint, restore_model
from face_parsing.system import distributed
from face_parsing.system.device import choose_precision
from face_parsing.training.fused_loss import CombinedLoss
from face_parsing.training.losses import class_weights
from face_parsing.training.run_folder import RunFolder
from face_parsing.training.schedule import Cycles, Plateau
from face_parsing.training.trainer import Trainer


def check_size(parameters: int, track: str) -> None:
    """Raise ConfigError where the challenge's limit on parameters is broken."""
    if track == "challenge" and parameters >= PARAMETER_LIMIT:
        raise ConfigError(
            f"The model has {parameters:,} parameters, but the challenge allows fewer than {PARAMETER_LIMIT:,}; "
            "choose a smaller model, or set track=open."
        )


def check_processes(stages: Sequence[Stage], pairs: int = sys.maxsize) -> None:
    """Raise ConfigError where a batch, which is that of all processes together, cannot be split evenly over them.

    It is never larger than the number of training pairs, where that is known already.
    """
    count = distributed.world_size()
    for i, stage in enumerate(stages):
        size = min(stage.batch_size, pairs)
        if size % count:
            why = "" if size == stage.batch_size else f" (here {size}, as there are no more training pairs)"
            raise ConfigError(
                f"schedule.stages.{i}.batch_size = {stage.batch_size}{why} is the batch of all processes together and "
                f"cannot be split evenly over {count}; choose a multiple of {count}, or start another number of them."
            )


def build_network(config: Config, *, resume: bool = False) -> nn.Module:
    """The config's model with fresh weights or, on the open track, given ones.

    Raises ConfigError for too many parameters, CheckpointError for weights that do not fit.
    """
    # Weights that are loaded afterwards need no download of others before.
    pretrained = not (resume or config.run.init_from or config.open_track.pretrained)
    model = build_model(config.to_dict()["model"], len(config.labels), pretrained=pretrained)
    check_size(count_parameters(model), config.track)
    path = config.paths.pretrained
    if path is not None:
        content = load_checkpoint(path)
        if label_set(content) == config.labels:
            _load_weights(model, content, path)
        else:
            _load_body(model, content, path)
            print(
                f"The weights of {path} tell {len(label_set(content))} classes apart, data.classes "
                f"{len(config.labels)}: the classifier is new, all before it is kept."
            )
    return model


def check_classes(found: LabelSet, wanted: LabelSet, what: str) -> None:
    """Raise CheckpointError where weights tell other classes apart than the config's."""
    if found != wanted:
        raise CheckpointError(
            f"{what} tells {len(found)} classes apart ({_listed(found)}), data.classes {len(wanted)} "
            f"({_listed(wanted)}); name weights of the same classes, start from fresh ones, or keep all of them but "
            "the classifier: track=open open_track.pretrained=FILE."
        )


def _listed(labels: LabelSet, most: int = 6) -> str:
    return ", ".join(labels.names[:most]) + (", ..." if len(labels) > most else "")


def _load_weights(model: nn.Module, content: Mapping[str, Any], path: Path) -> None:
    """Give the config's model the weights of the checkpoint at path. Raises CheckpointError where they do not fit."""
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError:
        raise _misfit(content, path) from None


def _misfit(content: Mapping[str, Any], path: Path) -> CheckpointError:
    """What is wrong with weights of another network than the config's."""
    words = ", ".join(f"{key}: {value}" for key, value in content["model"].items())[:500]
    return CheckpointError(
        f"The weights in {path} do not fit the config's model; they are of model={{{words}}}: take a config of that, "
        "such as configs/first_cycle.yaml for the shipped reference, or name other weights."
    )


def _load_body(model: nn.Module, content: Mapping[str, Any], path: Path) -> None:
    """Give the config's model all weights at path but the classifier's (transfer, Yosinski et al. 2014).

    Raises CheckpointError where they do not fit.
    """
    own = {name: value for name, value in model.state_dict().items() if name.startswith(CLASSIFIERS)}
    body = {name: value for name, value in content["state_dict"].items() if not name.startswith(CLASSIFIERS)}
    _load_weights(model, {**content, "state_dict": {**body, **own}}, path)


def load_initial_weights(config: Config, split: Split, model: nn.Module) -> None:
    """Give a fresh network the best weights of the earlier run ``run.init_from``, if the rules allow it.

    Raises ConfigError, DataError or CheckpointError for a run that had another track, other pairs or another network.
    """
    assert config.paths.init_from is not None
    earlier = RunFolder(config.paths.init_from)
    content = load_checkpoint(earlier.best_model)
    if config.track == "challenge" and content.get("track") != "challenge":
        raise ConfigError(
            f"run.init_from = {config.run.init_from} is a run of the track {content.get('track')}, but the challenge "
            f"allows {RULES['pretrained']}; name a run of the challenge track or set track=open."
        )
    # Of a data set with a folder val/, a pair to validate on may have the name of another one to train on.
    more = set(load_stems(earlier.split)["train"]) - {pair.stem for pair in split.train}
    validated = more & {pair.stem for pair in split.val}
    if validated:
        raise DataError(
            f"{earlier.split}: the run to start from has trained on {len(validated)} pairs that this one is validated "
            f"on, the first: {min(validated)}; give both the same split (data.val_stems, data.val_fraction, "
            "data.split_seed)."
        )
    if config.track == "challenge" and more:
        raise DataError(
            f"{earlier.split}: the run to start from has trained on {len(more)} pairs that are none of this one's, the "
            f"first: {min(more)}, but the challenge allows {RULES['external_data']}; train both on the same data."
        )
    check_classes(label_set(content), config.labels, f"{earlier.best_model}, to start from,")
    _load_weights(model, content, earlier.best_model)
    print(f"Starting from {earlier.best_model}.")


def epoch_pixels(schedule: Schedule, sampler: EpochSampler, pairs: int) -> list[int]:
    """The pixels of each epoch, which its time and the learning rate go by."""
    stages = [schedule.stage_at(epoch) for epoch in range(schedule.epochs)]
    return [
        sampler.steps(epoch) * min(stage.batch_size, pairs) * stage.image_size**2 for epoch, stage in enumerate(stages)
    ]


def load_teacher(path: Path, labels: LabelSet) -> nn.Module:
    """The network to learn from beside the labels. Raises CheckpointError where it is none for these classes."""
    content = load_checkpoint(path)
    if label_set(content) != labels:
        raise CheckpointError(f"The teacher {path} tells other classes apart than data.classes.")
    return restore_model(content, path)


def build_loss(config: Config, pixel_counts: np.ndarray) -> CombinedLoss:
    """The config's loss, for training pairs with so many pixels (C,) of each class."""
    weights = class_weights(torch.from_numpy(pixel_counts), config.loss.class_weights)
    terms = as_dict(config.loss)
    terms.pop("class_weights")
    return CombinedLoss(**terms, weights=weights, process_mean=distributed.mean)


def build_cycles(config: Config, pixels: Sequence[int], first_steps: int) -> Cycles:
    """The learning rate along epochs of so many pixels, of which the first takes so many steps.

    It is counted in steps of the first stage; those of a later one, of larger images, count for more.
    """
    schedule = config.schedule
    ends = schedule.cycle_ends
    starts = [0, *ends[:-1]]
    return Cycles(
        [sum(pixels[start:end]) / pixels[0] * first_steps for start, end in zip(starts, ends, strict=True)],
        [config.optimizer.lr * peak for peak in schedule.cycle_peaks],
        warmup_steps=round(schedule.warmup_epochs * first_steps),
        final_ratio=schedule.final_lr_ratio,
        decay=schedule.decay,
    )


def build_plateau(schedule: Schedule) -> Plateau | None:
    """What lowers the rate by the validations' scores, if the schedule wants it."""
    if schedule.decay != "plateau":
        return None
    return Plateau(factor=schedule.plateau_factor, patience=schedule.plateau_patience, smallest=schedule.final_lr_ratio)


def build_trainer(
    config: Config, model: nn.Module, train: PairStore, sampler: EpochSampler, device: torch.device
) -> Trainer:
    """The trainer of a run's model, for the epochs that the sampler lays out."""
    teacher = load_teacher(config.paths.teacher, train.labels) if config.paths.teacher is not None else None
    precision = choose_precision(config.run.precision, device)
    print(
        f"Model: {config.model.name}, {count_parameters(model):,} parameters (limit {PARAMETER_LIMIT:,}), "
        f"{device.type}, {str(precision).removeprefix('torch.')}."
    )
    pixels, first_steps = epoch_pixels(config.schedule, sampler, len(train)), sampler.steps(0)
    return Trainer(
        model,
        build_loss(config, train.pixel_counts),
        device=device,
        precision=precision,
        channels_last=config.run.channels_last,
        compile_model=config.run.compile,
        # A recording that fails leaves torch's generator unable to draw: what may wait for the GPU is not tried.
        cuda_graph=config.run.cuda_graphs and not isinstance(config.model, Smp),
        optimizer=as_dict(config.optimizer),
        cycles=build_cycles(config, pixels, first_steps),
        plateau=build_plateau(config.schedule),
        unit_pixels=pixels[0] // first_steps,
        teacher=teacher,
        teacher_weight=config.open_track.teacher_weight,
        synchronise=config.run.sync_batchnorm and distributed.world_size() > 1,
    )
