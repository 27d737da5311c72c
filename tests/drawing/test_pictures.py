"""Masks, overlays and panels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing.data.masks import ids_of_colors, save_mask
from face_parsing.drawing.overlays import overlay
from face_parsing.drawing.pictures import (
    CELL,
    WRONG,
    contact_sheet,
    difference,
    overlay_with_legend,
    panel,
    save_panel,
    save_picture,
)
from face_parsing.labels import (
    CLASS_NAMES,
    IGNORE_INDEX,
    PALETTE,
    colorize,
    group_labels,
    palette_bytes,
)
from face_parsing.synthetic.dataset import make_pair

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


def test_panel_shows_photo_truth_and_prediction_side_by_side() -> None:
    photo = np.full((64, 64, 3), (10, 200, 90), dtype=np.uint8)
    truth, prediction = np.full((64, 64), SKIN, dtype=np.uint8), np.full((64, 64), HAIR, dtype=np.uint8)
    sheet = panel([photo, photo], [truth, truth], [prediction, prediction], ["00001", "00002"])
    assert sheet.dtype == np.uint8
    assert 3 * CELL < sheet.shape[1] < 3.2 * CELL
    assert 2 * CELL < sheet.shape[0] < 3 * CELL
    for row in (sheet[CELL // 2], sheet[CELL // 2 + CELL + 30]):
        thirds = np.array_split(row, 3)
        for third, color in zip(thirds, [(10, 200, 90), PALETTE[SKIN], PALETTE[HAIR]], strict=True):
            assert (third[len(third) // 2] == color).all()
    colors = {tuple(color) for color in sheet[-5 * 20 :].reshape(-1, 3).tolist()}
    assert set(PALETTE) <= colors  # the legend


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


def colors_in(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(color) for color in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def test_colors_and_ids_there_and_back() -> None:
    mask = np.random.default_rng(0).integers(0, 19, (40, 30), dtype=np.uint8)
    found, exact = ids_of_colors(colorize(mask))
    np.testing.assert_array_equal(found, mask)
    assert exact.all()
    picture = colorize(mask)
    picture[3, 4] = (200, 10, 0)  # near skin's (204, 0, 0)
    picture[5, 6] = (0, 0, 179)  # between l_lip's 153 and hair's 204, by one nearer to hair
    found, exact = ids_of_colors(picture)
    assert np.argwhere(~exact).tolist() == [[3, 4], [5, 6]]
    assert (found[3, 4], found[5, 6]) == (SKIN, HAIR)


def test_colors_of_a_coarser_task(tmp_path: Path) -> None:
    labels = group_labels({"rest": [], "eyes": ["l_eye", "r_eye"]})
    mask = np.array([[0, 1], [1, 0]], dtype=np.uint8)
    save_mask(mask, tmp_path / "m.png", labels)
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.getpixel((1, 0)) == 1
        assert picture.convert("RGB").getpixel((1, 0)) == PALETTE[4]
    found, exact = ids_of_colors(colorize(mask, labels), labels)
    assert found.tolist() == mask.tolist()
    assert exact.all()
    assert overlay(np.zeros((2, 2, 3), dtype=np.uint8), mask, 1.0, labels)[0, 1].tolist() == list(PALETTE[4])


def test_difference_marks_wrong_pixels_and_no_ignored_one() -> None:
    truth = np.array([[SKIN, SKIN, IGNORE_INDEX]], dtype=np.uint8)
    prediction = np.array([[SKIN, HAIR, HAIR]], dtype=np.uint8)
    photo = np.array([[[0, 0, 0], [9, 9, 9], [255, 255, 255]]], dtype=np.uint8)
    assert difference(truth, prediction, photo).tolist() == [[[115] * 3, list(WRONG), [255] * 3]]
    drawn = difference(truth, prediction)
    assert drawn[0, 1].tolist() == list(WRONG)
    assert len(set(drawn[0, 0].tolist())) == 1  # grey, whatever the class's color


def test_an_overlay_s_legend_holds_the_classes_that_occur() -> None:
    photo, mask = np.full((300, 400, 3), 250, dtype=np.uint8), np.zeros((300, 400), dtype=np.uint8)
    np.testing.assert_array_equal(overlay_with_legend(photo, mask), photo)  # nothing to explain
    mask[:100], mask[200:] = SKIN, NOSE
    drawn = overlay_with_legend(photo, mask, alpha=0)
    assert drawn.shape[1] == 400
    np.testing.assert_array_equal(drawn[:300], photo)
    legend = colors_in(drawn[300:])
    assert {PALETTE[SKIN], PALETTE[NOSE]} <= legend
    assert not {PALETTE[HAIR], PALETTE[4]} & legend
    small = overlay_with_legend(photo[:20, :30], np.full((20, 30), HAIR, dtype=np.uint8))
    assert small.shape[1] > 60  # the name beside the color has its room


def test_a_panel_shows_where_masks_differ() -> None:
    photo = np.full((64, 64, 3), 100, dtype=np.uint8)
    truth, prediction = np.full((64, 64), SKIN, dtype=np.uint8), np.full((64, 64), HAIR, dtype=np.uint8)
    four = panel([photo], [truth], [prediction], ["a"], differences=True)
    assert 4 * CELL < four.shape[1] < 4.2 * CELL
    assert four[CELL // 2, -CELL // 2].tolist() == list(WRONG)
    without = panel(None, [truth], [truth], differences=True)
    assert 3 * CELL < without.shape[1] < 3.2 * CELL
    assert WRONG not in colors_in(without)


def test_a_contact_sheet_of_any_columns_with_a_legend_of_some_classes() -> None:
    masks = [np.full((32, 32), c, dtype=np.uint8) for c in (SKIN, NOSE, SKIN)]
    sheet = contact_sheet([masks], ["truth", "a", "b"], ["face"], classes=[SKIN, NOSE])
    assert 3 * CELL < sheet.shape[1] < 3.2 * CELL
    assert [tuple(sheet[CELL // 2, 8 + CELL // 2 + i * (CELL + 8)]) for i in range(3)] == [
        PALETTE[SKIN], PALETTE[NOSE], PALETTE[SKIN],
    ]  # fmt: skip
    assert PALETTE[HAIR] not in colors_in(sheet)
