"""Faces are followed: still ones stand still, moving ones are kept up with, and each keeps its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing.faces.detector import RunDetector
from face_parsing.faces.tracking import FaceTracker, FollowedFace

W, H, SIDE = 480, 320, 160


@pytest.fixture(scope="module")
def person(root: Path) -> np.ndarray:
    """A portrait of SIDE pixels."""
    photo = Image.open(root / "docs/images/astronaut.jpg").convert("RGB")
    return np.asarray(photo.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def frames(places: Sequence[Sequence[tuple[int, int]]], people: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames with noise in which each of the people has its upper left corner at a place; none at (-1, -1)."""
    random = np.random.default_rng(0)
    for some in places:
        frame = np.full((H, W, 3), 110.0)
        for (x, y), person in zip(some, people, strict=True):
            if (x, y) != (-1, -1):
                part = person[: H - y, : W - x]
                frame[y : y + len(part), x : x + part.shape[1]] = part
        yield np.clip(frame + random.normal(0, 4, frame.shape), 0, 255).astype(np.uint8)


def followed(
    run: RunDetector, pictures: Iterator[np.ndarray], rate: float = 25, **options: int
) -> list[list[FollowedFace]]:
    tracker = FaceTracker(run, **options)
    return [tracker.follow(picture, i / rate) for i, picture in enumerate(pictures)]


def test_a_still_face_stands_still(run: RunDetector, person: np.ndarray) -> None:
    found = followed(run, frames([[(100, 60)]] * 14, [person]))
    corners = np.array([face.quadrangle() for (face,) in found])
    assert corners.std(0).max() < 0.4  # of pixels, where the crop's side is about 100


def test_a_fast_face_is_kept_up_with(run: RunDetector, person: np.ndarray) -> None:
    places = [[(20 + 9 * i, 40 + 3 * i)] for i in range(14)]
    found = followed(run, frames(places, [person]))
    assert all([face.number for face in some] == [1] for some in found)
    centers = np.array([face.points.mean(0) for (face,) in found]) - np.array([some[0] for some in places])
    assert np.abs(centers - centers[0]).max() < 2  # a frame behind would be 9


def test_two_faces_keep_their_numbers(run: RunDetector, person: np.ndarray) -> None:
    mirrored = np.ascontiguousarray(person[:, ::-1])
    places = [[(10 + 4 * i, 60), (300 - 4 * i, 60)] for i in range(10)]
    found = followed(run, frames(places, [person, mirrored]))
    numbers = {some[0].points[0, 0] < some[1].points[0, 0] and (some[0].number, some[1].number) for some in found}
    assert len(numbers) == 1
    assert all(sorted(face.number for face in some) == [1, 2] for some in found)


def test_a_face_that_comes_back_has_its_number_and_a_new_one_a_new(run: RunDetector, person: np.ndarray) -> None:
    away, left, right = (-1, -1), (20, 60), (300, 60)
    places = [[left]] * 4 + [[away]] * 5 + [[left]] * 4 + [[away]] * 15 + [[right]] * 8
    found = followed(run, frames(places, [person]), rate=6)
    numbers = [[face.number for face in some] for some in found]
    assert numbers[:4] == [[1]] * 4
    assert numbers[8] == []
    assert numbers[12] == [1]
    assert numbers[-1] == [2]


def test_a_new_scene_begins_anew(run: RunDetector, person: np.ndarray) -> None:
    dark = np.zeros((H, W, 3), np.uint8)
    dark[60 : 60 + SIDE, 200 : 200 + SIDE] = person
    tracker = FaceTracker(run)
    (first,) = tracker.follow(next(frames([[(60, 60)]], [person])), 0)
    (second,) = tracker.follow(dark, 0.04)
    assert (first.number, second.number) == (1, 2)
    assert second.points[0, 0] > first.points[0, 0] + 100


def test_no_more_faces_are_followed_than_are_wanted(run: RunDetector, person: np.ndarray) -> None:
    small = np.asarray(Image.fromarray(person).resize((120, 120)))
    found = followed(run, frames([[(20, 60), (300, 60)]] * 3, [small, person]), most=1)
    assert all(len(some) == 1 and some[0].points[0, 0] > 240 for some in found)


def test_a_tracker_goes_on_where_it_was(run: RunDetector, person: np.ndarray) -> None:
    pictures = list(frames([[(60 + 3 * i, 60)] for i in range(12)], [person]))
    one, other = FaceTracker(run), FaceTracker(run)
    for i, picture in enumerate(pictures):
        if i == 6:
            other.restore(one.state())
        expected = one.follow(picture, i / 25)
        if i >= 6:
            again = other.follow(picture, i / 25)
            assert [face.number for face in again] == [face.number for face in expected]
            for face, same in zip(again, expected, strict=True):
                np.testing.assert_array_equal(face.points, same.points)
