"""Whether a mask shows an upright face: by hand, and on the validation faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import find_pairs
from face_parsing.inference.face_order import MEND, FaceOrder, odd_order, shows_upright_face
from face_parsing.labels import group_labels
from face_parsing.synthetic.dataset import make_pair


def face(size: int = 100) -> np.ndarray:
    """Skin with eyes, a nose and a mouth, where they belong."""
    mask = np.zeros((100, 100), np.uint8)
    mask[20:90, 25:75] = 1
    mask[40:44, 34:44] = 5
    mask[40:44, 56:66] = 4
    mask[48:62, 45:55] = 2
    mask[70:74, 40:60] = 11
    mask[74:78, 40:60] = 12
    return np.kron(mask, np.ones((size // 100, size // 100), np.uint8))


def test_an_upright_face_is_one_at_any_size_and_place() -> None:
    assert shows_upright_face(face())
    assert shows_upright_face(face(1200))
    assert shows_upright_face(np.pad(face(), ((300, 10), (20, 400))))
    assert shows_upright_face(face()[:, ::-1])


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_turned_one_is_not(quarter: int) -> None:
    assert not shows_upright_face(np.rot90(face(), quarter))


@pytest.mark.parametrize("missing", [(2,), (4, 5), (11, 12), (1,)])
def test_a_part_that_is_missing(missing: tuple[int, ...]) -> None:
    mask = face()
    mask[np.isin(mask, missing)] = 13
    assert shows_upright_face(mask) == (missing == (1,))  # all else in place: long hair, or a veil


def test_glasses_stand_for_eyes() -> None:
    mask = face()
    mask[np.isin(mask, (4, 5))] = 3
    assert shows_upright_face(mask)


@pytest.mark.parametrize("what", ["nose above the eyes", "mouth in two places", "nose beside the face", "nothing"])
def test_parts_in_impossible_places(what: str) -> None:
    mask = face()
    if what == "nose above the eyes":
        mask[mask == 2] = 1
        mask[24:38, 45:55] = 2
    elif what == "mouth in two places":
        mask[70:78, 40:60] = 1
        mask[60:68, 26:36] = mask[80:88, 64:74] = 11
    elif what == "nose beside the face":
        mask[mask == 2] = 1
        mask[48:62, 80:90] = 2
    else:
        mask[:] = 0
    assert not shows_upright_face(mask)


def test_drawn_faces_are_upright() -> None:
    assert all(shows_upright_face(make_pair(seed, size=128)[1]) for seed in range(20))


def test_other_classes_are_not_judged() -> None:
    assert shows_upright_face(np.zeros((9, 9), np.uint8), group_labels({"rest": [], "hair": ["hair"]}))


def test_true_masks_of_the_validation_faces(real_data: Path) -> None:
    stems = set((real_data / "val.txt").read_text().split())
    masks = [read_mask(pair.mask) for pair in find_pairs(real_data / "train") if pair.stem in stems]
    assert sum(not shows_upright_face(mask) for mask in masks) <= len(masks) // 100
    turned = [np.rot90(mask, quarter) for mask in masks for quarter in (1, 2, 3)]
    assert not any(shows_upright_face(mask) for mask in turned)


def test_the_sentence_names_some() -> None:
    order = FaceOrder()
    for i in range(5):
        order.look(Path(f"{i}.jpg"), np.rot90(face()) if i else face())
    assert odd_order(order.odd[:1])[0].startswith("1 mask looks like no upright face (1.jpg); ")
    assert odd_order(order.odd)[0].startswith("4 masks look like no upright face (1.jpg, 2.jpg, 3.jpg and 1 more); ")
    assert odd_order(order.odd)[0].endswith("; with --faces all faces are found however they lie.")
    assert odd_order(order.odd, MEND)[0].endswith("; turn such a photo upright, or cut its face out.")
    assert odd_order([]) == []
