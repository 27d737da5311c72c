"""The augmentation of transforms.py for whole batches, on the device that trains.

All that is random is drawn on the CPU from (seed, epoch, index) alone, so that a pair's draw depends neither on the
rest of its batch nor on the device; torch then does the pixels. Each step means what albumentations' step does, with
OpenCV's borders, colour spaces and JPEG. Two differences are left: fractions of a level are kept until the last step,
where albumentations cuts them off after each, and positions between pixels are not rounded to 1/32.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labels import FLIP_TABLE
from runtime import mix_seeds
from transforms import BOX_RANGE, MOST_BOXES, QUALITY_RANGE, SIGMA_RANGE, STD_RANGE

UNIFORMS = 25 + 7 * MOST_BOXES
"""Numbers in [0, 1) that each pair draws, whatever becomes of it."""

GREY_WEIGHTS = (0.299, 0.587, 0.114)
TIE = 1e-4
"""Added before rounding sums of products: in which order a library adds them must not decide a tie."""
NOISE_BANK = 2**21

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


# --- the steps: images (n, 3, H, W) float in 0 to 255, one parameter a pair ---------------------------


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


# --- resizing -----------------------------------------------------------------------------------------


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


def resize_batch(images: Tensor, masks: Tensor, size: int, other_side: Tensor) -> tuple[Tensor, Tensor]:
    """``transforms.resize_pair`` for images (B, S, S, 3) and masks (B, S, S), both uint8; other_side (B, 2) bool."""
    S = masks.shape[1]
    if size == S:
        return images, masks
    weights, nearest = _resize_tensors(S, size, images.device)
    planes = images.permute(0, 3, 1, 2).float()
    resized = (weights @ planes @ weights.T).add_(0.5 + TIE).clamp_(0, 255).to(torch.uint8)
    places = torch.where(other_side[:, :, None], S - 1 - nearest.flip(0), nearest)  # (B, 2, size)
    batch = torch.arange(len(masks), device=masks.device)[:, None, None]
    return resized.permute(0, 2, 3, 1).contiguous(), masks[batch, places[:, 0, :, None], places[:, 1, None, :]]


# --- a batch ------------------------------------------------------------------------------------------


@dataclass
class Draws:
    """What a batch gets: ``rows[step]`` of it take a step, with ``values[name]``, one row each.

    ``boxes`` are (row, top, bottom, left, right), filled with ``values["fill"]``.
    """

    rows: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    boxes: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    def to(self, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Rows (int64) and values (float32) on the device, in one transfer that nobody waits for."""
        arrays = [np.asarray(array, dtype=np.float32) for array in (*self.rows.values(), *self.values.values())]
        if not arrays:
            return {}, {}
        flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays]))
        if device.type == "cuda":
            flat = flat.pin_memory().to(device, non_blocking=True)
        sizes, count = [array.size for array in arrays], len(self.rows)
        split = sum(sizes[:count])
        rows = torch.split(flat[:split].long(), sizes[:count])
        values = torch.split(flat[split:], sizes[count:])
        shaped = [value.view(array.shape) for value, array in zip(values, arrays[count:], strict=True)]
        return dict(zip(self.rows, rows, strict=True)), dict(zip(self.values, shaped, strict=True))


class BatchAugmentation:
    """``transforms.build_augmentation`` for batches on a device, with the same probabilities and strengths."""

    def __init__(
        self,
        *,
        seed: int,
        device: torch.device,
        flip: float,
        geometric: float,
        rotate: float,
        scale: tuple[float, float],
        shift: float,
        colour: float,
        colour_strength: float,
        grey: float,
        noise: float,
        occlusion: float,
        flip_table: np.ndarray = FLIP_TABLE,
    ) -> None:
        self.seed = seed
        self.device = device
        self.flip, self.geometric, self.colour, self.grey = flip, geometric, colour, grey
        self.noise, self.occlusion = noise, occlusion
        self.rotate, self.scale, self.shift, self.colour_strength = rotate, scale, shift, colour_strength
        k, n = np.arange(8)[:, None], np.arange(8)
        dct = np.cos((2 * n + 1) * k * np.pi / 16) / 2
        dct[0] /= np.sqrt(2)
        bank = np.random.default_rng(0).standard_normal(NOISE_BANK, dtype=np.float32)
        self._flip_table = torch.from_numpy(flip_table.copy()).to(device)
        self._dct = torch.from_numpy(dct.astype(np.float32)).to(device)
        self._tables = torch.tensor([LUMA_TABLE, CHROMA_TABLE], dtype=torch.float32).to(device)
        self._bank = torch.from_numpy(bank).to(device)

    def draw(self, keys: Sequence[tuple[int, int, int]]) -> Draws:
        """The draws of pairs (epoch, index, image size), all of one size."""
        size = keys[0][2]
        uniform = np.stack(
            [np.random.default_rng(mix_seeds(self.seed, epoch, index, 4)).random(UNIFORMS) for epoch, index, _ in keys]
        )
        columns = iter(uniform.T)  # each pair's numbers, in this order for ever
        draws = Draws()
        self._draw_geometry(draws, [next(columns) for _ in range(6)], size)
        self._draw_colour(draws, [next(columns) for _ in range(9)])

        def rows_of(name: str, probability: float) -> np.ndarray:
            rows = np.flatnonzero(next(columns) < probability)
            if len(rows):
                draws.rows[name] = rows
            return rows

        rows_of("grey", self.grey)
        rows = rows_of("blur", self.noise / 2)
        sigma = _between(next(columns)[rows], *SIGMA_RANGE)
        if len(rows):
            draws.values["kernel"] = _kernels(sigma)
        rows = rows_of("noise", self.noise)
        std, offset = next(columns)[rows], next(columns)[rows]
        if len(rows):
            draws.values["std"] = 255 * _between(std, *STD_RANGE)
            draws.values["offset"] = np.floor(offset * NOISE_BANK)
        rows = rows_of("jpeg", self.noise / 2)
        lowest, highest = QUALITY_RANGE
        quality = np.floor(_between(next(columns)[rows], lowest, highest + 1))
        if len(rows):
            draws.values["jpeg"] = np.where(quality < 50, 5000 // np.maximum(quality, 1), 200 - 2 * quality)
        self._draw_boxes(draws, list(columns), size)
        return draws

    def _draw_geometry(self, draws: Draws, columns: list[np.ndarray], size: int) -> None:
        mirrored, moved = columns[0] < self.flip, columns[1] < self.geometric
        if mirrored.any():
            draws.rows["flip"] = np.flatnonzero(mirrored)
        if not (mirrored | moved).any():
            return
        angle = np.where(moved, np.deg2rad(_between(columns[2], -self.rotate, self.rotate)), 0)
        scale = np.where(moved, _between(columns[3], *self.scale), 1)
        shift = [np.where(moved, np.trunc(_between(u, -self.shift, self.shift) * size), 0) for u in columns[4:]]
        draws.values["matrix"] = sampling_matrices(angle, scale, np.stack(shift, 1), mirrored, size)

    def _draw_colour(self, draws: Draws, columns: list[np.ndarray]) -> None:
        chosen = columns[0] < self.colour
        if not chosen.any():
            return
        s = self.colour_strength
        factors = [np.where(chosen, _between(u, 1 - s, 1 + s), 1) for u in columns[1:4]]
        hue = np.where(chosen, _between(columns[4], -s / 10, s / 10), 0)
        order = np.argsort(np.stack(columns[5:9], 1), 1)
        draws.values |= colour_values(np.stack(factors, 1), order)
        for place in range(4):
            rows = np.flatnonzero(chosen & (order[:, place] == HUE) & (hue != 0))
            if len(rows):
                draws.rows[f"hue {place}"] = rows
                draws.values[f"hue {place}"] = hue[rows]

    def _draw_boxes(self, draws: Draws, columns: list[np.ndarray], size: int) -> None:
        rows = np.flatnonzero(columns[0] < self.occlusion)
        counts = 1 + np.floor(columns[1] * MOST_BOXES).astype(int)
        numbers = np.stack(columns[2:], 1).reshape(-1, MOST_BOXES, 7)
        fills = []
        for row in rows:
            for h, w, y, x, *fill in numbers[row, : counts[row]]:
                height, width = (int(_between(u, *BOX_RANGE) * size) for u in (h, w))
                top, left = int(y * (size - height + 1)), int(x * (size - width + 1))
                draws.boxes.append((int(row), top, top + height, left, left + width))
                fills.append(np.floor(np.asarray(fill) * 256))
        if fills:
            draws.values["fill"] = np.stack(fills)

    def __call__(self, images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Images (B, S, S, 3) and masks (B, S, S), uint8 on the device, to their augmented copies."""
        rows, values = draws.to(self.device)
        x = images.permute(0, 3, 1, 2).float()
        if "matrix" in values:
            x, masks = warp(x, masks, values["matrix"])
        if "flip" in rows:
            swapped = self._flip_table[masks.index_select(0, rows["flip"]).long()]
            masks = masks.index_copy(0, rows["flip"], swapped)
        for place in range(4) if "own" in values else ():
            if f"hue {place}" in rows:
                chosen = rows[f"hue {place}"]
                x.index_copy_(0, chosen, shift_hue(x.index_select(0, chosen), values[f"hue {place}"]))
            x = mix_grey(x, *(values[name][:, place] for name in ("own", "grey", "mean")))
        if "grey" in rows:
            chosen = rows["grey"]
            luminance = grey_of(x.index_select(0, chosen))
            x.index_copy_(0, chosen, luminance[:, None].expand(-1, 3, -1, -1))
        if "blur" in rows:
            x.index_copy_(0, rows["blur"], blur(x.index_select(0, rows["blur"]), values["kernel"]))
        if "noise" in rows:
            noisy = add_noise(x.index_select(0, rows["noise"]), values["std"], values["offset"], self._bank)
            x.index_copy_(0, rows["noise"], noisy)
        if "jpeg" in rows:
            compressed = compress(x.index_select(0, rows["jpeg"]), values["jpeg"], self._tables, self._dct)
            x.index_copy_(0, rows["jpeg"], compressed)
        done = torch.empty(images.shape, dtype=torch.uint8, device=images.device)
        done.permute(0, 3, 1, 2).copy_(x.add_(0.5))
        if draws.boxes:
            fill = values["fill"].to(torch.uint8)
            for i, (row, top, bottom, left, right) in enumerate(draws.boxes):
                done[row, top:bottom, left:right] = fill[i]
        return done, masks


BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def _between(uniform: np.ndarray, low: float, high: float) -> np.ndarray:
    return low + (high - low) * uniform


def sampling_matrices(
    angle: np.ndarray, scale: np.ndarray, shift: np.ndarray, mirrored: np.ndarray, size: int
) -> np.ndarray:
    """What ``warp`` takes, (n, 2, 3): a flip where mirrored, then a turn counter-clockwise, a scale, and a shift.

    angle (n,) in radians, scale (n,), shift (n, 2) in pixels to the right and down, mirrored (n,).
    """
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    linear = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)  # (n, 2, 2), from target to source
    offset = -np.einsum("nij,nj->ni", linear, shift * (2 / max(size - 1, 1)))
    matrices = np.concatenate([linear, offset[:, :, None]], 2)
    matrices[mirrored, 0] *= -1
    return matrices


def colour_values(factors: np.ndarray, order: np.ndarray) -> dict[str, np.ndarray]:
    """The arguments (n, 4) of four ``mix_grey`` that do brightness, contrast and saturation (n, 3) in order (n, 4).

    Where it is the turn of the hue, they change nothing.
    """
    factor = np.take_along_axis(np.column_stack([factors, np.ones(len(factors))]), order, 1)
    return {
        "own": factor,
        "grey": np.where(order == SATURATION, 1 - factor, 0),
        "mean": np.where(order == CONTRAST, 1 - factor, 0),
    }


def _kernels(sigma: np.ndarray) -> np.ndarray:
    """Halves (n, R + 1) of Gaussian kernels, each as wide as PIL and albumentations make it."""
    radius = (sigma * 3.5).astype(int)
    k = np.arange(radius.max() + 1)
    half = np.where(k <= radius[:, None], np.exp(-0.5 * (k / sigma[:, None]) ** 2), 0)
    return half / (2 * half.sum(1) - half[:, 0])[:, None]
