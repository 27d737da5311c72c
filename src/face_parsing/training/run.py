"""A whole run: its data, its trainer, its epochs, and what it leaves in its folder."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from face_parsing.challenge import PARAMETER_LIMIT
from face_parsing.config.networks import Smp
from face_parsing.config.sections import Config, as_dict
from face_parsing.data.dataset import Batch, ValidationSet
from face_parsing.data.device_loader import augments_on_device, build_device_loader, joined_batches
from face_parsing.data.loader import batches_of, build_loader
from face_parsing.data.photo_files import find_photos
from face_parsing.data.sampler import EpochSampler
from face_parsing.drawing.pictures import save_panel
from face_parsing.evaluation.metrics import Scores
from face_parsing.evaluation.validation import validate
from face_parsing.inference.folder import predict_folder
from face_parsing.inference.predict import exact_arithmetic, predict_masks
from face_parsing.inference.run_py import SubmissionError
from face_parsing.inference.submission import pack_submission
from face_parsing.inference.torch_network import parse_with
from face_parsing.models import count_parameters
from face_parsing.models.checkpoint import CheckpointError, label_set, load_checkpoint, restore_model, save_checkpoint
from face_parsing.system import distributed
from face_parsing.system.device import choose_device, choose_precision, prepare_device
from face_parsing.system.seeds import Stream, mix_seeds, random_state, restore_random_state, seed_everything
from face_parsing.system.workers import loader_workers
from face_parsing.training.losses import CombinedLoss, class_weights
from face_parsing.training.run_folder import RunFolder
from face_parsing.training.schedule import Plateau
from face_parsing.training.setup import (
    build_network,
    build_training_set,
    check_processes,
    check_same_data,
    draw_weights,
    load_data,
    load_initial_weights,
    resolve_path,
)
from face_parsing.training.trainer import EpochProgress, EpochReport, Trainer

CURVE_SECONDS = 60.0
"""Between two drawings of the curves."""


def _renamed(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures by name, of which earlier versions gave one another name."""
    return {name.replace("f_score_in_order", "f_score_lr_corrected"): value for name, value in figures.items()}


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
        if config.run.init_from and not resume:
            load_initial_weights(config, self.split, model)
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
            CombinedLoss(**terms, weights=weights, process_mean=distributed.mean),
            device=self.device,
            precision=precision,
            channels_last=config.run.channels_last,
            compile_model=config.run.compile,
            # A recording that fails leaves torch's generator unable to draw: what may wait for the GPU is not tried.
            record=config.run.cuda_graphs and not isinstance(config.model, Smp),
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
            self.history, self.best = [_renamed(row) for row in state["history"]], _renamed(state["best"])
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
            image_size=self.config.schedule.stage_at(epoch - 1 if within is None else epoch).resolved_eval_size,
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
        torch.manual_seed(mix_seeds(self.config.run.seed, epoch, Stream.DROPOUT, distributed.rank()))
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
        on_device = augments_on_device(run.augment_on, self.device, self.train.store)
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
            image_size=self.config.schedule.stage_at(epoch).resolved_eval_size,
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
            f"in order {scores.f_score_lr_corrected:.4f}  {report.images / report.seconds:.1f} images/s  "
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
