"""Networks of segmentation-models-pytorch (MIT), with its own encoders or timm's.

The package is an extra (requirements-open.txt) and is imported only when one of its networks is built.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


class PaddedModel(nn.Module):
    """A network for multiples of stride made one for any size: its input is padded, its logits are cropped.

    ``smallest`` is the least height and width that the network itself can take.
    """

    def __init__(self, network: nn.Module, *, stride: int, smallest: int) -> None:
        super().__init__()
        self.network = network
        self.stride = stride
        self.smallest = smallest

    def forward(self, image: Tensor) -> Tensor:
        H, W = image.shape[2:]
        right, below = (-(-max(side, self.smallest) // self.stride) * self.stride - side for side in (W, H))
        padded = F.pad(image, (0, right, 0, below), mode="replicate")
        logits: Tensor = self.network(padded)  # (B, num_classes, H, W rounded up to multiples of stride)
        return logits[:, :, :H, :W]


def _unknown(key: str, given: str, known: Iterable[str], *, listed: bool) -> ValueError:
    """The sentence on a name that is not among the known ones; all of these with listed, else the closest."""
    names = list(known)
    close = names if listed else difflib.get_close_matches(given, names, n=5, cutoff=0.4)
    return ValueError(f"model.{key} = {given!r} is unknown; choose one of {', '.join(close)}")


def _check_names(architecture: str, encoder: str, encoder_weights: str | None) -> None:
    """Raise ValueError for an architecture, an encoder or weights that the packages do not have."""
    import segmentation_models_pytorch as smp
    import timm

    if architecture.lower() not in smp.MODEL_ARCHITECTURES_MAPPING:
        classes = smp.MODEL_ARCHITECTURES_MAPPING.values()
        raise _unknown("architecture", architecture, [model.__name__ for model in classes], listed=True)
    if encoder.startswith("tu-"):
        if not timm.is_model(encoder[3:]):
            raise _unknown("encoder", encoder, (f"tu-{name}" for name in timm.list_models()), listed=False)
        if encoder_weights is not None and not timm.models.is_model_pretrained(encoder[3:]):
            raise ValueError(f"model.encoder_weights = {encoder_weights!r}, but timm has no weights of {encoder[3:]}")
        return
    if encoder not in smp.encoders.encoders:
        known = [*smp.encoders.get_encoder_names(), *(f"tu-{name}" for name in timm.list_models())]
        raise _unknown("encoder", encoder, known, listed=False)
    weights = smp.encoders.encoders[encoder]["pretrained_settings"]
    if encoder_weights is not None and encoder_weights not in weights:
        raise _unknown("encoder_weights", encoder_weights, weights, listed=True)


def build_smp(
    num_classes: int,
    *,
    architecture: str = "Unet",
    encoder: str = "resnet34",
    encoder_weights: str | None = None,
    options: Mapping[str, Any] | None = None,
    pretrained: bool = False,
) -> nn.Module:
    """Any network of the package: image (B, 3, H, W) to logits (B, num_classes, H, W), for any H and W.

    ``encoder_weights`` are fetched, from the internet or its cache, only with ``pretrained``; else the
    weights are fresh. ``options`` are further keywords of the architecture. Raises ValueError for names
    that the packages do not have, a package that is not installed, or weights that cannot be had.
    """
    try:
        import segmentation_models_pytorch as smp
    except ModuleNotFoundError:
        raise ValueError(
            "model.name = smp needs segmentation-models-pytorch; pip install -r requirements-open.txt"
        ) from None
    _check_names(architecture, encoder, encoder_weights)
    weights: str | bool | None = encoder_weights if pretrained else None
    if weights is not None and encoder.startswith("tu-"):
        weights = True  # which of timm's weights is part of the encoder's name
    keywords = dict(options or {})
    if architecture.lower() == "dpt":
        keywords.setdefault("dynamic_img_size", True)  # else one size alone
    try:
        network = smp.create_model(architecture, encoder, weights, 3, num_classes, **keywords)
    except Exception as error:  # what options reach is code of many hands, which raises anything at all
        if weights is not None and isinstance(error, OSError | RuntimeError):
            raise ValueError(
                f"model.encoder_weights = {encoder_weights!r} of {encoder} could not be downloaded; connect to the "
                "internet, fill the cache of huggingface_hub (HF_HOME) elsewhere, or set model.encoder_weights to null"
            ) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{architecture} over {encoder} cannot be built with model.options = {dict(options or {})}: {reason}"
        ) from error
    stride = network.encoder.output_stride
    if architecture.lower() == "pan":  # halves its last map three times more
        return PaddedModel(network, stride=stride, smallest=8 * stride)
    if architecture.lower() == "dpt":  # halves its last map once more
        if stride & (stride - 1):
            raise ValueError(f"DPT takes encoders with patches of 8, 16 or 32 pixels, those of {encoder} have {stride}")
        return PaddedModel(network, stride=2 * stride, smallest=2 * stride)
    return PaddedModel(network, stride=stride, smallest=stride)
