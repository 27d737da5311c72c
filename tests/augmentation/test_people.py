"""People cut out and laid over something else: where they go, what is added to them, and what they are laid over."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from face_parsing.augmentation.people import (
    CROWNS,
    LARGEST_TURN,
    SCALES,
    ImageAndMask,
    PeopleChoice,
    Pose,
    Relocation,
    lay,
)
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, colorize

ID = {name: i for i, name in enumerate(CLASS_NAMES)}
SIZE = 96
AROUND = np.ones((7, 7), np.uint8)  # how far a soft edge and a blur reach

# Parts of a plain person of 96 pixels in the order in which they are drawn: name, (top, bottom, left, right).
PARTS = {
    "hair": (12, 60, 24, 72),
    "neck": (60, 80, 38, 58),
    "skin": (24, 68, 32, 64),
    "l_eye": (40, 46, 52, 60),
    "r_eye": (40, 46, 36, 44),
    "cloth": (76, 96, 20, 76),
}


def person(**also: tuple[int, int, int, int]) -> ImageAndMask:
    """A person in the colors of its classes, before a black background."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for name, (top, bottom, left, right) in {**PARTS, **also}.items():
        mask[top:bottom, left:right] = ID[name]
    return colorize(mask), mask


def grey(value: int = 128) -> ImageAndMask:
    """A grey picture without anybody."""
    return np.full((SIZE, SIZE, 3), value, np.uint8), np.zeros((SIZE, SIZE), np.uint8)


def box_of(region: np.ndarray) -> tuple[int, int, int, int]:
    """The first and last row and column, the last ones excluded, of a region (S, S), bool."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@pytest.mark.parametrize(
    ("pose", "corner", "opposite"),
    [
        (Pose(1, 0, 0.3, -0.7), (0, 0), (96, 96)),
        (Pose(0.5, 0, 0, 0), (24, 24), (72, 72)),
        (Pose(0.5, 0, -1, 1), (0, 48), (48, 96)),
        (Pose(0.5, np.pi / 2, 1, -1), (96, 0), (48, 48)),
    ],
)
def test_a_pose_is_a_place_a_size_and_a_turn(pose: Pose, corner: tuple[int, int], opposite: tuple[int, int]) -> None:
    """Of the photo's upper left and lower right corner, x and y; pixels' centres lie half a pixel in."""
    linear, offset = pose.matrix(SIZE)[:, :2], pose.matrix(SIZE)[:, 2]
    for place, expected in (((0, 0), corner), ((SIZE, SIZE), opposite)):
        assert linear @ (np.array(place) - 0.5) + offset + 0.5 == pytest.approx(expected)


def test_a_person_of_half_the_size_lies_where_it_is_put() -> None:
    labels = lay(person(), grey(), Pose(0.5, 0, 0, 1), seed=0)[1]
    assert box_of(np.isin(labels, (ID["skin"], ID["l_eye"], ID["r_eye"]))) == (60, 82, 40, 56)
    assert box_of(labels == ID["l_eye"]) == (68, 71, 50, 54)
    assert box_of(labels == ID["hair"]) == (54, 78, 36, 60)
    assert set(np.unique(labels)) == {0, *(ID[name] for name in PARTS)}
    # The lower edge is the photo's own: nothing is added below, and at the sides shoulders alone.
    assert (labels[96 - 10 :, 34:62] == ID["cloth"]).all()
    assert not labels[:54].any()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("turn", [-0.7, 0.0, 0.4])
@pytest.mark.parametrize("scale", [0.4, 0.7, 1.0])
def test_image_and_mask_are_moved_alike(scale: float, turn: float, seed: int) -> None:
    """Each class has its color; where a label goes, its color goes too."""
    pose = Pose(scale, turn, 0.2, -0.4)
    image, labels = lay(person(), grey(), pose, seed=seed)
    for name in PARTS:
        inside = cv2.erode((labels == ID[name]).astype(np.uint8), AROUND, borderValue=1).astype(bool)
        if name == "cloth":  # with folds
            assert image[inside].mean(0) == pytest.approx(colorize(np.array([[ID[name]]], np.uint8))[0, 0], abs=25)
        else:
            assert np.abs(image[inside].astype(int) - colorize(labels)[inside]).max(initial=0) <= 1
    assert (labels == ID["hair"]).sum() == pytest.approx(scale**2 * (person()[1] == ID["hair"]).sum(), rel=0.25)


def test_what_is_not_hidden_stays_and_no_black_rim_comes_along() -> None:
    (image, mask), scene = person(), grey()
    scene[1][:8], scene[1][8:12] = IGNORE_INDEX, ID["hat"]
    before = [part.copy() for part in (image, mask, *scene)]
    pose = Pose(0.6, 0.3, 0.5, 0.5)
    found, labels = lay((image, mask), scene, pose, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(before, (image, mask, *scene), strict=True))
    laid = np.isin(labels, [ID[name] for name in PARTS])
    assert (labels[~laid] == scene[1][~laid]).all()
    far = cv2.dilate(laid.astype(np.uint8), AROUND) == 0
    assert (found[far] == scene[0][far]).all()
    near = [cv2.dilate(part.astype(np.uint8), AROUND[:3, :3]) > 0 for part in (laid, laid & (labels != ID["hair"]))]
    rim = near[0] & ~near[1] & ~laid
    assert rim.sum() > 10
    # Between the scene's grey and the hair's blue (0, 0, 204): the black behind it would have made it darker.
    assert (found[rim][:, 2] >= 124).all()
    assert found.dtype == labels.dtype == np.uint8


@pytest.mark.parametrize("seed", range(4))
def test_clothes_go_on_to_the_edge_of_the_picture(seed: int) -> None:
    image, labels = lay(person(), grey(), Pose(0.4, 0, 0, -1), seed=seed)
    below = labels[39:]
    assert (below[:, 38:58] == ID["cloth"]).all()
    assert set(np.unique(below)) <= {0, ID["cloth"]}
    added = cv2.erode((labels == ID["cloth"]).astype(np.uint8), AROUND, borderValue=1).astype(bool)
    assert image[added].argmax(1).min() == 1, "of the green of its own clothes"
    wide = (below == ID["cloth"]).sum(1)
    assert 22 <= wide[-1] <= 22 + 2 * 0.4 * 0.4 * SIZE + 2
    assert not labels[20, :25].any(), "and none above the shoulders"


def test_clothes_are_added_to_who_has_none_in_the_colors_of_the_other_or_any() -> None:
    bare = person(cloth=(0, 0, 0, 0), neck=(60, 96, 38, 58))
    dressed = grey()
    dressed[0][48:], dressed[1][48:] = (200, 20, 20), ID["cloth"]
    for scene, red in ((dressed, True), (grey(), False)):
        image, labels = lay(bare, scene, Pose(0.5, 0, 0, -1), seed=5)
        assert (labels[49:, 44:52] == ID["cloth"]).all()
        assert (image[60:, 44:52].reshape(-1, 3).argmax(1) == 0).all() or not red
    floating = person(cloth=(0, 0, 0, 0))
    labels = lay(floating, grey(), Pose(0.5, 0, 0, -1), seed=5)[1]
    assert not labels[48:].any(), "what does not reach the edge of its photo ends where it ends"


@pytest.mark.parametrize("seed", range(4))
def test_hair_at_the_edge_of_its_photo_comes_to_an_end(seed: int) -> None:
    cut = person(hair=(0, 60, 24, 72), skin=(24, 68, 32, 64))
    labels = lay(cut, grey(), Pose(0.5, 0, 0, 1), seed=seed)[1]
    grown = labels[:48] == ID["hair"]
    assert 0 <= grown.sum() <= 24 * CROWNS[1] * 48 * 2
    assert not grown[:, :36].any()
    assert not grown[:, 60:].any()
    assert np.isin(labels[:48], (0, ID["hair"])).all()
    long = person(hair=(12, 96, 24, 72), skin=(24, 68, 32, 64), cloth=(76, 96, 36, 60))
    hanging = [(lay(long, grey(), Pose(0.4, 0, 0, -1), seed=s)[1][39:] == ID["hair"]).sum() for s in range(20)]
    assert 0 < max(hanging) < 300
    assert len(set(hanging)) > 5


def test_nobody_changes_nothing() -> None:
    nobody, scene = grey(), person()
    nobody[1][:4] = IGNORE_INDEX
    assert lay(nobody, scene, Pose(0.5, 0, 0, 0), seed=0) is scene


PLAIN = Relocation(1, "photo", False, Pose(0.4, 0.2, 1, 1), Pose(0.5, 0, -1, -1), 7)


def test_the_scenes_are_a_background_another_person_and_another_photo() -> None:
    pair, donor = person(), person(hat=(0, 14, 24, 72))
    photo = PLAIN(pair, donor)[1]
    assert (photo == ID["hat"]).sum() == (donor[1] == ID["hat"]).sum()
    both = replace(PLAIN, scene="other")(pair, donor)[1]
    hats = both == ID["hat"]
    assert hats.sum() == pytest.approx(0.25 * (donor[1] == ID["hat"]).sum(), rel=0.6)
    assert box_of(hats)[1:] == (7, 12, 36)
    alone = replace(PLAIN, scene="background")(pair, donor)[1]
    assert ID["hat"] not in alone
    for labels in (photo, both, alone):
        assert set(np.unique(labels)) <= {0, ID["hat"], *(ID[name] for name in PARTS)}
    own = alone == ID["skin"]
    assert all((labels[own] == ID["skin"]).all() for labels in (photo, both)), "in front of all else"


def test_a_mirrored_scene_has_its_sides_swapped() -> None:
    one_eyed = person(r_eye=(0, 0, 0, 0))
    small = replace(PLAIN, pose=Pose(0.4, 0, 1, 1), mirrored=True)
    labels = small(grey(), one_eyed)[1]
    assert box_of(labels == ID["r_eye"]) == (40, 46, 36, 44)
    assert ID["l_eye"] not in labels


def test_the_choice_is_that_of_its_seed() -> None:
    choose = PeopleChoice(7, probability=0.5)
    found = [change for seed in range(600) if (change := choose(seed=seed))]
    assert len(found) == pytest.approx(300, abs=50)
    assert {change.donor for change in found} == set(range(7))
    for scene in ("background", "other", "photo"):
        assert sum(change.scene == scene for change in found) == pytest.approx(100, abs=35)
    for pose in (change.pose for change in found):
        assert SCALES[0] <= pose.scale <= SCALES[1]
        assert abs(pose.turn) <= LARGEST_TURN
        assert abs(pose.across) <= 1
        assert abs(pose.down) <= 1
    assert min(change.pose.scale for change in found) < 0.42 < 0.98 < max(change.pose.scale for change in found)
    assert choose(seed=8) == choose(seed=8)
    assert PeopleChoice(7, probability=0.0)(seed=1) is None
    assert all(PeopleChoice(7, probability=1.0)(seed=seed) for seed in range(20))
