"""The configuration: frozen sections, filled from defaults < YAML file < ``--set section.key=value``.

Pydantic checks it (albumentations brings pydantic along): unknown keys, wrong types and impossible
values are collected over the whole configuration and reported in one ``ConfigError``, each with its
key, its value and what is allowed. This module needs neither torch nor, of the project, more than the class names.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Discriminator, Field, JsonValue, Tag, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from labels import group_labels

PARAMETER_LIMIT = 1_821_085
"""The challenge's rule: a model has fewer parameters than this."""

# Of a YAML text or a checkpoint's description, far beyond any that is meant.
MOST_ENTRIES = 10_000
MOST_CHARACTERS = 100_000
DEEPEST = 30
MOST_MERGED = 100

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Positive = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


def as_dict(section: Any) -> dict[str, Any]:
    """The fields of a section by name, as keyword arguments for what it configures."""
    fields: dict[str, Any] = dataclasses.asdict(section)
    return fields


class ConfigError(ValueError):
    """Everything that is wrong with a configuration, one line a key."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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
    rare_frequency: Annotated[float, Field(ge=0, le=1)] = 0.0
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


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class UNet:
    """A residual U-Net of few multiply-adds."""

    name: Literal["unet"] = "unet"
    """Which network."""
    channels: Annotated[tuple[Positive, ...], Field(min_length=3, max_length=7)] = (32, 48, 80, 128, 160)
    """Channels at 1/2, 1/4, 1/8, ... of the input's size."""
    blocks: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=3, max_length=7)] = (0, 1, 1, 3, 3)
    """Residual blocks of the encoder at each of these sizes."""
    plain_stages: Annotated[int, Field(ge=0)] = 3
    """So many first stages use blocks of two full 3x3 convolutions, the others inverted residuals."""
    expansion: Annotated[float, Field(gt=0)] = 3.0
    """Width of an inverted residual over its input."""
    dropout: Dropout = 0.1
    """Share of the channels dropped before the classifier."""

    @model_validator(mode="after")
    def _lengths(self) -> UNet:
        if len(self.blocks) != len(self.channels):
            raise ValueError(f"blocks has {len(self.blocks)} entries; it needs one a stage, {len(self.channels)}")
        return self


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DeepLabV3Plus:
    """DeepLab v3+ over a MobileNet v2."""

    name: Literal["deeplabv3plus"] = "deeplabv3plus"
    """Which network."""
    width: Annotated[float, Field(gt=0, le=4)] = 0.85
    """Channels of the MobileNet v2 over those of the paper."""
    aspp_channels: Positive = 160
    """Channels of the pyramid pooling and of the decoder."""
    rates: Annotated[tuple[Positive, ...], Field(min_length=1)] = (3, 6, 9)
    """Dilations of the pyramid, in steps of 16 pixels. The paper's 6, 12, 18 reach past the border at 256 pixels."""
    dropout: Dropout = 0.1
    """Share of the channels dropped before the classifier."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LightUNet:
    """The reference network: a plain U-Net of double 3x3 convolutions, thin."""

    name: Literal["light_unet"] = "light_unet"
    """Which network."""
    channels: Annotated[tuple[Positive, ...], Field(min_length=2, max_length=6)] = (32, 64, 80, 96, 112, 128)
    """Channels at 1, 1/2, 1/4, 1/8, ... of the size at which it begins."""
    fold: Annotated[int, Field(ge=1, le=4)] = 2
    """It begins at 1/fold of the input's size: groups of fold x fold pixels are folded into channels, and each map of
    the classifier unfolds to such a group."""
    dropout: Dropout = 0.0
    """Share of the channels dropped before the classifier."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SeparableUNet:
    """The U-Net of depthwise-separable convolutions, for CPUs at 256 pixels."""

    name: Literal["separable_unet"] = "separable_unet"
    """Which network."""
    channels: Annotated[tuple[Positive, ...], Field(min_length=2, max_length=6)] = (24, 48, 96, 192, 320)
    """Channels at 1/2, 1/4, 1/8, ... of the input's size."""
    dropout: Dropout = 0.1
    """Share of the channels dropped before the classifier."""


_SMP_TAKEN = {"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params"}


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Smp:
    """Any network of segmentation-models-pytorch (requirements-open.txt)."""

    name: Literal["smp"] = "smp"
    """Which family of networks."""
    architecture: str = "Unet"
    """Unet, UnetPlusPlus, MAnet, Linknet, FPN, PSPNet, DeepLabV3, DeepLabV3Plus, PAN, UPerNet, Segformer or DPT."""
    encoder: str = "resnet34"
    """Its encoder: one of the package's own or, as tu-NAME, one of timm's."""
    encoder_weights: str | None = None
    """Weights that the encoder starts from, downloaded: imagenet, others by encoder. For tu- encoders any text will
    do, as tu-NAME.TAG says which. Open track only."""
    options: dict[str, JsonValue] = dataclasses.field(default_factory=dict)
    """Further keywords of the architecture and of timm's encoder, for example {decoder_channels: [128, 64, 32, 16, 8]}.
    A Swin, which else takes one image size alone, needs {strict_img_size: false}."""

    @model_validator(mode="after")
    def _free_options(self) -> Smp:
        taken = sorted(_SMP_TAKEN & self.options.keys())
        if taken:
            raise ValueError(
                f"options holds {', '.join(taken)}, which this project sets; take it out "
                "(the encoder is model.encoder, its weights are model.encoder_weights)"
            )
        return self


NETWORKS: dict[str, type[Any]] = {
    "unet": UNet,
    "deeplabv3plus": DeepLabV3Plus,
    "light_unet": LightUNet,
    "separable_unet": SeparableUNet,
    "smp": Smp,
}
"""The section model of each network, by model.name."""


def _network_name(section: Any) -> str | None:
    """Which network a model section, plain or built, is for; one without a name is for the reference."""
    default = LightUNet.name
    name = section.get("name", default) if isinstance(section, dict) else getattr(section, "name", default)
    return name if isinstance(name, str) else None


Model = Annotated[
    Annotated[UNet, Tag("unet")]
    | Annotated[DeepLabV3Plus, Tag("deeplabv3plus")]
    | Annotated[LightUNet, Tag("light_unet")]
    | Annotated[SeparableUNet, Tag("separable_unet")]
    | Annotated[Smp, Tag("smp")],
    Discriminator(_network_name),
]
"""The network, chosen by its name; each has keys of its own."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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
    colour: Probability = 0.8
    """Probability of a change of brightness, contrast, saturation and hue."""
    colour_strength: Probability = 0.3
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
    its colours alone."""
    hood: Probability = 0.0
    """Probability that a face without a hat gets a hood or a headscarf, of another training face's clothes."""

    @model_validator(mode="after")
    def _scale_order(self) -> Augmentation:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale is {list(self.scale)}; the smaller one comes first")
        return self


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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


SMALLEST_SIDE, LARGEST_SIDE = 32, 4096
ImageSize = Annotated[int, Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Stage:
    """One stretch of training at one image size."""

    image_size: ImageSize
    """Height and width that the network sees, pixels."""
    epochs: Positive
    """Passes over the training pairs."""
    batch_size: Positive = 16
    """Pairs a step."""
    predict_size: ImageSize | None = None
    """Size at which the network of this stage is judged, and at which it predicts if it is the best; null: image_size.
    Augmentation enlarges faces as often as it shrinks them, yet somewhat more than image_size is as a rule better
    (Touvron et al. 2019)."""

    @property
    def judged_at(self) -> int:
        """``predict_size``, whatever it was left to."""
        return self.predict_size or self.image_size


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Run:
    """One run: its seed, its machine and its folder."""

    output: str = "outputs"
    """Folder of the run; checkpoints go to its checkpoints/."""
    start_from: str | None = None
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
    record_steps: bool = True
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


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Inference:
    """Test-time augmentation that --tta and a submission use."""

    scales: Annotated[tuple[Annotated[float, Field(gt=0.1, le=4)], ...], Field(min_length=1)] = (0.75, 1.0, 1.25)
    """Sizes of the input over the trained size; the probabilities are averaged."""
    flip: bool = True
    """Average with the mirrored photo, left and right swapped back."""
    submission_tta: bool = True
    """Whether a submission packed by training uses it."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ExternalData:
    """A further data set."""

    root: str
    """Folder laid out as data.root; its train/ pairs are trained on too."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How often one of its pairs is drawn, over one of data.root."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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


RULES: dict[str, str] = {
    "pretrained": "no pretrained weights: a network is trained from scratch",
    "external_data": "no external data: only the challenge's training pairs",
    "teacher": "no knowledge distillation",
}
"""The challenge's rule that each key of open_track breaks."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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
        if self.run.start_from and self.open_track.pretrained:
            raise ValueError("run.start_from and open_track.pretrained are both set; keep the one to start from")
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

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as YAML and checkpoints hold them; ``from_dict`` reads them back."""
        values: dict[str, Any] = json.loads(json.dumps(as_dict(self)))  # tuples become lists
        return values


class _Loader(yaml.SafeLoader):
    """YAML whose 6e-4 is a number, as YAML 1.2 has it, and whose repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        plain = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[Any] = set()
        for key in plain:
            name = self.construct_object(key, deep=True)  # type: ignore[no-untyped-call]
            if isinstance(name, Hashable) and name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is given twice", node.start_mark)
            if isinstance(name, Hashable):
                seen.add(name)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Each level of merges of merges would double what is below it.
        merged = [value for key, value in node.value if key.tag == "tag:yaml.org,2002:merge"]
        super().flatten_mapping(node)  # type: ignore[no-untyped-call]
        if merged and max(len(node.value), *(len(value.value) for value in merged)) > MOST_MERGED:
            raise yaml.constructor.ConstructorError(None, None, "too much is merged", node.start_mark)


class _Dumper(yaml.SafeDumper):
    """Quotes text that _Loader would read as a number."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
    )

_ADAPTER = TypeAdapter(Config)


def check_extent(values: Any) -> None:
    """Raise ValueError for nested containers with more entries or text than a description can need, or no end.

    In a few lines of YAML or bytes of a checkpoint, one list may stand in another a thousand times over, or in itself.
    """
    entries = characters = 0
    waiting: list[tuple[Any, int]] = [(values, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep, or inside itself")
        if isinstance(value, dict | list | tuple | set | frozenset):
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            entries += len(inner)
            if entries > MOST_ENTRIES:
                raise ValueError(f"it holds more than {MOST_ENTRIES:,} values, aliases resolved")
            waiting += [(one, depth + 1) for one in inner]
        elif isinstance(value, str | bytes | bytearray):
            characters += len(value)
            if characters > MOST_CHARACTERS:
                raise ValueError(f"it holds more than {MOST_CHARACTERS:,} characters, aliases resolved")
            if isinstance(value, str) and not value.isascii() and re.search("[\ud800-\udfff]", value):
                raise ValueError("it holds a lone half of a surrogate pair, which is no character")
        elif isinstance(value, int) and value.bit_length() > 64:
            raise ValueError("it holds a whole number of more than 64 bits")


def parse_yaml(text: str, source: str) -> Any:
    """The values in a YAML text, as plain containers. Raises ConfigError that begins with source."""
    try:
        if len(text) > MOST_CHARACTERS:
            raise ConfigError(f"{source} has more than {MOST_CHARACTERS:,} characters; it cannot be meant.")
        values = yaml.load(text, Loader=_Loader)
        check_extent(values)
    except ConfigError:
        raise
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{source} is not valid YAML: it is nested too deeply.") from None
    except Exception as error:  # '!!int x' and '2001-99-99' make the reader raise anything at all
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{source} cannot be used: {reason}.") from None
    return values


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except OSError as error:
        raise ConfigError(f"The config file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The config file {path} is not a UTF-8 text file.") from None
    values = parse_yaml(text, f"The config file {path}")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"The config file {path} holds a {type(values).__name__}; it needs sections such as 'data:'.")
    return values


def _merge(base: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _set(values: dict[str, Any], override: str) -> None:
    """Put one ``section.key=value`` into values; a number in the path picks an entry of a list."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: write it as section.key=value, for example optimizer.lr=3e-3.")
    value = parse_yaml(text, f"--set {override}: the value")
    place: Any = values
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        where = ".".join(keys[:depth])
        if isinstance(place, list):
            if not key.isdecimal() or int(key) >= len(place):
                entries = f"the entries 0 to {len(place) - 1}, not {key!r}" if place else "no entries; set all of it"
                raise ConfigError(f"--set {override}: {where} has {entries}.")
            if last:
                place[int(key)] = value
            else:
                place = place[int(key)]
        elif isinstance(place, dict):
            if last:
                place[key] = value
            else:
                place = place.setdefault(key, {})
        else:
            raise ConfigError(f"--set {override}: {where} is a value, not a section.")


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """The fields of the section at location, which may run through lists; the model's name follows on model."""
    section: Any = Config
    for key in location:
        if section is NETWORKS:
            section = NETWORKS[str(key)]
        elif section is Config and key == "model":
            section = NETWORKS
        elif isinstance(key, int):  # an entry of the only two lists of sections
            section = Stage if section is Schedule else ExternalData
        else:
            field = {f.name: f for f in dataclasses.fields(section)}.get(key)
            if field is None:
                return []
            default = field.default
            section = type(default) if dataclasses.is_dataclass(default) else section
    return [f.name for f in dataclasses.fields(section)]


def _sentence(error: Mapping[str, Any]) -> str:
    location = error["loc"]
    # What pydantic puts behind model is the network that was chosen, no key.
    network = location[1] if location[:1] == ("model",) and len(location) > 1 else None
    keys = ("model", *location[2:]) if network else location
    name = ".".join(str(part) for part in keys)
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        *most, last = (f"'{known}'" for known in NETWORKS)
        given = json.dumps(error["input"]["name"], default=str)
        return f"model.name = {given}: input should be {', '.join(most)} or {last}"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _known_keys(location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        section = ".".join(str(part) for part in keys[:-1]) or "the config"
        if network and section == "model":
            section = f"model ({network})"
        return f"{name}: unknown key.{hint} {section} knows: {', '.join(known)}"
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if error["type"] == "value_error":  # a rule over several keys, which names them itself
        return f"{name}: {message}" if name else message
    if error["type"] == "missing":
        return f"{name}: this key is required"
    message = message[:1].lower() + message[1:]
    return f"{name} = {json.dumps(error['input'], default=str)}: {message}"


def from_dict(values: Mapping[str, Any]) -> Config:
    """The config of plain nested containers. Raises ConfigError with all that is wrong."""
    try:
        check_extent(values)
        # JSON is the strict mode in which a list may stand for a tuple and nothing else may change its type.
        text = json.dumps(values, default=str)
    except (ValueError, TypeError) as error:  # a key that is a date, for example
        raise ConfigError(f"The configuration cannot be used: {error}.") from None
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        lines = [_sentence(dict(item)) for item in error.errors()]
        raise ConfigError("The configuration is wrong:\n  " + "\n  ".join(lines)) from None


def _defaults(file_values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The config's defaults, with those of the network that file and overrides choose."""
    section = file_values.get("model")
    name = section.get("name") if isinstance(section, dict) else None
    for override in overrides:
        key, _, text = override.partition("=")
        if key.strip() == "model.name":
            name = parse_yaml(text, f"--set {override}: the value")
    network = NETWORKS.get(name) if isinstance(name, str) else None
    return (Config(model=network()) if network else Config()).to_dict()


def load_config(path: Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Defaults < the YAML file at path < overrides such as ``"optimizer.lr=3e-3"``.

    Raises ConfigError with everything that is wrong, one line a key.
    """
    file_values = _read_file(path) if path is not None else {}
    overrides = list(overrides)
    values = _merge(_defaults(file_values, overrides), file_values)
    for override in overrides:
        _set(values, override)
    return from_dict(values)


def save_config(config: Config, path: Path) -> None:
    """Write the resolved config as YAML, readable by ``load_config``."""
    path.write_text(yaml.dump(config.to_dict(), Dumper=_Dumper, sort_keys=False), encoding="utf-8")
