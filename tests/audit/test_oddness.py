"""Class shares and odd masks: by hand, and with their reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_parsing.audit.inspection import MaskFacts, class_shares, mask_facts
from face_parsing.audit.oddness import rate_oddness
from face_parsing.data.masks import save_mask
from face_parsing.labels import swap_left_right


def facts_of(mask: np.ndarray, tmp_path: Path) -> MaskFacts:
    save_mask(mask, tmp_path / "one.png")
    return mask_facts(tmp_path / "one.png")


def test_class_shares_by_hand(tmp_path: Path) -> None:
    first = np.array([[0, 0, 1, 1], [0, 0, 1, 2]], np.uint8)  # 4, 3 and 1 pixels
    second = np.array([[0, 0, 0, 0], [255, 255, 255, 255]], np.uint8)  # 4 pixels, 4 ignored
    shares = class_shares([facts_of(first, tmp_path), facts_of(second, tmp_path)])
    assert shares.images[:4].tolist() == [2, 1, 1, 0]
    assert shares.pixels[:3].tolist() == pytest.approx([8 / 12, 3 / 12, 1 / 12])
    assert shares.imbalance == pytest.approx(8)
    entropy = -(2 / 3 * np.log(2 / 3) + 1 / 4 * np.log(1 / 4) + 1 / 12 * np.log(1 / 12))
    assert shares.effective_classes == pytest.approx(np.exp(entropy))
    equal = class_shares([facts_of(np.arange(19, dtype=np.uint8)[None], tmp_path)])
    assert equal.effective_classes == pytest.approx(19)


def test_shape_of_a_class_by_hand(tmp_path: Path) -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[2:4, 4:8] = 2  # 8 pixels, centre (5.5, 2.5)
    mask[6, 14:16] = 2  # 2 pixels, centre (14.5, 6)
    area, x, y, parts = facts_of(mask, tmp_path).shape[2]
    assert np.exp(area) == pytest.approx(10 / 200)
    assert x == pytest.approx((8 * 5.5 + 2 * 14.5) / 10 / 20)
    assert y == pytest.approx((8 * 2.5 + 2 * 6) / 10 / 10)
    assert 2**parts == pytest.approx(2)


def ordinary(rng: np.random.Generator) -> np.ndarray:
    """Skin in the middle and a nose, moved by up to a pixel."""
    mask = np.zeros((100, 100), np.uint8)
    dx, dy = rng.integers(-1, 2, 2)
    mask[20 + dy : 80 + dy, 30 + dx : 70 + dx] = 1
    mask[45 + dy : 60 + dy, 45 + dx : 55 + dx] = 2
    mask[40 + dy : 43 + dy, 38 + dx : 44 + dx] = 5
    mask[40 + dy : 43 + dy, 56 + dx : 62 + dx] = 4
    return mask


def test_odd_masks_come_with_reasons(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [ordinary(rng) for _ in range(40)]
    masks[0][np.isin(masks[0], (2, 5))] = 1  # no nose, no right eye
    masks[1] = np.where(masks[1] == 2, 1, masks[1]).astype(np.uint8)
    masks[1][10:12, 90:95] = 2  # a small nose in a corner
    masks[2][30:80:4, 5:90:8] = 1  # crumbs
    masks[3] = swap_left_right(masks[3])  # mirrored: no oddness
    rated = rate_oddness([facts_of(mask, tmp_path) for mask in masks])
    scores = [score for score, _ in rated]
    assert scores[3:] == [0.0] * 37
    assert scores[0] == pytest.approx(-np.log(1 / 40) * 2)  # 7.4 for two classes of which each is missing once
    assert rated[0][1] == ["no nose, which 97.5 % of the masks hold", "no r_eye, which 97.5 % of the masks hold"]
    assert scores[1] == pytest.approx(3 * 8)
    assert "nose 0.1 % of the image, usually 1.5 %" in rated[1][1]
    assert any(reason.startswith("nose centred at 9") for reason in rated[1][1])
    assert any("skin in" in reason and "parts, usually 1" in reason for reason in rated[2][1])


def test_missing_classes_together_weigh_8_at_most(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [ordinary(rng) for _ in range(60)]
    masks[0][masks[0] > 1] = 1  # three times -log(1/60) = 4.1
    score, reasons = rate_oddness([facts_of(mask, tmp_path) for mask in masks])[0]
    assert score == pytest.approx(8)
    assert {reason.split(",")[0] for reason in reasons} == {"no nose", "no l_eye", "no r_eye"}


def test_small_sets_have_no_odd_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    facts = [facts_of(ordinary(rng), tmp_path) for _ in range(10)]
    assert rate_oddness([*facts, facts_of(np.zeros((100, 100), np.uint8), tmp_path)]) == [(0.0, [])] * 11
    assert rate_oddness([]) == []
