"""The config's section ``model``: one dataclass a network, each with keys of its own."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Positive = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LightUNet:
    """The reference network: a plain U-Net of double 3x3 convolutions, thin."""

    name: Literal["light_unet"] = "light_unet"
    """Which network."""
    channels: Annotated[tuple[Positive, ...], Field(min_length=2, max_length=6)] = (32, 64, 80, 96, 112, 128)
    """Channels at 1, 1/2, 1/4, 1/8, ... of the size at which it begins."""
    space_to_depth: Annotated[int, Field(ge=1, le=4)] = 2
    """It begins at 1/space_to_depth of the input's size: blocks of so many pixels a side become channels, and the
    classifier predicts a block at once. 1: at the full size."""
    merge: Literal["concat", "add"] = "concat"
    """How the decoder takes in the encoder's maps: beside its own, or added to its own, which are narrowed first. Added
    they cost a quarter to a third fewer multiply-adds."""
    dropout: Dropout = 0.0
    """Share of the channels dropped before the classifier."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SeparableUNet:
    """The U-Net of depthwise-separable convolutions, for CPUs at 256 pixels."""

    name: Literal["separable_unet"] = "separable_unet"
    """Which network."""
    channels: Annotated[tuple[Positive, ...], Field(min_length=2, max_length=6)] = (24, 48, 96, 192, 320)
    """Channels at 1/2, 1/4, 1/8, ... of the input's size."""
    dropout: Dropout = 0.1
    """Share of the channels dropped before the classifier."""


_SMP_TAKEN = {"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params"}


@dataclass(frozen=True, kw_only=True, config=STRICT)
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
