"""Data sets of synthetic faces on a disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import prepare
from face_parsing.labels import NUM_CLASSES, palette_bytes
from face_parsing.synthetic.dataset import make_pair, write_dataset


def test_data_set_on_disk(tmp_path: Path) -> None:
    root = tmp_path / "new" / "demo"
    write_dataset(root, train=3, val=2, test=1, size=64, seed=4, progress=False)
    written = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    pairs = [("train", 0), ("train", 1), ("train", 2), ("val", 0), ("val", 1)]
    wanted = [f"{split}/{kind}" % i for split, i in pairs for kind in ("images/%05d.jpg", "masks/%05d.png")]
    assert written == sorted([*wanted, "test/images/00000.jpg"])
    assert [path.name for path in root.parent.iterdir()] == ["demo"]  # no temporary folder is left

    with Image.open(root / "val/masks/00001.png") as mask, Image.open(root / "val/images/00001.jpg") as image:
        assert (mask.mode, mask.size, image.mode, image.size) == ("P", (64, 64), "RGB", (64, 64))
        assert list(mask.getpalette() or [])[: 3 * NUM_CLASSES] == palette_bytes()[: 3 * NUM_CLASSES]
        ids = np.unique(np.array(mask))
        assert ids.max() < NUM_CLASSES
        assert len(ids) > 8
    assert len({path.read_bytes() for path in root.rglob("*.jpg")}) == 6  # no face twice, in no two splits


def test_written_masks_are_the_drawn_ones_and_a_split_does_not_depend_on_another(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a", train=1, val=1, size=64, progress=False)
    write_dataset(tmp_path / "b", train=2, val=1, size=64, progress=False)
    assert (tmp_path / "a/val/images/00000.jpg").read_bytes() == (tmp_path / "b/val/images/00000.jpg").read_bytes()
    assert not (tmp_path / "a/test").exists()
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a/train/masks/00000.png")), make_pair(0, size=64)[1])


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    root.mkdir()
    write_dataset(root, train=1, val=0, size=64, progress=False)  # empty: may be used
    before = sorted(root.rglob("*"))
    with pytest.raises(FileExistsError, match=r"demo exists and is not an empty folder; remove it or choose another"):
        write_dataset(root, train=1, val=1, size=64, progress=False)
    assert sorted(root.rglob("*")) == before
    assert list(tmp_path.iterdir()) == [root]


def test_a_failure_halfway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_on_the_third(seed: int, *, size: int) -> tuple[np.ndarray, np.ndarray]:
        if seed == 2:
            raise OSError("disk full")
        return make_pair(seed, size=size)

    monkeypatch.setattr("face_parsing.synthetic.dataset.make_pair", fail_on_the_third)
    with pytest.raises(OSError, match="disk full"):
        write_dataset(tmp_path / "demo", train=4, val=1, size=64, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "demo"
    assert (
        prepare.main(["synthetic", "--output", str(root), "--train", "1", "--val", "1", "--test", "1", "--size", "64"])
        == 0
    )
    assert [len(list(root.rglob(kind))) for kind in ("*.jpg", "*.png")] == [3, 2]
    assert "wrote 3 faces of 64 px" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "exists and is not an empty folder; remove it or choose another output folder"),
        (["--size", "4"], "size is 4; it must be at least 32 pixels"),
        (["--val", "-1"], "val is -1; it must be between 0 and"),
        (["--train", "0", "--val", "0", "--test", "0"], "ask for at least one face"),
        (["--seed", "-2"], "seed is -2; it must be 0 or larger"),
    ],
)
def test_the_command_explains_errors_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    assert prepare.main(["synthetic", "--output", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("prepare.py: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_an_interrupted_command_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(seed: int, *, size: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("face_parsing.synthetic.dataset.make_pair", interrupted)
    assert prepare.main(["synthetic", "--output", str(tmp_path / "demo")]) == 130
    assert "prepare.py: interrupted; nothing was written." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
