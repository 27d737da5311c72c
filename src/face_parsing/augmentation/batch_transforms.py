"""The augmentation of transforms.py for whole batches, on the device that trains.

All that is random is drawn on the CPU from (seed, epoch, index) alone, so that a pair's draw depends neither on the
rest of its batch nor on the device; torch then does the pixels. Each step means what albumentations' step does, with
OpenCV's borders, color spaces and JPEG. Two differences are left: fractions of a level are kept until the last step,
where albumentations cuts them off after each, and positions between pixels are not rounded to 1/32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from face_parsing.augmentation.image_ops import (
    CHROMA_TABLE,
    LUMA_TABLE,
    add_noise,
    blur,
    blur_kernels,
    compress,
    grey_of,
    mix_grey,
    shift_hue,
    warp,
)
from face_parsing.augmentation.transforms import BOX_RANGE, MOST_BOXES, QUALITY_RANGE, SIGMA_RANGE, STD_RANGE
from face_parsing.labels import FLIP_TABLE
from face_parsing.system.seeds import Stream, mix_seeds

UNIFORMS = 25 + 7 * MOST_BOXES
"""Numbers in [0, 1) that each pair draws, whatever becomes of it."""

NOISE_BANK = 2**21


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
        color: float,
        color_strength: float,
        grey: float,
        noise: float,
        occlusion: float,
        flip_table: np.ndarray = FLIP_TABLE,
    ) -> None:
        self.seed = seed
        self.device = device
        self.flip, self.geometric, self.color, self.grey = flip, geometric, color, grey
        self.noise, self.occlusion = noise, occlusion
        self.rotate, self.scale, self.shift, self.color_strength = rotate, scale, shift, color_strength
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
            [
                np.random.default_rng(mix_seeds(self.seed, epoch, index, Stream.DEVICE_AUGMENTATION)).random(UNIFORMS)
                for epoch, index, _ in keys
            ]
        )
        columns = iter(uniform.T)  # each pair's numbers, in this order for ever
        draws = Draws()
        self._draw_geometry(draws, [next(columns) for _ in range(6)], size)
        self._draw_color(draws, [next(columns) for _ in range(9)])

        def rows_of(name: str, probability: float) -> np.ndarray:
            rows = np.flatnonzero(next(columns) < probability)
            if len(rows):
                draws.rows[name] = rows
            return rows

        rows_of("grey", self.grey)
        rows = rows_of("blur", self.noise / 2)
        sigma = _between(next(columns)[rows], *SIGMA_RANGE)
        if len(rows):
            draws.values["kernel"] = blur_kernels(sigma)
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

    def _draw_color(self, draws: Draws, columns: list[np.ndarray]) -> None:
        chosen = columns[0] < self.color
        if not chosen.any():
            return
        s = self.color_strength
        factors = [np.where(chosen, _between(u, 1 - s, 1 + s), 1) for u in columns[1:4]]
        hue = np.where(chosen, _between(columns[4], -s / 10, s / 10), 0)
        order = np.argsort(np.stack(columns[5:9], 1), 1)
        draws.values |= color_values(np.stack(factors, 1), order)
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


def color_values(factors: np.ndarray, order: np.ndarray) -> dict[str, np.ndarray]:
    """The arguments (n, 4) of four ``mix_grey`` that do brightness, contrast and saturation (n, 3) in order (n, 4).

    Where it is the turn of the hue, they change nothing.
    """
    factor = np.take_along_axis(np.column_stack([factors, np.ones(len(factors))]), order, 1)
    return {
        "own": factor,
        "grey": np.where(order == SATURATION, 1 - factor, 0),
        "mean": np.where(order == CONTRAST, 1 - factor, 0),
    }
