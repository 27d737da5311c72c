"""A whole run: its data, its trainer, and its epochs, each of which is saved."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from face_parsing.config.loading import ConfigError
from face_parsing.config.sections import Config
from face_parsing.data.dataset import Batch, ValidationSet
from face_parsing.data.sampler import EpochSampler
from face_parsing.evaluation.metrics import Scores
from face_parsing.evaluation.validation import validate
from face_parsing.inference.predict import prepare_model
from face_parsing.models.checkpoint import load_checkpoint, save_checkpoint
from face_parsing.system import distributed
from face_parsing.system.device import choose_device, prepare_device
from face_parsing.system.seeds import Stream, mix_seeds, random_state, restore_random_state, seed_everything
from face_parsing.training.finishing import average_cycles, draw_panel, finish_run
from face_parsing.training.history import history_line, history_row
from face_parsing.training.pairs import (
    build_training_set,
    check_same_data,
    load_data,
    sampling_weights,
    stems_trained_on,
    training_batches,
)
from face_parsing.training.resuming import RunState, take_up
from face_parsing.training.run_folder import RunFolder
from face_parsing.training.setup import (
    build_network,
    build_trainer,
    check_processes,
    epoch_pixels,
    load_initial_weights,
)
from face_parsing.training.tensorboard import Board, need_tensorboard
from face_parsing.training.trainer import EpochProgress, EpochReport

CURVE_SECONDS = 60.0
"""Between two drawings of the curves."""


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
        check_processes(config.schedule.stages)
        self.device = distributed.own_device(choose_device(config.run.device))
        prepare_device(self.device, deterministic=config.run.deterministic, threads=config.run.threads)
        seed_everything(config.run.seed)
        model = build_network(config, resume=resume)
        train, val, self.split = load_data(config, folder.split if resume else None)
        if config.run.init_from and not resume:
            load_initial_weights(config, self.split, model)
        resumed = folder.last_model if resume else None
        self.trained_on = stems_trained_on(config, train, val, resumed) if distributed.is_main() else []
        self.train = build_training_set(config, train)
        self.val = ValidationSet(val)
        weights = sampling_weights(config, train)
        check_processes(config.schedule.stages, len(train))
        check_same_data(weights, train, val)
        self.sampler = EpochSampler(
            weights,
            seed=config.run.seed,
            epochs=config.schedule.epochs,
            first_epoch=0,
            stage=self._size_and_batch,
            share=(distributed.rank(), distributed.world_size()),
        )
        if config.run.tensorboard:
            need_tensorboard()
        self.trainer = build_trainer(config, model, train, self.sampler, self.device)
        self.state = self._restored() if resume else RunState()
        self._start = self._saved = time.perf_counter()
        self._drawn = 0.0

    def _size_and_batch(self, epoch: int) -> tuple[int, int]:
        stage = self.config.schedule.stage_at(epoch)
        return stage.image_size, min(stage.batch_size, len(self.train))

    def _restored(self) -> RunState:
        path, epochs = self.folder.last_model, self.config.schedule.epochs
        content = distributed.from_main(lambda: load_checkpoint(path))
        return take_up(content, path, trainer=self.trainer, sampler=self.sampler, epochs=epochs, device=self.device)

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
            trained_on=self.trained_on,
            training=self.state.to_save(self.trainer, epoch, within) if training else None,
        )

    def _save_within(self, epoch: int) -> None:
        """Write last_model.pth between two steps of the epoch (from 0), as all processes do together."""
        self.trainer.check(self.state.progress)
        self.state.seconds = time.perf_counter() - self._start
        within = self.state.within(distributed.from_all(random_state(self.device)))
        self._save(self.folder.last_model, epoch, {}, training=True, within=within)
        self._saved = time.perf_counter()

    def _begin_epoch(self, epoch: int) -> None:
        """Seed what dropout draws from, or let it go on where the run was left within this epoch."""
        # So that a resumed epoch draws what it would have drawn, and each process something else. Process 0 draws
        # what one alone does: a seed sequence ends in zeros.
        torch.manual_seed(mix_seeds(self.config.run.seed, epoch, Stream.DROPOUT, distributed.rank()))
        if epoch != self.sampler.first_epoch:
            self.state.progress = EpochProgress()
        elif len(self.state.random) == distributed.world_size():
            restore_random_state(self.state.random[distributed.rank()], self.device)

    def _leave(self, epoch: int) -> None:
        """Raise Interrupted, in all processes, where all is saved."""
        distributed.barrier()
        place = f"epoch {epoch + 1} of {self.config.schedule.epochs}"
        raise Interrupted(f"saved at {place}, step {self.state.progress.steps} of {self.sampler.steps(epoch)}")

    def run(self, *, interrupted: Callable[[], bool] = lambda: False) -> None:
        """All steps that are left; each epoch ends with a last_model.pth, and a long one writes it in between.

        ``interrupted`` is asked after each step and each epoch; where it says so, in any process, all is saved.
        Raises Interrupted then.
        """
        first, epochs = self.sampler.first_epoch, self.config.schedule.epochs
        if first == epochs:
            return
        batches = training_batches(self.config, self.train, self.sampler, self.device)
        board = Board(self.folder.tensorboard, first) if self.config.run.tensorboard and distributed.is_main() else None
        work = epoch_pixels(self.config.schedule, self.sampler, len(self.train))
        self._saved = time.perf_counter()
        self._start = self._saved - self.state.seconds
        with tqdm(
            total=sum(work),
            initial=sum(work[:first]) + work[first] // self.sampler.steps(first) * self.state.progress.steps,
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}{postfix}",
            mininterval=0.5 if sys.stderr.isatty() else 60,
        ) as bar:
            for epoch in range(first, epochs):
                if self._has_stalled():
                    bar.write(f"Ended after epoch {epoch}: run.patience validations brought no better F-Score.")
                    break
                self._begin_epoch(epoch)
                report = self._epoch(epoch, batches, bar, interrupted)
                noted = self._is_noted(epoch)
                scores = self._validate(epoch) if noted and len(self.val) else None
                self.state.seconds = time.perf_counter() - self._start
                if scores is not None and self.trainer.plateau is not None:
                    self.trainer.plateau.update(scores.f_score)
                if noted:
                    self._note(epoch + 1, report, scores, bar, board)
                if epoch + 1 in self.config.schedule.cycle_ends and self.config.schedule.average_cycles:
                    weights = self.trainer.average.model.state_dict()
                    self.state.keep_cycle_end(weights, self.config.schedule.average_cycles)
                self._save(self.folder.last_model, epoch + 1, scores.summary() if scores else {}, training=True)
                self._saved = time.perf_counter()
                if distributed.any_of(interrupted()):
                    self._leave(epoch)

    def _epoch(
        self, epoch: int, batches: Iterator[Batch], bar: tqdm[Any], interrupted: Callable[[], bool]
    ) -> EpochReport:
        image_size = self.config.schedule.stage_at(epoch).image_size
        bar.set_description_str(f"epoch {epoch + 1}/{self.config.schedule.epochs} {image_size} px", refresh=False)
        best = f"best F-Score {self.state.best['f_score']:.4f}, " if self.state.best else ""
        start, pixels = time.perf_counter(), 0
        patience = 60 * self.config.run.save_every_minutes or math.inf

        def after_step(step_pixels: int, loss: float) -> None:
            nonlocal pixels
            pixels += step_pixels
            speed = pixels / image_size**2 / (time.perf_counter() - start)
            bar.set_postfix_str(f"loss {loss:.3f}, {best}{speed:.0f} images/s", refresh=False)
            bar.update(step_pixels)
            due = time.perf_counter() - self._saved >= patience
            what = distributed.largest(2 if interrupted() else int(due))
            if what:
                self._save_within(epoch)
            if what == 2:
                self._leave(epoch)

        steps = self.sampler.steps(epoch)
        try:
            return self.trainer.train_epoch(batches, steps, progress=self.state.progress, after_step=after_step)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"At {image_size} px a batch of one leaves BatchNorm a single value a channel, of which it can learn "
                f"nothing ({len(self.train)} training pairs, batch_size {self._size_and_batch(epoch)[1]}); take two "
                "pairs a batch at least, or larger images (schedule.stages)."
            ) from None

    def _has_stalled(self) -> bool:
        """Whether so many validations as ``run.patience`` says have brought nothing better."""
        patience = self.config.run.patience
        waited = sum(row["epoch"] > self.state.best["epoch"] for row in self.state.history) if self.state.best else 0
        return bool(patience) and waited >= patience

    def _is_noted(self, epoch: int) -> bool:
        """Whether the epoch (from 0) ends with a line of history and, where pairs are kept aside, a validation."""
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

    def _note(
        self, epoch: int, report: EpochReport, scores: Scores | None, bar: tqdm[Any], board: Board | None
    ) -> None:
        """One line of history, and best_model.pth where the F-Score has risen."""
        image_size = self.config.schedule.stage_at(epoch - 1).image_size
        row = history_row(epoch, image_size, report, scores, self.state.seconds)
        self.state.history.append(row)
        better = scores is not None and (not self.state.best or scores.f_score > self.state.best["f_score"])
        if scores is not None and better:
            self.state.best = {**scores.summary(), "epoch": epoch}
        if not distributed.is_main():
            return
        if better:
            self._save(self.folder.best_model, epoch, self.state.best, training=False)
        bar.write(history_line(row, better=better))
        if board is not None:
            board.show(row, self._panel(epoch))
        # A second's drawing must not come after a second's epoch.
        curves = time.perf_counter() - self._drawn > CURVE_SECONDS
        self.folder.write_history(self.state.history, curves=curves)
        if curves:
            self._drawn = time.perf_counter()

    def _panel(self, epoch: int) -> np.ndarray | None:
        """Validation faces as the averaged model sees them after epoch epochs."""
        size, faces = self.config.schedule.stage_at(epoch - 1).resolved_eval_size, self.config.run.panel_faces
        model = prepare_model(self.trainer.average.model, self.device)
        return draw_panel(model, self.val, image_size=size, faces=faces, device=self.device)

    def finish(self) -> None:
        """Leave the final weights, scores, pictures and, if the config asks for one, a submission.

        The result is the average over cycles where the config has one, else the best that was validated or, where no
        pairs were kept aside, what the last epoch left.
        """
        schedule = self.config.schedule
        if schedule.average_cycles:
            model, ends = self.trainer.average.model, self.state.cycle_ends
            average_cycles(model, ends, self.config, self.train.store, self.device)
        if schedule.average_cycles or not len(self.val):
            scores: dict[str, float] = {"epoch": schedule.epochs}
            self._save(self.folder.best_model, schedule.epochs, scores, training=False)
        distributed.barrier()
        finish_run(self.config, self.folder, self.val, self.state, self.device)
