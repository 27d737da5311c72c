"""Train a face parser: ``python src/train.py [--config configs/X.yaml] [--set key=value ...] [--resume | --overwrite]``."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn
from tqdm import tqdm

from checkpoint import CheckpointError, load_checkpoint, restore_model, save_checkpoint
from config import PARAMETER_LIMIT, Config, ConfigError, load_config
from dataset import (
    DataError,
    EpochSampler,
    PairStore,
    Split,
    TrainingSet,
    ValidationSet,
    build_training_loader,
    load_split,
    make_split,
    photos_in,
)
from engine import EpochReport, NonFiniteLossError, Trainer, validate
from labels import NUM_CLASSES
from losses import CombinedLoss, class_weights
from metrics import Scores
from models import build_model, count_parameters
from pictures import save_panel
from predict import predict_masks
from run_folder import RunFolder, RunFolderError, check_resumable, load_saved_config
from runtime import (
    PROJECT_ROOT,
    choose_device,
    choose_precision,
    describe_environment,
    loader_workers,
    mix_seeds,
    prepare_device,
    seed_everything,
)
from submission import SubmissionError, pack_submission, predict_folder
from synthetic import write_dataset

UserError = (ConfigError, DataError, RunFolderError, CheckpointError, SubmissionError, NonFiniteLossError)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a face parser, judge it, and leave its best weights.")
    parser.add_argument("--config", type=Path, help="YAML file (default: configs/default.yaml)")
    parser.add_argument(
        "--set", dest="overrides", action="extend", nargs="+", default=[], metavar="section.key=value",
        help="override a key of the config, for example optimizer.lr=1e-3",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier run in the output folder")
    return parser.parse_args(argv)


def resolve_path(text: str) -> Path:
    """A path of a config: as it is where absolute or found from here, else from the project's folder."""
    path = Path(text)
    return path if path.is_absolute() or path.exists() else PROJECT_ROOT / path


def resolve_output(text: str) -> Path:
    """The output folder of a config: relative ones lie in the project, wherever the command was started."""
    return PROJECT_ROOT / text


def check_size(config: Config, parameters: int) -> None:
    """Raise ConfigError where the challenge's limit on parameters is broken."""
    if config.track == "challenge" and parameters >= PARAMETER_LIMIT:
        raise ConfigError(
            f"The model has {parameters:,} parameters, but the challenge allows fewer than {PARAMETER_LIMIT:,}; "
            "make model.channels or model.blocks smaller, or set track=open."
        )


def prepare_data(config: Config, folder: RunFolder, *, resume: bool) -> tuple[PairStore, PairStore, Split]:
    """Training and validation pairs, checked and cached; draws the synthetic set first where the config asks for it."""
    root = resolve_path(config.data.root)
    count = config.data.synthetic_pairs
    if count and not root.exists():
        print(f"Drawing {count} synthetic training faces into {root}", flush=True)
        write_dataset(root, train=count, val=max(count // 6, 1), test=8, size=config.data.size, seed=0)
    stems = resolve_path(config.data.val_stems) if config.data.val_stems else None
    if resume:
        split = load_split(folder.split, root)
    else:
        split = make_split(root, val_stems=stems, val_fraction=config.data.val_fraction, seed=config.data.split_seed)
    pairs = list(split.train)
    for extra in config.open_track.external_data:
        pairs += make_split(resolve_path(extra), val_stems=None, val_fraction=0.5, seed=0).train
    limit = config.data.cache_gb * 1e9
    val = PairStore(split.val, config.data.size, repair=False, limit_bytes=limit)
    train = PairStore(pairs, config.data.size, repair=config.data.repair_mirrored, limit_bytes=limit)
    action = "repaired" if config.data.repair_mirrored else "left as they are"
    print(
        f"Data: {len(train)} training pairs ({train.mirrored} with left and right swapped, {action}), "
        f"{len(val)} validation pairs ({val.mirrored} swapped, left as they are)."
    )
    if not train.cached:
        print("Warning: the training pairs exceed data.cache_gb and are decoded anew at each use.", file=sys.stderr)
    return train, val, split


def build_trainer(config: Config, train: PairStore, sampler: EpochSampler, device: torch.device) -> Trainer:
    """The model with fresh (or, on the open track, given) weights, its loss and its optimiser."""
    precision = choose_precision(config.run.precision, device)
    description = config.to_dict()["model"]
    model = build_model(description, NUM_CLASSES)
    if config.open_track.pretrained:
        path = resolve_path(config.open_track.pretrained)
        try:
            model.load_state_dict(load_checkpoint(path)["state_dict"])
        except RuntimeError as error:
            raise CheckpointError(f"The weights in {path} do not fit the config's model: {error}") from None
    teacher: nn.Module | None = None
    if config.open_track.teacher:
        path = resolve_path(config.open_track.teacher)
        teacher = restore_model(load_checkpoint(path), path)
    parameters = count_parameters(model)
    check_size(config, parameters)
    print(
        f"Model: {config.model.name}, {parameters:,} parameters (limit {PARAMETER_LIMIT:,}), "
        f"on {device.type}, {str(precision).removeprefix('torch.')}."
    )
    weights = class_weights(torch.from_numpy(train.pixel_counts), config.loss.class_weights)
    terms = {k: v for k, v in dataclasses.asdict(config.loss).items() if k != "class_weights"}
    steps_first = sampler.steps(0)
    return Trainer(
        model,
        CombinedLoss(**terms, weights=weights),
        device=device,
        precision=precision,
        channels_last=config.run.channels_last,
        compile_model=config.run.compile,
        optimizer=dataclasses.asdict(config.optimizer),
        steps=sum(sampler.steps(epoch) for epoch in range(sampler.epochs)),
        warmup_steps=round(config.schedule.warmup_epochs * steps_first),
        final_lr_ratio=config.schedule.final_lr_ratio,
        teacher=teacher,
        teacher_weight=config.open_track.teacher_weight,
    )


class Training:
    """A run: its data, its trainer, its folder, and how far it is."""

    def __init__(self, config: Config, folder: RunFolder, *, resume: bool) -> None:
        self.config = config
        self.folder = folder
        self.device = choose_device(config.run.device)
        prepare_device(self.device, deterministic=config.run.deterministic, threads=config.run.threads)
        seed_everything(config.run.seed)
        check_size(config, count_parameters(build_model(config.to_dict()["model"], NUM_CLASSES)))
        train, val, self.split = prepare_data(config, folder, resume=resume)
        self.val = ValidationSet(val)
        augmentation = dataclasses.asdict(config.augmentation)
        enabled = augmentation.pop("enabled")
        self.train = TrainingSet(train, seed=config.run.seed, augmentation=augmentation if enabled else None)
        self.weights = rarity = _rarity(config, train)
        self.sampler = EpochSampler(
            rarity, seed=config.run.seed, epochs=config.schedule.epochs, first_epoch=0, stage=self._stage
        )
        seed_everything(config.run.seed)
        self.trainer = build_trainer(config, train, self.sampler, self.device)
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, float] = {}
        self.seconds = 0.0
        if resume:
            self._restore()

    def _stage(self, epoch: int) -> tuple[int, int]:
        stage = self.config.schedule.stage_at(epoch)
        return stage.image_size, min(stage.batch_size, len(self.train))

    def _restore(self) -> None:
        content = load_checkpoint(self.folder.last_model)
        state = content.get("training")
        if state is None:
            raise CheckpointError(f"{self.folder.last_model} holds no state of a training; it cannot be resumed.")
        self.trainer.load_state(state["trainer"], content["state_dict"])
        self.sampler.first_epoch = state["epoch"]
        self.history, self.best, self.seconds = state["history"], state["best"], state["seconds"]
        print(f"Resuming after epoch {state['epoch']} of {self.config.schedule.epochs}.")

    def save(self, path: Path, epoch: int, scores: dict[str, float], *, training: bool) -> None:
        """Write a checkpoint of the averaged model after epoch epochs, with the training's state if asked."""
        values = self.config.to_dict()
        state = {
            "trainer": self.trainer.state(),
            "epoch": epoch,
            "history": self.history,
            "best": self.best,
            "seconds": self.seconds,
        }
        save_checkpoint(
            path,
            state_dict=self.trainer.average.model.state_dict(),
            model=values["model"],
            image_size=self._stage(max(epoch - 1, 0))[0],
            inference=values["inference"],
            track=self.config.track,
            scores=scores,
            training=state if training else None,
        )

    def validate(self, image_size: int, bar: tqdm[NoReturn] | None = None) -> Scores:
        """Scores of the averaged model."""
        return validate(
            self.trainer.average.model,
            self.val,
            image_size=image_size,
            batch_size=8 if self.device.type == "cpu" else 25,
            device=self.device,
            precision=self.trainer.precision,
            channels_last=self.config.run.channels_last,
            after_batch=(lambda _: bar.refresh()) if bar is not None else None,
        )

    def run(self) -> None:
        """All epochs that are left."""
        first, epochs = self.sampler.first_epoch, self.config.schedule.epochs
        workers = loader_workers(self.config.run.workers, self.device)
        loader = build_training_loader(self.train, self.sampler, workers=workers, pin=self.device.type == "cuda")
        batches = iter(loader) if first < epochs else iter(())
        # The bar counts pixels, since steps of a later stage take longer.
        work = [self.sampler.steps(e) * self._stage(e)[1] * self._stage(e)[0] ** 2 for e in range(epochs)]
        start = time.perf_counter() - self.seconds
        with tqdm(
            total=sum(work),
            initial=sum(work[:first]),
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}{postfix}",
            mininterval=0.5 if sys.stderr.isatty() else 30,
        ) as bar:
            for epoch in range(first, epochs):
                # Dropout draws from here, so that a resumed epoch draws what it would have drawn.
                torch.manual_seed(mix_seeds(self.config.run.seed, epoch, 2))
                self._epoch(epoch, batches, bar, start)

    def _epoch(self, epoch: int, batches: Any, bar: tqdm[NoReturn], start: float) -> None:
        image_size = self._stage(epoch)[0]
        bar.set_description(f"epoch {epoch + 1}/{self.config.schedule.epochs} {image_size} px")

        def after_step(pixels: int, loss: float) -> None:
            best = f"{self.best['f_score']:.4f}" if self.best else "-"
            speed = pixels_done / max(time.perf_counter() - epoch_start, 1e-9) / image_size**2
            bar.set_postfix_str(f"loss {loss:.3f} best F {best} {speed:.0f} img/s", refresh=False)
            bar.update(pixels)

        pixels_done = 0
        epoch_start = time.perf_counter()

        def count(pixels: int, loss: float) -> None:
            nonlocal pixels_done
            pixels_done += pixels
            after_step(pixels, loss)

        report = self.trainer.train_epoch(batches, self.sampler.steps(epoch), after_step=count)
        done = epoch + 1
        epochs = self.config.schedule.epochs
        last_of_stage = done == epochs or self._stage(done)[0] != image_size
        scores = None
        if done % self.config.run.validate_every == 0 or last_of_stage:
            scores = self.validate(image_size, bar)
            self.seconds = time.perf_counter() - start
            self._record(done, image_size, report, scores, bar)
        self.seconds = time.perf_counter() - start
        self.save(self.folder.last_model, done, scores.summary() if scores else {}, training=True)

    def _record(self, epoch: int, image_size: int, report: EpochReport, scores: Scores, bar: tqdm[NoReturn]) -> None:
        row: dict[str, Any] = {"epoch": epoch, "image_size": image_size, "lr": report.lr}
        row |= {"loss" if name == "loss" else f"loss_{name}": value for name, value in report.losses.items()}
        row |= scores.summary()
        row |= {"seconds": self.seconds, "images_per_second": report.images / report.seconds}
        row |= {f"f1_{name}": value for name, value in scores.f1.items()}
        self.history.append(row)
        better = not self.best or scores.f_score > self.best["f_score"]
        if better:
            self.best = {**scores.summary(), "epoch": epoch, "image_size": image_size}
            self.save(self.folder.best_model, epoch, self.best, training=False)
        bar.write(
            f"epoch {epoch:4d}  {image_size} px  loss {report.losses['loss']:.4f}  F-Score {scores.f_score:.4f}  "
            f"in order {scores.f_score_in_order:.4f}  {row['images_per_second']:.1f} img/s  "
            f"{self.seconds / 60:.1f} min{'  *' if better else ''}"
        )
        self.folder.write_history(self.history)

    def finish(self) -> None:
        """Judge the best model once more, as saved; draw its panel; pack a submission if the config asks for it."""
        content = load_checkpoint(self.folder.best_model)
        model = restore_model(content, self.folder.best_model).to(self.device)
        size = content["image_size"]
        scores = validate(model, self.val, image_size=size, batch_size=8, device=self.device)
        print(f"\nBest model, epoch {content['scores']['epoch']:.0f}, judged in fp32 on {len(self.val)} validation pairs:")
        print(scores.table())
        facts = {
            "epoch": int(content["scores"]["epoch"]),
            "parameters": count_parameters(model),
            "seed": self.config.run.seed,
            "training_seconds": round(self.seconds, 1),
            "selected_at": content["scores"]["f_score"],
        }
        self.folder.write_scores(scores, facts)
        self._draw(model, size)
        if self.config.run.pack_submission:
            self._pack(content, model)
        print(f"Best model: {self.folder.best_model}\nCurves and panel: {self.folder.root}")

    @torch.inference_mode()
    def _draw(self, model: nn.Module, size: int) -> None:
        count = min(self.config.run.panel_faces, len(self.val))
        if not count:
            return
        chosen = [i * len(self.val) // count for i in range(count)]
        pairs = [self.val[i] for i in chosen]
        photos = torch.stack([photo for photo, _ in pairs]).to(self.device)
        masks = predict_masks(
            [model], photos, image_size=size, scales=(1.0,), flip=False, output_size=tuple(photos.shape[1:3])
        )
        save_panel(
            self.folder.panel,
            [photo.numpy() for photo, _ in pairs],
            [mask.numpy() for _, mask in pairs],
            list(masks.cpu().numpy()),
        )

    def _pack(self, content: dict[str, Any], model: nn.Module) -> None:
        photos = photos_in(resolve_path(self.config.data.root) / "test" / "images")
        tta = self.config.inference if self.config.inference.submission_tta else None
        scales, flip = (tta.scales, tta.flip) if tta else ((1.0,), False)
        raise NotImplementedError((content, model, photos, scales, flip, predict_folder, pack_submission))


def _rarity(config: Config, train: PairStore) -> Any:
    from dataset import rarity_weights

    return rarity_weights(train.presence, config.data.rare_frequency)


def load_run_config(arguments: argparse.Namespace) -> Config:
    """The config of this call; a resumed run without --config goes on with its own."""
    default = PROJECT_ROOT / "configs" / "default.yaml"
    path: Path | None = arguments.config or (default if default.exists() else None)
    config = load_config(path, arguments.overrides)
    if not arguments.resume:
        return config
    folder = RunFolder(resolve_output(config.run.output))
    folder.open(resume=True, overwrite=arguments.overwrite)
    saved = load_saved_config(folder.config)
    if arguments.config is None:
        config = load_config(folder.config, arguments.overrides)
    check_resumable(saved, config, folder.root)
    return config


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = parse_arguments(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    folder: RunFolder | None = None
    try:
        config = load_run_config(arguments)
        folder = RunFolder(resolve_output(config.run.output))
        folder.open(resume=arguments.resume, overwrite=arguments.overwrite)
        training = Training(config, folder, resume=arguments.resume)
        folder.describe(config, describe_environment(training.device), training.split)
        training.run()
        training.finish()
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        saved = folder is not None and folder.last_model.exists()
        print("\nInterrupted. " + ("Go on with --resume." if saved else "Nothing was saved yet."), file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
