"""Many photos at once: the same files as one by one, what cannot be read in order, and an end after an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing import FaceParser, cli
from face_parsing.data.photos import read_photo
from face_parsing.inference import outputs
from face_parsing.inference.folder import predict_folder, side_by_side
from face_parsing.inference.outputs import output_paths, write_outputs
from face_parsing.synthetic.dataset import make_pair

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Faces of two sizes, and a file that is no photo."""
    folder = tmp_path / "photos"
    folder.mkdir()
    face = Image.fromarray(read_photo(ROOT / "docs" / "images" / "astronaut.jpg"))
    for i in range(9):
        face.resize((120 + 16 * (i % 2), 130)).rotate(5 * i).save(folder / f"{i}.png")
    (folder / "4.png").write_bytes(b"no photo")
    return sorted(folder.iterdir())


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_photos_side_by_side_become_the_files_that_each_becomes_alone(photos: list[Path], tmp_path: Path) -> None:
    together = FaceParser(threads=1)
    failures = predict_folder(
        together.parse, photos, tmp_path / "many", at_once=3, color=True, overlay=True, progress=False
    )
    assert [Path(line.split(":")[0]).name for line in failures] == ["4.png"]
    alone = FaceParser(threads=2)
    for photo in photos:
        predict_folder(alone.parse, [photo], tmp_path / "alone", color=True, overlay=True, progress=False)
    assert len(files_of(tmp_path / "alone")) == 3 * 8
    assert files_of(tmp_path / "many") == files_of(tmp_path / "alone")


def test_after_an_error_nothing_new_is_begun(photos: list[Path], tmp_path: Path) -> None:
    begun: list[int] = []

    def full(some: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        begun.append(len(some))
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        predict_folder(full, photos, tmp_path / "out", at_once=1, progress=False)
    assert len(begun) < 4


@pytest.mark.parametrize(
    ("threads", "count", "expected"),
    [(2, 100, (2, 1)), (2, 1, (1, 2)), (0, 1, (1, 0)), (4, 3, (3, 2)), (64, 100, (8, 57)), (1, 9, (1, 1))],
)
def test_threads_are_shared_by_the_photos(threads: int, count: int, expected: tuple[int, int]) -> None:
    assert side_by_side(count, threads, cli.MOST_AT_ONCE) == expected


def test_files_of_a_large_photo_are_written_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, mask = make_pair(0, size=64)
    write_outputs(photo, mask, output_paths(tmp_path / "one", "a", color=True, overlay=True))
    monkeypatch.setattr(outputs, "SIDE_BY_SIDE", 1)
    write_outputs(photo, mask, output_paths(tmp_path / "all", "a", color=True, overlay=True))
    assert files_of(tmp_path / "all") == files_of(tmp_path / "one")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="cannot be written"):
        write_outputs(photo, mask, output_paths(tmp_path / "file", "a", color=True, overlay=True))
