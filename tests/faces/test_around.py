"""What goes on beyond a face's crop: of which classes, how far, and what ends it."""

from __future__ import annotations

import numpy as np
import pytest

from face_parsing.faces.alignment import widened
from face_parsing.faces.around import REACH, around_table, clothes_of, fill_around
from face_parsing.faces.paste import Square, owners
from face_parsing.labels import CELEBAMASK, group_labels

SIDE = 240
CROP = np.array([[80, 80], [160, 80], [160, 160], [80, 160]], float)
HAIR, CLOTH, NOSE, NECK = (CELEBAMASK.names.index(name) for name in ("hair", "cloth", "nose", "neck"))
RED, BLUE, GREY = (200, 30, 30), (40, 60, 200), (128, 128, 128)


def fill(photo: np.ndarray, whole: np.ndarray, quadrangles: tuple[np.ndarray, ...] = (CROP,)) -> tuple[np.ndarray, ...]:
    """The photo's mask and owners, where the crops say the same as the whole photo's mask."""
    owner = owners(quadrangles, SIDE, SIDE)
    mask = np.where(owner > 0, whole, 0).astype(np.uint8)
    around = around_table(CELEBAMASK)[whole]
    for number, corners in enumerate(quadrangles, 1):
        square = Square(widened(corners, REACH))
        fill_around(photo, square, number, mask, around, owner, clothes_of(CELEBAMASK))
    return mask, owner


def scene(part: int, color: tuple[int, int, int] = RED) -> tuple[np.ndarray, np.ndarray]:
    """A photo and its mask, where a stripe of one class and color goes down from the middle of the crop."""
    photo, whole = np.full((SIDE, SIDE, 3), GREY, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    photo[120:220, 100:140], whole[120:220, 100:140] = color, part
    return photo, whole


@pytest.mark.parametrize("part", [HAIR, CLOTH, NECK])
def test_it_goes_on_from_the_crop(part: int) -> None:
    photo, whole = scene(part)
    mask, owner = fill(photo, whole)
    np.testing.assert_array_equal(mask, whole)
    np.testing.assert_array_equal(owner[160:], (whole[160:] > 0).astype(np.uint16))


def test_parts_of_the_face_do_not() -> None:
    photo, whole = scene(NOSE)
    mask, owner = fill(photo, whole)
    assert not mask[160:].any()
    assert not owner[160:].any()


def test_what_does_not_touch_the_crop_is_left_out() -> None:
    photo, whole = scene(HAIR)
    whole[:175] = 0  # far below, of the same color and class
    whole[20:40, 20:60] = HAIR
    assert not fill(photo, whole)[0].any()


@pytest.mark.parametrize("part", [HAIR, CLOTH])
def test_a_step_in_color_ends_it(part: int) -> None:
    photo, whole = scene(part)
    photo[180:220, 100:140] = BLUE
    mask, _ = fill(photo, whole)
    assert (mask[160:178, 100:140] == part).mean() > 0.9
    assert not mask[184:].any()


def test_clothes_do_not_creep_along_a_gradient_and_hair_does() -> None:
    for part, last in ((CLOTH, False), (HAIR, True)):
        photo, whole = scene(part)
        fade = np.linspace(0, 1, 60)[:, None, None]
        photo[160:220, 100:140] = (1 - fade) * RED + fade * BLUE
        mask, _ = fill(photo, whole)
        assert (mask[160:164, 110:130] == part).all()
        assert (mask[210:219, 110:130] == part).all() == last


def test_two_people_keep_what_is_their_own() -> None:
    photo, whole = scene(CLOTH)
    other = CROP + np.array([0, 80])  # below: its crop has another opinion of its own pixels, which counts
    owner = owners((CROP, other), SIDE, SIDE)
    mask = np.where(owner == 1, whole, 0).astype(np.uint8)
    around = around_table(CELEBAMASK)[whole]
    fill_around(photo, Square(widened(CROP, REACH)), 1, mask, around, owner, clothes_of(CELEBAMASK))
    assert not mask[160:240].any()
    assert (owner[165:235, 85:155] == 2).all()


def test_grouped_classes_go_on_where_all_their_members_do() -> None:
    labels = group_labels({"person": ["skin", "hair"], "top": ["cloth", "neck"], "hat": ["hat"]})
    assert around_table(labels)[: len(labels)].tolist() == [
        c if name in ("top", "hat") else 0 for c, name in enumerate(labels.names)
    ]
    assert [labels.names[c] for c in clothes_of(labels)] == ["top"]


def test_a_crop_at_the_photos_edge_has_nothing_around() -> None:
    photo, whole = scene(CLOTH)
    mask, _ = fill(photo, whole, (np.array([[0, 0], [240, 0], [240, 240], [0, 240]], float),))
    np.testing.assert_array_equal(mask, whole)
