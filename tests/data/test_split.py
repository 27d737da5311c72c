"""Splits: by folder, by a file of stems or by a share, saved and loaded again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pair_files import problems

from face_parsing.data.pairs import Pair
from face_parsing.data.problems import DataError
from face_parsing.data.split import Split, load_split, make_split


def stems(pairs: list[Pair]) -> list[str]:
    return [pair.stem for pair in pairs]


def split(root: Path, *, val_stems: Path | None = None, val_fraction: float = 0.25, seed: int = 0) -> Split:
    return make_split(root, val_stems=val_stems, val_fraction=val_fraction, seed=seed)


@pytest.fixture
def unsplit(tmp_path: Path) -> Path:
    """A data set of 12 training pairs without a validation folder. Its files are empty: nothing reads them."""
    for part, suffix in (("images", ".jpg"), ("masks", ".png")):
        (tmp_path / "train" / part).mkdir(parents=True)
        for i in range(12):
            (tmp_path / "train" / part / f"f{i:02d}{suffix}").write_bytes(b"")
    return tmp_path


def test_a_folder_of_validation_pairs_is_the_split(faces: Path) -> None:
    found = split(faces)
    assert (len(found.train), len(found.val)) == (12, 4)
    assert {pair.image.parent for pair in found.train} == {faces / "train" / "images"}
    assert {pair.mask.parent for pair in found.val} == {faces / "val" / "masks"}


def test_two_ways_to_split_at_once_are_refused(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("00001\n")
    with pytest.raises(DataError, match=r"val_stems = .*val\.txt and the folder .* keep one of them"):
        split(faces, val_stems=tmp_path / "val.txt")


@pytest.mark.parametrize("lines", ["f03\nf07\n", "f07.jpg\nf03.jpg\n\n", "  f03.png  \r\nf07\r\n"])
def test_a_file_of_stems_is_the_split(unsplit: Path, lines: str) -> None:
    (unsplit / "val.txt").write_bytes(lines.encode())
    found = split(unsplit, val_stems=unsplit / "val.txt")
    assert stems(found.val) == ["f03", "f07"]
    assert stems(found.train) == [f"f{i:02d}" for i in range(12) if i not in (3, 7)]


ALL = "".join(f"f{i:02d}\n" for i in range(12)).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "val.txt cannot be read"),
        (b"\n\n", "val.txt is empty"),
        (b"f03\nf99\nf98\n", "val.txt: 2 stems are not in {train}, the first: f98"),
        (b"\xff\xfe\x00", "val.txt cannot be read"),
        (ALL, "none is left to train on"),
    ],
    ids=["missing", "empty", "unknown stems", "no text", "all of them"],
)
def test_files_of_stems_that_cannot_be_used(unsplit: Path, content: bytes | None, message: str) -> None:
    path = unsplit / "val.txt"
    if content is not None:
        path.write_bytes(content)
    assert message.format(train=unsplit / "train") in problems(lambda: split(unsplit, val_stems=path))[0]


@pytest.mark.parametrize(("fraction", "count"), [(0.25, 3), (0.1, 1), (0.01, 1), (0.5, 6), (0.9, 11)])
def test_a_share_is_split_off(unsplit: Path, fraction: float, count: int) -> None:
    found = split(unsplit, val_fraction=fraction)
    assert len(found.val) == count
    assert sorted(stems(found.train) + stems(found.val)) == [f"f{i:02d}" for i in range(12)]
    assert stems(found.train) == sorted(stems(found.train))
    assert stems(found.val) == sorted(stems(found.val))
    assert split(unsplit, val_fraction=fraction) == found


def test_another_seed_splits_otherwise(unsplit: Path) -> None:
    assert len({tuple(stems(split(unsplit, seed=seed).val)) for seed in range(8)}) > 4


def test_a_saved_split_is_loaded_again(unsplit: Path, faces: Path, tmp_path: Path) -> None:
    for root in (unsplit, faces):
        wanted = split(root, seed=3)
        wanted.save(tmp_path / "split.json")
        assert load_split(tmp_path / "split.json", root) == wanted


def test_a_saved_split_whose_pairs_have_vanished(unsplit: Path) -> None:
    path = unsplit / "split.json"
    split(unsplit).save(path)
    for part, suffix in (("images", ".jpg"), ("masks", ".png")):
        for name in ("f04", "f09"):
            (unsplit / "train" / part / f"{name}{suffix}").unlink()
    text = problems(lambda: load_split(path, unsplit))[0]
    assert text.startswith(f"2 pairs of the split {path} are no longer in {unsplit}, the first: f0")


def test_a_missing_data_folder(tmp_path: Path) -> None:
    text = problems(lambda: split(tmp_path / "absent"))[0]
    assert f"There is no data folder {tmp_path / 'absent'}" in text
    assert "data/README.md" in text
