"""Preparing data: every format in small, what is there already, what is refused, and what is named and left out."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import prepare
from face_parsing.data.mask_palettes import IdRule
from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import find_pairs
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.data.provenance import broken_rule, labels_of_set, read_provenance
from face_parsing.data.split import make_split
from face_parsing.labels import CLASS_NAMES, group_labels, is_mirrored, palette_bytes, swap_left_right
from face_parsing.preparation import copying
from face_parsing.preparation.celebamask_hq import merge_parts, read_mapping, split_of
from face_parsing.preparation.copying import PreparationError, each_result
from face_parsing.preparation.face_synthetics import IDS
from face_parsing.preparation.flipped import mirror_pair
from face_parsing.preparation.layouts import ORDERS, order_table, read_order
from face_parsing.preparation.pairs import copy_pair
from face_parsing.preparation.statistics import from_histogram, histogram
from face_parsing.synthetic.dataset import make_pair

SIZE = 32
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command with one process: status, stdout, stderr without the bar."""

    def call(*words: object) -> tuple[int, str, str]:
        status = prepare.main([*map(str, words), "--workers", "1"])
        captured = capsys.readouterr()
        lines = [line for line in captured.err.replace("\r", "\n").splitlines() if "pair/s]" not in line]
        return status, captured.out, "\n".join(line for line in lines if line.strip() and "image/s]" not in line)

    return call


def write_mask(mask: np.ndarray, path: Path, mode: str = "P") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(mask)
    if mode == "P":
        picture.putpalette(palette_bytes())
    picture.save(path)


def write_image(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_root(root: Path, splits: dict[str, int], suffix: str = ".png") -> Path:
    """A set in our layout: faces named a0, a1, ..., test without masks."""
    for seed, (split, i) in enumerate((split, i) for split, count in splits.items() for i in range(count)):
        image, mask = make_pair(seed, size=SIZE)
        write_image(image, root / split / "images" / f"a{i}{suffix}")
        if split != "test":
            write_mask(mask, root / split / "masks" / f"a{i}.png")
    return root


def files(root: Path) -> dict[str, bytes]:
    """Every file below root but the provenance."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "provenance.json"
    }


# --- CelebAMask-HQ ----------------------------------------------------------------------------------

HEADER = "idx    orig_idx   orig_file  \n"


def write_celeba(root: Path, originals: dict[int, int]) -> Path:
    """Photos of 64 px; their parts of 32 px: all have skin, the nose over it, and, where the number is odd, hair."""
    lines = [HEADER]
    for number, original in originals.items():
        image = make_pair(number, size=64)[0]
        write_image(image, root / "CelebA-HQ-img" / f"{number}.jpg")
        parts = {"skin": (slice(4, 28), slice(4, 28)), "nose": (slice(10, 20), slice(12, 18))}
        if number % 2:
            parts["hair"] = (slice(0, 12), slice(0, 32))
        for name, where in parts.items():
            part = np.zeros((32, 32, 3), dtype=np.uint8)
            part[where] = 255
            write_image(part, root / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05d}_{name}.png")
        lines.append(f"{number}{' ' * (1 + number % 7)}\t {original}     {original + 1:06d}.jpg  \n")
    (root / "CelebAMask-HQ-mask-anno" / "0").mkdir(exist_ok=True)
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("".join(lines), encoding="utf-8")
    return root


CELEBA = {0: 119613, 1: 162770, 2: 162771, 3: 182637, 2001: 182638}


def test_celebamask_hq_is_merged_reduced_and_split(tmp_path: Path, run: Run) -> None:
    source, out = write_celeba(tmp_path / "full", CELEBA), tmp_path / "out"
    status, said, complaint = run("celebamask-hq", "--source", source, "--output", out, "--size", 32)
    assert (status, complaint) == (0, "")
    assert "train 2 pairs, val 2 pairs, test 1 pairs; 5 made now, 0 were there already" in said
    split = make_split(out, val_stems=None, val_fraction=0.1, seed=0)
    assert [pair.stem for pair in split.train] == ["00000", "00001"]
    assert [pair.stem for pair in split.val] == ["00002", "00003"]
    assert [pair.stem for pair in find_pairs(out / "test")] == ["02001"]

    expected = np.zeros((32, 32), dtype=np.uint8)
    expected[4:28, 4:28] = 1
    expected[10:20, 12:18] = 2
    np.testing.assert_array_equal(read_mask(split.train[0].mask), expected)
    expected[0:12, 0:32] = 13  # over skin and nose, whose ids are lower
    np.testing.assert_array_equal(read_mask(split.train[1].mask), expected)
    with Image.open(split.train[0].mask) as picture:
        assert picture.mode == "P"
        assert picture.getpalette()[:6] == [0, 0, 0, 204, 0, 0]  # type: ignore[index]

    photo = read_photo(source / "CelebA-HQ-img" / "0.jpg").astype(float)
    area = np.floor(photo.reshape(32, 2, 32, 2, 3).mean((1, 3)) + 0.5).astype(np.uint8)
    Image.fromarray(area).save(tmp_path / "area.jpg", quality=95)
    np.testing.assert_array_equal(read_photo(split.train[0].image), read_photo(tmp_path / "area.jpg"))
    record = read_provenance(out)
    assert record is not None
    assert (record["breaks"], record["pairs"], record["command"][1]) == ("external_data", 5, "celebamask-hq")
    assert broken_rule(out) == "external_data"


def test_photos_of_the_wanted_size_are_not_encoded_again(tmp_path: Path, run: Run) -> None:
    source = write_celeba(tmp_path / "full", {0: 1})
    assert run("celebamask-hq", "--source", source, "--output", tmp_path / "out", "--size", 64)[0] == 0
    image = tmp_path / "out" / "train" / "images" / "00000.jpg"
    assert image.read_bytes() == (source / "CelebA-HQ-img" / "0.jpg").read_bytes()
    mask = read_mask(tmp_path / "out" / "train" / "masks" / "00000.png")
    np.testing.assert_array_equal(
        mask, merge_parts(source / "CelebAMask-HQ-mask-anno" / "0" / "00000").repeat(2, 0).repeat(2, 1)
    )


@pytest.mark.parametrize("seed", range(3))
def test_parts_are_merged_as_the_slow_way_does(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected = np.zeros((20, 24), dtype=np.uint8)
    modes = itertools.cycle(["L", "RGB", "1", "P", "RGBA"])
    for c, name in enumerate(CLASS_NAMES[1:], 1):
        part = rng.random((20, 24)) < rng.choice([0, 0.02, 0.3])
        if rng.random() < 0.3:
            continue
        picture = Image.fromarray((part * (1 if c % 3 else 255)).astype(np.uint8))  # 1 is a part too
        mode = next(modes)
        if mode == "P":
            picture.putpalette([255] * 768)  # ids count, not colors
        elif mode == "1":
            picture = Image.fromarray(part)
        else:
            picture = picture.convert(mode)
        picture.save(tmp_path / f"00007_{name}.png")
        expected[part] = c
    np.testing.assert_array_equal(merge_parts(tmp_path / "00007"), expected)


def test_the_split_changes_at_its_borders() -> None:
    numbers = (0, 162770, 162771, 182637, 182638, 202598)
    assert [split_of(n) for n in numbers] == ["train", "train", "val", "val", "test", "test"]


def test_mapping_with_header_and_irregular_spaces(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text(HEADER + "0   \t119613   119614.jpg\n\n  1 99094 099095.jpg   \n2\t\t200121  200122.jpg", "utf-8")
    assert read_mapping(path) == {0: 119613, 1: 99094, 2: 200121}
    path.write_text("5 7 000008.jpg\n", "utf-8")
    assert read_mapping(path) == {5: 7}  # without a header


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEADER + "0 x 1.jpg\n", "line 2: '0 x 1.jpg' does not begin with two numbers"),
        (HEADER + "0 1 1.jpg\n7\n", "line 3: '7' does not begin"),
        (HEADER + "0 1 1.jpg\n0 2 2.jpg\n", "line 3: the photo 0 is listed twice"),
        (HEADER, "lists no photo"),
    ],
)
def test_a_broken_mapping_is_told_by_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "m.txt").write_text(text, "utf-8")
    with pytest.raises(PreparationError, match=reason):
        read_mapping(tmp_path / "m.txt")


def test_a_folder_that_is_no_celebamask_hq(tmp_path: Path, run: Run) -> None:
    (tmp_path / "CelebA-HQ-img").mkdir()
    status, _, complaint = run("celebamask-hq", "--source", tmp_path, "--output", tmp_path.parent / "never")
    assert status == 2
    assert str(tmp_path / "CelebAMask-HQ-mask-anno" / "0") in complaint
    assert f"{tmp_path / 'CelebA-HQ-to-CelebA-mapping.txt'} (the numbers of the photos in CelebA" in complaint
    assert str(tmp_path / "CelebA-HQ-img") not in complaint.split("looked in vain for")[1]
    assert not (tmp_path.parent / "never").exists()


def test_the_mapping_may_lie_elsewhere(tmp_path: Path, run: Run) -> None:
    source = write_celeba(tmp_path / "full", {0: 1})
    moved = (source / "CelebA-HQ-to-CelebA-mapping.txt").rename(tmp_path / "m.txt")
    words = ["celebamask-hq", "--source", source, "--output", tmp_path / "out", "--size", 32]
    assert "--mapping" in run(*words)[2]
    assert run(*words, "--mapping", moved)[0] == 0


def test_bad_files_of_celebamask_hq_are_named_and_the_rest_is_done(tmp_path: Path, run: Run) -> None:
    source = write_celeba(tmp_path / "full", {n: n for n in range(6)})
    images, parts = source / "CelebA-HQ-img", source / "CelebAMask-HQ-mask-anno" / "0"
    (images / "0.jpg").write_bytes((images / "0.jpg").read_bytes()[:200])
    for path in parts.glob("00001_*"):
        path.unlink()
    (parts / "00002_nose.png").write_bytes(b"no picture")
    write_image(np.zeros((9, 9), np.uint8), parts / "00003_hat.png")
    write_image(make_pair(9, size=64)[0], images / "77.jpg")
    write_image(make_pair(9, size=64)[0], images / "cover.jpg")
    words = ("celebamask-hq", "--source", source, "--output", tmp_path / "out", "--size", 32)
    status, said, complaint = run(*words)
    assert status == 1
    assert "train 2 pairs; 2 made now" in said
    assert complaint.startswith("prepare.py: 6 problems; the rest is done")
    for words_of_one in (
        f"{images / '0.jpg'}: cannot be read as a photo",
        f"{parts / '00001'}_*.png: there is no part of this face",
        f"{parts / '00002_nose.png'}: cannot be read as an image",
        f"{parts / '00003_hat.png'}: 9x9, but the other parts of this face are 32x32",
        f"{images / '77.jpg'}: CelebA-HQ-to-CelebA-mapping.txt does not list 77",
        f"{images / 'cover.jpg'}: its name is no number",
    ):
        assert words_of_one in complaint
    assert [pair.stem for pair in find_pairs(tmp_path / "out" / "train")] == ["00004", "00005"]

    write_image(make_pair(0, size=64)[0], images / "0.jpg")  # mended
    status, said, complaint = run(*words)
    assert (status, complaint[:24]) == (1, "prepare.py: 5 problems; ")
    assert "train 3 pairs; 1 made now, 2 were there already" in said


# --- other layouts and orders -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        (("train/train_image", "train/train_mask"), ("val/val_image", "val/val_mask"), "test_image"),
        (("train/train_image", "train/train_mask"), ("val/image", "val/mask"), "test/test_image"),
        (("train_image", "train_mask"), ("val/images", "val/masks"), "test/image"),
        (("train_img", "train_label"), ("val_img", "val_label"), "test_img"),
        (("train/images", "train/labels"), ("val/image", "val/label"), "test/images"),
    ],
)
def test_layouts(tmp_path: Path, run: Run, train: tuple[str, str], val: tuple[str, str], test: str) -> None:
    pairs = {split: make_pair(seed, size=SIZE) for seed, split in enumerate(("train", "val", "test"))}
    for split, (images, masks) in {"train": train, "val": val, "test": (test, "")}.items():
        write_image(pairs[split][0], tmp_path / "s" / images / "0007.jpg")
        if masks:
            write_mask(pairs[split][1], tmp_path / "s" / masks / "0007.png", mode="L")
    out = tmp_path / "out"
    status, said, _ = run("layout", "--source", tmp_path / "s", "--output", out)
    assert status == 0
    assert "train 1 pairs, val 1 pairs, test 1 photos" in said
    for split, (images, _) in {"train": train, "val": val, "test": (test, "")}.items():
        copied = out / split / "images" / "0007.jpg"
        assert copied.read_bytes() == (tmp_path / "s" / images / "0007.jpg").read_bytes()
    for split in ("train", "val"):
        np.testing.assert_array_equal(read_mask(out / split / "masks" / "0007.png"), pairs[split][1])
    assert not (out / "test" / "masks").exists()
    assert broken_rule(out) is None
    assert json.loads((out / "provenance.json").read_text())["pairs"] == 2


def test_masks_of_test_are_taken_where_they_are(tmp_path: Path, run: Run) -> None:
    write_root(tmp_path / "s", {"train": 2})
    image, mask = make_pair(5, size=SIZE)
    write_image(image, tmp_path / "s" / "test" / "test_image" / "x.png")
    write_mask(mask, tmp_path / "s" / "test" / "test_mask" / "x.png")
    assert "test 1 pairs" in run("layout", "--source", tmp_path / "s", "--output", tmp_path / "out")[1]
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "test" / "masks" / "x.png"), mask)
    assert len(make_split(tmp_path / "out", val_stems=None, val_fraction=0.1, seed=0).val) == 1


def test_the_other_order_is_translated_by_name(tmp_path: Path, run: Run) -> None:
    # As the issue spells it out, not as the module does.
    text = "background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip"
    theirs = [*text.split(), "neck", "neck_l", "cloth", "hair", "hat"]
    assert list(ORDERS["zllrunning"]) == theirs
    assert sorted(theirs) == sorted(CLASS_NAMES)
    ids = np.array([[*range(19), 255]], np.uint8).repeat(19, 0)
    write_image(make_pair(0, size=SIZE)[0][:19, :20], tmp_path / "s" / "train_image" / "x.png")
    write_mask(ids, tmp_path / "s" / "train_mask" / "x.png")
    words = ("layout", "--source", tmp_path / "s", "--output")
    assert run(*words, tmp_path / "out", "--order", "zllrunning")[0] == 0
    found = read_mask(tmp_path / "out" / "train" / "masks" / "x.png")
    assert [CLASS_NAMES[i] for i in found[0, :19]] == theirs
    assert (found[:, 19] == 255).all()

    order = tmp_path / "order.yaml"
    order.write_text(yaml.safe_dump(theirs), "utf-8")
    assert run(*words, tmp_path / "same", "--order", order)[0] == 0
    assert files(tmp_path / "same") == files(tmp_path / "out")


def test_ids_that_an_order_lacks_are_named(tmp_path: Path, run: Run) -> None:
    order = tmp_path / "order.yaml"
    order.write_text("[background, hair, skin]", "utf-8")
    assert order_table(read_order(str(order)))[:4].tolist() == [0, 13, 1, -1]
    image = make_pair(0, size=SIZE)[0]
    for name, ids in {"good": [0, 1, 2, 255], "bad": [0, 1, 3, 7], "worse": [0, 1, 2, 40]}.items():
        write_image(image[:2, :4], tmp_path / "s" / "train_image" / f"{name}.png")
        write_mask(np.array([ids, ids], np.uint8), tmp_path / "s" / "train_mask" / f"{name}.png")
    status, _, complaint = run("layout", "--source", tmp_path / "s", "--output", tmp_path / "out", "--order", order)
    assert status == 1
    assert "bad.png: holds the id 3, 7, which is not in the source's order" in complaint
    assert "worse.png: label 40" in complaint
    assert [path.name for path in (tmp_path / "out" / "train" / "images").iterdir()] == ["good.png"]
    assert read_mask(tmp_path / "out" / "train" / "masks" / "good.png")[0].tolist() == [0, 13, 1, 255]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[skin, ear]", "entry 1 is 'ear'; the classes are background, skin"),
        ("[skin, nose, skin]", "skin is listed twice"),
        ("[skin, 3]", "entry 1 is 3"),
        ("skin: 1", "must hold a list"),
        ("[skin", "cannot be read as YAML"),
    ],
)
def test_wrong_orders(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "o.yaml").write_text(text, "utf-8")
    with pytest.raises(PreparationError, match=reason):
        read_order(str(tmp_path / "o.yaml"))
    with pytest.raises(PreparationError, match="--order nobody is neither celebamask nor zllrunning nor a YAML file"):
        read_order("nobody")


def test_sizes_that_differ_are_named_or_made_one(tmp_path: Path, run: Run) -> None:
    image = make_pair(0, size=64)[0]
    mask = np.kron(np.arange(4, dtype=np.uint8).reshape(2, 2), np.ones((16, 16), np.uint8))
    write_image(image, tmp_path / "s" / "train_img" / "1.jpg")
    write_mask(mask, tmp_path / "s" / "train_label" / "1.png")
    words = ("layout", "--source", tmp_path / "s", "--output")
    status, _, complaint = run(*words, tmp_path / "out")
    assert status == 1
    assert "1.png: 32x32, but its image is 64x64; --size makes both one size" in complaint
    assert files(tmp_path / "out") == {}
    assert run(*words, tmp_path / "small", "--size", 32)[0] == 0
    np.testing.assert_array_equal(read_mask(tmp_path / "small" / "train" / "masks" / "1.png"), mask)
    assert read_photo(tmp_path / "small" / "train" / "images" / "1.jpg").shape == (32, 32, 3)


def test_folders_without_a_known_layout(tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    assert "There is no folder" in run("layout", "--source", tmp_path / "none", "--output", out)[2]
    source = tmp_path / "s"
    (source / "train" / "photos").mkdir(parents=True)
    status, _, complaint = run("layout", "--source", source, "--output", out)
    assert status == 2
    assert "holds no training pairs; looked for train/images with train/masks or train/train_image" in complaint
    (source / "train_img").mkdir()
    assert "train_img has no folder of masks" in run("layout", "--source", source, "--output", out)[2]
    for folder in ("train_label", "train_image", "train_mask"):
        (source / folder).mkdir()
    assert "holds train more than once" in run("layout", "--source", source, "--output", out)[2]
    assert not out.exists()


def test_files_without_a_partner_are_named(tmp_path: Path, run: Run) -> None:
    source = write_root(tmp_path / "s", {"train": 4})
    (source / "train" / "masks" / "a0.png").unlink()
    (source / "train" / "images" / "a1.png").unlink()
    write_image(make_pair(0, size=SIZE)[0], source / "train" / "images" / "a2.jpg")
    Image.fromarray(make_pair(3, size=SIZE)[1]).save(source / "train" / "masks" / "a3.jpg")
    (source / "train" / "masks" / "a3.png").unlink()
    status, said, complaint = run("layout", "--source", source, "--output", tmp_path / "out")
    assert status == 1
    assert "train 1 pairs; 1 made" in said
    assert "a0.png: no mask" in complaint
    assert "a1.png: no image of this name" in complaint
    assert "a2.png: a2.jpg has the same stem" in complaint
    assert "a3.jpg: a mask must be a PNG" in complaint


# --- groups -----------------------------------------------------------------------------------------


def test_six_classes(tmp_path: Path, run: Run, root: Path) -> None:
    source = write_root(tmp_path / "s", {"train": 2, "val": 1, "test": 1})
    classes = root / "configs" / "earlier" / "six_classes.yaml"
    out = tmp_path / "out"
    assert run("group", "--source", source, "--output", out, "--classes", classes)[0] == 0
    theirs = {4: 1, 5: 1, 6: 2, 7: 2, 2: 3, 10: 4, 11: 5, 12: 5}
    mask = read_mask(source / "train" / "masks" / "a1.png")
    expected = np.vectorize(lambda i: theirs.get(i, 0))(mask)
    rule = IdRule(palette=labels_of_set(out).palette)
    np.testing.assert_array_equal(read_mask(out / "train" / "masks" / "a1.png", rule), expected)
    with Image.open(out / "train" / "masks" / "a1.png") as picture:
        assert picture.getpalette()[3:6] == [51, 51, 255]  # type: ignore[index]  # eyes, as the left one
    assert (out / "test" / "images" / "a0.png").is_file()
    record = read_provenance(out)
    assert record is not None
    assert [name for name, _ in record["recipe"]["classes"]] == [
        "background",
        "eyes",
        "eyebrows",
        "nose",
        "mouth",
        "lips",
    ]
    for name, more in (("group", ["--classes", str(classes)]), ("flip", [])):
        status, _, complaint = run(name, "--source", out, "--output", tmp_path / "again", *more)
        assert status == 2
        assert "is a grouped set;" in complaint


def test_classes_as_a_mapping_by_itself(tmp_path: Path, run: Run) -> None:
    groups = {"rest": [], "lips": ["u_lip", "l_lip"]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(groups, sort_keys=False), "utf-8")
    source = write_root(tmp_path / "s", {"train": 1})
    assert run("group", "--source", source, "--output", tmp_path / "out", "--classes", tmp_path / "c.yaml")[0] == 0
    mask = read_mask(source / "train" / "masks" / "a0.png")
    rule = IdRule(palette=labels_of_set(tmp_path / "out").palette)
    found = read_mask(tmp_path / "out" / "train" / "masks" / "a0.png", rule)
    np.testing.assert_array_equal(found, group_labels(groups).table[mask])
    assert set(np.unique(found)) == {0, 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{a: [skin], b: [ski]}", "b lists 'ski'"),
        ("{a: [], b: [l_eye]}", "one side of a left/right pair"),
        ("[skin]", "holds no classes"),
        ("data: {root: x}", "holds no classes"),
        ("{a: [], b: skin}", "b must be a name with a list"),
        ("{a: [", "cannot be read"),
    ],
)
def test_wrong_classes(tmp_path: Path, run: Run, text: str, reason: str) -> None:
    (tmp_path / "c.yaml").write_text(text, "utf-8")
    status, _, complaint = run("group", "--source", tmp_path, "--output", "o", "--classes", tmp_path / "c.yaml")
    assert status == 2
    assert str(tmp_path / "c.yaml") in complaint
    assert reason in complaint


# --- FaceSynthetics ---------------------------------------------------------------------------------


def test_face_synthetics(tmp_path: Path, run: Run) -> None:
    text = "0:0 1:1 2:2 3:5 4:4 5:7 6:6 7:9 8:8 9:10 10:11 11:12 12:17 13:13 14:1 15:18 16:3 17:14 18:0 255:255"
    assert {int(a): int(b) for a, b in (word.split(":") for word in text.split())} == IDS
    ids = np.array([[*range(19), 255]], np.uint8).repeat(20, 0)
    source = tmp_path / "s"
    for stem in ("000000", "000001"):
        write_image(make_pair(1, size=SIZE)[0][:20, :20], source / f"{stem}.png")
        write_mask(ids, source / f"{stem}_seg.png", mode="L")
    (source / "000000_ldmks.txt").write_text("1 2\n", "utf-8")
    write_image(make_pair(1, size=SIZE)[0], source / "000002.png")
    write_mask(ids, source / "000003_seg.png")
    write_image(make_pair(1, size=SIZE)[0][:20, :20], source / "000004.png")
    write_mask(np.full((20, 20), 19, np.uint8), source / "000004_seg.png")
    out = tmp_path / "out"
    status, said, complaint = run("face-synthetics", "--source", source, "--output", out)
    assert status == 1
    assert "train 2 pairs; 2 made" in said
    assert "000002.png: no mask 000002_seg.png" in complaint
    assert "000003_seg.png: no image 000003.png" in complaint
    assert "000004_seg.png: label 19" in complaint
    expected = [0, 1, 2, 5, 4, 7, 6, 9, 8, 10, 11, 12, 17, 13, 1, 18, 3, 14, 0, 255]
    pairs = find_pairs(out / "train")
    assert [pair.stem for pair in pairs] == ["000000", "000001"]
    assert read_mask(pairs[0].mask)[3].tolist() == expected
    assert pairs[0].image.read_bytes() == (source / "000000.png").read_bytes()
    assert broken_rule(out) == "external_data"


def test_a_folder_that_is_no_face_synthetics(tmp_path: Path, run: Run) -> None:
    complaint = run("face-synthetics", "--source", tmp_path, "--output", tmp_path / "out")[2]
    assert "looked for pairs such as 000000.png and 000000_seg.png" in complaint


# --- mirrored copies --------------------------------------------------------------------------------


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


# --- statistics -------------------------------------------------------------------------------------


def test_statistics_are_numpys(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, high, (h, w, 3), dtype=np.uint8) for high, h, w in ((256, 9, 7), (90, 5, 11), (2, 3, 3))]
    for i, image in enumerate(images):
        write_image(image, tmp_path / "train" / "images" / f"{i}.png")
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64) / 255
    target = tmp_path / "figures.json"
    status, said, _ = run("statistics", "--source", tmp_path, "--json", target)
    assert status == 0
    figures = json.loads(target.read_text())
    assert (figures["images"], figures["pixels"]) == (3, len(pixels))
    np.testing.assert_allclose(figures["mean"], pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(figures["std"], pixels.std(0), rtol=1e-12)
    values: dict[str, tuple[float, ...]] = {}
    exec(said, values)
    np.testing.assert_allclose(values["MEAN"], pixels.mean(0), atol=5e-7)
    np.testing.assert_allclose(values["STD"], pixels.std(0), atol=5e-7)

    assert "would be replaced; add --overwrite" in run("statistics", "--source", tmp_path, "--json", target)[2]
    (tmp_path / "train" / "images" / "bad.jpg").write_bytes(b"no photo")
    status, again, complaint = run("statistics", "--source", tmp_path, "--json", target, "--overwrite")
    assert (status, again) == (1, said)
    assert "1 problem; " in complaint
    assert "bad.jpg" in complaint


def test_statistics_of_one_color(tmp_path: Path) -> None:
    write_image(np.full((4, 4, 3), (51, 102, 255), np.uint8), tmp_path / "a.png")
    figures = from_histogram(histogram(tmp_path / "a.png"), 1)
    assert figures.mean == (0.2, 0.4, 1.0)
    assert figures.std == (0.0, 0.0, 0.0)


def test_statistics_without_images(tmp_path: Path, run: Run) -> None:
    assert "holds no training images; looked for" in run("statistics", "--source", tmp_path)[2]
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "train" / "images" / "a.png").write_bytes(b"")
    status, _, complaint = run("statistics", "--source", tmp_path)
    assert status == 2
    assert "None of the 1 images can be read" in complaint


# --- the output folder ------------------------------------------------------------------------------


def test_a_second_call_does_what_is_missing(tmp_path: Path, run: Run) -> None:
    source, out = write_root(tmp_path / "s", {"train": 4, "val": 2, "test": 1}), tmp_path / "out"
    words = ("flip", "--source", source, "--output", out)
    assert "11 made now, 0 were there already" in run(*words)[1]
    complete = files(out)
    kept = out / "train" / "images" / "a0.png"
    before = kept.stat().st_mtime_ns
    (out / "train" / "images" / "a1_flipped.png").unlink()
    (out / "train" / "masks" / "a2.png").unlink()
    (out / "val" / "images" / "a0.png").unlink()
    (out / "val" / "masks" / "a0.png").unlink()
    leftover = out / "train" / "masks" / ".123.a3.png"
    leftover.write_bytes(b"half")
    assert "3 made now, 8 were there already" in run(*words)[1]
    assert not leftover.exists()
    assert files(out) == complete
    assert kept.stat().st_mtime_ns == before


def test_an_interrupted_call_can_be_repeated(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write_root(tmp_path / "s", {"train": 4}), tmp_path / "out"
    calls = itertools.count()

    def interrupted(call: Callable[[], object]) -> object:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return call()

    with monkeypatch.context() as patch:
        patch.setattr(copying, "_guarded", interrupted)
        status, _, complaint = run("layout", "--source", source, "--output", out)
    assert status == 130
    assert "interrupted; the same command goes on where it stopped" in complaint
    record = read_provenance(out)
    assert record is not None
    assert record["pairs"] is None
    assert len(find_pairs(out / "train")) == 2
    assert "2 made now, 2 were there already" in run("layout", "--source", source, "--output", out)[1]


def test_a_killed_call_leaves_whole_files_and_no_process(tmp_path: Path, root: Path) -> None:
    source, out = write_root(tmp_path / "s", {"train": 300}), tmp_path / "out"
    words = [sys.executable, "src/prepare.py", "flip", "--source", source, "--output", out, "--workers", "2"]
    process = subprocess.Popen(list(map(str, words)), cwd=root, stderr=subprocess.DEVNULL)
    masks = out / "train" / "masks"
    deadline = time.monotonic() + 60
    while (not masks.is_dir() or len(list(masks.glob("*.png"))) < 20) and time.monotonic() < deadline:
        time.sleep(0.005)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(pid) for pid in children.read_text().split()] if children.is_file() else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in masks.glob("[!.]*.png"):
        read_mask(path)
    while any(Path(f"/proc/{pid}").exists() and _state(pid) != "Z" for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert prepare.main([*map(str, words[2:-1]), "1"]) == 0
    assert len(find_pairs(out / "train")) == 600
    assert not list(out.rglob(".*"))


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_output_of_another_command_is_refused(tmp_path: Path, run: Run) -> None:
    source, out = write_root(tmp_path / "s", {"train": 2}), tmp_path / "out"
    assert run("layout", "--source", source, "--output", out)[0] == 0
    before = files(out)
    for words in (
        ("flip", "--source", source),
        ("layout", "--source", source, "--size", 16),
        ("layout", "--source", source, "--order", "zllrunning"),
        ("layout", "--source", write_root(tmp_path / "other", {"train": 1})),
    ):
        status, _, complaint = run(*words, "--output", out)
        assert status == 2
        assert f"{out} was made by another command (prepare.py layout --source {source}" in complaint
        assert "--overwrite" in complaint
    assert files(out) == before
    (out / "notes.txt").write_text("mine", "utf-8")
    status, said, _ = run("layout", "--source", tmp_path / "other", "--output", out, "--overwrite")
    assert status == 0
    assert "train 1 pairs; 1 made now, 0 were there" in said
    assert [pair.stem for pair in find_pairs(out / "train")] == ["a0"]
    assert (out / "notes.txt").is_file()


def test_files_of_the_user_are_not_replaced_unasked(tmp_path: Path, run: Run) -> None:
    source, out = write_root(tmp_path / "s", {"train": 1}), write_root(tmp_path / "mine", {"train": 2})
    before = files(out)
    status, _, complaint = run("layout", "--source", source, "--output", out)
    assert status == 2
    assert f"{out / 'train' / 'images'} holds files that this command did not make" in complaint
    assert files(out) == before
    status, _, complaint = run("layout", "--source", tmp_path / "wrong", "--output", out, "--overwrite")
    assert (status, files(out)) == (2, before)  # a wrong source costs nothing
    (tmp_path / "file").write_text("x", "utf-8")
    assert "is a file" in run("layout", "--source", source, "--output", tmp_path / "file")[2]


def test_source_and_output_must_lie_apart(tmp_path: Path, run: Run) -> None:
    source = write_root(tmp_path / "s", {"train": 1})
    before = files(source)
    link = tmp_path / "link"
    link.symlink_to(source)
    for output in (source, link, tmp_path / "x" / ".." / "s"):
        assert "is the source itself" in run("layout", "--source", source, "--output", output, "--overwrite")[2]
    for output in (source / "out", link / "out"):
        assert "lies inside the source" in run("layout", "--source", source, "--output", output, "--overwrite")[2]
    view = tmp_path / "view"  # a layout of links to what the output is
    view.mkdir()
    (view / "train_image").symlink_to(source / "train" / "images")
    (view / "train_mask").symlink_to(source / "train" / "masks")
    complaint = run("layout", "--source", view, "--output", source, "--overwrite")[2]
    assert "is read but lies inside --output" in complaint
    assert files(source) == before


def test_what_breaks_the_rules_is_inherited(tmp_path: Path, run: Run) -> None:
    source = write_celeba(tmp_path / "full", {0: 1, 1: 2})
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("celebamask-hq", "--source", source, "--output", first, "--size", 32)[0] == 0
    (first / "provenance.json").write_text(
        (first / "provenance.json").read_text().replace('"external_data"', '"teacher"'), "utf-8"
    )
    assert run("flip", "--source", first, "--output", second)[0] == 0
    assert broken_rule(second) == "teacher"
    (first / "provenance.json").write_text("[]", "utf-8")
    assert "holds no provenance" in run("flip", "--source", first, "--output", tmp_path / "third")[2]


def test_links_are_made_where_they_can_be(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_root(tmp_path / "s", {"train": 1, "test": 1})
    linked = tmp_path / "view" / "train"
    linked.mkdir(parents=True)
    for part in ("images", "masks"):
        (linked / part).symlink_to(source / "train" / part)
    assert run("layout", "--source", tmp_path / "view", "--output", tmp_path / "out", "--link")[0] == 0
    original, copied = source / "train/images/a0.png", tmp_path / "out/train/images/a0.png"
    assert copied.samefile(original)
    assert not copied.is_symlink()

    def across_devices(*_: object) -> None:
        raise OSError("another device")

    monkeypatch.setattr(os, "link", across_devices)
    assert run("layout", "--source", tmp_path / "view", "--output", tmp_path / "far", "--link")[0] == 0
    assert not (tmp_path / "far/train/images/a0.png").samefile(original)
    assert (tmp_path / "far/train/images/a0.png").read_bytes() == original.read_bytes()


def test_a_pair_with_a_bad_half_is_left_out_whole(tmp_path: Path) -> None:
    source = write_root(tmp_path / "s", {"train": 2})
    (source / "train/masks/a0.png").write_bytes(b"")
    (source / "train/images/a1.png").write_bytes(b"")
    for stem in ("a0", "a1"):
        outputs = (tmp_path / f"{stem}.png", tmp_path / f"{stem}_mask.png")
        pair = (source / f"train/images/{stem}.png", source / f"train/masks/{stem}.png", outputs)
        ((_, result),) = each_result([partial(copy_pair, *pair)], 1)
        assert isinstance(result, DataError)
        assert not any(path.exists() for path in outputs)


def test_many_problems_are_cut_short(tmp_path: Path, run: Run) -> None:
    source = write_root(tmp_path / "s", {"train": 1})
    for i in range(45):
        (source / "train" / "images" / f"x{i:02d}.jpg").write_bytes(b"")
    lines = run("layout", "--source", source, "--output", tmp_path / "out")[2].splitlines()
    assert "45 problems" in lines[0]
    assert len(lines) == 32
    assert lines[-1].strip() == "... and 15 more"


# --- many processes ---------------------------------------------------------------------------------


def _square(x: int) -> int:
    if x == 5:
        raise DataError("five")
    return x * x


def _crash(x: int) -> int:
    if x:
        raise OSError("No space left on device")
    return 0


def _die() -> None:
    os._exit(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_result(workers: int) -> None:
    found = dict(each_result([partial(_square, x) for x in range(20)], workers))
    assert isinstance(found.pop(5), DataError)
    assert found == {x: x * x for x in range(20) if x != 5}
    with pytest.raises(OSError, match="No space left"):
        list(each_result([partial(_crash, x) for x in (0, 1, 0)], workers))


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(PreparationError, match="fewer --workers"):
        list(each_result([_die] * 3, 2))


def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    source = write_root(tmp_path / "s", {"train": 5, "val": 2})
    for workers in ("1", "2"):
        words = ["flip", "--source", str(source), "--output", str(tmp_path / workers), "--workers", workers]
        assert prepare.main(words) == 0
    assert files(tmp_path / "1") == files(tmp_path / "2")


def test_help_says_what_training_does_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in (("group", "data.classes"), ("flip", "mirrors on the fly"), ("layout", "SPLIT_image")):
        with pytest.raises(SystemExit) as caught:
            prepare.main([name, "--help"])
        assert caught.value.code == 0
        assert words in capsys.readouterr().out


def test_the_commands_of_the_data_page_parse(root: Path) -> None:
    lines = (root / "data" / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line.split()[2:] for line in lines if line.startswith("python src/prepare.py ")]
    assert sorted({prepare.parse_arguments(words).subcommand for words in commands}) == [
        "celebamask-hq", "face-synthetics", "flip", "group", "layout", "statistics",
    ]  # fmt: skip
