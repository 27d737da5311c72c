"""Averages of the weights of several runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from face_parsing.config.loading import from_dict
from face_parsing.config.sections import Config
from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import ValidationSet
from face_parsing.data.loader import batches_of, build_loader
from face_parsing.data.problems import DataError
from face_parsing.data.sampler import EpochSampler
from face_parsing.data.split import load_stems
from face_parsing.evaluation.validation import validate
from face_parsing.inference.predict import exact_arithmetic, normalize
from face_parsing.models import count_parameters
from face_parsing.models.checkpoint import (
    CheckpointError,
    description,
    label_set,
    load_checkpoint,
    restore_model,
    save_checkpoint,
)
from face_parsing.system.commands import refuse_existing
from face_parsing.system.device import choose_device, choose_precision, prepare_device
from face_parsing.system.environment import describe_environment
from face_parsing.training.pairs import build_training_set, load_data
from face_parsing.training.run_folder import RunFolder, RunFolderError, load_saved_config


def average_weights(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of state dicts of one network, in their types; counts are those of the first."""
    return {
        name: torch.stack([one[name].double() for one in weights]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in weights[0].items()
    }


def _training_batches(config: Config, train: PairStore) -> Iterator[tuple[Tensor, Tensor]]:
    """All training pairs once, augmented, at the size and in the batches of the last stage."""
    stage = config.schedule.stages[-1]
    batch_size = min(stage.batch_size, len(train))
    sampler = EpochSampler(
        np.ones(len(train)),
        seed=config.run.seed,
        epochs=1,
        first_epoch=0,
        stage=lambda epoch: (stage.image_size, batch_size),
    )
    loader = build_loader(build_training_set(config, train), sampler, workers=0, pin=False)
    steps = sampler.steps(0)
    yield from tqdm(batches_of(loader), total=steps, desc="renewing statistics", unit="batch", leave=False)


def _stems(run: RunFolder) -> dict[str, set[str]]:
    return {part: set(stems) for part, stems in load_stems(run.split).items()}


def _of(content: Mapping[str, Any], key: str) -> Any:
    """What a checkpoint says under a key; of its network also what was not yet a key when it was trained."""
    return from_dict({"track": "open", "model": content[key]}).model if key == "model" else content.get(key)


def check_alike(runs: Sequence[RunFolder], paths: Sequence[Path], contents: Sequence[Mapping[str, Any]]) -> None:
    """Raise for checkpoints of other networks, sizes or classes than the first one's, or of runs on another split.

    DataError for the split, else CheckpointError, also where the first one lacks what the average takes from it.
    """
    first, split = contents[0], _stems(runs[0])
    description(first, paths[0])  # or it would be found out after the evaluation
    bests = {run.best_model for run in runs}
    for path, content in zip(paths[1:], contents[1:], strict=True):
        for key, what in (("model", "network"), ("image_size", "image size")):
            if _of(content, key) != _of(first, key):
                # A run's best epoch may lie in an earlier stage, of smaller images, than another's.
                last = "their last epochs (--last), or " if key == "image_size" and path in bests else ""
                size = ", or name a --size for all" if key == "image_size" else ""
                raise CheckpointError(
                    f"{path} and {paths[0]} have not the same {what}: {content.get(key)} and {first.get(key)}; "
                    f"average {last}runs of one recipe{size}."
                )
        if label_set(content) != label_set(first):
            raise CheckpointError(f"{path} and {paths[0]} tell different classes apart.")
    for run in runs[1:]:
        if _stems(run) != split:
            raise DataError(
                f"{run.split} and {runs[0].split} differ, but the average may be evaluated on no pair that one of the "
                "runs was trained on; average runs on the same split."
            )


def _runs_and_starts(named: Sequence[Path], output: RunFolder) -> tuple[list[RunFolder], list[Path]]:
    """The runs among what was named, and the checkpoints that the first of them started from.

    Raises RunFolderError for fewer than two, for any other checkpoint, and where the output is one of the runs.
    """
    if len(named) < 2:
        raise RunFolderError("One run has no average; name two or more.")
    runs, starts = [RunFolder(path) for path in named if not path.is_file()], [path for path in named if path.is_file()]
    if any(run.root.resolve() == output.root.resolve() for run in runs):
        raise RunFolderError(f"--output {output.root} is one of the runs; choose another folder.")
    for run in runs:
        if not run.root.is_dir():
            raise RunFolderError(f"There is no folder {run.root}; name folders of runs.")
        if not run.config.is_file():
            raise RunFolderError(f"{run.root} is no folder of a run: it has no {run.config.name}; name one that has.")
    if not runs:
        raise RunFolderError("No run's folder is among what is to be averaged; name one first.")
    start = load_saved_config(runs[0].config).paths.pretrained if starts else None
    for path in starts:
        # Of any other checkpoint nobody would know whether it has seen the validation pairs.
        if start is None or path.resolve() != start.resolve():
            raise RunFolderError(
                f"{path} is a file, and not the checkpoint that {runs[0].root} started from "
                f"(open_track.pretrained: {start}); name that one, or folders of runs."
            )
    return runs, starts


def _load(
    runs: Sequence[RunFolder], starts: Sequence[Path], *, last: bool, size: int | None
) -> tuple[list[Path], list[dict[str, Any]]]:
    """The checkpoints to average, and what they hold; with ``size`` all of them see photos at that size."""
    paths = [*(run.last_model if last else run.best_model for run in runs), *starts]
    contents = [load_checkpoint(path) for path in paths]
    if size is not None:
        contents = [{**content, "image_size": size} for content in contents]
    check_alike(runs, paths, contents)
    return paths, contents


def renew_statistics(model: nn.Module, config: Config, train: PairStore, device: torch.device) -> None:
    """Find the BatchNorm statistics of an averaged model, which is on the device, on the training pairs."""
    precision = choose_precision(config.run.precision, device)
    photos = (normalize(images.to(device)) for images, _ in _training_batches(config, train))
    with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
        update_bn(photos, model)


def average_runs(
    folders: Sequence[Path],
    output_folder: Path,
    *,
    last: bool = False,
    size: int | None = None,
    data: Path | None = None,
    device_name: str = "auto",
    threads: int = 0,
    overwrite: bool = False,
) -> None:
    """Average the best weights of runs, or with ``last`` their last, into a folder laid out as a run's.

    Prints the F-Score of each run and of the average, on the validation pairs at ``size`` pixels or the checkpoints'
    own. One of ``folders`` may be the checkpoint that the first run started from (``open_track.pretrained``).
    ``data`` is the data set where it is no longer where the first run found it. Raises ValueError where there is
    nothing to average, for runs that have no average, and for files that would be replaced unasked.
    """
    output = RunFolder(output_folder)
    runs, starts = _runs_and_starts(folders, output)
    refuse_existing([output.best_model, output.last_model], overwrite=overwrite)
    paths, contents = _load(runs, starts, last=last, size=size)
    config = load_saved_config(runs[0].config)
    if data:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, root=str(data)))
    device = choose_device(device_name)
    prepare_device(device, threads=threads)
    train, val, split = load_data(config, runs[0].split)
    if not len(val):
        raise DataError(
            f"{runs[0].root} was trained on all pairs, so that no average can be judged; within one run "
            "schedule.average_cycles makes one."
        )

    trained_on = sorted({stem for one in contents for stem in one.get("trained_on") or ()})
    tracks = {str(one.get("track")) for one in contents}
    content = {
        **contents[0],
        "track": "challenge" if tracks == {"challenge"} else "open",  # what is open in any run is so in the average
        "trained_on": trained_on or None,
        "state_dict": average_weights([one["state_dict"] for one in contents]),
    }
    model = restore_model(content, output.best_model).to(device)
    renew_statistics(model, config, train, device)
    image_size, validation = content["image_size"], ValidationSet(val)
    models = {str(path): restore_model(one, path) for path, one in zip(paths, contents, strict=True)}
    for name, one in {**models, "the average": model}.items():
        with exact_arithmetic():
            scores = validate(one, validation, image_size=image_size, batch_size=8, device=device, progress=True)
        corrected = f"left/right corrected {scores.f_score_lr_corrected:.4f}"
        print(f"F-Score {scores.f_score:.4f}, {corrected}: {name}", flush=True)

    if overwrite:
        output.clear()
    save_checkpoint(
        output.best_model,
        state_dict=model.state_dict(),
        scores=scores.summary(),
        **description(content, paths[0]),
    )
    environment = describe_environment(device) | {"averaged": [str(path) for path in paths]}
    output.describe(config, environment, split)
    output.write_scores(scores, {"image_size": image_size, "parameters": count_parameters(model)})
    print(f"Weights: {output.best_model}")
