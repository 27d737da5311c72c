"""The synthetic faces: what the rest of the project relies on when it trains and tests on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import prepare
from face_parsing.labels import CLASS_NAMES, LEFT_RIGHT_PAIRS, NUM_CLASSES, is_mirrored, palette_bytes
from face_parsing.synthetic.dataset import make_pair, write_dataset

SEEDS = range(60)
ID = {name: index for index, name in enumerate(CLASS_NAMES)}


@pytest.fixture(scope="module")
def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    return [make_pair(seed, size=128) for seed in SEEDS]


@pytest.fixture(scope="module")
def areas(pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Pixels of each class in each face, (60, 19)."""
    return np.stack([np.bincount(mask.ravel(), minlength=NUM_CLASSES) for _, mask in pairs])


def test_the_same_seed_gives_the_same_pair_whatever_was_drawn_before(
    pairs: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    for seed in (7, 3):
        image, mask = make_pair(seed, size=128)
        np.testing.assert_array_equal(image, pairs[seed][0])
        np.testing.assert_array_equal(mask, pairs[seed][1])


def test_different_seeds_give_different_faces(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    assert len({image.tobytes() for image, _ in pairs}) == len(SEEDS)
    assert len({mask.tobytes() for _, mask in pairs}) == len(SEEDS)


@pytest.mark.parametrize("size", [32, 64, 127, 128, 200])
def test_shapes_types_and_ids(size: int) -> None:
    image, mask = make_pair(11, size=size)
    assert (image.shape, image.dtype, image.flags.c_contiguous) == ((size, size, 3), np.dtype("uint8"), True)
    assert (mask.shape, mask.dtype, mask.flags.c_contiguous) == ((size, size), np.dtype("uint8"), True)
    assert mask.max() < NUM_CLASSES
    assert {ID["skin"], ID["nose"], ID["neck"], ID["cloth"], ID["u_lip"], ID["l_lip"]} <= set(np.unique(mask).tolist())


def test_a_face_is_the_same_face_at_every_size() -> None:
    small, large = make_pair(5, size=96)[1], make_pair(5, size=192)[1]
    assert (large[::2, ::2] == small).mean() > 0.97


def test_every_class_occurs_about_as_often_as_intended(areas: np.ndarray) -> None:
    share = dict(zip(CLASS_NAMES, (areas > 0).mean(axis=0).tolist(), strict=True))
    for name in ("background", "skin", "nose", "l_brow", "r_brow", "u_lip", "l_lip", "neck", "cloth"):
        assert share[name] == 1.0, name
    wanted = {"l_eye": (0.8, 1.0), "r_eye": (0.8, 1.0), "l_ear": (0.4, 0.85), "r_ear": (0.4, 0.85),
              "mouth": (0.3, 0.7), "hair": (0.75, 1.0), "eye_g": (0.12, 0.45), "hat": (0.1, 0.4),
              "ear_r": (0.2, 0.55), "neck_l": (0.12, 0.45)}  # fmt: skip
    for name, (low, high) in wanted.items():
        assert low <= share[name] <= high, f"{name} occurs in {share[name]:.0%} of the faces"


@pytest.mark.parametrize(("name", "pixels"), [("ear_r", 24), ("neck_l", 60), ("eye_g", 200), ("hat", 600),
                                              ("l_eye", 24), ("r_eye", 24), ("mouth", 24), ("nose", 40)])  # fmt: skip
def test_no_part_is_too_small_to_learn(areas: np.ndarray, name: str, pixels: int) -> None:
    present = areas[:, ID[name]][areas[:, ID[name]] > 0]
    assert present.min() >= pixels


def test_left_labels_lie_right_of_right_labels(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for seed, (_, mask) in zip(SEEDS, pairs, strict=True):
        assert not is_mirrored(mask), seed
        for left, right in LEFT_RIGHT_PAIRS:
            if (mask == left).any() and (mask == right).any():
                assert np.nonzero(mask == left)[1].mean() > np.nonzero(mask == right)[1].mean(), (seed, left)


def test_parts_lie_where_they_belong(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    def row(mask: np.ndarray, *names: str) -> float:
        return float(np.nonzero(np.isin(mask, [ID[name] for name in names]))[0].mean())

    for _, mask in pairs:
        heights = [row(mask, "l_brow", "r_brow"), row(mask, "nose"), row(mask, "u_lip"), row(mask, "l_lip"),
                   row(mask, "neck"), row(mask, "cloth")]  # fmt: skip
        assert heights == sorted(heights)
        if (mask == ID["hat"]).any():
            assert row(mask, "hat") < heights[0]
        if (mask == ID["ear_r"]).any():
            assert row(mask, "ear_r") > row(mask, "l_ear", "r_ear")


def test_edges_of_mask_and_image_agree(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    def contrast(image: np.ndarray, mask: np.ndarray) -> float:
        """Mean color step across the mask's vertical edges."""
        step = np.abs(np.diff(image.astype(int), axis=1)).sum(axis=2)
        return float(step[np.diff(mask.astype(int), axis=1) != 0].mean())

    aligned = np.mean([contrast(*pair) for pair in pairs])
    for shift in (-3, 3):
        assert aligned > 1.8 * np.mean([contrast(image, np.roll(mask, shift, axis=1)) for image, mask in pairs])


def test_impossible_seed_and_size() -> None:
    with pytest.raises(ValueError, match="size is 8; it must be at least 32"):
        make_pair(0, size=8)
    with pytest.raises(ValueError, match="seed is -1"):
        make_pair(-1)


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
