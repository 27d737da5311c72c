"""Masks, overlays, panels and curves."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labels import CLASS_NAMES, PALETTE, palette_bytes
from pictures import CELL, overlay, panel, plot_history, save_mask, save_panel, save_picture
from synthetic import make_pair

COLUMNS = ["epoch", "image_size", "lr", "loss", "loss_ce", "loss_dice", "loss_focal", "f_score", "f_score_in_order"]
SKIN, NOSE, HAIR = CLASS_NAMES.index("skin"), CLASS_NAMES.index("nose"), CLASS_NAMES.index("hair")


def only_these(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_saved_mask_holds_ids_and_the_palette(tmp_path: Path) -> None:
    mask = np.arange(19 * 2, dtype=np.uint8).reshape(2, 19) % 19
    save_mask(mask, tmp_path / "new" / "m.png")
    with Image.open(tmp_path / "new" / "m.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "P")
        np.testing.assert_array_equal(np.array(picture), mask)
        assert picture.getpalette()[: 19 * 3] == palette_bytes()[: 19 * 3]
        np.testing.assert_array_equal(np.array(picture.convert("RGB"))[0, 4], PALETTE[4])
    assert only_these(tmp_path / "new", "m.png")


def test_saving_replaces_a_file_and_a_failure_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    save_mask(np.zeros((4, 4), dtype=np.uint8), path)
    save_mask(np.ones((4, 4), dtype=np.uint8), path)
    with pytest.raises((TypeError, ValueError)):
        save_mask(np.ones((4, 4, 4, 4), dtype=np.uint8), path)
    with Image.open(path) as picture:
        assert np.array(picture).tolist() == np.ones((4, 4)).tolist()
    assert only_these(tmp_path, "m.png")


def test_a_picture_is_png_or_jpeg_by_its_suffix(tmp_path: Path) -> None:
    picture = make_pair(0, size=64)[0]
    for name, kind in (("a.png", "PNG"), ("a.jpg", "JPEG"), ("b.JPEG", "JPEG")):
        save_picture(picture, tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert (image.format, image.size) == (kind, (64, 64))


def test_overlay_by_hand() -> None:
    photo = np.full((1, 3, 3), 100, dtype=np.uint8)
    mask = np.array([[0, SKIN, NOSE]], dtype=np.uint8)
    blended = overlay(photo, mask, alpha=0.25)
    assert blended.dtype == np.uint8
    # 0.75 * 100 + 0.25 * (204, 0, 0) and (76, 153, 0); background stays 100
    np.testing.assert_array_equal(blended[0], [[100, 100, 100], [126, 75, 75], [94, 113, 75]])
    np.testing.assert_array_equal(overlay(photo, mask, alpha=1.0)[0, 1:], [PALETTE[SKIN], PALETTE[NOSE]])


def test_panel_shows_photo_truth_and_prediction_side_by_side() -> None:
    photo = np.full((64, 64, 3), (10, 200, 90), dtype=np.uint8)
    truth, prediction = np.full((64, 64), SKIN, dtype=np.uint8), np.full((64, 64), HAIR, dtype=np.uint8)
    sheet = panel([photo, photo], [truth, truth], [prediction, prediction], ["00001", "00002"])
    assert sheet.dtype == np.uint8
    assert 3 * CELL < sheet.shape[1] < 3.2 * CELL
    assert 2 * CELL < sheet.shape[0] < 3 * CELL
    for row in (sheet[CELL // 2], sheet[CELL // 2 + CELL + 30]):
        thirds = np.array_split(row, 3)
        for third, colour in zip(thirds, [(10, 200, 90), PALETTE[SKIN], PALETTE[HAIR]], strict=True):
            assert (third[len(third) // 2] == colour).all()
    colours = {tuple(colour) for colour in sheet[-5 * 20 :].reshape(-1, 3).tolist()}
    assert set(PALETTE) <= colours  # the legend


def test_panel_without_truth_and_with_photos_of_any_shape(tmp_path: Path) -> None:
    photos = [np.zeros((50, 100, 3), dtype=np.uint8), np.zeros((900, 300, 3), dtype=np.uint8)]
    masks = [np.zeros(photo.shape[:2], dtype=np.uint8) for photo in photos]
    sheet = panel(photos, None, masks)
    assert 2 * CELL < sheet.shape[1] < 2.2 * CELL
    assert sheet.shape[0] > CELL + CELL // 2
    save_panel(tmp_path / "panel.png", photos, None, masks, ["a", "b"])
    with Image.open(tmp_path / "panel.png") as image:
        assert image.width == sheet.shape[1]
        assert image.height == sheet.shape[0] + 2 * 20
    with pytest.raises(ValueError, match="of one length"):
        panel(photos, None, masks[:1])


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
    assert labels == ["f_score", "f_score_in_order"]


def test_one_validation_is_enough_for_curves_and_none_is_not(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    write_history(history, [[0, 64, 0.01, 3, 2, 1, 0.5, 0.1, 0.1]])
    plot_history(history, tmp_path)
    assert (tmp_path / "f_score.png").is_file()
    write_history(history, [])
    with pytest.raises(ValueError, match=r"history\.csv holds no validation yet"):
        plot_history(history, tmp_path)
