"""The config's sections about learning: the loss, the optimizer, and the schedule with its stages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from face_parsing.config.networks import STRICT, NonNegative, Positive
from face_parsing.sizes import LARGEST_SIDE, SMALLEST_SIDE


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Loss:
    """Cross-entropy + Dice + Focal."""

    ce: NonNegative = 1.0
    """Weight of the cross-entropy."""
    dice: NonNegative = 1.0
    """Weight of 1 - Dice, averaged over the classes present in each image."""
    focal: NonNegative = 0.5
    """Weight of the focal term (Lin et al. 2017)."""
    focal_gamma: NonNegative = 2.0
    """Exponent of the focal term."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of a target's mass that is spread over all classes, in the cross-entropy."""
    class_weights: Literal["none", "sqrt", "effective"] = "none"
    """Weights of cross-entropy and focal by class: none, inverse square root of the pixel share, or the
    effective number of pixels (Cui et al. 2019). Clipped to 1/5 .. 5."""

    @model_validator(mode="after")
    def _some_term(self) -> Loss:
        if self.ce + self.dice + self.focal == 0:
            raise ValueError("ce, dice and focal are all 0; at least one must be above")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Optimizer:
    """AdamW or Muon."""

    name: Literal["adamw", "muon"] = "muon"
    """AdamW (Loshchilov and Hutter 2019), or Muon (Jordan et al. 2024) for the convolutions and AdamW for the rest."""
    muon_scale: Annotated[float, Field(gt=0)] = 0.5
    """Root mean square of what Muon's step adds to a weight, over the learning rate."""
    head_lr_scale: Annotated[float, Field(gt=0)] = 12.0
    """With muon: the classifier's learning rate over that of the others. Adam's steps are as long for few inputs as for
    many, so that a classifier of few channels is slow to tell the classes apart."""
    lr: Annotated[float, Field(gt=0)] = 3e-3
    """Peak learning rate."""
    weight_decay: NonNegative = 0.02
    """Decay of weights with two or more dimensions; biases and norms have none."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.99)
    """Decay rates of the first and second moment."""
    clip_norm: NonNegative = 1.0
    """Largest norm of all gradients; 0 clips none."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Decay a step of the averaged weights and BatchNorm statistics, which are validated and shipped. 0: no average."""


ImageSize = Annotated[int, Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Stage:
    """One stretch of training at one image size."""

    image_size: ImageSize
    """Height and width that the network sees, pixels."""
    epochs: Positive
    """Passes over the training pairs."""
    batch_size: Positive = 16
    """Pairs a step."""
    eval_size: ImageSize | None = None
    """Size at which this stage's network is validated, and at which it predicts if it is the best; null: image_size.
    Augmentation enlarges faces as often as it shrinks them, yet somewhat more than image_size is as a rule better
    (Touvron et al. 2019)."""

    restart: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Above 0, a further cycle of the learning rate begins here: it rises to this share of optimizer.lr and falls once
    more (warm restarts, Loshchilov and Hutter 2017). 0: the cycle goes on."""

    @property
    def resolved_eval_size(self) -> int:
        """``eval_size``, whatever it was left to."""
        return self.eval_size or self.image_size


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Schedule:
    """How long, at which size, and the learning rate along the way."""

    stages: tuple[Stage, ...] = (Stage(image_size=512, epochs=300, batch_size=16),)
    """Stretches of training, one after the other; the image size normally grows."""
    warmup_epochs: NonNegative = 2.0
    """Epochs of linear warm-up, before the learning rate falls."""
    decay: Literal["cosine", "poly", "plateau"] = "cosine"
    """How it falls: along a cosine or a power of 0.9 of the pixels that are left, or, on the open track alone,
    whenever the validation F-Score has stopped rising."""
    final_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Last, for plateau smallest, learning rate over the peak one."""
    plateau_patience: Positive = 5
    """Validations without a better F-Score after which plateau lowers the rate."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """What plateau multiplies the rate by."""

    average_cycles: Annotated[int, Field(ge=0, le=20)] = 0
    """From 2 on: what the last so many cycles end with is averaged, its BatchNorm statistics are found anew, and the
    average is what the run ends with (Izmailov et al. 2018)."""

    @model_validator(mode="after")
    def _cycles(self) -> Schedule:
        if self.stages and self.stages[0].restart:
            raise ValueError("stages.0.restart is set, but the first cycle begins there anyway; leave it out")
        count = len(self.cycle_ends)
        if self.average_cycles == 1 or self.average_cycles > count:
            raise ValueError(
                f"average_cycles is {self.average_cycles}, but the stages hold {count} cycle(s) of the rate; "
                "begin more by a stage's restart, or average none (0)"
            )
        if count > 1 and self.decay == "plateau":
            raise ValueError("decay = plateau has no cycles; leave out restart in stages, or choose cosine")
        return self

    @model_validator(mode="after")
    def _lengths(self) -> Schedule:
        if not self.stages:
            raise ValueError("stages is empty; it needs one entry at least, for example {image_size: 512, epochs: 300}")
        ends = self.cycle_ends
        shortest = min(end - start for start, end in zip([0, *ends[:-1]], ends, strict=True))
        if self.warmup_epochs >= shortest:
            what = "stages" if len(ends) == 1 else "the shortest cycle"
            raise ValueError(f"warmup_epochs is {self.warmup_epochs}; it must be below the {shortest} epochs of {what}")
        return self

    @property
    def epochs(self) -> int:
        """All epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def cycle_ends(self) -> list[int]:
        """The number of epochs that are done where each cycle of the learning rate ends."""
        ends: list[int] = []
        done = 0
        for stage in self.stages:
            if stage.restart:
                ends.append(done)
            done += stage.epochs
        return [*ends, done]

    @property
    def cycle_peaks(self) -> list[float]:
        """The highest rate of each cycle, over optimizer.lr."""
        return [1.0, *(stage.restart for stage in self.stages if stage.restart)]

    def stage_at(self, epoch: int) -> Stage:
        """The stage that epoch, counted from 0, belongs to."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        raise IndexError("epoch lies behind the last stage")
