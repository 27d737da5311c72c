"""A mask in its colors, alone and over its photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.utils import draw_segmentation_masks

from face_parsing.drawing import overlays
from face_parsing.drawing.overlays import overlay, save_colors, save_overlay
from face_parsing.labels import CELEBAMASK, CLASS_NAMES, IGNORE_INDEX, PALETTE, LabelSet, colorize, group_labels
from face_parsing.synthetic.dataset import make_pair

SKIN, NOSE = CLASS_NAMES.index("skin"), CLASS_NAMES.index("nose")


def test_overlay_by_hand() -> None:
    photo = np.full((1, 3, 3), 100, dtype=np.uint8)
    mask = np.array([[0, SKIN, NOSE]], dtype=np.uint8)
    blended = overlay(photo, mask, alpha=0.25)
    assert blended.dtype == np.uint8
    # 0.75 * 100 + 0.25 * (204, 0, 0) and (76, 153, 0); background stays 100
    np.testing.assert_array_equal(blended[0], [[100, 100, 100], [126, 75, 75], [94, 113, 75]])
    np.testing.assert_array_equal(overlay(photo, mask, alpha=1.0)[0, 1:], [PALETTE[SKIN], PALETTE[NOSE]])


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.25, 0.3, 1 / 3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("labels", [CELEBAMASK, group_labels({"rest": [], "face": ["skin"]})], ids=["19", "2"])
def test_an_overlay_has_the_pixels_of_torchvision(alpha: float, labels: LabelSet) -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for largest in (0, 1, len(labels) - 1, 255):  # background alone, and ids that are no class
        mask = rng.integers(0, largest + 1, (48, 64), dtype=np.uint8)
        present = [c for c in range(1, len(labels)) if (mask == c).any()]
        drawn = torch.from_numpy(photo).permute(2, 0, 1)
        if present:
            classes = torch.tensor(present)[:, None, None] == torch.from_numpy(mask)
            drawn = draw_segmentation_masks(drawn, classes, alpha=alpha, colors=[labels.palette[c] for c in present])
        np.testing.assert_array_equal(overlay(photo, mask, alpha, labels), drawn.permute(1, 2, 0).numpy())


def test_strips_change_nothing_of_an_overlay(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, mask = make_pair(0, size=64)
    whole = overlay(photo, mask)
    for pixels in (1, 64 * 7):
        monkeypatch.setattr(overlays, "STRIP_PIXELS", pixels)
        np.testing.assert_array_equal(overlay(photo, mask), whole)


@pytest.mark.parametrize("pixels", [1, 64 * 7, 2**17])
def test_a_colored_mask_is_read_as_the_colors_of_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: int
) -> None:
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(overlays, "STRIP_PIXELS", pixels)
    noise = np.random.default_rng(0).integers(0, 19, (33, 47), dtype=np.uint8)
    noise[0, 0] = IGNORE_INDEX
    for mask in (make_pair(0, size=64)[1], noise, np.ones((1, 5), dtype=np.uint8)):
        path = tmp_path / "new" / "color.png"
        save_colors(mask, path)
        with Image.open(path) as picture:
            assert picture.mode == "RGB"
            picture.verify()
        np.testing.assert_array_equal(np.array(Image.open(path)), colorize(mask))
        np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], colorize(mask))
        assert [file.name for file in path.parent.iterdir()] == ["color.png"]


def test_a_colored_mask_has_the_palette_of_its_labels(tmp_path: Path) -> None:
    labels = group_labels({"rest": [], "hair": ["hair"]})
    mask = np.array([[0, 1]], dtype=np.uint8)
    save_colors(mask, tmp_path / "c.png", labels)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "c.png")), colorize(mask, labels))


def test_a_saved_overlay_is_the_jpeg_of_the_overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, mask = make_pair(0, size=64)
    Image.fromarray(overlay(photo, mask)).save(tmp_path / "whole.jpg", quality=92)
    monkeypatch.setattr(overlays, "STRIP_PIXELS", 64 * 7)
    save_overlay(photo, mask, tmp_path / "strips.jpg")
    assert (tmp_path / "strips.jpg").read_bytes() == (tmp_path / "whole.jpg").read_bytes()
