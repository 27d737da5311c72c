"""The faces of a photo, parsed in their crops and put back: masks, whose each pixel is, and probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from face_parsing.faces.people import TOGETHER, parse_people
from face_parsing.inference.scores import softmax
from face_parsing.labels import CELEBAMASK

SKIN, HAIR = (CELEBAMASK.names.index(name) for name in ("skin", "hair"))
SIZE = 32


def square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], float)


class Network:
    """Skin where a crop is bright, and hair elsewhere; it remembers how many crops it was given at once."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def scores(self, photos: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.batches.append(len(photos))
        found = []
        for photo in photos:
            assert photo.shape == (SIZE, SIZE, 3)
            scores = np.zeros((SIZE, SIZE, len(CELEBAMASK)), np.float32)
            bright = photo.mean(2) > 128
            scores[..., SKIN], scores[..., HAIR] = 9.0 * bright, 9.0 * ~bright
            found.append(scores)
        return found


def test_each_face_is_in_the_mask_of_the_photo() -> None:
    photo = np.zeros((60, 100, 3), np.uint8)
    photo[20:30, 20:30] = photo[20:30, 70:80] = 255
    quadrangles = [square(10, 10, 30), square(60, 10, 30)]
    network = Network()
    people = parse_people(
        photo, quadrangles, np.zeros((60, 100), np.uint8), CELEBAMASK, scores=network.scores, size=SIZE
    )
    assert network.batches == [2]
    wanted = np.zeros((60, 100), np.uint8)
    wanted[10:40, 10:40] = wanted[10:40, 60:90] = HAIR
    wanted[20:30, 20:30] = wanted[20:30, 70:80] = SKIN
    # Crops are sampled a little coarser than pixels: edges may move by one.
    assert (people.mask != wanted).mean() < 0.03
    np.testing.assert_array_equal(people.instances[:, :50], (people.mask[:, :50] > 0) * 1)
    np.testing.assert_array_equal(people.instances[:, 50:], (people.mask[:, 50:] > 0) * 2)
    assert people.instances.dtype == np.uint16
    assert [mask.shape for mask in people.crop_masks] == [(SIZE, SIZE)] * 2
    assert people.crop_masks[0][SIZE // 2, SIZE // 2] == SKIN


def test_a_hundred_faces_go_through_the_network_some_at_a_time() -> None:
    photo = np.full((110, 110, 3), 200, np.uint8)
    quadrangles = [square(11 * (k % 10) + 1, 11 * (k // 10) + 1, 8) for k in range(100)]
    network = Network()
    people = parse_people(
        photo, quadrangles, np.zeros((110, 110), np.uint8), CELEBAMASK, scores=network.scores, size=SIZE
    )
    assert network.batches == [TOGETHER] * 12 + [4]
    assert people.instances.max() == 100
    assert np.unique(people.instances, return_counts=True)[1][1:].tolist() == [64] * 100
    assert (people.mask[people.instances > 0] == SKIN).all()


def test_background_inside_a_crop_is_nobodys() -> None:
    def nothing(photos: Sequence[np.ndarray]) -> list[np.ndarray]:
        scores = np.zeros((SIZE, SIZE, len(CELEBAMASK)), np.float32)
        scores[..., 0] = 1
        return [scores] * len(photos)

    whole = np.full((40, 40), HAIR, np.uint8)  # the whole photo's opinion does not count where a crop is
    people = parse_people(
        np.zeros((40, 40, 3), np.uint8), [square(0, 0, 40)], whole, CELEBAMASK, scores=nothing, size=SIZE
    )
    assert not people.mask.any()
    assert not people.instances.any()


@pytest.mark.parametrize("certain", [True, False])
def test_probabilities_are_those_of_the_crop_and_background_beyond(certain: bool) -> None:
    photo = np.zeros((40, 40, 3), np.uint8)
    soft = np.full((40, 40, len(CELEBAMASK)), 7, np.uint8)

    def probabilities(scores: np.ndarray) -> np.ndarray:
        return softmax(scores, 1.0 if certain else 0.1)

    people = parse_people(
        photo, [square(10, 10, 20)], np.zeros((40, 40), np.uint8), CELEBAMASK,
        scores=Network().scores, size=SIZE, probabilities=probabilities, soft=soft,
    )  # fmt: skip
    assert (people.mask == HAIR).sum() == 400
    inside = soft[20, 20].astype(int)
    assert (inside[HAIR] > 250) == certain
    assert inside.argmax() == HAIR
    assert abs(int(inside.sum()) - 255) <= len(CELEBAMASK) // 2
    np.testing.assert_array_equal(soft[5, 5], [255] + [0] * 18)
