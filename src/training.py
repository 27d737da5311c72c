"""A whole run: its data, its trainer, its epochs, and what it leaves in its folder."""

from __future__ import annotations

import hashlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

import distributed
from checkpoint import CheckpointError, label_set, load_checkpoint, restore_model, save_checkpoint
from config import PARAMETER_LIMIT, RULES, Config, ConfigError, Smp, as_dict
from dataset import (
    PROVENANCE,
    Batch,
    DataError,
    EpochSampler,
    PairStore,
    Split,
    TrainingSet,
    ValidationSet,
    batches_of,
    broken_rule,
    build_loader,
    find_pairs,
    load_split,
    load_stems,
    make_split,
    rarity_weights,
)
from device_loader import build_device_loader, is_chosen, joined_batches
from engine import EpochProgress, EpochReport, Trainer, validate
from folder import find_photos, parse_with, predict_folder
from labels import group_labels
from losses import CombinedLoss, class_weights
from metrics import Scores
from models import build_model, count_parameters
from optim import Plateau
from pictures import save_panel
from predict import exact_arithmetic, predict_masks
from run_folder import RunFolder
from runtime import (
    PROJECT_ROOT,
    choose_device,
    choose_precision,
    loader_workers,
    mix_seeds,
    prepare_device,
    random_state,
    restore_random_state,
    seed_everything,
)
from submission import SubmissionError, pack_submission
from synthetic import write_dataset

CURVE_SECONDS = 60.0
"""Between two drawings of the curves."""


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
    pretrained = not (resume or config.run.start_from or config.open_track.pretrained)
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
    weights = rarity_weights(train.presence, config.data.rare_frequency)
    for data in config.open_track.external_data:
        folder = resolve_path(data.root) / "train"
        weights[[pair.image.parent.parent == folder for pair in train.pairs]] *= data.weight
    return weights


def build_training_set(config: Config, train: PairStore) -> TrainingSet:
    """The training pairs, augmented as the config says, by its seed."""
    augmentation = as_dict(config.augmentation)
    enabled = augmentation.pop("enabled")
    return TrainingSet(train, seed=config.run.seed, augmentation=augmentation if enabled else None)


def load_start(config: Config, split: Split, model: nn.Module) -> None:
    """Give a fresh network the best weights of the earlier run ``run.start_from``, if the rules allow it.

    Raises ConfigError, DataError or CheckpointError for a run that had another track, other pairs or another network.
    """
    assert config.run.start_from is not None
    earlier = RunFolder(PROJECT_ROOT / config.run.start_from)
    content = load_checkpoint(earlier.best_model)
    if config.track == "challenge" and content.get("track") != "challenge":
        raise ConfigError(
            f"run.start_from = {config.run.start_from} is a run of the track {content.get('track')}, but the challenge "
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


class Interrupted(KeyboardInterrupt):
    """The run was asked to end, and has saved all that it did; the text says where."""


class Training:
    """A run from its first or, with resume, its next step to its last.

    Of several processes (``distributed``) all do the same steps on their shares of the batches and of the validation
    pairs, and process 0 alone writes. What is saved depends on their number in nothing but rounding.

    Raises what its parts raise: ConfigError, DataError, CheckpointError, and ValueError for a missing GPU.
    """

    def __init__(self, config: Config, folder: RunFolder, *, resume: bool) -> None:
        self.config = config
        self.folder = folder
        check_processes(config)
        self.device = distributed.own_device(choose_device(config.run.device))
        prepare_device(self.device, deterministic=config.run.deterministic, threads=config.run.threads)
        seed_everything(config.run.seed)
        model = build_network(config, resume=resume)
        train, val, self.split = load_data(config, folder.split if resume else None)
        if config.run.start_from and not resume:
            load_start(config, self.split, model)
        self.train = build_training_set(config, train)
        self.val = ValidationSet(val)
        weights = draw_weights(config, train)
        check_processes(config, len(train))
        check_same_data(weights, train, val)
        self.sampler = EpochSampler(
            weights,
            seed=config.run.seed,
            epochs=config.schedule.epochs,
            first_epoch=0,
            stage=self._size_and_batch,
            share=(distributed.rank(), distributed.world_size()),
        )
        self.trainer = self._build_trainer(model)
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, float] = {}
        self.seconds = 0.0
        self.progress = EpochProgress()
        self._random: list[dict[str, Tensor]] = []
        self._start = self._saved = time.perf_counter()
        self._drawn = 0.0
        if resume:
            self._restore()

    def _size_and_batch(self, epoch: int) -> tuple[int, int]:
        stage = self.config.schedule.stage_at(epoch)
        return stage.image_size, min(stage.batch_size, len(self.train))

    def _work(self) -> list[int]:
        """The pixels of each epoch, which its time goes by."""
        epochs = [self._size_and_batch(epoch) for epoch in range(self.config.schedule.epochs)]
        return [self.sampler.steps(e) * batch * size**2 for e, (size, batch) in enumerate(epochs)]

    def _build_trainer(self, model: nn.Module) -> Trainer:
        config = self.config
        teacher: nn.Module | None = None
        if config.open_track.teacher:
            path = resolve_path(config.open_track.teacher)
            content = load_checkpoint(path)
            if label_set(content) != self.train.store.labels:
                raise CheckpointError(f"The teacher {path} tells other classes apart than data.classes.")
            teacher = restore_model(content, path)
        precision = choose_precision(config.run.precision, self.device)
        print(
            f"Model: {config.model.name}, {count_parameters(model):,} parameters (limit {PARAMETER_LIMIT:,}), "
            f"{self.device.type}, {str(precision).removeprefix('torch.')}."
        )
        work, first_steps = self._work(), self.sampler.steps(0)
        weights = class_weights(torch.from_numpy(self.train.store.pixel_counts), config.loss.class_weights)
        terms = as_dict(config.loss)
        terms.pop("class_weights")
        return Trainer(
            model,
            CombinedLoss(**terms, weights=weights, over=distributed.mean),
            device=self.device,
            precision=precision,
            channels_last=config.run.channels_last,
            compile_model=config.run.compile,
            # A recording that fails leaves torch's generator unable to draw: what may wait for the GPU is not tried.
            record=config.run.record_steps and not isinstance(config.model, Smp),
            optimizer=as_dict(config.optimizer),
            # Counted in steps of the first stage; those of a later one, of larger images, count for more.
            steps=sum(work) / work[0] * first_steps,
            warmup_steps=round(config.schedule.warmup_epochs * first_steps),
            final_lr_ratio=config.schedule.final_lr_ratio,
            decay=config.schedule.decay,
            plateau=self._plateau(),
            unit_pixels=work[0] // first_steps,
            teacher=teacher,
            teacher_weight=config.open_track.teacher_weight,
            synchronise=config.run.sync_batchnorm and distributed.world_size() > 1,
        )

    def _plateau(self) -> Plateau | None:
        schedule = self.config.schedule
        if schedule.decay != "plateau":
            return None
        return Plateau(
            factor=schedule.plateau_factor, patience=schedule.plateau_patience, smallest=schedule.final_lr_ratio
        )

    def _restore(self) -> None:
        content = distributed.from_main(lambda: load_checkpoint(self.folder.last_model))
        state = content.get("training")
        if state is None:
            raise CheckpointError(f"{self.folder.last_model} holds no state of a training; it cannot be resumed.")
        try:
            self.trainer.load_state(state["trainer"], content["state_dict"])
            epoch = range(self.config.schedule.epochs + 1)[state["epoch"]]
            self.sampler.first_epoch = epoch
            self.history, self.best = list(state["history"]), dict(state["best"])
            self.seconds = float(state["seconds"])
            within = state.get("within")  # an epoch; the first checkpoints were written at the ends of epochs alone
            if within is not None:
                self.progress = EpochProgress.restored(within["progress"], self.device)
                self.sampler.first_step = range(self.sampler.steps(epoch) + 1)[self.progress.steps]
                self._random = list(within["random"])
        except Exception as error:  # what torch makes of a state that is not its own has no class in common
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CheckpointError(
                f"The training in {self.folder.last_model} cannot be resumed ({reason[:500]}); start anew."
            ) from None
        steps = f" and {self.progress.steps} steps of the next" if self.progress.steps else ""
        print(f"Resuming after epoch {epoch} of {self.config.schedule.epochs}{steps}.")

    def _save(
        self,
        path: Path,
        epoch: int,
        scores: dict[str, float],
        *,
        training: bool,
        within: dict[str, Any] | None = None,
    ) -> None:
        """Write the averaged model after epoch epochs and, with training, all that resuming needs.

        ``within`` says how far the next epoch has come, if it has begun.
        """
        if not distributed.is_main():
            return
        state = {
            "trainer": self.trainer.state(),
            "epoch": epoch,
            "history": self.history,
            "best": self.best,
            "seconds": self.seconds,
            "within": within,
        }
        values = self.config.to_dict()
        save_checkpoint(
            path,
            state_dict=self.trainer.average.model.state_dict(),
            model=values["model"],
            image_size=self.config.schedule.stage_at(epoch - 1 if within is None else epoch).judged_at,
            inference=values["inference"],
            track=self.config.track,
            scores=scores,
            labels=self.train.store.labels,
            training=state if training else None,
        )

    def _save_within(self, epoch: int) -> None:
        """Write last_model.pth between two steps of the epoch (from 0), as all processes do together."""
        self.trainer.check(self.progress)
        self.seconds = time.perf_counter() - self._start
        within = {"progress": self.progress.state(), "random": distributed.from_all(random_state(self.device))}
        self._save(self.folder.last_model, epoch, {}, training=True, within=within)
        self._saved = time.perf_counter()

    def _begin_epoch(self, epoch: int) -> None:
        """Seed what dropout draws from, or let it go on where the run was left within this epoch."""
        # So that a resumed epoch draws what it would have drawn, and each process something else. Process 0 draws
        # what one alone does: a seed sequence ends in zeros.
        torch.manual_seed(mix_seeds(self.config.run.seed, epoch, 2, distributed.rank()))
        if epoch != self.sampler.first_epoch:
            self.progress = EpochProgress()
        elif len(self._random) == distributed.world_size():
            restore_random_state(self._random[distributed.rank()], self.device)

    def _leave(self, epoch: int) -> None:
        """Raise Interrupted, in all processes, where all is saved."""
        distributed.barrier()
        place = f"epoch {epoch + 1} of {self.config.schedule.epochs}"
        raise Interrupted(f"saved at {place}, step {self.progress.steps} of {self.sampler.steps(epoch)}")

    def _batches(self) -> Iterator[Batch]:
        """All that are left, augmented where run.augment_on says."""
        run = self.config.run
        processes = distributed.processes_here()
        batch_bytes = 4 * max(stage.batch_size * stage.image_size**2 for stage in self.config.schedule.stages)
        on_device = is_chosen(run.augment_on, self.device, self.train.store)
        joined = joined_batches(self.device, batch_bytes, processes=processes) if on_device else 1
        workers = loader_workers(run.workers, self.device, processes=processes, batch_bytes=joined * batch_bytes)
        if not on_device:
            pin = self.device.type == "cuda"
            return batches_of(build_loader(self.train, self.sampler, workers=workers, pin=pin))
        loader = build_device_loader(
            self.train,
            self.sampler,
            device=self.device,
            workers=workers,
            resident_share=run.resident_share,
            joined=joined,
        )
        print(f"Pairs are augmented on the {self.device.type}{', where they all lie' if loader.resident else ''}.")
        return iter(loader)

    def run(self, *, interrupted: Callable[[], bool] = lambda: False) -> None:
        """All steps that are left; each epoch ends with a last_model.pth, and a long one writes it in between.

        ``interrupted`` is asked after each step and each epoch; where it says so, in any process, all is saved.
        Raises Interrupted then.
        """
        first, epochs = self.sampler.first_epoch, self.config.schedule.epochs
        if first == epochs:
            return
        batches = self._batches()
        work = self._work()
        self._saved = time.perf_counter()
        self._start = self._saved - self.seconds
        with tqdm(
            total=sum(work),
            initial=sum(work[:first]) + work[first] // self.sampler.steps(first) * self.progress.steps,
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}{postfix}",
            mininterval=0.5 if sys.stderr.isatty() else 60,
        ) as bar:
            for epoch in range(first, epochs):
                self._begin_epoch(epoch)
                report = self._epoch(epoch, batches, bar, interrupted)
                scores = self._validate(epoch) if self._is_validated(epoch) else None
                self.seconds = time.perf_counter() - self._start
                if scores is not None:
                    if self.trainer.plateau is not None:
                        self.trainer.plateau.update(scores.f_score)
                    if distributed.is_main():
                        self._record(epoch + 1, report, scores, bar)
                self._save(self.folder.last_model, epoch + 1, scores.summary() if scores else {}, training=True)
                self._saved = time.perf_counter()
                if distributed.any_of(interrupted()):
                    self._leave(epoch)

    def _epoch(
        self, epoch: int, batches: Iterator[Batch], bar: tqdm[Any], interrupted: Callable[[], bool]
    ) -> EpochReport:
        image_size = self.config.schedule.stage_at(epoch).image_size
        bar.set_description_str(f"epoch {epoch + 1}/{self.config.schedule.epochs} {image_size} px", refresh=False)
        best = f"{self.best['f_score']:.4f}" if self.best else "-"
        start, pixels = time.perf_counter(), 0
        patience = 60 * self.config.run.save_every_minutes or math.inf

        def after_step(step_pixels: int, loss: float) -> None:
            nonlocal pixels
            pixels += step_pixels
            speed = pixels / image_size**2 / (time.perf_counter() - start)
            bar.set_postfix_str(f"loss {loss:.3f}, best F-Score {best}, {speed:.0f} images/s", refresh=False)
            bar.update(step_pixels)
            due = time.perf_counter() - self._saved >= patience
            what = distributed.largest(2 if interrupted() else int(due))
            if what:
                self._save_within(epoch)
            if what == 2:
                self._leave(epoch)

        steps = self.sampler.steps(epoch)
        return self.trainer.train_epoch(batches, steps, progress=self.progress, after_step=after_step)

    def _is_validated(self, epoch: int) -> bool:
        done = epoch + 1
        schedule = self.config.schedule
        ends_stage = done == schedule.epochs or schedule.stage_at(done) is not schedule.stage_at(epoch)
        return ends_stage or done % self.config.run.validate_every == 0

    def _validate(self, epoch: int) -> Scores:
        return validate(
            self.trainer.average.model,
            self.val,
            image_size=self.config.schedule.stage_at(epoch).judged_at,
            batch_size=8 if self.device.type == "cpu" else 25,
            device=self.device,
            precision=self.trainer.precision,
        )

    def _record(self, epoch: int, report: EpochReport, scores: Scores, bar: tqdm[Any]) -> None:
        """One line of history, and best_model.pth where the F-Score has risen."""
        image_size = self.config.schedule.stage_at(epoch - 1).image_size
        self.history.append(
            {
                "epoch": epoch,
                "image_size": image_size,
                "lr": report.lr,
                **{name if name == "loss" else f"loss_{name}": value for name, value in report.losses.items()},
                **scores.summary(),
                "seconds": self.seconds,
                "images_per_second": report.images / report.seconds,
                **{f"f1_{name}": value for name, value in scores.f1.items()},
            }
        )
        better = not self.best or scores.f_score > self.best["f_score"]
        if better:
            self.best = {**scores.summary(), "epoch": epoch}
            self._save(self.folder.best_model, epoch, self.best, training=False)
        bar.write(
            f"epoch {epoch:4d}  {image_size} px  loss {report.losses['loss']:.4f}  F-Score {scores.f_score:.4f}  "
            f"in order {scores.f_score_in_order:.4f}  {report.images / report.seconds:.1f} images/s  "
            f"{self.seconds / 60:.1f} min{'  best' if better else ''}"
        )
        # A second's drawing must not come after a second's epoch.
        curves = time.perf_counter() - self._drawn > CURVE_SECONDS
        self.folder.write_history(self.history, curves=curves)
        if curves:
            self._drawn = time.perf_counter()

    def finish(self) -> None:
        """Judge the best model as inference would, draw its panel, and pack a submission if the config asks for one."""
        content = distributed.from_main(lambda: load_checkpoint(self.folder.best_model))
        model = restore_model(content, self.folder.best_model).to(self.device)
        size = content["image_size"]
        with exact_arithmetic():
            scores = validate(model, self.val, image_size=size, batch_size=8, device=self.device, progress=True)
        if not distributed.is_main():
            return
        print(f"Best model: epoch {content['scores']['epoch']}, judged in fp32 without test-time augmentation.")
        print(scores.table())
        facts = {
            "epoch": content["scores"]["epoch"],
            "image_size": content["image_size"],
            "parameters": count_parameters(model),
            "seed": self.config.run.seed,
            "training_seconds": round(self.seconds, 1),
        }
        self.folder.write_scores(scores, facts)
        self.folder.write_history(self.history, curves=True)
        self._draw(model, content["image_size"])
        print(f"Weights: {self.folder.best_model}\nCurves, panel and scores: {self.folder.root}")
        if self.config.run.pack_submission:
            self._pack(model, content)

    def _draw(self, model: nn.Module, image_size: int) -> None:
        count = min(self.config.run.panel_faces, len(self.val))
        if not count:
            return
        pairs = [self.val[i * len(self.val) // count] for i in range(count)]
        photos = torch.stack([photo for photo, _ in pairs]).to(self.device)
        H, W = photos.shape[1:3]
        labels = self.val.store.labels
        masks = predict_masks([model], photos, image_size=image_size, output_size=(H, W), labels=labels).cpu().numpy()
        truths = [mask.numpy() for _, mask in pairs]
        save_panel(self.folder.panel, [photo.numpy() for photo, _ in pairs], truths, list(masks), labels=labels)

    def _pack(self, model: nn.Module, content: dict[str, Any]) -> None:
        photos = find_photos(resolve_path(self.config.data.root) / "test" / "images")
        used = self.config.inference
        tta: dict[str, Any] = {"scales": (1.0,), "flip": False}
        if used.submission_tta:
            tta = {"scales": used.scales, "flip": used.flip}
        parse = parse_with([model], image_size=content["image_size"], device=self.device, **tta)
        failures = predict_folder(parse, photos, self.folder.predictions, color=True)
        if failures:
            raise SubmissionError("No submission was packed: " + "; ".join(failures))
        zip_path = self.folder.predictions / "submission.zip"
        pack_submission(zip_path, masks=self.folder.predictions / "masks", photos=photos, content=content, tta=tta)
        print(f"Submission, checked with the judges' command: {zip_path}")
