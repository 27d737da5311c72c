"""benchmarks/wide_crops.py: what it shows of a face, with its mask, and its table."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import wide_crops  # noqa: E402 - benchmarks is no package
from wide_crops import VIEWS, ImageAndMask, background_of, halved, turned, views  # noqa: E402

from face_parsing.labels import IGNORE_INDEX, class_ids, colorize  # noqa: E402

SKIN, HAIR = class_ids("skin", "hair")


def person(label: int = HAIR) -> ImageAndMask:
    """Someone of two classes in their colors, before a black background, down to the lower edge."""
    mask = np.zeros((64, 64), np.uint8)
    mask[16:, 16:48] = label
    mask[32:, 24:40] = SKIN
    return colorize(mask), mask


def test_a_turned_face_keeps_its_middle_and_its_labels() -> None:
    image, mask = turned(person())
    assert (mask[40:44, 30:34] == SKIN).all()
    same = (np.abs(image.astype(int) - colorize(mask)) <= 8).all(-1)
    assert same.mean() > 0.9
    assert mask[63, 40] != person()[1][63, 40] or mask[63, 20] != person()[1][63, 20]


def test_half_a_person_lies_where_it_is_put_with_soft_edges() -> None:
    scene = np.full((64, 64, 3), 100, np.uint8), np.full((64, 64), SKIN, np.uint8)
    for seed in range(4):
        image, mask = halved(person(), scene, 32, 10, seed=seed)
        assert (mask[40:48, 18:34] == HAIR).all()
        assert (mask[:40] == SKIN).all()
        assert (image[mask == HAIR] == colorize(mask)[mask == HAIR]).all()
        assert (image[:39] == 100).all()
    assert (scene[0] == 100).all()
    odd = person()
    odd[1][16, 16:48] = odd[0][16, 16:48] = 0  # a row more of background: the edge is half a pixel further down
    assert halved(odd, scene, 32, 10, seed=0)[0][40, 20].tolist() == [50, 50, (204 + 100) // 2]


def test_five_views_of_a_face() -> None:
    pair, other = person(), person(class_ids("cloth")[0])
    shown = views(pair, other, np.full((64, 64, 3), 200, np.uint8), seed=3)
    assert tuple(shown) == VIEWS
    assert shown["aligned"] is pair
    standing, over, around = (shown[view] for view in VIEWS[2:])
    assert (standing[1] == HAIR).sum() == (pair[1] == HAIR).sum() / 4
    assert (standing[1][-1] == SKIN).sum() == 8
    assert set(np.unique(over[1])) == {0, SKIN, HAIR, *class_ids("cloth")}
    assert (over[1][standing[1] != 0] == standing[1][standing[1] != 0]).all()
    assert (around[1][48:] == IGNORE_INDEX).all()
    assert (around[1][24:48, 24:40] != 0).all()
    assert not around[1][:24].any()
    assert (around[0][48:] == around[0][47]).all()
    again = views(pair, other, np.full((64, 64, 3), 200, np.uint8), seed=3)
    assert all(np.array_equal(a, b) for view in VIEWS for a, b in zip(shown[view], again[view], strict=True))


def test_a_background_is_continued_behind_its_person() -> None:
    image, mask = person()
    image[mask == 0] = (10, 90, 200)
    np.testing.assert_allclose(background_of((image, mask)), np.full_like(image, (10, 90, 200)), atol=1)


def test_the_table_is_that_of_what_was_shown(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that sees nothing but hair."""
    (tmp_path / "behind").mkdir()
    Image.new("RGB", (30, 20), (1, 2, 3)).save(tmp_path / "behind" / "wall.png")
    seen: list[tuple[int, ...]] = []

    def parse(photos: list[np.ndarray]) -> list[np.ndarray]:
        seen.extend(photo.shape for photo in photos)
        return [np.full(photo.shape[:2], HAIR, np.uint8) for photo in photos]

    monkeypatch.setattr(wide_crops, "open_network", lambda path: parse)
    monkeypatch.setattr(wide_crops, "SIZE", 64)
    words = ["--data", str(faces), "--model_path", "some.pth", "--limit", "2"]
    for more in ([], ["--backgrounds", str(tmp_path / "behind")]):
        assert wide_crops.main([*words, *more]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "2 faces"
        assert [line.split(" | ")[1] for line in lines[4:]] == list(VIEWS)
        figures = [[float(cell) for cell in line.strip("| ").split(" | ")[2:]] for line in lines[4:]]
        assert all(0 < f < hair < 1 and 0 < pooled < 1 for f, hair, _, pooled, _ in figures)
        assert all(row[2] == row[4] == 0 for row in figures), "clothes"
        assert figures[2][1] < figures[0][1], "at half the size there is less hair"
    assert seen == [(64, 64, 3)] * 20
    assert wide_crops.main([*words, "--views", "around"]) == 0
    assert len(seen) == 22
