"""Average the weights of runs that started from the same one: ``python src/average.py RUN RUN --output FOLDER``.

One network of the same size (model soups, Wortsman et al. 2022). Runs that started from the same weights
(``run.start_from``) and went different ways, by other seeds or augmentations, can be averaged: the loss between them
stays low (Frankle et al. 2020). Others cannot. So each run and the average are judged on the validation pairs, which
all of them must share. The average's BatchNorm statistics are found anew on the training pairs, augmented as for the
first run (Izmailov et al. 2018).
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from checkpoint import CheckpointError, description, label_set, load_checkpoint, restore_model, save_checkpoint, side
from command_line import positive, refuse_existing
from config import Config
from dataset import (
    DataError,
    EpochSampler,
    PairStore,
    ValidationSet,
    batches_of,
    build_loader,
    load_stems,
)
from engine import validate
from models import count_parameters
from predict import exact_arithmetic, normalize
from run_folder import RunFolder, RunFolderError, load_saved_config
from runtime import choose_device, choose_precision, describe_environment, prepare_device
from training import build_training_set, load_data


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


def check_alike(runs: Sequence[RunFolder], paths: Sequence[Path], contents: Sequence[Mapping[str, Any]]) -> None:
    """Raise for checkpoints of other networks, sizes or classes than the first one's, or of runs on another split.

    DataError for the split, else CheckpointError, also where the first one lacks what the average takes from it.
    """
    first, split = contents[0], _stems(runs[0])
    description(first, paths[0])  # or it would be found out after the judging
    for run, path, content in zip(runs[1:], paths[1:], contents[1:], strict=True):
        for key, what in (("model", "network"), ("image_size", "image size"), ("track", "track")):
            if content.get(key) != first.get(key):
                # A run's best epoch may lie in an earlier stage, of smaller images, than another's.
                last = "their last epochs (--last), or " if key == "image_size" and path == run.best_model else ""
                size = ", or name a --size for all" if key == "image_size" else ""
                raise CheckpointError(
                    f"{path} and {paths[0]} have not the same {what}: {content.get(key)} and {first.get(key)}; "
                    f"average {last}runs of one recipe{size}."
                )
        if label_set(content) != label_set(first):
            raise CheckpointError(f"{path} and {paths[0]} tell different classes apart.")
        if _stems(run) != split:
            raise DataError(
                f"{run.split} and {runs[0].split} differ, but the average may be judged by no pair that one of the "
                "runs was trained on; average runs on the same split."
            )


def _run(args: argparse.Namespace) -> None:
    runs = [RunFolder(path) for path in args.runs]
    if len(runs) < 2:
        raise RunFolderError("One run has no average; name two or more.")
    output = RunFolder(args.output)
    if any(run.root.resolve() == output.root.resolve() for run in runs):
        raise RunFolderError(f"--output {args.output} is one of the runs; choose another folder.")
    refuse_existing([output.best_model, output.last_model], overwrite=args.overwrite)
    paths = [run.last_model if args.last else run.best_model for run in runs]
    contents = [load_checkpoint(path) for path in paths]
    if args.size is not None:
        contents = [{**content, "image_size": args.size} for content in contents]
    check_alike(runs, paths, contents)
    config = load_saved_config(runs[0].config)
    if args.data:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, root=str(args.data)))
    device = choose_device(args.device)
    prepare_device(device, threads=args.threads)
    train, val, split = load_data(config, runs[0].split)

    content = {**contents[0], "state_dict": average_weights([one["state_dict"] for one in contents])}
    model = restore_model(content, output.best_model).to(device)
    precision = choose_precision(config.run.precision, device)
    photos = (normalize(images.to(device)) for images, _ in _training_batches(config, train))
    with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
        update_bn(photos, model)
    size, judged = content["image_size"], ValidationSet(val)
    models = {str(path): restore_model(one, path) for path, one in zip(paths, contents, strict=True)}
    for name, one in {**models, "the average": model}.items():
        with exact_arithmetic():
            scores = validate(one, judged, image_size=size, batch_size=8, device=device, progress=True)
        print(f"F-Score {scores.f_score:.4f}, in order {scores.f_score_in_order:.4f}: {name}", flush=True)

    if args.overwrite:
        output.clear()
    save_checkpoint(
        output.best_model,
        state_dict=model.state_dict(),
        scores=scores.summary(),
        **description(content, paths[0]),
    )
    environment = describe_environment(device) | {"averaged": [str(path) for path in paths]}
    output.describe(config, environment, split)
    output.write_scores(scores, {"image_size": size, "parameters": count_parameters(model)})
    print(f"Weights: {output.best_model}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    parser = argparse.ArgumentParser(description="Average the weights of runs that started from the same one.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of the runs, whose best is averaged")
    parser.add_argument("--last", action="store_true", help="average what the runs ended with, not their best")
    parser.add_argument("--size", type=side, help="longer side at which all are judged and the average sees a photo")
    parser.add_argument("--output", type=Path, required=True, help="folder for the average, laid out as a run's")
    parser.add_argument("--data", type=Path, help="data set of the runs (where the first one has found it)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if any")
    parser.add_argument("--threads", type=positive, default=0, help="threads of a CPU (0: torch chooses)")
    parser.add_argument("--overwrite", action="store_true", help="replace an average in the output folder")
    args = parser.parse_args(argv)
    try:
        _run(args)
    except (ValueError, OSError) as error:
        print(f"average.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
