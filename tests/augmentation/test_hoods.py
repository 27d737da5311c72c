"""Hoods around faces: what they hide, what they are made of, and who gets one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from face_parsing.augmentation.face_geometry import part_centres
from face_parsing.augmentation.hoods import BROWS, CHINS, COVERED, FACE_AREA, WIDTHS, Hood, HoodChoice, fabric_of
from face_parsing.labels import CLASS_NAMES

ID = {name: i for i, name in enumerate(CLASS_NAMES)}
HEAD_ALONE, HEAD_AND_NECK, CLOTHES_TOO = COVERED

# Parts of a plain face of 96 pixels in the order in which they are drawn: name, (top, bottom, left, right).
PARTS = {
    "cloth": (82, 96, 10, 86),
    "hair": (14, 60, 22, 74),
    "neck": (66, 86, 38, 58),
    "skin": (26, 70, 30, 66),
    "r_eye": (42, 46, 36, 44),
    "l_eye": (42, 46, 52, 60),
    "nose": (46, 56, 45, 51),
}
UNIT = 7 / 96  # from the middle of the nose to the eyes'


def face(**worn: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A grey face with red clothes."""
    image, mask = np.full((96, 96, 3), 100, np.uint8), np.zeros((96, 96), np.uint8)
    for name, (top, bottom, left, right) in {**PARTS, **worn}.items():
        mask[top:bottom, left:right] = ID[name]
    image[mask == ID["cloth"]] = (200, 20, 20)
    return image, mask


def tailor() -> tuple[np.ndarray, np.ndarray]:
    """A pair of which the lower half is green clothes."""
    image, mask = np.full((96, 96, 3), 50, np.uint8), np.zeros((96, 96), np.uint8)
    image[48:], mask[48:] = (40, 180, 40), ID["cloth"]
    return image, mask


PLAIN = Hood(1, HEAD_AND_NECK, UNIT, brow=0.3, chin=1.0, width=1.0, tint=(1.0, 1.0, 1.0), seed=4)


def test_the_fabric_is_a_square_of_the_clothes() -> None:
    fabric = fabric_of(tailor())
    assert fabric is not None
    assert fabric.shape[0] == fabric.shape[1]
    assert 0.8 * 48 / np.sqrt(2) < fabric.shape[0] <= 48 / np.sqrt(2)
    assert (fabric == (40, 180, 40)).all()
    scrap = np.zeros((96, 96), np.uint8)
    scrap[90:, 40:60] = ID["cloth"]
    assert fabric_of((tailor()[0], scrap)) is None
    assert fabric_of((tailor()[0], np.zeros((96, 96), np.uint8))) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("covered", COVERED)
def test_a_hood_hides_what_it_lies_on_and_leaves_the_face(covered: tuple[int, ...], seed: int) -> None:
    (image, mask), donor = face(), tailor()
    before = image.copy(), mask.copy()
    hooded, labels = replace(PLAIN, covered=covered, seed=seed)((image, mask), donor)
    assert (image == before[0]).all()
    assert (mask == before[1]).all()
    hat = labels == ID["hat"]
    assert (labels[~hat] == mask[~hat]).all()
    skin = np.isin(mask, FACE_AREA)
    assert not hat[skin].any()
    inner = np.s_[28:68, 32:64]  # of the skin, out of reach of the soft edge
    assert (hooded[inner] == image[inner]).all()
    # Over the head, beside it, and no further than it is wide.
    assert hat[14:20, 40:56].all()
    assert hat[30:34, 20:23].all()
    assert not hat[:60, :4].any()
    greenest = hooded[hat].argmax(1) == 1
    assert greenest.mean() > 0.95
    under = {name: hat[mask == ID[name]].mean() for name in ("neck", "cloth")}
    assert under["neck"] == 0 if covered is HEAD_ALONE else under["neck"] > 0.2
    assert under["cloth"] > 0.9 if covered is CLOTHES_TOO else under["cloth"] == 0


def test_the_opening_is_as_wide_as_it_is_asked_to_be() -> None:
    donor = tailor()
    hair = face()[1] == ID["hair"]
    left = [
        (replace(PLAIN, brow=open_to, chin=open_to)(face(), donor)[1][hair] == ID["hair"]).sum()
        for open_to in (0.0, 0.8, 1.6)
    ]
    assert 0 < left[0] < left[1] < left[2]


def test_what_is_behind_is_not_seen_through_the_opening() -> None:
    bald = face(hair=(26, 30, 30, 66))
    labels = replace(PLAIN, brow=1.0, chin=1.0)(bald, tailor())[1]
    assert (labels[22:26, 32:64] == ID["hat"]).all()


def test_a_tint_colors_the_fabric() -> None:
    plain, labels = PLAIN(face(), tailor())
    tinted, same = replace(PLAIN, tint=(2.0, 0.5, 1.0))(face(), tailor())
    assert (labels == same).all()
    hat = labels == ID["hat"]
    ratio = tinted[hat].mean(0) / plain[hat].mean(0)
    assert ratio == pytest.approx([2.0, 0.5, 1.0], rel=0.1)
    inner = np.s_[28:68, 32:64]
    assert (tinted[inner] == plain[inner]).all()


def test_without_a_fabric_or_a_face_the_pair_stays_as_it_is() -> None:
    pair, nobody = face(), (face()[0], np.zeros((96, 96), np.uint8))
    assert PLAIN(pair, nobody) is pair
    assert PLAIN(nobody, tailor()) is nobody


def test_the_choice_is_that_of_its_seed_and_for_bare_heads() -> None:
    masks = [face()[1], tailor()[1], face(hat=(4, 26, 20, 76))[1], face(cloth=(0, 0, 0, 0))[1]]
    presence = np.array([np.isin(np.arange(19), mask) for mask in masks])
    centres = np.stack([part_centres(mask) for mask in masks])
    choose = HoodChoice(presence, centres, probability=0.5)
    hoods = [hood for seed in range(400) if (hood := choose(0, seed=seed))]
    assert len(hoods) == pytest.approx(200, abs=40)
    assert {hood.donor for hood in hoods} == {0, 1, 2}
    assert {hood.covered for hood in hoods} == set(COVERED)
    assert all(hood.unit == pytest.approx(UNIT, rel=0.01) for hood in hoods)
    for name, (least, most) in {"brow": BROWS, "chin": CHINS, "width": WIDTHS}.items():
        drawn = [getattr(hood, name) for hood in hoods]
        assert least <= min(drawn) < least + 0.1 * most
        assert 0.9 * most < max(drawn) <= most
    assert choose(0, seed=8) == choose(0, seed=8)
    assert not any(choose(2, seed=seed) for seed in range(50)), "it has a hat"
    assert not any(choose(1, seed=seed) for seed in range(50)), "it has no face"
    assert HoodChoice(presence, centres, probability=0.0)(0, seed=1) is None
    assert HoodChoice(presence & (np.arange(19) != ID["cloth"]), centres, probability=1.0)(0, seed=1) is None
