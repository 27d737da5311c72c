"""The store: pairs as they were written, mirrored ones repaired and counted, every problem told at once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pair_files import SIZE, problems, store, write_faces, write_pair
from PIL import Image

from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import find_pairs
from face_parsing.labels import IGNORE_INDEX, NUM_CLASSES, is_mirrored, swap_left_right
from face_parsing.synthetic.dataset import make_pair


def spoil(folder: Path) -> dict[str, str]:
    """Eight pairs, seven of them unusable: what is to be said of each by stem."""
    for pair in write_faces(folder, ["broken", "cut", "fine", "label", "none", "rgb", "sixteen", "size"]):
        image, mask = (np.array(Image.open(path)) for path in (pair.image, pair.mask))
        if pair.stem == "broken":
            pair.image.unlink()
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG")
            pair.image.with_suffix(".jpg").write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
        elif pair.stem == "cut":
            pair.mask.write_bytes(pair.mask.read_bytes()[:-200])
        elif pair.stem == "label":
            mask[3, 4] = 77
            Image.fromarray(mask).save(pair.mask)
        elif pair.stem == "none":
            pair.image.write_bytes(b"no photo at all")
        elif pair.stem == "rgb":
            Image.open(pair.mask).convert("RGB").save(pair.mask)
        elif pair.stem == "sixteen":
            Image.fromarray(mask.astype(np.uint16) * 257).save(pair.mask)
        elif pair.stem == "size":
            Image.fromarray(mask[:-2]).save(pair.mask)
    return {
        "images/broken.jpg": "cannot be read as a photo",
        "masks/cut.png": "cannot be read as an image",
        "masks/label.png": "label 77; ids are 0 to 18, or 255 to ignore",
        "images/none.png": "cannot be read as a photo",
        "masks/rgb.png": "mode RGB; a mask is single-channel",
        "masks/sixteen.png": "label 257; ids are 0 to 18, or 255 to ignore",
        "masks/size.png": "32x30, but its image is 32x32",
    }


@pytest.mark.parametrize("limit_bytes", [1e9, 1.0])
def test_everything_that_is_wrong_with_the_files_is_told_at_once(tmp_path: Path, limit_bytes: float) -> None:
    wanted = spoil(tmp_path)
    first, *lines = problems(lambda: store(find_pairs(tmp_path), limit_bytes=limit_bytes))
    assert first.startswith(f"7 problems in {tmp_path}")
    assert len(lines) == len(wanted)
    for line, (name, reason) in zip(lines, wanted.items(), strict=True):
        assert f"{tmp_path / name}: " in line
        assert reason in line


def test_pairs_come_out_as_they_were_written(tmp_path: Path) -> None:
    pairs = write_faces(tmp_path, ["a", "b", "c"], size=SIZE)
    found = store(pairs)
    assert len(found) == 3
    assert found.cached
    for seed in range(3):
        image, mask = make_pair(seed, size=SIZE)
        np.testing.assert_array_equal(found[seed][0], image)
        np.testing.assert_array_equal(found[seed][1], mask)
    counts = np.stack([np.bincount(make_pair(seed, size=SIZE)[1].ravel(), minlength=NUM_CLASSES) for seed in range(3)])
    np.testing.assert_array_equal(found.pixel_counts, counts.sum(0))
    np.testing.assert_array_equal(found.presence, counts > 0)
    assert found.mirrored == 0


@pytest.mark.parametrize("repair", [True, False])
@pytest.mark.parametrize("size", [SIZE, 40])
def test_without_memory_for_all_pairs_they_are_read_anew_and_are_the_same(
    tmp_path: Path, size: int, repair: bool
) -> None:
    pairs = write_faces(tmp_path, ["a", "b"], size=SIZE)
    image, mask = make_pair(2, size=SIZE)
    pairs.append(write_pair(tmp_path, "mirrored", image[:, ::-1], np.ascontiguousarray(mask[:, ::-1])))
    needed = 3 * size * size * 4
    kept = store(pairs, size, repair=repair, limit_bytes=needed)
    read = store(pairs, size, repair=repair, limit_bytes=needed - 1)
    assert (kept.cached, read.cached) == (True, False)
    assert read._images.size == read._masks.size == 0
    for i in range(3):
        for one, other in zip(kept[i], read[i], strict=True):
            assert one.dtype == other.dtype == np.uint8
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(kept.pixel_counts, read.pixel_counts)
    np.testing.assert_array_equal(kept.presence, read.presence)
    assert kept.mirrored == read.mirrored == 1


def test_mirrored_pairs_are_repaired_and_counted(tmp_path: Path) -> None:
    image, mask = make_pair(0, size=SIZE)
    turned = np.ascontiguousarray(mask[:, ::-1])
    assert is_mirrored(turned)
    pairs = [write_pair(tmp_path, "a", image, mask), write_pair(tmp_path, "b", image[:, ::-1], turned)]
    repaired, left = store(pairs, repair=True), store(pairs, repair=False)
    assert repaired.mirrored == left.mirrored == 1
    np.testing.assert_array_equal(repaired[0][1], mask)
    np.testing.assert_array_equal(repaired[1][1], swap_left_right(turned))
    np.testing.assert_array_equal(repaired[1][0], image[:, ::-1])
    assert not is_mirrored(repaired[1][1])
    np.testing.assert_array_equal(left[1][1], turned)


def test_counts_describe_the_repaired_masks(tmp_path: Path) -> None:
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    mask[:10, :10], mask[:20, 40:60], mask[50:, :5] = 4, 5, 8  # mirrored: the left eye and ear lie at the left
    pairs = [write_pair(tmp_path, "a", np.zeros((SIZE, SIZE, 3), dtype=np.uint8), mask)]
    found = store(pairs, repair=True)
    assert found.mirrored == 1
    np.testing.assert_array_equal(found.pixel_counts, np.bincount(found[0][1].ravel(), minlength=NUM_CLASSES))
    np.testing.assert_array_equal(found.presence[0], found.pixel_counts > 0)


def test_ignored_pixels_are_not_counted_as_a_class(tmp_path: Path) -> None:
    image, mask = make_pair(0, size=SIZE)
    mask[:8] = IGNORE_INDEX
    found = store([write_pair(tmp_path, "a", image, mask)])
    assert found.pixel_counts.sum() == SIZE * (SIZE - 8)
    assert (found[0][1][:8] == IGNORE_INDEX).all()


def test_real_pairs_hold_the_mirrored_ones_that_were_counted(real_data: Path) -> None:
    pairs = find_pairs(real_data / "train")[:60]
    found = store(pairs, 128)
    swapped = sum(is_mirrored(read_mask(pair.mask)) for pair in pairs)
    assert found.mirrored == swapped > 0
    assert not any(is_mirrored(found[i][1]) for i in range(len(found)))
