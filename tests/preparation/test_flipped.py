"""Mirrored copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from prepared_files import Run, files, write_mask, write_root

from face_parsing.data.masks import read_mask
from face_parsing.data.photos import read_photo
from face_parsing.labels import is_mirrored, swap_left_right
from face_parsing.preparation.flipped import mirror_pair
from face_parsing.synthetic.dataset import make_pair


def test_flip_adds_mirrored_pairs_and_names_those_out_of_order(tmp_path: Path, run: Run) -> None:
    source, out = write_root(tmp_path / "s", {"train": 3, "val": 1, "test": 1}), tmp_path / "out"
    wrong = source / "train" / "masks" / "a1.png"
    write_mask(swap_left_right(read_mask(wrong)), wrong)
    assert is_mirrored(read_mask(wrong))
    status, said, _ = run("flip", "--source", source, "--output", out)
    assert status == 0
    assert "train 6 pairs, val 1 pairs, test 1 photos" in said
    assert "1 masks of" in said
    assert said.splitlines()[-1].strip() == "a1.png"
    assert {k: v for k, v in files(out).items() if "_flipped" not in k and "images" in k} == {
        k: v for k, v in files(source).items() if "images" in k
    }
    for stem in ("a0", "a1", "a2"):
        photo, mask = read_photo(source / "train/images" / f"{stem}.png"), read_mask(source / f"train/masks/{stem}.png")
        new_photo = read_photo(out / "train/images" / f"{stem}_flipped.png")
        new_mask = read_mask(out / f"train/masks/{stem}_flipped.png")
        np.testing.assert_array_equal(new_photo, photo[:, ::-1])
        np.testing.assert_array_equal(new_mask, swap_left_right(mask)[:, ::-1])
        assert is_mirrored(new_mask) == is_mirrored(mask)
        for again, before in zip(mirror_pair(new_photo, new_mask), (photo, mask), strict=True):
            np.testing.assert_array_equal(again, before)


def test_flipping_a_jpeg_loses_next_to_nothing(tmp_path: Path, run: Run) -> None:
    image, mask = make_pair(3, size=64)
    write_mask(mask, tmp_path / "s/train/masks/a.png")
    (tmp_path / "s/train/images").mkdir()
    Image.fromarray(image).save(tmp_path / "s/train/images/a.jpg", quality=80)
    assert run("flip", "--source", tmp_path / "s", "--output", tmp_path / "out")[0] == 0
    flipped = read_photo(tmp_path / "out/train/images/a_flipped.jpg").astype(int)
    difference = np.abs(flipped - read_photo(tmp_path / "s/train/images/a.jpg")[:, ::-1])
    assert difference.mean() < 1
    with (
        Image.open(tmp_path / "out/train/images/a_flipped.jpg") as new,
        Image.open(tmp_path / "s/train/images/a.jpg") as old,
    ):
        assert new.quantization == old.quantization  # type: ignore[attr-defined]


def test_a_flipped_set_is_not_flipped_again(tmp_path: Path, run: Run) -> None:
    source = write_root(tmp_path / "s", {"train": 1})
    assert run("flip", "--source", source, "--output", tmp_path / "out")[0] == 0
    status, _, complaint = run("flip", "--source", tmp_path / "out", "--output", tmp_path / "twice")
    assert status == 2
    assert "would both become" in complaint
    assert "a0_flipped" in complaint
