"""CelebAMask-HQ as it is published: parts merged, photos reduced, split by CelebA's numbers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepared_files import CELEBA, HEADER, Run, write_celeba, write_image

from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import find_pairs
from face_parsing.data.photos import read_photo
from face_parsing.data.provenance import broken_rule, read_provenance
from face_parsing.data.split import make_split
from face_parsing.labels import CLASS_NAMES
from face_parsing.preparation.celebamask_hq import merge_parts, read_mapping, split_of
from face_parsing.preparation.copying import PreparationError
from face_parsing.synthetic.dataset import make_pair


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
