"""Masks from checkpoints, in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from face_parsing.inference.outputs import Parse
from face_parsing.inference.predict import (
    exact_arithmetic,
    largest_class,
    parse_photos,
    predict_probabilities,
    prepare_model,
)
from face_parsing.inference.scores import Scores, softmax
from face_parsing.labels import LabelSet
from face_parsing.models.checkpoint import augmentation_of, label_set, load_networks
from face_parsing.weights import LICENCE

Refine = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From a photo (H, W, 3) and its probabilities (C, h, w) to scores (C, h, w), the largest of which is the mask."""


class _Bfloat16(nn.Module):
    """A network in bfloat16, where autocast thinks that safe."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        with torch.autocast(image.device.type, torch.bfloat16):
            logits: torch.Tensor = self.network(image)
        return logits


def parse_with(
    models: Sequence[nn.Module],
    *,
    device: torch.device,
    precision: str = "fp32",
    refine: Refine | None = None,
    **options: Any,
) -> Parse:
    """The masks of models from prepare_model for the same device; the options are parse_photos's.

    ``precision`` bf16 is faster where the hardware is made for it, and a little less exact. ``refine`` is the
    post-processing: it is given each photo with its probabilities at the network's size.
    """
    if precision == "bf16":
        models = [_Bfloat16(model) for model in models]

    def parse(photos: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        if refine is None:
            return list(parse_photos(models, photos, device=device, **options))
        return _parse_refined(models, photos, refine, device=device, **options)

    return parse


def _parse_refined(
    models: Sequence[nn.Module], photos: Sequence[np.ndarray], refine: Refine, *, device: torch.device, **options: Any
) -> list[np.ndarray]:
    """Masks (H, W) as parse_photos gives them, of what refine makes of the probabilities."""
    with exact_arithmetic():
        probabilities = predict_probabilities(models, torch.from_numpy(np.stack(photos)).to(device), **options)
    scores = (refine(photo, one) for photo, one in zip(photos, probabilities.cpu().numpy(), strict=True))
    return [
        largest_class(torch.from_numpy(one)[None], (photo.shape[0], photo.shape[1]))[0].numpy()
        for photo, one in zip(photos, scores, strict=True)
    ]


LEAST_PROBABILITY = 1e-9  # its logarithm is finite


def scores_with(
    models: Sequence[nn.Module],
    *,
    device: torch.device,
    precision: str = "fp32",
    refine: Refine | None = None,
    **options: Any,
) -> Scores:
    """What parse_with of the same arguments takes the largest of, in logarithms: its softmax is the probabilities."""
    if precision == "bf16":
        models = [_Bfloat16(model) for model in models]

    def scores(photos: Sequence[np.ndarray]) -> list[np.ndarray]:
        with exact_arithmetic():
            batch = torch.from_numpy(np.stack(photos)).to(device)
            found = predict_probabilities(models, batch, **options).cpu().numpy()
        refined = found if refine is None else [refine(photo, one) for photo, one in zip(photos, found, strict=True)]
        return [_logarithms(one) for one in refined]

    return scores


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    """Scores (h, w, C) of probabilities (C, h, w)."""
    return np.log(np.maximum(probabilities, LEAST_PROBABILITY)).transpose(1, 2, 0).copy()


class _Kept(nn.Module):
    """A network that keeps what it gave last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.logits = torch.empty(0)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.logits = self.network(image)
        return self.logits


MaskAndScores = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From a photo (H, W, 3) uint8 to its mask (H, W) uint8 and its scores (h, w, C)."""


def mask_and_scores_with(
    models: Sequence[nn.Module],
    *,
    device: torch.device,
    precision: str = "fp32",
    refine: Refine | None = None,
    **options: Any,
) -> MaskAndScores:
    """What parse_with and scores_with of the same arguments give, bit for bit, by one run of each model."""
    if precision == "bf16":
        models = [_Bfloat16(model) for model in models]
    # Then predict_masks takes the largest logit.
    alone = len(models) == 1 and tuple(options.get("scales", (1.0,))) == (1.0,) and not options.get("flip")

    def mask_and_scores(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, size = _Kept(models[0]), (photo.shape[0], photo.shape[1])
        with exact_arithmetic():
            batch = torch.from_numpy(photo[None].copy()).to(device)
            found = predict_probabilities([first, *models[1:]], batch, **options)
            if refine is None:
                mask = largest_class(first.logits.float() if alone else found, size)
                return mask[0].cpu().numpy(), _logarithms(found[0].cpu().numpy())
        refined = refine(photo, found[0].cpu().numpy())
        return largest_class(torch.from_numpy(refined)[None], size)[0].numpy(), _logarithms(refined)

    return mask_and_scores


@dataclass(frozen=True)
class CheckpointNetwork:
    """One checkpoint, or several of which the mean is taken, ready to parse photos of one size at a time.

    ``content`` is that of the first checkpoint, ``augmentation`` the ``scales`` and ``flip`` that are averaged over.
    """

    parse: Parse
    scores: Scores
    """They are logarithms of probabilities, or of what the post-processing makes of these."""
    mask_and_scores: MaskAndScores
    """Both of a photo, by one run."""
    labels: LabelSet
    content: Mapping[str, Any]
    augmentation: Mapping[str, Any]
    trained_on: frozenset[str] = frozenset()
    """The stems of the faces that any of them says it was trained on; older checkpoints say nothing."""

    @property
    def track(self) -> str:
        """What it was trained on, as it says of itself."""
        return str(self.content.get("track", "unknown"))

    @property
    def licence(self) -> str:
        return LICENCE

    @property
    def image_size(self) -> int:
        """The longer side, in pixels, at which the network sees a photo."""
        return int(self.content["image_size"])

    @staticmethod
    def probabilities(scores: np.ndarray) -> np.ndarray:
        """Class probabilities (n, C) float32 of n pixels' ``scores`` (n, C), as they are or interpolated."""
        return softmax(scores)


def read_checkpoints(
    paths: Sequence[Path],
    *,
    device: torch.device,
    track: str = "challenge",
    size: int | None = None,
    tta: bool = False,
    precision: str = "fp32",
    refine: Callable[[LabelSet], Refine | None] | None = None,
) -> CheckpointNetwork:
    """The networks on the device. ``size`` None is their own; ``refine`` makes the post-processing for their classes.

    Raises CheckpointError, and what ``refine`` raises.
    """
    models, content = load_networks(paths, track=track, size=size)
    labels, augmentation = label_set(content), augmentation_of(content, tta=tta)
    prepared = [prepare_model(model, device) for model in models]
    options: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "refine": None if refine is None else refine(labels),
        "image_size": content["image_size"],
        "labels": labels,
        **augmentation,
    }
    parse, scores = parse_with(prepared, **options), scores_with(prepared, **options)
    both = mask_and_scores_with(prepared, **options)
    return CheckpointNetwork(parse, scores, both, labels, content, augmentation, frozenset(content["trained_on"]))
