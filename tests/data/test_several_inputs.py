"""Several photos and folders after --input."""

from __future__ import annotations

from pathlib import Path

import pytest

from face_parsing.cli import parse_arguments
from face_parsing.data.photo_search import search_photos


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("a/one.jpg", "a/two.png", "b/three.webp", "b/note.txt", "four.bmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_files_and_folders_are_taken_in_their_order(place: Path) -> None:
    found = search_photos([place / "four.bmp", place / "b", place / "a", place / "a" / "one.jpg"]).photos
    assert [path.name for path in found] == ["four.bmp", "three.webp", "one.jpg", "two.png"]


def test_two_of_one_stem_are_refused(place: Path) -> None:
    (place / "b" / "one.png").touch()
    with pytest.raises(ValueError, match=r"a/one\.jpg and .*b/one\.png would both become one\.png"):
        search_photos([place / "a", place / "b"])
    with pytest.raises(ValueError, match="There is no photo or folder"):
        search_photos([place / "a", place / "c"])


def test_the_command_takes_several() -> None:
    assert parse_arguments(["--input", "a.jpg", "b.jpg", "--output", "o"]).input == [Path("a.jpg"), Path("b.jpg")]
