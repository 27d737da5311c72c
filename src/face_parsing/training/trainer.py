"""One step and one epoch of training. Validation is in ``evaluation/validation.py``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from face_parsing.data.dataset import Batch
from face_parsing.inference.predict import normalize
from face_parsing.system import batch_norm, distributed
from face_parsing.training.cuda_graph import CudaGraphStep
from face_parsing.training.ema import AveragedModel
from face_parsing.training.fused_loss import CombinedLoss
from face_parsing.training.losses import distillation_loss
from face_parsing.training.optim import build_optimizer, set_learning_rate
from face_parsing.training.schedule import Cycles, Plateau


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; the weights of that step were not written anywhere."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What an epoch of training measured: mean terms of the loss, the last learning rate, images and seconds."""

    losses: dict[str, float]
    lr: float
    images: int
    seconds: float


@dataclass(frozen=True)
class AsyncCopy:
    """Values on their way from the device to the CPU, for which nobody waits but who reads them."""

    values: Tensor
    arrived: torch.cuda.Event | None

    @classmethod
    def start(cls, values: Tensor) -> AsyncCopy:
        """Send values as they are at this point of the device's work."""
        if values.device.type != "cuda":
            return cls(values, None)
        host = values.to("cpu", non_blocking=True)
        return cls(host, torch.cuda.current_stream(values.device).record_event())

    def read(self) -> Tensor:
        """The values, on the CPU."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.values


@dataclass(kw_only=True)
class EpochProgress:
    """What an epoch of training has done so far, and what its report is made of."""

    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    lr: float = 0.0
    names: list[str] = field(default_factory=list)
    """The terms of the loss."""
    sums: Tensor | None = None
    """(terms,) float64, over the steps."""
    last: AsyncCopy | None = None
    """(terms,) of the last step, unless that was in another process."""

    def state(self) -> dict[str, Any]:
        """Plain values, from which ``restored`` makes the same sums to the last bit."""
        sums = [] if self.sums is None else self.sums.tolist()
        losses = dict(zip(self.names, sums, strict=True))
        return {"steps": self.steps, "images": self.images, "seconds": self.seconds, "lr": self.lr, "losses": losses}

    @classmethod
    def restored(cls, state: Mapping[str, Any], device: torch.device) -> EpochProgress:
        """The progress that gave this state."""
        losses = state["losses"]
        sums = torch.tensor(list(losses.values()), dtype=torch.float64, device=device) if losses else None
        numbers = {name: state[name] for name in ("steps", "images", "seconds", "lr")}
        return cls(**numbers, names=list(losses), sums=sums)


class Trainer:
    """A model in training with its average, optimiser and gradient scaler, on one device.

    ``cycles`` lay out the learning rate over the whole run. Where the image size grows,
    ``unit_pixels`` are the pixels of a batch that count as one of these steps, and larger batches count for
    more: the rate follows the work done, so that the last and largest images still find a rate to learn with.
    A ``plateau`` scales it, and gets each validation's score from whoever validates.
    With a ``teacher``, its KL divergence, times ``teacher_weight``, is added to the loss (open track).
    ``cuda_graph``: a GPU replays its steps from a CUDA graph, where one process trains there in fp32 or bf16, not
    compiled and without a teacher.

    Of several processes each takes its share of every batch; gradients, the loss that is reported and the statistics
    are means over them, so that all have the same weights after each step. ``synchronise`` is for BatchNorm.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: CombinedLoss,
        *,
        device: torch.device,
        precision: torch.dtype,
        channels_last: bool,
        compile_model: bool,
        cuda_graph: bool = False,
        optimizer: Mapping[str, Any],
        cycles: Cycles,
        plateau: Plateau | None = None,
        unit_pixels: int | None = None,
        teacher: nn.Module | None = None,
        teacher_weight: float = 1.0,
        synchronise: bool = False,
    ) -> None:
        self.device = device
        self.precision = precision
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model = model.to(device, memory_format=layout)  # type: ignore[call-overload]
        self.average = AveragedModel(self.model, optimizer["ema_decay"])
        if synchronise:
            self.model = batch_norm.synchronise(self.model, device)
        self.loss = loss.to(device)
        chosen = {key: value for key, value in optimizer.items() if key not in ("clip_norm", "ema_decay")}
        self.optimizer = build_optimizer(self.model, **chosen)
        self.clip_norm = optimizer["clip_norm"]
        self.cycles = cycles
        self.plateau = plateau
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
        self.teacher = teacher.to(device).eval() if teacher is not None else None
        self.teacher_weight = teacher_weight
        self.step_count = 0
        self.unit_pixels = unit_pixels
        self.work = 0.0
        several = distributed.world_size() > 1
        # A static graph: some networks of the open track have weights that they never use.
        forward = DistributedDataParallel(self.model, static_graph=True) if several else self.model
        self._forward: Callable[[Tensor], Tensor] = torch.compile(forward, dynamic=False) if compile_model else forward
        self._names: list[str] = []
        self._take: Callable[[Tensor, Tensor], Tensor] = self._step
        # A loss scaler waits for the GPU, as it has to know whether the gradients are finite; a teacher may.
        unfit = several or compile_model or teacher is not None or self.scaler.is_enabled()
        if cuda_graph and device.type == "cuda" and not unfit:
            self._take = CudaGraphStep(self._step, self.optimizer, device)

    def _losses(self, images: Tensor, masks: Tensor) -> dict[str, Tensor]:
        photos = normalize(images.to(self.device, non_blocking=True))  # (B, 3, H, W)
        target = masks.to(self.device, non_blocking=True).long()  # (B, H, W)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
            logits = self._forward(photos)
            with torch.no_grad():
                taught = self.teacher(photos) if self.teacher is not None else None
        terms = self.loss(logits, target)
        if taught is not None:
            terms["teacher"] = distillation_loss(logits, taught)
            terms["loss"] = terms["loss"] + self.teacher_weight * terms["teacher"]
        return terms

    def _update(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        batch_norm.average_statistics(self.model)  # or all would go on with those of process 0

    def _step(self, images: Tensor, masks: Tensor) -> Tensor:
        """Take a step; gives the values (terms,) that the loss's terms had before it, and notes their names."""
        terms = self._losses(images, masks)
        self._names = list(terms)
        values = distributed.mean(torch.stack([value.detach() for value in terms.values()]))
        if self.device.type == "cpu":
            self._check(AsyncCopy.start(values), self._names)
        self._update(terms["loss"])
        return values

    def train_epoch(
        self,
        batches: Iterator[Batch],
        steps: int,
        *,
        progress: EpochProgress | None = None,
        after_step: Callable[[int, float], None] | None = None,
    ) -> EpochReport:
        """Take the epoch's steps, from the iterator's batches, that its progress does not hold yet.

        ``after_step(pixels, loss)`` is called when progress, which is kept up to date, holds the step too.

        Raises NonFiniteLossError: on a CPU before the optimiser's step, on a GPU one step later, which
        spares it waiting for each loss. Who saves in between asks ``check`` before.
        """
        self.model.train()
        progress = progress or EpochProgress()
        start = time.perf_counter() - progress.seconds
        for _ in range(progress.steps, steps):
            images, masks = next(batches)
            lr = self.cycles.rate(self.work)
            if self.plateau is not None:
                lr *= self.plateau.scale
            set_learning_rate(self.optimizer, lr)
            values = self._take(images, masks)
            self.average.update(self.model)
            self._check(progress.last, progress.names)
            progress.names = self._names
            sent = AsyncCopy.start(values)
            self.step_count += 1
            pixels = masks.numel() * distributed.world_size()
            self.work += pixels / self.unit_pixels if self.unit_pixels else 1
            shown = progress.last if progress.last is not None else sent
            progress.steps += 1
            progress.images += len(images) * distributed.world_size()
            progress.lr = lr
            progress.last = sent
            progress.sums = values.double() if progress.sums is None else progress.sums + values
            progress.seconds = time.perf_counter() - start
            if after_step is not None:
                after_step(pixels, float(shown.read()[0]))
        self.check(progress)
        means = (progress.sums / steps).tolist() if progress.sums is not None else []
        return EpochReport(
            losses=dict(zip(progress.names, means, strict=True)),
            lr=progress.lr,
            images=progress.images,
            seconds=time.perf_counter() - start,
        )

    def check(self, progress: EpochProgress) -> None:
        """Raise NonFiniteLossError where the last step's loss was NaN or infinite; it waits for the GPU."""
        self._check(progress.last, progress.names)

    def _check(self, sent: AsyncCopy | None, names: list[str]) -> None:
        if sent is None or bool(sent.read()[0].isfinite()):  # the sum, which any term would spoil
            return
        found = ", ".join(f"{name} {value:g}" for name, value in zip(names, sent.read().tolist(), strict=True))
        raise NonFiniteLossError(
            f"The loss became non-finite at step {self.step_count} ({found}); training stopped and the last "
            "checkpoint is intact. Lower optimizer.lr, or set run.precision=fp32, and --resume."
        )

    def state(self) -> dict[str, Any]:
        """All that ``load_state`` needs to go on as if nothing had happened, apart from the average's weights."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step_count,
            "work": self.work,
            "average_updates": self.average.updates,
            "plateau": self.plateau.state() if self.plateau is not None else None,
        }

    def load_state(self, state: Mapping[str, Any], average: Mapping[str, Tensor]) -> None:
        """Take up the state of an earlier Trainer and its average's weights."""
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(average)
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # one that was switched off has none, and so begins where precision has become fp16
            self.scaler.load_state_dict(state["scaler"])
        self.step_count, self.work = state["step"], state["work"]
        self.average.updates = state["average_updates"]
        if self.plateau is not None:
            self.plateau.load_state(state["plateau"])
