"""What a person looks at: masks in colour, overlays, panels of faces, and the curves of a training."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from labels import CLASS_NAMES, NUM_CLASSES, PALETTE, colourize, palette_bytes
from runtime import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL = 256  # longest side of a picture in a panel, pixels
GAP = 8
LINE = 20
INK = (30, 30, 30)
PAPER = (255, 255, 255)


# --- single pictures ------------------------------------------------------------------------------


def save_picture(picture: np.ndarray, path: Path) -> None:
    """Write a picture (H, W, 3) uint8 as PNG or, by path's suffix, JPEG; path is never half-written."""
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format=kind, quality=92)


def save_mask(mask: np.ndarray, path: Path) -> None:
    """Write class ids (H, W) uint8 as a PNG of mode P: ids when read, the usual colours when looked at."""
    picture = Image.fromarray(mask)
    picture.putpalette(palette_bytes())
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def overlay(photo: np.ndarray, mask: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """The photo (H, W, 3) uint8 under the colours of mask (H, W), alpha parts of them; background is left as it is."""
    # Imported here: it takes a second, which who wants masks alone need not wait.
    from torchvision.utils import draw_segmentation_masks

    classes = torch.arange(1, NUM_CLASSES)[:, None, None] == torch.from_numpy(mask)  # (18, H, W)
    image = torch.from_numpy(photo).permute(2, 0, 1)
    drawn = draw_segmentation_masks(image, classes, alpha=alpha, colors=list(PALETTE[1:]))
    return drawn.permute(1, 2, 0).numpy()


# --- panels ---------------------------------------------------------------------------------------


def _cell(picture: np.ndarray, resample: Image.Resampling) -> Image.Image:
    """The picture enlarged or reduced so that its longer side is CELL pixels."""
    h, w = picture.shape[:2]
    factor = CELL / max(h, w)
    return Image.fromarray(picture).resize((max(1, round(w * factor)), max(1, round(h * factor))), resample)


def _legend(width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    """The 19 colours with their names, in as many columns as width (pixels) holds."""
    columns = max(1, (width - GAP) // 110)
    rows = math.ceil(len(CLASS_NAMES) / columns)
    picture = Image.new("RGB", (width, rows * LINE + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for i, (name, colour) in enumerate(zip(CLASS_NAMES, PALETTE, strict=True)):
        x, y = GAP + i % columns * 110, i // columns * LINE
        draw.rectangle((x, y + 3, x + 13, y + 16), fill=colour, outline=INK)
        draw.text((x + 19, y + LINE // 2), name, fill=INK, font=font, anchor="lm")
    return picture


def panel(
    photos: Sequence[np.ndarray] | None,
    truths: Sequence[np.ndarray] | None,
    predictions: Sequence[np.ndarray],
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """One row a face: photo (H, W, 3) and truth (H, W) unless they are None, prediction (H, W); all uint8.

    Returns (height, width, 3) uint8 with a header, the faces' names under them, and a legend of the colours.
    Raises ValueError for sequences of different lengths.
    """
    if len({len(part) for part in (photos, truths, predictions, names) if part is not None}) != 1:
        raise ValueError("photos, truths, predictions and names must be of one length")
    columns = ["image"] * (photos is not None) + ["truth"] * (truths is not None) + ["prediction"]
    font = ImageFont.load_default(size=13)
    rows: list[list[Image.Image]] = []
    for i, prediction in enumerate(predictions):
        masks = [prediction] if truths is None else [truths[i], prediction]
        cells = [] if photos is None else [_cell(photos[i], Image.Resampling.BILINEAR)]
        rows.append(cells + [_cell(colourize(mask), Image.Resampling.NEAREST) for mask in masks])
    width = GAP + len(columns) * (CELL + GAP)
    legend = _legend(width, font)
    caption = LINE if names else 0
    heights = [max(cell.height for cell in cells) + caption + GAP for cells in rows]
    sheet = Image.new("RGB", (width, LINE + GAP + sum(heights) + legend.height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(columns):
        draw.text((GAP + column * (CELL + GAP) + CELL // 2, LINE // 2 + 2), title, fill=INK, font=font, anchor="mm")
    y = LINE + GAP
    for i, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            sheet.paste(cell, (GAP + column * (CELL + GAP) + (CELL - cell.width) // 2, y))
        if names:
            draw.text((GAP, y + heights[i] - GAP - LINE // 2), names[i], fill=INK, font=font, anchor="lm")
        y += heights[i]
    sheet.paste(legend, (0, y))
    return np.asarray(sheet)


def save_panel(
    path: Path,
    photos: Sequence[np.ndarray] | None,
    truths: Sequence[np.ndarray] | None,
    predictions: Sequence[np.ndarray],
    names: Sequence[str] | None = None,
) -> None:
    """Write ``panel`` of the same arguments as PNG or JPEG, by path's suffix."""
    save_picture(panel(photos, truths, predictions, names), path)


# --- curves ---------------------------------------------------------------------------------------


def _read_columns(history_csv: Path) -> dict[str, list[float]]:
    """The columns of a CSV file of numbers; an empty field is nan. Raises ValueError without a row."""
    with history_csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{history_csv} holds no validation yet, so there are no curves to draw.")
    return {name: [float(row[name] or "nan") for row in rows] for name in rows[0] if name is not None}


def _lines(axes: Axes, columns: dict[str, list[float]], names: Sequence[str]) -> None:
    for name in names:
        # Epochs without a value, as of a term that was switched on later, leave a gap and no zero.
        axes.plot(columns["epoch"], columns[name], label=name, marker=".", markersize=3, linewidth=1.2)
    axes.grid(alpha=0.3)
    if names:
        axes.legend(fontsize=8)


def plot_history(history_csv: Path, folder: Path) -> None:
    """Draw a run's history into folder/training_loss.png and folder/f_score.png.

    The first shows every column whose name starts with ``loss`` and, below, the learning rate; the second the
    columns that start with ``f_score``, with a dashed line wherever the image size changes. Raises ValueError
    for a history without a row.
    """
    # Only a training draws curves, and matplotlib takes half a second to import.
    from matplotlib.figure import Figure

    columns = _read_columns(history_csv)
    figure = Figure(figsize=(8, 6), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    _lines(upper, columns, [name for name in columns if name.startswith("loss")])
    upper.set_ylabel("training loss")
    lower.plot(columns["epoch"], columns["lr"], color="grey", linewidth=1.2)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("epoch")
    lower.grid(alpha=0.3)
    with atomic_path(folder / "training_loss.png") as temporary:
        figure.savefig(temporary, format="png")

    figure = Figure(figsize=(8, 5), dpi=110, layout="constrained")
    axes = figure.subplots()
    sizes = columns["image_size"]
    for before, after, epoch in zip(sizes[:-1], sizes[1:], columns["epoch"][1:], strict=True):
        if before != after:
            axes.axvline(epoch, color="grey", linestyle="--", linewidth=1)
            where = ("data", "axes fraction")
            axes.annotate(f" {after:.0f} px", (epoch, 0.01), xycoords=where, fontsize=8, color="grey")
    _lines(axes, columns, [name for name in columns if name.startswith("f_score")])
    axes.set_ylabel("F-Score on the validation set")
    axes.set_xlabel("epoch")
    with atomic_path(folder / "f_score.png") as temporary:
        figure.savefig(temporary, format="png")
