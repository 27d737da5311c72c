"""What a person looks at: overlays with a legend, where two masks differ, and panels of faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from face_parsing.drawing.overlays import overlay
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, LabelSet, colorize
from face_parsing.system.files import atomic_path

CELL = 256  # longest side of a picture in a panel, pixels
GAP = 8
LINE = 20
INK = (30, 30, 30)
PAPER = (255, 255, 255)
WRONG = (225, 0, 60)


def save_picture(picture: np.ndarray, path: Path) -> None:
    """Write a picture (H, W, 3) uint8 as PNG or, by path's suffix, JPEG; path is never half-written."""
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format=kind, quality=92)


def difference(
    truth: np.ndarray, prediction: np.ndarray, photo: np.ndarray | None = None, labels: LabelSet = CELEBAMASK
) -> np.ndarray:
    """Where two masks (H, W) differ, in red over a pale grey photo (H, W, 3), or over the true mask without one.

    Returns (H, W, 3) uint8. Pixels whose truth is IGNORE_INDEX cannot be wrong.
    """
    beneath = Image.fromarray(colorize(truth, labels) if photo is None else photo)
    grey = 115 + np.asarray(beneath.convert("L")) * (140 / 255)
    picture = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    picture[(truth != prediction) & (truth != IGNORE_INDEX)] = WRONG
    return picture


def _cell(picture: np.ndarray, labels: LabelSet) -> Image.Image:
    """A mask (H, W) or a picture (H, W, 3), enlarged or reduced so that its longer side is CELL pixels."""
    h, w = picture.shape[:2]
    factor = CELL / max(h, w)
    size = max(1, round(w * factor)), max(1, round(h * factor))
    if picture.ndim == 2:
        return Image.fromarray(colorize(picture, labels)).resize(size, Image.Resampling.NEAREST)
    return Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)


def _legend(width: int, labels: LabelSet, classes: Sequence[int], scale: float = 1.0) -> Image.Image:
    """The colors of classes with their names, in as many columns as width (pixels) holds."""
    font = ImageFont.load_default(size=13 * scale)
    names = [labels.names[c] for c in classes]
    gap, line, box = (round(size * scale) for size in (GAP, LINE, 13))
    step = max(round(110 * scale), round(max(font.getlength(name) for name in names)) + box + 3 * gap)
    columns = max(1, (width - gap) // step)
    rows = math.ceil(len(names) / columns)
    picture = Image.new("RGB", (max(width, step + gap), rows * line + gap), PAPER)
    draw = ImageDraw.Draw(picture)
    for i, (c, name) in enumerate(zip(classes, names, strict=True)):
        x, y = gap + i % columns * step, i // columns * line + line // 2
        draw.rectangle((x, y - box // 2, x + box, y - box // 2 + box), fill=labels.palette[c], outline=INK)
        draw.text((x + box + gap // 2 + 2, y), name, fill=INK, font=font, anchor="lm")
    return picture


def overlay_with_legend(
    photo: np.ndarray, mask: np.ndarray, alpha: float = 0.5, labels: LabelSet = CELEBAMASK
) -> np.ndarray:
    """``overlay`` above a legend of the classes, but class 0, that the mask holds; (height, width, 3) uint8."""
    picture = Image.fromarray(overlay(photo, mask, alpha, labels))
    present = [c for c in np.unique(mask).tolist() if 0 < c < len(labels)]
    if not present:
        return np.asarray(picture)
    # At the size at which the whole picture is looked at, the text is to be as large as in a panel.
    legend = _legend(picture.width, labels, present, max(1.0, picture.width / 768))
    sheet = Image.new("RGB", (legend.width, picture.height + GAP + legend.height), PAPER)
    sheet.paste(picture, ((legend.width - picture.width) // 2, 0))
    sheet.paste(legend, (0, picture.height + GAP))
    return np.asarray(sheet)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    captions: Sequence[str] | None = None,
    *,
    labels: LabelSet = CELEBAMASK,
    classes: Sequence[int] | None = None,
) -> np.ndarray:
    """A table of pictures (H, W, 3) and masks (H, W), uint8, with a title over each column.

    Returns (height, width, 3) uint8, with a caption under each row and a legend of classes (all) at the foot.
    """
    font = ImageFont.load_default(size=13)
    cells = [[_cell(picture, labels) for picture in row] for row in rows]
    legend = _legend(GAP + len(titles) * (CELL + GAP), labels, range(len(labels)) if classes is None else classes)
    caption = LINE if captions else 0
    heights = [max(cell.height for cell in row) + caption + GAP for row in cells]
    sheet = Image.new("RGB", (legend.width, LINE + GAP + sum(heights) + legend.height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((GAP + column * (CELL + GAP) + CELL // 2, LINE // 2 + 2), title, fill=INK, font=font, anchor="mm")
    y = LINE + GAP
    for i, row in enumerate(cells):
        for column, cell in enumerate(row):
            sheet.paste(cell, (GAP + column * (CELL + GAP) + (CELL - cell.width) // 2, y))
        if captions:
            draw.text((GAP, y + heights[i] - GAP - LINE // 2), captions[i], fill=INK, font=font, anchor="lm")
        y += heights[i]
    sheet.paste(legend, (0, y))
    return np.asarray(sheet)


def panel(
    photos: Sequence[np.ndarray] | None,
    truths: Sequence[np.ndarray] | None,
    predictions: Sequence[np.ndarray],
    names: Sequence[str] | None = None,
    *,
    differences: bool = False,
    labels: LabelSet = CELEBAMASK,
) -> np.ndarray:
    """One row a face: photo (H, W, 3) and truth (H, W) unless they are None, prediction (H, W); all uint8.

    With differences also where truth and prediction differ. Returns (height, width, 3) uint8 with a header, the
    faces' names under them, and a legend of the colors. Raises ValueError for sequences of different lengths.
    """
    if len({len(part) for part in (photos, truths, predictions, names) if part is not None}) != 1:
        raise ValueError("photos, truths, predictions and names must be of one length")
    shown = [(title, part) for title, part in (("image", photos), ("truth", truths)) if part is not None]
    rows = [[*(part[i] for _, part in shown), prediction] for i, prediction in enumerate(predictions)]
    titles = [*(title for title, _ in shown), "prediction"]
    if differences and truths is not None:
        titles.append("where they differ")
        for i, row in enumerate(rows):
            row.append(difference(truths[i], predictions[i], None if photos is None else photos[i], labels))
    return contact_sheet(rows, titles, names, labels=labels)


def save_panel(
    path: Path,
    photos: Sequence[np.ndarray] | None,
    truths: Sequence[np.ndarray] | None,
    predictions: Sequence[np.ndarray],
    names: Sequence[str] | None = None,
    *,
    differences: bool = False,
    labels: LabelSet = CELEBAMASK,
) -> None:
    """Write ``panel`` of the same arguments as PNG or JPEG, by path's suffix."""
    save_picture(panel(photos, truths, predictions, names, differences=differences, labels=labels), path)
