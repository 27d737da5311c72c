"""Figures with axes: the curves of a training, the curves of several, and a confusion matrix."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from face_parsing.config.renamed import current_figure
from face_parsing.system.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")
SHOWN_RANGE = 0.2  # of F-Scores, below the weakest run's best one, that curves of several runs show


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())


def read_columns(history_csv: Path) -> dict[str, list[float]]:
    """The columns of a CSV file of numbers; an empty field is nan. Raises ValueError without a row."""
    with history_csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{history_csv} holds no validation yet, so there are no curves to draw.")
    # Runs of earlier versions call a column by its old name.
    names = {name: current_figure(name) for name in rows[0] if name is not None}
    return {new: [float(row[name] or "nan") for row in rows] for name, new in names.items()}


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
    columns that start with ``f_score``, with a dashed line wherever the image size changes; without such columns
    there is none. Raises ValueError for a history without a row.
    """
    # Only a training draws curves, and matplotlib takes half a second to import.
    from matplotlib.figure import Figure

    columns = read_columns(history_csv)
    figure = Figure(figsize=(8, 6), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    _lines(upper, columns, [name for name in columns if name.startswith("loss")])
    upper.set_ylabel("training loss")
    lower.plot(columns["epoch"], columns["lr"], color="grey", linewidth=1.2)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("epoch")
    lower.grid(alpha=0.3)
    _save(figure, folder / "training_loss.png")

    scores = [name for name in columns if name.startswith("f_score")]
    if not scores:
        return
    figure = Figure(figsize=(8, 5), dpi=110, layout="constrained")
    axes = figure.subplots()
    sizes = columns["image_size"]
    for before, after, epoch in zip(sizes[:-1], sizes[1:], columns["epoch"][1:], strict=True):
        if before != after:
            axes.axvline(epoch, color="grey", linestyle="--", linewidth=1)
            where = ("data", "axes fraction")
            axes.annotate(f" {after:.0f} px", (epoch, 0.01), xycoords=where, fontsize=8, color="grey")
    _lines(axes, columns, scores)
    axes.set_ylabel("F-Score on the validation set")
    axes.set_xlabel("epoch")
    _save(figure, folder / "f_score.png")


def find_histories(runs: Sequence[Path]) -> dict[str, Path]:
    """The history.csv of each run, which is its folder or that file, by a name that tells the runs apart.

    Raises ValueError for a run without one.
    """
    histories: dict[str, Path] = {}
    for run in runs:
        history = run / "history.csv" if run.is_dir() else run
        if not history.is_file():
            raise ValueError(f"There is no history {history}; name the folder of a run, or its history.csv.")
        folder = history.resolve().parent
        # Runs of one name in several places are told apart by the folders around them.
        names = [folder.name, "/".join(folder.parts[-2:]), str(folder), str(history)]
        histories[next(name for name in names if name not in histories or name == names[-1])] = history
    return histories


def plot_runs(histories: Mapping[str, Path], path: Path, *, minutes: bool = False) -> None:
    """Draw the history.csv of several runs, by the name to show, into one figure at path (PNG, PDF or SVG).

    Above the F-Score, as the challenge has it (solid) and left/right corrected (dashed); below the training
    loss. Along epochs, or minutes of training. Raises ValueError for a history without a row or a needed column.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    along = "seconds" if minutes else "epoch"
    styles: dict[str, Literal["-", "--"]] = {"f_score": "-", "f_score_lr_corrected": "--"}
    runs = {name: read_columns(history) for name, history in histories.items()}
    for name, columns in runs.items():
        for column in (along, "loss", *styles):
            if column not in columns:
                raise ValueError(f"{histories[name]} has no column {column}; it is no history of this project.")
    figure = Figure(figsize=(8, 7), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    for i, columns in enumerate(runs.values()):
        x = np.array(columns[along]) / (60 if minutes else 1)
        for column, style in styles.items():
            upper.plot(x, columns[column], style, color=f"C{i % 10}", linewidth=1.3)
        lower.plot(x, columns["loss"], color=f"C{i % 10}", linewidth=1.3)
    # The first minutes would squeeze what is compared, the ends, into a line.
    best = [max(np.nanmax(columns[column]) for column in styles) for columns in runs.values()]
    lowest = min(np.nanmin(columns[column]) for columns in runs.values() for column in styles)
    if lowest < min(best) - SHOWN_RANGE:
        upper.set_ylim(min(best) - SHOWN_RANGE, max(best) + SHOWN_RANGE / 20)
    lines = [Line2D([], [], color=f"C{i % 10}", label=name) for i, name in enumerate(runs)]
    kinds = zip(styles.values(), ("raw", "left/right corrected"), strict=True)
    lines += [Line2D([], [], color="grey", linestyle=style, label=label) for style, label in kinds]
    upper.legend(handles=lines, fontsize=9, loc="lower right")
    upper.set_ylabel("F-Score on the validation set")
    lower.set_ylabel("training loss")
    lower.set_xlabel("minutes of training" if minutes else "epoch")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    _save(figure, path)


SHOWN_SHARE = 0.01


def plot_confusion(confusion: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Draw counts (C, C), [true class, predicted class], each row as shares of its pixels, to path (PNG, PDF or SVG).

    Shares from SHOWN_SHARE on are written into their cells. A class without a pixel in the truth has a grey row.
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    pixels = confusion.sum(1, keepdims=True)
    shares = np.divide(confusion, pixels, out=np.full(confusion.shape, math.nan), where=pixels > 0)
    side = 0.52 * len(names)
    figure = Figure(figsize=(side + 2.6, side + 1.3), dpi=110, layout="constrained")
    axes = figure.subplots()
    colors = colormaps["Blues"].with_extremes(bad="0.85")
    # The square root keeps small confusions visible beside a diagonal near 1.
    image = axes.imshow(np.ma.masked_invalid(shares), cmap=colors, norm=PowerNorm(0.5, 0, 1))
    for true, predicted in zip(*np.nonzero(np.nan_to_num(shares) >= SHOWN_SHARE), strict=True):
        share = shares[true, predicted]
        ink = "white" if share > 0.3 else "black"
        text = f"{share:.2f}".removeprefix("0") if share < 0.995 else "1.0"
        axes.text(predicted, true, text, ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.85", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.colorbar(image, ax=axes, label="share of the true class's pixels", shrink=0.8, ticks=[0, 0.05, 0.25, 0.5, 1])
    _save(figure, path)
