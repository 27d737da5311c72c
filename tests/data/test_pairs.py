"""Pairs are found by stem, problems told by file, and both files resized alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pair_files import problems, write_faces

from face_parsing.data.pairs import Pair, find_pairs, read_pair
from face_parsing.data.problems import PROBLEMS_SHOWN
from face_parsing.labels import NUM_CLASSES


def test_pairs_are_found_by_stem_and_lr_corrected(tmp_path: Path) -> None:
    write_faces(tmp_path, ["b", "a.1", "10", "9"])
    (tmp_path / "images" / ".hidden.png").write_bytes(b"")
    (tmp_path / "images" / "notes.txt").write_text("no photo")
    (tmp_path / "images" / "b.png").rename(tmp_path / "images" / "b.JPG")
    found = find_pairs(tmp_path)
    assert [pair.stem for pair in found] == ["10", "9", "a.1", "b"]
    assert found[-1] == Pair("b", tmp_path / "images" / "b.JPG", tmp_path / "masks" / "b.png")


def test_files_without_a_partner_or_with_two_are_listed_together(tmp_path: Path) -> None:
    write_faces(tmp_path, ["a", "b", "c", "d"])
    (tmp_path / "masks" / "a.png").unlink()
    (tmp_path / "images" / "b.png").unlink()
    (tmp_path / "images" / "c.jpg").write_bytes((tmp_path / "images" / "c.png").read_bytes())
    first, *lines = problems(lambda: find_pairs(tmp_path))
    assert first.startswith(f"3 problems in {tmp_path}")
    assert len(lines) == 3
    assert f"{tmp_path / 'images' / 'c.png'}: c.jpg has the same stem" in lines[0]
    assert f"{tmp_path / 'images' / 'a.png'}: no mask {tmp_path / 'masks' / 'a'}.png" in lines[1]
    assert f"{tmp_path / 'masks' / 'b.png'}: no image of this name" in lines[2]


def test_many_problems_are_cut_short(tmp_path: Path) -> None:
    write_faces(tmp_path, ["kept"])
    for i in range(45):
        (tmp_path / "images" / f"{i:02d}.jpg").write_bytes(b"")
    first, *lines = problems(lambda: find_pairs(tmp_path))
    assert first.startswith("45 problems")
    assert len(lines) == PROBLEMS_SHOWN + 1
    assert lines[-1].strip() == "... and 15 more"


def test_folders_that_are_missing_or_empty(tmp_path: Path) -> None:
    assert f"There is no folder {tmp_path / 'images'}" in problems(lambda: find_pairs(tmp_path))[0]
    (tmp_path / "images").mkdir()
    assert f"There is no folder {tmp_path / 'masks'}" in problems(lambda: find_pairs(tmp_path))[0]
    (tmp_path / "masks").mkdir()
    assert f"There are no photos in {tmp_path / 'images'}" in problems(lambda: find_pairs(tmp_path))[0]


def test_reading_a_pair_resizes_both(faces: Path) -> None:
    image, mask = read_pair(find_pairs(faces / "train")[0], 40)
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == (
        (40, 40, 3),
        np.dtype("uint8"),
        (40, 40),
        np.dtype("uint8"),
    )
    assert mask.max() < NUM_CLASSES
