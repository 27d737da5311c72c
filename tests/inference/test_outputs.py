"""The files that a photo becomes, beside its mask: each read back, and what a run that goes on takes for done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing.inference.outputs import Extras, Files, existing_crops, write_crops, write_outputs
from face_parsing.labels import CELEBAMASK

PHOTO = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
MASK = np.arange(30, dtype=np.uint8).reshape(6, 5) % 19
ALL = Files(color=True, overlay=True, instances=True, json=True, soft=True)


def crops(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.full((4, 4, 3), 10 * k, np.uint8), np.full((4, 4), k, np.uint8)) for k in range(1, count + 1)]


def test_every_file_holds_what_was_found(tmp_path: Path) -> None:
    instances = np.where(MASK > 9, 300, 0).astype(np.uint16)
    facts = {"file": "a [ 1,  2 ].jpg", "faces": [{"points": [[1.5, 2.0], [3.0, 4.0]]}], "nobody": []}
    soft = np.random.default_rng(0).integers(0, 256, (6, 5, 19), dtype=np.uint8)
    paths = ALL.paths(tmp_path, "album/a")
    assert {kind: path.relative_to(tmp_path).as_posix() for kind, path in paths.items()} == {
        "mask": "masks/album/a.png",
        "color": "color/album/a.png",
        "overlay": "overlay/album/a.jpg",
        "instances": "instances/album/a.png",
        "json": "json/album/a.json",
        "soft": "soft/album/a.npz",
    }
    write_outputs(PHOTO, MASK, paths, CELEBAMASK, Extras(instances, facts, soft))
    with Image.open(paths["instances"]) as picture:
        assert picture.mode == "I;16"
        np.testing.assert_array_equal(np.array(picture), instances)
    text = paths["json"].read_text(encoding="utf-8")
    assert json.loads(text) == facts
    assert "\n    [1.5, 2.0],\n" in text  # a point on a line
    with np.load(paths["soft"]) as found:
        np.testing.assert_array_equal(found["probabilities"], soft)
        assert tuple(found["classes"]) == CELEBAMASK.names
    assert all(path.name[0] != "." for path in tmp_path.rglob("*"))


def test_crops_take_the_place_of_those_of_another_run(tmp_path: Path) -> None:
    written = write_crops(tmp_path, "a", crops(3))
    assert written["crop_2"] == tmp_path / "crops" / "a_2.png"
    with Image.open(written["crop_mask_3"]) as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.array(mask), np.full((4, 4), 3))
    write_crops(tmp_path, "a_1", crops(1))  # another photo, whose name is that of a crop
    assert sorted(path.name for path in (tmp_path / "crops").iterdir()) == [
        "a_1.png",
        "a_1_1.png",
        "a_2.png",
        "a_3.png",
    ]
    write_crops(tmp_path, "a", crops(1))
    assert [path.name for path in existing_crops(tmp_path, "a")] == ["a_1.png", "a_1.png"]
    assert [path.name for path in existing_crops(tmp_path, "a_1")] == ["a_1_1.png", "a_1_1.png"]


@pytest.mark.parametrize("kind", ["color", "overlay", "instances", "json", "soft"])
def test_a_photo_is_done_once_all_its_files_are_there(kind: str, tmp_path: Path) -> None:
    files = Files(**{kind: True})
    assert not files.replaced(tmp_path, "a")
    mask, other = files.paths(tmp_path, "a").values()
    for path in (mask, other):
        assert not files.are_there(tmp_path, "a")
        path.parent.mkdir()
        path.touch()
    assert files.are_there(tmp_path, "a")
    assert files.replaced(tmp_path, "a") == [mask, other]
    assert Files().replaced(tmp_path, "a") == [mask]


def test_crops_count_as_files_of_a_photo(tmp_path: Path) -> None:
    files = Files(crops=True)
    files.paths(tmp_path, "a")["mask"].parent.mkdir()
    files.paths(tmp_path, "a")["mask"].touch()
    assert not files.are_there(tmp_path, "a")
    write_crops(tmp_path, "a", crops(2))
    assert files.are_there(tmp_path, "a")
    assert len(files.replaced(tmp_path, "a")) == 5
