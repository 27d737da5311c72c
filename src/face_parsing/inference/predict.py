"""From a photo's pixels to its mask, in torch: shared by validation, checkpoints and a submission.

A photo is brought to the network's size and normalised. The logits, or the mean probabilities where several are
averaged, are brought back to the photo's own size, and the largest one wins. ONNX files go through
``onnx_network.py``. It needs torch alone and is copied as it is into a submission's ``run.py``.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.sizes import network_size

# Of ImageNet's photos, RGB, for pixels from 0 to 1. Any fixed numbers of this size would do.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

STRIP_ELEMENTS = {"cpu": 2**22, "cuda": 2**26}  # values at full size that are held at a time, at most
UNDECIDED = 255  # no class has this id


@functools.cache
def _mean_and_std(device: torch.device) -> tuple[Tensor, Tensor]:
    """For pixels from 0 to 255, (1, 3, 1, 1); cached, because sending them would make a GPU wait at every call."""
    mean, std = (torch.tensor(values, device=device).mul(255).view(1, 3, 1, 1) for values in (MEAN, STD))
    return mean, std


def normalize(photos: Tensor) -> Tensor:
    """Photos (B, H, W, 3) uint8 to what a network takes: (B, 3, H, W) float32, channels last in memory."""
    mean, std = _mean_and_std(photos.device)
    return photos.permute(0, 3, 1, 2).float().sub_(mean).div_(std)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """x (B, C, h, w) at size, smoothed first where it shrinks."""
    if tuple(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)


def predict_probabilities(
    models: Sequence[nn.Module],
    photos: Tensor,
    *,
    image_size: int,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    labels: LabelSet = CELEBAMASK,
) -> Tensor:
    """Class probabilities (B, C, h, w) float32 of photos (B, H, W, 3) uint8, where h, w is their network_size.

    The mean over the models (in evaluation mode, on the photos' device), over the scales times image_size
    and, with flip, over the photo and its mirror image, whose left and right classes are swapped back.
    """
    H, W = photos.shape[1:3]
    base = network_size(H, W, image_size)
    total: Tensor | None = None
    with torch.no_grad():
        images = normalize(photos)
        for scale in scales:
            inputs = _resize(images, network_size(H, W, round(image_size * scale)))
            for model in models:
                probabilities = model(inputs).float().softmax(1)
                if flip:
                    mirrored = model(inputs.flip(3)).float().softmax(1)
                    probabilities = (probabilities + mirrored.flip(3)[:, list(labels.flipped_ids)]) / 2
                probabilities = _resize(probabilities, base)
                total = probabilities if total is None else total + probabilities
    assert total is not None, "there must be a model and a scale"
    return total / (len(scales) * len(models))


def _places(size: int, source: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Between which two of ``source`` pixels each of ``size`` lies, and how far from the first to the second."""
    place = ((torch.arange(size, dtype=torch.float64) + 0.5) * (source / size) - 0.5).clamp(0, source - 1)
    first = place.floor()
    second = (first + 1).clamp(max=source - 1)
    return first.long().to(device), second.long().to(device), (place - first).float().to(device)


def largest_class(scores: Tensor, size: tuple[int, int], *, strip_elements: int | None = None) -> Tensor:
    """Masks (B, H, W) uint8 of scores (B, C, h, w), brought to size (H, W) bilinearly; ties go to the lower id.

    A class that is the largest at all four pixels around a place is so there too. Scores are interpolated at the other
    places alone, which are few in a face; in strips of rows, since they may be all of a photo of 6000x8000, and C maps
    of that size too many. Every pixel is computed by itself: the strips change nothing.
    """
    B, C, h, w = scores.shape
    H, W = size
    best = scores.max(1).indices.to(torch.uint8)
    if (h, w) == size:
        return best
    pixels = scores.permute(0, 2, 3, 1)
    below = torch.cat([best[:, 1:], best[:, -1:]], 1)
    same = best == below
    for maps in (best, below):
        same &= best == torch.cat([maps[:, :, 1:], maps[:, :, -1:]], 2)
    decided = torch.where(same, best, UNDECIDED)
    top, bottom, down = _places(H, h, scores.device)
    left, right, across = _places(W, w, scores.device)
    masks = torch.empty(B, H, W, dtype=torch.uint8, device=scores.device)
    count = max(1, (strip_elements or STRIP_ELEMENTS[scores.device.type]) // (B * W * C))
    for start in range(0, H, count):
        strip = decided.index_select(1, top[start : start + count]).index_select(2, left)
        n, y, x = (strip == UNDECIDED).nonzero(as_tuple=True)
        row = y + start
        first, second = (
            torch.lerp(pixels[n, top[row], column], pixels[n, bottom[row], column], down[row][:, None])
            for column in (left[x], right[x])
        )
        strip[n, y, x] = torch.lerp(first, second, across[x][:, None]).argmax(1).to(torch.uint8)
        masks[:, start : start + count] = strip
    return masks


def predict_masks(
    models: Sequence[nn.Module],
    photos: Tensor,
    *,
    image_size: int,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    output_size: tuple[int, int] | None = None,
    labels: LabelSet = CELEBAMASK,
) -> Tensor:
    """Masks (B, H, W) uint8 of photos (B, H, W, 3) uint8, at their size or at output_size (height, width).

    The other arguments are those of predict_probabilities.
    """
    height, width = photos.shape[1:3]
    H, W = output_size or (height, width)
    if len(models) == 1 and tuple(scales) == (1.0,) and not flip:
        # Nothing is averaged: the largest logit is as good an answer, and probabilities take their time.
        with torch.no_grad():
            logits = models[0](_resize(normalize(photos), network_size(height, width, image_size))).float()
            return largest_class(logits, (H, W))
    probabilities = predict_probabilities(
        models, photos, image_size=image_size, scales=scales, flip=flip, labels=labels
    )
    return largest_class(probabilities, (H, W))


def fuse_conv_bn(model: nn.Module) -> nn.Module:
    """A copy of a model in evaluation mode, in which each BatchNorm right behind a convolution is part of it.

    Only neighbours in an ``nn.Sequential`` are known to follow each other. The copy predicts the same to rounding,
    faster, and is neither to be trained nor saved: its parameters have other names and values.
    """
    fused = copy.deepcopy(model)
    for module in list(fused.modules()):
        if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward:
            continue
        for i, (conv, norm) in enumerate(pairwise(list(module))):
            # The very classes: a subclass may do more, such as timm's BatchNorm with an activation inside.
            if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.running_mean is not None:
                module[i], module[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return fused


def prepare_model(model: nn.Module, device: torch.device) -> nn.Module:
    """What predicts: a faster copy of the model, which is itself put on the device and into evaluation mode.

    Both have the memory layout that convolutions are fastest in; the copy has no BatchNorm left where it can be so.
    """
    model.to(device).to(memory_format=torch.channels_last).eval()
    return fuse_conv_bn(model).to(memory_format=torch.channels_last)


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """float32 without TF32 and without trying out kernels, so that a GPU gives one photo one mask each time."""
    cudnn: Any = torch.backends.cudnn
    places: tuple[Any, ...] = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)  # as torch 2.9 and later name them
    before = [place.fp32_precision for place in places]
    benchmark, deterministic = cudnn.benchmark, cudnn.deterministic
    try:
        for place in places:
            place.fp32_precision = "ieee"
        cudnn.benchmark, cudnn.deterministic = False, True
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision
        cudnn.benchmark, cudnn.deterministic = benchmark, deterministic


def parse_photos(
    models: Sequence[nn.Module],
    photos: Sequence[np.ndarray],
    *,
    image_size: int,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    labels: LabelSet = CELEBAMASK,
    device: torch.device,
) -> np.ndarray:
    """Masks (B, H, W) uint8 of photos of one size, each (H, W, 3) uint8, exact in float32; else as predict_masks."""
    batch = torch.from_numpy(np.stack(photos)).to(device)
    with exact_arithmetic():
        masks = predict_masks(models, batch, image_size=image_size, scales=scales, flip=flip, labels=labels)
    return masks.cpu().numpy()
