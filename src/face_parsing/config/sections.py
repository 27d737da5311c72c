"""The sections run, inference and open_track, and the whole config; one sentence per key.

The other sections are in ``data.py``, ``networks.py`` and ``optimization.py``.
"""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from face_parsing.challenge import RULES
from face_parsing.config.data import Augmentation, Data, ExternalData
from face_parsing.config.networks import STRICT, LightUNet, Model, Positive, Smp
from face_parsing.config.optimization import Loss, Optimizer, Schedule
from face_parsing.config.paths import Paths
from face_parsing.labels import LabelSet, group_labels


def as_dict(section: Any) -> dict[str, Any]:
    """The fields of a section by name, as keyword arguments for what it configures."""
    fields: dict[str, Any] = dataclasses.asdict(section)
    return fields


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Run:
    """One run: its seed, its machine and its folder."""

    output: str = "outputs"
    """Folder of the run; checkpoints go to its checkpoints/."""
    init_from: str | None = None
    """Folder of an earlier run, whose best weights this one starts from: a further cycle of the learning rate (warm
    restarts, Loshchilov and Hutter 2017). That run must have trained on none of the validation pairs and, on the
    challenge track, on nothing but this one's training pairs. A relative folder lies in the project's, wherever the
    command was started; it needs checkpoints/best_model.pth and split.json."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of the weights, the order and the augmentation."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Autocast: auto is bf16 on GPUs and CPUs that compute it natively, else fp16 (GPU) or fp32 (CPU)."""
    channels_last: bool = True
    """Memory layout of the convolutions; False is NCHW."""
    compile: bool = False
    """torch.compile: faster steps for a minute of compiling a stage."""
    cuda_graphs: bool = True
    """On a GPU: record the step of each image size once and replay it (CUDA graphs), so that Python is not waited for.
    Does nothing with run.compile, fp16, several processes, a teacher or model.name = smp."""
    deterministic: bool = False
    """Only deterministic kernels, at some cost on a GPU. A CPU run is deterministic anyway."""
    sync_batchnorm: bool = False
    """Of several processes (torchrun): BatchNorm by the images of all of them. False: each by its own share."""
    workers: Annotated[int, Field(ge=-1)] = -1
    """Loader processes; -1: all cores but one, 16 at most (1 where training itself runs on the CPU), and no more than
    shared memory (/dev/shm, 64 MB in many a container) has room for; 0: none."""
    augment_on: Literal["auto", "workers", "device"] = "auto"
    """Where pairs are augmented: one by one in the loader processes, or in whole batches on the device that trains,
    with the same meaning but other draws. auto: on a GPU if data.cache_gb suffices."""
    resident_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Pairs augmented on a GPU stay there if they need at most this share of its free memory; else each is copied."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of a CPU run; 0 leaves it to torch."""
    validate_every: Positive = 1
    """Epochs between validations; the last epoch of a stage is always validated."""
    save_every_minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """Minutes between two writings of last_model.pth within an epoch; 0: at the end of each epoch alone."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Validations in a row without a better F-Score after which the run ends; 0: it goes to its last epoch. The rate
    falls to the last epoch, so that a run that is ended early has seldom done its best."""
    tensorboard: bool = False
    """Also write the curves, and the panel at each validation, to tensorboard/ in the run's folder."""
    panel_faces: Annotated[int, Field(ge=0)] = 6
    """Validation faces in the picture that each better model leaves."""
    pack_submission: bool = False
    """After the last epoch, predict data.root/test/images and write submission.zip."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Inference:
    """Test-time augmentation that --tta and a submission use."""

    scales: Annotated[tuple[Annotated[float, Field(gt=0.1, le=4)], ...], Field(min_length=1)] = (0.75, 1.0, 1.25)
    """Sizes of the input over the trained size; the probabilities are averaged."""
    flip: bool = True
    """Average with the mirrored photo, left and right swapped back."""
    submission_tta: bool = True
    """Whether a submission packed by training uses it."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OpenTrack:
    """What the challenge forbids. Any of it needs track: open."""

    pretrained: str | None = None
    """Checkpoint whose weights training starts from. Where it tells other classes apart than data.classes, all but the
    classifier is taken."""
    external_data: tuple[ExternalData, ...] = ()
    """Further data sets that are mixed with data.root, for example [{root: data/more, weight: 0.5}]."""
    teacher: str | None = None
    """Checkpoint of a network whose probabilities are learned beside the labels (distillation)."""
    teacher_weight: Annotated[float, Field(gt=0)] = 1.0
    """Weight of that term."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """All of it."""

    track: Literal["challenge", "open"] = "challenge"
    """challenge refuses what the rules of the challenge forbid; open allows it."""
    data: Data = Data()
    model: Model = LightUNet()
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    run: Run = Run()
    inference: Inference = Inference()
    open_track: OpenTrack = OpenTrack()

    @model_validator(mode="after")
    def _track(self) -> Config:
        if self.track == "challenge":
            broken = [
                f"open_track.{key} is set, but the challenge allows {rule}; remove it or set track=open"
                for key, rule in RULES.items()
                if getattr(self.open_track, key)
            ]
            if isinstance(self.model, Smp) and self.model.encoder_weights is not None:
                broken.append(
                    f"model.encoder_weights is set, but the challenge allows {RULES['pretrained']}; "
                    "set it to null or set track=open"
                )
            if self.schedule.decay == "plateau":
                broken.append(
                    "schedule.decay = plateau lets the validation pairs steer training, which is kept out of the "
                    "challenge; choose cosine or poly, or set track=open"
                )
            if broken:
                raise ValueError("\n  ".join(broken))
        elif self.run.pack_submission:
            raise ValueError("run.pack_submission is true, but only track=challenge may be submitted; set it to false")
        if self.data.all_pairs:
            plateau = self.schedule.decay == "plateau"
            for key, is_set in (("run.patience", self.run.patience), ("schedule.decay = plateau", plateau)):
                if is_set:
                    raise ValueError(f"{key} goes by validations, of which data.all_pairs leaves none; leave one out")
        if self.run.patience and self.schedule.average_cycles:
            raise ValueError("run.patience may leave no cycles for schedule.average_cycles to average; set one of them")
        if self.run.init_from and self.open_track.pretrained:
            raise ValueError("run.init_from and open_track.pretrained are both set; keep the one to start from")
        if self.run.pack_submission and isinstance(self.model, Smp):
            raise ValueError(
                "run.pack_submission is true, but a network of model.name = smp needs more packages than a submission "
                "may; set it to false or choose another network"
            )
        for key in ("paste", "retexture", "hood", "people"):
            if getattr(self.augmentation, key) and self.data.classes:
                raise ValueError(f"augmentation.{key} needs the 19 classes that data.classes groups; set one alone")
        if self.run.pack_submission and self.data.classes:
            raise ValueError("run.pack_submission is true, but data.classes are not the 19 of a submission; unset one")
        return self

    @cached_property
    def paths(self) -> Paths:
        """Where the files and folders lie that the sections name."""
        return Paths.resolved(
            root=self.data.root,
            val_stems=self.data.val_stems,
            output=self.run.output,
            init_from=self.run.init_from,
            pretrained=self.open_track.pretrained,
            teacher=self.open_track.teacher,
            external_data=[data.root for data in self.open_track.external_data],
        )

    @cached_property
    def labels(self) -> LabelSet:
        """The classes of ``data.classes``."""
        return group_labels(self.data.classes)

    def __getstate__(self) -> dict[str, Any]:
        """The sections alone: another process, perhaps on another machine, finds paths of its own."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as YAML and checkpoints hold them; ``from_dict`` reads them back."""
        values: dict[str, Any] = json.loads(json.dumps(as_dict(self)))  # tuples become lists
        return values
