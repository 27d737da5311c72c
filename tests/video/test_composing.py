"""A frame's mask: crops put back, and what goes on beyond them moves with its face."""

from __future__ import annotations

import numpy as np

from face_parsing.labels import CELEBAMASK, class_ids
from face_parsing.video.composing import ParsedFace, Surroundings, compose, compose_moved

HAIR, SKIN = class_ids("hair", "skin")
SQUARE = np.array([[40.0, 30.0], [80.0, 30.0], [80.0, 70.0], [40.0, 70.0]])


def face(number: int, corners: np.ndarray) -> ParsedFace:
    """A face whose crop is hair in the upper half and skin below."""
    scores = np.zeros((32, 32, 19), np.uint8)
    scores[:16, :, HAIR] = scores[16:, :, SKIN] = 200
    return ParsedFace(number, corners, scores)


def test_what_is_around_moves_turns_and_grows_with_its_face() -> None:
    mask = np.zeros((120, 160), np.uint8)
    mask[20:30, 50:60] = HAIR
    around = Surroundings(mask, SQUARE)
    np.testing.assert_array_equal(around.moved(SQUARE), mask)
    np.testing.assert_array_equal(around.moved(SQUARE + np.array([7, -5])), np.roll(mask, (-5, 7), (0, 1)))
    y, x = np.nonzero(around.moved(np.roll(SQUARE, -1, 0)))  # a quarter turn to the right
    assert (x.min(), x.max(), y.min(), y.max()) == (80, 89, 40, 49)
    larger = around.moved((SQUARE - 60) * 1.5 + 60)
    assert (larger > 0).sum() == 15 * 15


def test_hair_goes_on_beyond_a_crop_and_follows_it() -> None:
    photo = np.full((120, 160, 3), 90, np.uint8)
    whole = np.zeros((120, 160), np.uint8)
    whole[10:50, 30:90] = HAIR
    whole[80:100] = SKIN  # what is no hair, neck or cloth is not believed
    mask, instances, around = compose(photo, whole, [face(5, SQUARE)], CELEBAMASK)
    assert (mask[12:48, 32:88] == HAIR).all()
    assert (mask[55:69, 41:79] == SKIN).all()
    assert not mask[80:].any()
    assert np.array_equal(np.unique(instances), [0, 5])
    np.testing.assert_array_equal(instances > 0, mask > 0)
    moved, whose = compose_moved([face(5, SQUARE + np.array([3, 4]))], around, (120, 160))
    np.testing.assert_array_equal(moved[4:, 3:], mask[:-4, :-3])
    np.testing.assert_array_equal(whose[4:, 3:], instances[:-4, :-3])


def test_of_many_faces_nothing_is_kept() -> None:
    photo, whole = np.zeros((120, 160, 3), np.uint8), np.zeros((120, 160), np.uint8)
    faces = [face(k, SQUARE / 4 + np.array([30 * k, 10])) for k in range(1, 6)]
    _, instances, around = compose(photo, whole, faces[:5], CELEBAMASK)
    assert set(np.unique(instances)) == {0, 1, 2, 3, 4}  # the fifth lies beside the frame
    assert around == {}
