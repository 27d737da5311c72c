"""Data: problems told by file, splits that stay, and draws that depend on seed, epoch and index alone."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import TrainingSet, ValidationSet
from face_parsing.data.loader import batches_of, build_loader
from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import Pair, find_pairs, read_pair
from face_parsing.data.problems import PROBLEMS_SHOWN, DataError
from face_parsing.data.sampler import EpochSampler, repeat_factors
from face_parsing.data.split import Split, load_split, make_split
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, NUM_CLASSES, is_mirrored, palette_bytes, swap_left_right
from face_parsing.synthetic.dataset import make_pair
from face_parsing.system.workers import is_dead_worker

AUGMENTATION: dict[str, object] = {
    "flip": 0.5, "geometric": 1.0, "rotate": 20.0, "scale": (0.78, 1.28), "shift": 0.12, "color": 0.8,
    "color_strength": 0.3, "grey": 0.05, "noise": 0.3, "occlusion": 0.3,
}  # fmt: skip
SIZE = 64


def write_pair(folder: Path, stem: str, image: np.ndarray, mask: np.ndarray, *, suffix: str = ".png") -> Pair:
    """A photo, lossless unless asked otherwise, and its palette mask."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    pair = Pair(stem, folder / "images" / f"{stem}{suffix}", folder / "masks" / f"{stem}.png")
    Image.fromarray(image).save(pair.image)
    picture = Image.fromarray(mask)
    picture.putpalette(palette_bytes())
    picture.save(pair.mask)
    return pair


def write_faces(folder: Path, stems: list[str], *, size: int = 32) -> list[Pair]:
    return [write_pair(folder, stem, *make_pair(seed, size=size)) for seed, stem in enumerate(stems)]


def store(pairs: list[Pair], size: int = SIZE, *, repair: bool = True, limit_bytes: float = 1e9) -> PairStore:
    return PairStore(pairs, size, repair=repair, limit_bytes=limit_bytes, progress=False)


def problems(call: Callable[[], object]) -> list[str]:
    """The lines of the DataError that a call raises."""
    with pytest.raises(DataError) as caught:
        call()
    return str(caught.value).splitlines()


# --- finding pairs ----------------------------------------------------------------------------------


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


# --- reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["P", "L"])
def test_ids_are_read_and_not_colors(tmp_path: Path, mode: str) -> None:
    mask = np.resize(np.array([*range(NUM_CLASSES), IGNORE_INDEX], dtype=np.uint8), (8, 10))
    picture = Image.fromarray(mask)
    if mode == "P":
        picture.putpalette(palette_bytes())
    assert picture.mode == mode
    picture.save(tmp_path / "mask.png")
    found = read_mask(tmp_path / "mask.png")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, mask)


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
            Image.fromarray(mask.astype(np.uint16)).save(pair.mask)
        elif pair.stem == "size":
            Image.fromarray(mask[:-2]).save(pair.mask)
    return {
        "images/broken.jpg": "cannot be read as a photo",
        "masks/cut.png": "cannot be read as an image",
        "masks/label.png": "label 77; ids are 0 to 18, or 255 to ignore",
        "images/none.png": "cannot be read as a photo",
        "masks/rgb.png": "mode RGB; a mask is single-channel",
        "masks/sixteen.png": "mode I;16; a mask is single-channel",
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


def test_a_damaged_mask_is_read_or_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    picture = Image.fromarray(make_pair(0, size=32)[1])
    picture.putpalette(palette_bytes())
    picture.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = read = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), size=rng.integers(1, 6)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(0, len(whole))] if rng.random() < 0.3 else damaged)
        try:
            read_mask(path)
        except DataError as error:
            refused += str(path) in str(error)
            continue
        read += 1
    assert refused + read == 300
    assert refused > 100


# --- the store --------------------------------------------------------------------------------------


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


# --- splits -----------------------------------------------------------------------------------------


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


def test_files_of_stems_that_cannot_be_used(unsplit: Path) -> None:
    path = unsplit / "val.txt"
    assert f"{path} cannot be read" in problems(lambda: split(unsplit, val_stems=path))[0]
    path.write_text("\n\n")
    assert f"{path} is empty" in problems(lambda: split(unsplit, val_stems=path))[0]
    path.write_text("f03\nf99\nf98\n")
    assert (
        f"{path}: 2 stems are not in {unsplit / 'train'}, the first: f98"
        in problems(lambda: split(unsplit, val_stems=path))[0]
    )
    path.write_bytes(b"\xff\xfe\x00")
    assert f"{path} cannot be read" in problems(lambda: split(unsplit, val_stems=path))[0]
    path.write_text("".join(f"f{i:02d}\n" for i in range(12)))
    assert "none is left to train on" in problems(lambda: split(unsplit, val_stems=path))[0]


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


# --- the order of an epoch --------------------------------------------------------------------------


def sampler(
    weights: np.ndarray, *, seed: int = 0, epochs: int = 4, first_epoch: int = 0, batch: int = 5
) -> EpochSampler:
    """64 px and the given batch for two epochs, then 96 px and 2."""
    return EpochSampler(
        weights, seed=seed, epochs=epochs, first_epoch=first_epoch, stage=lambda e: (64, batch) if e < 2 else (96, 2)
    )


@pytest.mark.parametrize("weight", [1.0, 0.1, 1.7])
@pytest.mark.parametrize("count", [1, 2, 13, 800])
def test_equal_weights_draw_each_image_once(count: int, weight: float) -> None:
    drawn = sampler(np.full(count, weight))
    for epoch in range(20):
        assert sorted(drawn.order(epoch).tolist()) == list(range(count))


def test_the_order_follows_from_seed_and_epoch() -> None:
    weights = np.ones(13)
    orders = [sampler(weights).order(epoch).tolist() for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    assert [sampler(weights, first_epoch=2).order(epoch).tolist() for epoch in range(4)] == orders
    assert sampler(weights, seed=1).order(0).tolist() != orders[0]


def test_size_and_batch_change_with_the_stage() -> None:
    drawn = sampler(np.ones(13))
    batches = list(drawn)
    assert [drawn.steps(epoch) for epoch in range(4)] == [2, 2, 6, 6]  # incomplete batches are dropped
    assert len(batches) == len(drawn) == 16
    assert [len(batch) for batch in batches] == [5] * 4 + [2] * 12
    assert [{(epoch, size) for epoch, _, size in batch} for batch in batches] == (
        [{(0, 64)}] * 2 + [{(1, 64)}] * 2 + [{(2, 96)}] * 6 + [{(3, 96)}] * 6
    )
    for epoch in range(4):
        indices = [index for batch in batches for e, index, _ in batch if e == epoch]
        assert indices == drawn.order(epoch).tolist()[: len(indices)]


def test_a_resumed_sampler_gives_the_rest_exactly() -> None:
    weights = np.array([1.0, 1.0, 3.0, 1.5, 1.0, 1.0, 2.0])
    whole, rest = sampler(weights, batch=3), sampler(weights, batch=3, first_epoch=2)
    assert list(rest) == list(whole)[len(whole) - len(rest) :]
    assert {key[0] for batch in rest for key in batch} == {2, 3}


def test_too_few_pairs_for_a_batch_make_one() -> None:
    drawn = sampler(np.ones(3), epochs=1)
    assert drawn.steps(0) == 1
    assert [sorted(index for _, index, _ in batch) for batch in drawn] == [[0, 1, 2]]


def test_weights_are_drawn_in_proportion() -> None:
    weights = np.array([1.0, 1.0, 2.0, 4.0, 1.0, 1.0])
    drawn = sampler(weights, epochs=1)
    epochs = 600
    counts = np.zeros((epochs, 6), dtype=int)
    for epoch in range(epochs):
        for index, count in Counter(drawn.order(epoch).tolist()).items():
            counts[epoch, index] = count
    wanted = 6 * weights / weights.sum()  # 0.6, 0.6, 1.2, 2.4, 0.6, 0.6
    assert (counts.sum(1) == 6).all()
    assert (counts >= np.floor(wanted)).all()
    assert (counts <= np.ceil(wanted)).all()
    np.testing.assert_allclose(counts.mean(0), wanted, atol=0.08)


def test_rarity_weights_by_hand() -> None:
    presence = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 1]], dtype=bool)
    # Shares 1, 1/4, 1/2. With a threshold of 0.5 only the second class is rare: sqrt(0.5 / 0.25).
    assert repeat_factors(presence, 0.5).tolist() == pytest.approx([2**0.5, 1, 1, 1])
    # With 1 the third is, too: sqrt(1 / 0.5); the largest of an image's factors counts.
    assert repeat_factors(presence, 1.0).tolist() == pytest.approx([2, 1, 2**0.5, 2**0.5])
    assert repeat_factors(presence, 0.0).tolist() == [1, 1, 1, 1]
    assert repeat_factors(np.zeros((2, 3), dtype=bool), 0.5).tolist() == [1, 1]


# --- the training set and its loader ----------------------------------------------------------------


@pytest.fixture(scope="module")
def cached(faces: Path) -> PairStore:
    return store(find_pairs(faces / "train"))


def training_set(pairs: PairStore, *, seed: int = 0) -> TrainingSet:
    return TrainingSet(pairs, seed=seed, augmentation=AUGMENTATION)


def checksum(pairs: PairStore) -> int:
    return hash(b"".join(part.tobytes() for i in range(len(pairs)) for part in pairs[i]))


def same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_draw_follows_from_seed_epoch_and_index(cached: PairStore) -> None:
    keys = [(epoch, index, SIZE) for epoch in range(3) for index in range(4)]
    drawn = {key: training_set(cached)[key] for key in keys}
    for image, mask in drawn.values():
        assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((64, 64, 3), torch.uint8, (64, 64), torch.uint8)
    again, other_seed = training_set(cached), training_set(cached, seed=1)
    for key in reversed(keys):
        torch.manual_seed(key[1])
        assert same(again[key], drawn[key])
        assert not same(other_seed[key], drawn[key])
    for one, other in itertools.combinations(keys, 2):
        assert not same(drawn[one], drawn[other])


def test_one_pair_looks_different_at_every_place_and_in_every_epoch(faces: Path) -> None:
    repeated = store(find_pairs(faces / "train")[:1] * 6)
    drawn = training_set(repeated)
    looks = {drawn[epoch, index, SIZE][0].numpy().tobytes() for epoch in range(4) for index in range(6)}
    assert len(looks) == 24


def test_the_sampler_says_the_size(cached: PairStore) -> None:
    image, mask = training_set(cached)[0, 0, 96]
    assert (image.shape, mask.shape) == ((96, 96, 3), (96, 96))


def test_a_mask_of_half_the_size_is_moved_to_no_side(cached: PairStore) -> None:
    off = dict.fromkeys(("flip", "geometric", "color", "grey", "noise", "occlusion"), 0.0)
    drawn = TrainingSet(cached, seed=0, augmentation={**AUGMENTATION, **off})
    mask = cached[2][1]
    corners = [mask[down::2, across::2] for down in (0, 1) for across in (0, 1)]
    found = Counter(
        next(place for place, corner in enumerate(corners) if np.array_equal(drawn[epoch, 2, SIZE // 2][1], corner))
        for epoch in range(400)
    )
    assert len(found) == 4
    assert all(count == pytest.approx(100, abs=35) for count in found.values())


def test_without_augmentation_pairs_are_copies(cached: PairStore) -> None:
    plain = TrainingSet(cached, seed=0, augmentation=None)
    image, mask = plain[3, 2, SIZE]
    np.testing.assert_array_equal(image.numpy(), cached[2][0])
    np.testing.assert_array_equal(mask.numpy(), cached[2][1])
    before = checksum(cached)
    image.zero_()
    mask.zero_()
    assert checksum(cached) == before


def test_training_never_alters_the_cache_nor_what_is_validated_on(cached: PairStore) -> None:
    before = checksum(cached)
    validated, drawn = ValidationSet(cached), training_set(cached)
    first = [tuple(part.clone() for part in validated[i]) for i in range(len(validated))]
    for epoch in range(4):
        for index in range(len(cached)):
            drawn[epoch, index, SIZE]
    assert checksum(cached) == before
    assert len(validated) == len(cached)
    for i, parts in enumerate(first):
        assert all(torch.equal(one, other) for one, other in zip(parts, validated[i], strict=True))
        np.testing.assert_array_equal(validated[i][0].numpy(), cached[i][0])
        np.testing.assert_array_equal(validated[i][1].numpy(), cached[i][1])


@pytest.mark.parametrize("error", [ConnectionResetError("reset by peer"), EOFError()])
def test_a_loader_process_that_dies_handing_over_a_batch_is_told(error: Exception) -> None:
    class Loader:
        def __iter__(self) -> Iterator[None]:
            raise error
            yield

    with pytest.raises(RuntimeError, match="DataLoader worker is gone") as raised:
        next(batches_of(Loader()))  # type: ignore[arg-type]
    assert is_dead_worker(raised.value)


def test_a_dead_loader_process_may_be_the_cause_of_another_error() -> None:
    @contextmanager
    def writer() -> Iterator[None]:  # such as torch's, which complains where it was left in the middle
        try:
            yield
        finally:
            raise RuntimeError("unexpected pos 64 vs 0")

    with pytest.raises(RuntimeError, match="unexpected pos") as raised, writer():
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    assert is_dead_worker(raised.value)
    assert not is_dead_worker(RuntimeError("unexpected pos 64 vs 0"))
    assert not is_dead_worker(None)


def test_a_sampler_goes_on_within_an_epoch() -> None:
    weights = np.linspace(1, 3, 17)
    whole = list(sampler(weights, batch=3))
    for step in (1, 4, 5):
        rest = sampler(weights, batch=3, first_epoch=1)
        rest.first_step = step
        assert list(rest) == whole[rest.steps(0) + step :]
        assert len(rest) == len(whole) - rest.steps(0) - step


def loaded(pairs: PairStore, workers: int, *, first_epoch: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Every batch of two epochs of 64 px and one of 96 px."""
    order = EpochSampler(
        np.ones(len(pairs)), seed=0, epochs=3, first_epoch=first_epoch, stage=lambda e: (64 if e < 2 else 96, 4)
    )
    return [(image, mask) for image, mask in build_loader(training_set(pairs), order, workers=workers, pin=False)]


def test_workers_change_nothing(cached: PairStore) -> None:
    alone, shared = loaded(cached, 0), loaded(cached, 2)
    assert len(alone) == len(shared) == 9
    assert [tuple(images.shape) for images, _ in alone] == [(4, 64, 64, 3)] * 6 + [(4, 96, 96, 3)] * 3
    assert all(same(one, other) for one, other in zip(alone, shared, strict=True))
    resumed = loaded(cached, 2, first_epoch=1)
    assert len(resumed) == 6
    assert all(same(one, other) for one, other in zip(alone[3:], resumed, strict=True))


def test_neither_workers_nor_epochs_repeat_a_draw(faces: Path) -> None:
    repeated = store(find_pairs(faces / "train")[:1] * 8)
    batches = loaded(repeated, 2)
    looks = [image.numpy().tobytes() for images, _ in batches for image in images]
    assert len(looks) == 24
    assert len(set(looks)) == 24


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loaded_training_set_reads_no_file_again(
    cached: PairStore, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("a pair was read from its files again")

    for place in ("cache.read_pair", "pairs.read_mask", "pairs.read_photo"):
        monkeypatch.setattr(f"face_parsing.data.{place}", refuse)
    assert len(loaded(cached, workers)) == 9
    assert len(ValidationSet(cached)[0]) == 2


def test_reading_a_pair_resizes_both(faces: Path) -> None:
    image, mask = read_pair(find_pairs(faces / "train")[0], 40)
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == (
        (40, 40, 3),
        np.dtype("uint8"),
        (40, 40),
        np.dtype("uint8"),
    )
    assert mask.max() < NUM_CLASSES


def test_real_pairs_hold_the_mirrored_ones_that_were_counted(real_data: Path) -> None:
    pairs = find_pairs(real_data / "train")[:60]
    found = store(pairs, 128)
    swapped = sum(is_mirrored(read_mask(pair.mask)) for pair in pairs)
    assert found.mirrored == swapped > 0
    assert not any(is_mirrored(found[i][1]) for i in range(len(found)))


def test_the_steps_of_the_augmentation_are_drawn_apart() -> None:
    """A seed for all of them would make every grey face a flipped one too."""
    size = 32
    image = np.zeros((size, size, 3), np.uint8)
    image[:, : size // 2] = (200, 40, 40)
    mask = np.zeros((size, size), np.uint8)
    mask[:, : size // 2] = 1

    class OnePair(PairStore):
        def __init__(self) -> None:
            self.labels = CELEBAMASK

        def __len__(self) -> int:
            return 1

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            return image, mask

    off = {**AUGMENTATION, "geometric": 0.0, "color": 0.0, "noise": 0.0, "occlusion": 0.0}
    dataset = TrainingSet(OnePair(), seed=0, augmentation={**off, "flip": 0.5, "grey": 0.5})
    drawn = [dataset[epoch, 0, size] for epoch in range(200)]
    flipped = np.array([int(mask[0, 0]) == 0 for _, mask in drawn])
    grey = np.array([bool((photo[..., 0] == photo[..., 1]).all()) for photo, _ in drawn])
    assert flipped.mean() == pytest.approx(0.5, abs=0.15)
    assert grey.mean() == pytest.approx(0.5, abs=0.15)
    assert abs(np.corrcoef(flipped, grey)[0, 1]) < 0.2
