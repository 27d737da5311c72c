"""The sections of a configuration: frozen dataclasses, one sentence a key."""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from face_parsing.challenge import RULES
from face_parsing.config.networks import STRICT, LightUNet, Model, NonNegative, Positive, Probability, Smp
from face_parsing.config.paths import Paths
from face_parsing.labels import LabelSet, group_labels
from face_parsing.sizes import LARGEST_SIDE, SMALLEST_SIDE


def as_dict(section: Any) -> dict[str, Any]:
    """The fields of a section by name, as keyword arguments for what it configures."""
    fields: dict[str, Any] = dataclasses.asdict(section)
    return fields


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Data:
    """Where the pairs lie and how they are read."""

    root: str = "data"
    """Folder with train/{images,masks} and, where they exist, val/{images,masks} and test/images."""
    val_stems: str | None = None
    """File with one stem a line: these training pairs are validated on. Only for data without val/."""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training pairs that becomes the validation set where neither val/ nor val_stems is given."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that share; a run saves its split and a resumed run reuses it."""
    size: Positive = 512
    """Height and width at which pairs are cached and judged, pixels. Others are resized when they are read."""
    classes: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """A coarser task: its classes, in order, each with the names of the 19 it is made of, for example
    {background: [], eyes: [l_eye, r_eye]}. The first also gets every name not listed. Empty: all 19."""
    repair_mirrored: bool = True
    """Swap left and right labels of training pairs that were mirrored without their labels being swapped."""
    repeat_threshold: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Images with a class that fewer than this share of images hold are drawn more often: by the square
    root of this share over the class's (repeat factor sampling, Gupta et al. 2019). 0 draws all alike."""
    synthetic_pairs: Annotated[int, Field(ge=0)] = 0
    """Where root does not exist yet, draw this many synthetic training faces into it (a sixth of it for
    validation, 8 for test). 0: never."""
    cache_gb: Annotated[float, Field(gt=0)] = 16.0
    """Memory for decoded pairs. A larger data set is decoded anew at each use, with a warning."""

    @model_validator(mode="after")
    def _groups(self) -> Data:
        try:
            group_labels(self.classes)
        except ValueError as error:
            raise ValueError(f"classes: {error}") from None
        return self


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
class Augmentation:
    """What training does to a pair before the network sees it."""

    enabled: bool = True
    """False: pairs are only resized."""
    flip: Probability = 0.5
    """Probability of a mirrored pair, left and right labels swapped with it."""
    geometric: Probability = 0.9
    """Probability of a rotation, scale and shift."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 20.0
    """Largest rotation, degrees."""
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.78, 1.28)
    """Smallest and largest scale."""
    shift: Probability = 0.12
    """Largest shift, as a share of the size."""
    color: Probability = 0.8
    """Probability of a change of brightness, contrast, saturation and hue."""
    color_strength: Probability = 0.3
    """Largest relative change of brightness, contrast and saturation; hue changes by a tenth of it."""
    grey: Probability = 0.05
    """Probability of a grey image."""
    noise: Probability = 0.15
    """Probability of Gaussian noise; half as probable each: a blur and a JPEG artefact."""
    occlusion: Probability = 0.15
    """Probability of one to four boxes in the image, their labels kept."""
    paste: Probability = 0.0
    """Probability that a face gets glasses, a hat, earrings or a necklace of another training face, if it has none."""
    retexture: Probability = 0.0
    """Probability, for each of background, hair and clothes, that it looks like another training face's: hair takes
    its colors alone."""
    hood: Probability = 0.0
    """Probability that a face without a hat gets a hood or a headscarf, of another training face's clothes."""

    @model_validator(mode="after")
    def _scale_order(self) -> Augmentation:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale is {list(self.scale)}; the smaller one comes first")
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
    """Decay a step of the averaged weights and BatchNorm statistics, which are judged and shipped. 0: no average."""


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
    """Size at which the network of this stage is judged, and at which it predicts if it is the best; null: image_size.
    Augmentation enlarges faces as often as it shrinks them, yet somewhat more than image_size is as a rule better
    (Touvron et al. 2019)."""

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

    @model_validator(mode="after")
    def _lengths(self) -> Schedule:
        if not self.stages:
            raise ValueError("stages is empty; it needs one entry at least, for example {image_size: 512, epochs: 300}")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs}; it must be below the {self.epochs} epochs of stages"
            )
        return self

    @property
    def epochs(self) -> int:
        """All epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def stage_at(self, epoch: int) -> Stage:
        """The stage that epoch, counted from 0, belongs to."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        raise IndexError("epoch lies behind the last stage")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Run:
    """One run: its seed, its machine and its folder."""

    output: str = "outputs"
    """Folder of the run; checkpoints go to its checkpoints/."""
    init_from: str | None = None
    """Folder of an earlier run, whose best weights this one starts from: a further cycle of the learning rate (warm
    restarts, Loshchilov and Hutter 2017). That run must have trained on none of the validation pairs and, on the
    challenge track, on nothing but this one's training pairs."""
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
class ExternalData:
    """A further data set."""

    root: str
    """Folder laid out as data.root; its train/ pairs are trained on too."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How often one of its pairs is drawn, over one of data.root."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OpenTrack:
    """What the challenge forbids. Any of it needs track: open."""

    pretrained: str | None = None
    """Checkpoint whose weights training starts from."""
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
        if self.run.init_from and self.open_track.pretrained:
            raise ValueError("run.init_from and open_track.pretrained are both set; keep the one to start from")
        if self.run.pack_submission and isinstance(self.model, Smp):
            raise ValueError(
                "run.pack_submission is true, but a network of model.name = smp needs more packages than a submission "
                "may; set it to false or choose another network"
            )
        for key in ("paste", "retexture", "hood"):
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
