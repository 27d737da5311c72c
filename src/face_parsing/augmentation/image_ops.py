"""Image operations on whole batches: color, blur, noise, JPEG and resizing, on any device."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GREY_WEIGHTS = (0.299, 0.587, 0.114)
TIE = 1e-4
"""Added before rounding sums of products: in which order a library adds them must not decide a tie."""

# The example tables of the JPEG standard (ITU-T T.81, Annex K), which libjpeg uses.
LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *(((99,) * 8,) * 4),
)  # fmt: skip


def warp(images: Tensor, masks: Tensor, matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Images (n, 3, H, W) linearly and masks (n, H, W) by nearest at the positions ``matrices`` (n, 2, 3) map to.

    Positions run from -1 to 1 between the centres of the outer pixels; beyond, the picture is its own reflection.
    """
    H, W = masks.shape[1:]
    x = torch.linspace(-1, 1, W, device=images.device)
    y = torch.linspace(-1, 1, H, device=images.device)
    # Sums, not a matrix product, which a GPU may round to ten bits.
    grid = (x[None, :, None] * matrices[:, None, :, 0])[:, None] + (
        y[None, :, None] * matrices[:, None, :, 1] + matrices[:, None, :, 2]
    )[:, :, None]  # (n, H, W, 2)
    moved = F.grid_sample(images, grid, "bilinear", "reflection", align_corners=True)
    ids = F.grid_sample(masks[:, None].float(), grid, "nearest", "reflection", align_corners=True)
    return moved.round_(), ids[:, 0].to(torch.uint8)


def grey_of(images: Tensor) -> Tensor:
    """The luminance (n, H, W) of images (n, 3, H, W)."""
    r, g, b = images.unbind(1)
    return (r * GREY_WEIGHTS[0]).add_(g, alpha=GREY_WEIGHTS[1]).add_(b, alpha=GREY_WEIGHTS[2])


def mix_grey(images: Tensor, own: Tensor, grey: Tensor, mean: Tensor) -> Tensor:
    """``own`` times the image plus ``grey`` times its luminance plus ``mean`` times the mean of that, each (n,).

    Brightness is (f, 0, 0), saturation (f, 1 - f, 0), contrast (f, 0, 1 - f).
    """
    luminance = grey_of(images)
    offset = mean * luminance.mean((1, 2), dtype=torch.float64).float()
    luminance.mul_(grey[:, None, None]).add_(offset[:, None, None])
    return torch.addcmul(luminance[:, None], images, own[:, None, None, None]).clamp_(0, 255)


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Images with their hue turned by shift (n,) rounds, in OpenCV's HSV of bytes: 180 hues, 255 saturations."""
    r, g, b = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    sixth = torch.where(value == g, (b - r).add_(chroma, alpha=2), (r - g).add_(chroma, alpha=4))
    sixth = torch.where(value == r, g - b, sixth).div_(chroma.clamp(min=1e-6))
    hue = sixth.mul_(30).round_().add_(180 * shift[:, None, None]).remainder_(180).floor_()
    saturation = chroma.mul_(255).div_(value.clamp(min=1e-6)).round_()
    # Red, green and blue each fall away from the value by how far the hue is from theirs.
    place = 5 - 2 * torch.arange(3, device=images.device)[:, None, None]  # made there: a copy would be waited for
    distance = (hue.div_(30)[:, None] + place).remainder_(6)
    distance = torch.minimum(distance, 4 - distance).clamp_(0, 1)
    return torch.addcmul(value[:, None], saturation.mul_(value).div_(255)[:, None], distance, value=-1)


def blur(images: Tensor, kernel: Tensor) -> Tensor:
    """Images blurred along both axes by symmetric kernels (n, R + 1), given from their centre outwards."""
    R = kernel.shape[1] - 1
    weights = kernel[:, :, None, None, None]  # (n, R + 1, 1, 1, 1)
    for axis, border in ((3, (R, R, 0, 0)), (2, (0, 0, R, R))):
        size = images.shape[axis]
        padded = F.pad(images, border, mode="reflect")
        images = images * weights[:, 0]
        for k in range(1, R + 1):
            both = padded.narrow(axis, R - k, size) + padded.narrow(axis, R + k, size)
            images.addcmul_(both, weights[:, k])
    return images


def add_noise(images: Tensor, std: Tensor, offset: Tensor, bank: Tensor) -> Tensor:
    """Images with Gaussian noise of std (n,) levels, of half their size and enlarged, taken from the bank at offset."""
    n, C, H, W = images.shape
    shape = (n, C, max(H // 2, 1), max(W // 2, 1))
    index = offset.long()[:, None] + torch.arange(shape[1] * shape[2] * shape[3], device=images.device)
    noise = bank[index.remainder_(len(bank))].view(shape)
    noise = F.interpolate(noise, size=(H, W), mode="bilinear", align_corners=False)
    return torch.addcmul(images, noise, std[:, None, None, None]).clamp_(0, 255)


def _through_dct(planes: Tensor, table: Tensor, dct: Tensor) -> Tensor:
    """Planes (n, H, W) with the DCT of each 8 x 8 block rounded to multiples of table (n, 8, 8)."""
    n, H, W = planes.shape
    blocks = planes.view(n, H // 8, 8, W // 8, 8).transpose(2, 3)  # (n, H / 8, W / 8, 8, 8)
    steps = table[:, None, None]
    coefficients = (dct @ blocks @ dct.T).div_(steps).add_(0.5 + TIE).floor_().mul_(steps)
    return (dct.T @ coefficients @ dct).transpose(2, 3).reshape(n, H, W)


def compress(images: Tensor, scale: Tensor, tables: Tensor, dct: Tensor) -> Tensor:
    """Images after JPEG, chroma halved, with ``tables`` (2, 8, 8) in per cent scale (n,).

    Albumentations hands OpenCV red for blue, and so takes the luminance; so does this.
    """
    H, W = images.shape[2:]
    b, g, r = F.pad(images.round(), (0, -W % 16, 0, -H % 16), mode="replicate").unbind(1)
    luma = (0.299 * r + 0.587 * g + 0.114 * b).round_().sub_(128)
    chroma = torch.stack([0.5 * b - 0.331264 * g - 0.168736 * r, 0.5 * r - 0.418688 * g - 0.081312 * b], 1).round_()
    chroma = F.avg_pool2d(chroma, 2).add_(0.5 + TIE).floor_()  # (n, 2, H / 2, W / 2)
    steps = (tables[:, None] * scale[:, None, None]).add_(50).div_(100).floor_().clamp_(1, 255)  # (2, n, 8, 8)
    luma = _through_dct(luma, steps[0], dct)
    chroma = _through_dct(chroma.flatten(0, 1), steps[1].repeat_interleave(2, 0), dct).view_as(chroma)
    chroma = F.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)
    cb, cr = chroma.unbind(1)
    decoded = torch.stack([luma + 1.772 * cb, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.402 * cr], 1)
    return decoded[:, :, :H, :W].add(128).clamp_(0, 255)


def resize_weights(source: int, size: int) -> np.ndarray:
    """How much each of ``source`` pixels of a row counts in each of ``size``, (size, source): by area or linearly."""
    edges = np.arange(size + 1) * (source / size)
    pixels = np.arange(source)
    if source > size:
        low = np.maximum(edges[:-1, None], pixels)
        high = np.minimum(edges[1:, None], pixels + 1)
        overlap: np.ndarray = np.maximum(high - low, 0)
        return overlap / overlap.sum(1, keepdims=True)
    centres = np.clip((edges[:-1] + edges[1:]) / 2 - 0.5, 0, source - 1)
    return np.maximum(1 - np.abs(centres[:, None] - pixels), 0)


@functools.lru_cache(maxsize=8)  # one a stage: a copy to the device would be waited for
def _resize_tensors(source: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    step = ((source << 16) + size // 2) // size  # OpenCV counts in 1/65536 of a pixel
    nearest = (step * np.arange(size) + step // 2 - source % 2) >> 16
    weights = resize_weights(source, size).astype(np.float32)
    return torch.from_numpy(weights).to(device), torch.from_numpy(nearest).to(device)


def resize_batch(images: Tensor, masks: Tensor, size: int, rounding: Tensor) -> tuple[Tensor, Tensor]:
    """``data.pairs.resize_pair`` for images (B, S, S, 3) and masks (B, S, S), both uint8; rounding (B, 2) bool."""
    S = masks.shape[1]
    if size == S:
        return images, masks
    weights, nearest = _resize_tensors(S, size, images.device)
    planes = images.permute(0, 3, 1, 2).float()
    resized = (weights @ planes @ weights.T).add_(0.5 + TIE).clamp_(0, 255).to(torch.uint8)
    places = torch.where(rounding[:, :, None], S - 1 - nearest.flip(0), nearest)  # (B, 2, size)
    batch = torch.arange(len(masks), device=masks.device)[:, None, None]
    return resized.permute(0, 2, 3, 1).contiguous(), masks[batch, places[:, 0, :, None], places[:, 1, None, :]]


def blur_kernels(sigma: np.ndarray) -> np.ndarray:
    """Halves (n, R + 1) of Gaussian kernels, each as wide as PIL and albumentations make it."""
    radius = (sigma * 3.5).astype(int)
    k = np.arange(radius.max() + 1)
    half = np.where(k <= radius[:, None], np.exp(-0.5 * (k / sigma[:, None]) ** 2), 0)
    return half / (2 * half.sum(1) - half[:, 0])[:, None]
