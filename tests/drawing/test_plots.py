"""Curves and the confusion matrix."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing.drawing.plots import plot_confusion, plot_history, plot_runs

COLUMNS = ["epoch", "image_size", "lr", "loss", "loss_ce", "loss_dice", "loss_focal", "f_score", "f_score_lr_corrected"]


def only_these(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def write_history(path: Path, rows: list[list[object]], columns: list[str] = COLUMNS) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The figures that are drawn, kept for a look at their axes."""
    from matplotlib.figure import Figure

    drawn: list[object] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: object, **options: object) -> None:
        drawn.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return drawn


def test_curves_show_every_loss_the_learning_rate_and_the_changes_of_size(
    tmp_path: Path, figures: list[object]
) -> None:
    history = tmp_path / "history.csv"
    rows = [[epoch, 64 if epoch < 3 else 96, 0.01 / epoch, 3 - epoch / 5, 2, 1, "", 0.1 * epoch, 0.11 * epoch]
            for epoch in range(1, 6)]  # fmt: skip
    write_history(history, rows)
    plot_history(history, tmp_path / "run")
    assert only_these(tmp_path / "run", "f_score.png", "training_loss.png")
    for name in ("f_score.png", "training_loss.png"):
        with Image.open(tmp_path / "run" / name) as image:
            assert min(image.size) > 300
    loss, score = figures
    upper, lower = loss.axes
    assert [line.get_label() for line in upper.lines] == ["loss", "loss_ce", "loss_dice", "loss_focal"]
    np.testing.assert_allclose(upper.lines[0].get_ydata(), [2.8, 2.6, 2.4, 2.2, 2.0])
    assert np.isnan(upper.lines[3].get_ydata()).all()
    np.testing.assert_allclose(lower.lines[0].get_ydata(), [0.01 / epoch for epoch in range(1, 6)])
    (axes,) = score.axes
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [list(line.get_xdata()) for line in dashed] == [[3, 3]]
    labels = [line.get_label() for line in axes.lines if line not in dashed]
    assert labels == ["f_score", "f_score_lr_corrected"]


def test_one_validation_is_enough_for_curves_and_none_is_not(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    write_history(history, [[0, 64, 0.01, 3, 2, 1, 0.5, 0.1, 0.1]])
    plot_history(history, tmp_path)
    assert (tmp_path / "f_score.png").is_file()
    write_history(history, [])
    with pytest.raises(ValueError, match=r"history\.csv holds no validation yet"):
        plot_history(history, tmp_path)


def test_runs_share_a_figure_raw_solid_and_in_order_dashed(tmp_path: Path, figures: list[object]) -> None:
    columns = ["epoch", "seconds", "loss", "f_score", "f_score_lr_corrected"]
    write_history(tmp_path / "a.csv", [[1, 60, 3, 0.1, 0.1], [2, 120, 2, 0.8, 0.82]], columns)
    write_history(tmp_path / "b.csv", [[4, 300, 1, 0.6, 0.65]], columns)
    histories = {"first": tmp_path / "a.csv", "second": tmp_path / "b.csv"}
    plot_runs(histories, tmp_path / "runs.png")
    plot_runs(histories, tmp_path / "minutes.svg", minutes=True)
    assert "<svg" in (tmp_path / "minutes.svg").read_text(encoding="utf-8")
    assert only_these(tmp_path, "a.csv", "b.csv", "minutes.svg", "runs.png")
    upper, lower = figures[0].axes
    assert [line.get_linestyle() for line in upper.lines] == ["-", "--", "-", "--"]
    assert [list(line.get_ydata()) for line in upper.lines] == [[0.1, 0.8], [0.1, 0.82], [0.6], [0.65]]
    assert upper.lines[0].get_color() == upper.lines[1].get_color() == lower.lines[0].get_color()
    assert upper.lines[0].get_color() != upper.lines[2].get_color()
    names = [text.get_text() for text in upper.get_legend().get_texts()]
    assert names == ["first", "second", "raw", "left/right corrected"]
    assert upper.get_ylim()[0] == pytest.approx(0.65 - 0.2)  # the weaker run's best is not cut off
    assert list(figures[1].axes[0].lines[0].get_xdata()) == [1, 2]
    write_history(tmp_path / "b.csv", [[4, 300, 1]], columns[:3])
    with pytest.raises(ValueError, match=r"b\.csv has no column f_score;"):
        plot_runs(histories, tmp_path / "runs.png")


def test_a_confusion_matrix_has_shares_of_its_rows(tmp_path: Path, figures: list[object]) -> None:
    counts = np.array([[199, 1, 0], [30, 70, 0], [0, 0, 0]])
    plot_confusion(counts, ["skin", "nose", "hat"], tmp_path / "c.png")
    assert only_these(tmp_path, "c.png")
    axes = figures[0].axes[0]
    shares = axes.images[0].get_array()
    np.testing.assert_allclose(shares[:2], [[0.995, 0.005, 0], [0.3, 0.7, 0]])
    assert shares.mask[2].all()
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "1.0", (0, 1): ".30", (1, 1): ".70"}  # 0.005 is left out
    assert [text.get_text() for text in axes.get_yticklabels()] == ["skin", "nose", "hat"]
