"""Masks as Pascal VOC: torchvision reads them by index, datumaro by color, and colors come back as ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from labelled_files import write_labelled
from PIL import ExifTags, Image
from torchvision.datasets import VOCSegmentation

import draw
from face_parsing.data.masks import save_mask
from face_parsing.drawing.voc import voc_palette
from face_parsing.labels import IGNORE_INDEX


def run(*words: object) -> int:
    return draw.main([str(word) for word in words])


def test_the_palette_by_hand() -> None:
    assert voc_palette()[[0, 1, 2, 3, 4, 8, 15, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [64, 0, 0], [192, 128, 128], [0, 64, 128],
        [224, 224, 192],
    ]  # fmt: skip
    assert len(np.unique(voc_palette(), axis=0)) == 256


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    masks = write_labelled(tmp_path)
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    assert run("to-voc", "--masks", tmp_path / "masks", "--images", tmp_path / "images", "--output", folder) == 0
    return folder, masks


def test_torchvision_reads_the_indices(written: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    _, masks = written
    dataset = VOCSegmentation(str(tmp_path), year="2012", image_set="train")
    assert len(dataset) == 3
    for (photo, target), truth in zip(dataset, masks.values(), strict=True):
        assert photo.size == target.size
        assert target.mode == "P"
        np.testing.assert_array_equal(np.array(target), truth)
        colors = voc_palette()[truth]
        np.testing.assert_array_equal(np.array(target.convert("RGB")), colors)


def test_photos_are_copied_or_become_upright_jpegs(tmp_path: Path) -> None:
    masks, images = tmp_path / "masks", tmp_path / "images"
    images.mkdir()
    for name in ("plain", "turned", "drawn"):
        save_mask(np.zeros((8, 16), dtype=np.uint8), masks / f"{name}.png")
    Image.new("RGB", (16, 8), (10, 20, 30)).save(images / "plain.jpeg", quality=40)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (8, 16), (10, 20, 30)).save(images / "turned.jpg", exif=exif)
    Image.new("RGBA", (16, 8), (10, 20, 30, 0)).save(images / "drawn.png")
    assert run("to-voc", "--masks", masks, "--images", images, "--output", tmp_path / "o") == 0
    photos = tmp_path / "o" / "JPEGImages"
    assert (photos / "plain.jpg").read_bytes() == (images / "plain.jpeg").read_bytes()
    for name in ("turned", "drawn"):
        with Image.open(photos / f"{name}.jpg") as photo:
            assert (photo.format, photo.size) == ("JPEG", (16, 8))


def test_a_second_subset_joins_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "o"
    save_mask(np.array([[0, 255]], dtype=np.uint8), tmp_path / "t" / "1.png")
    save_mask(np.array([[0, 1]], dtype=np.uint8), tmp_path / "v" / "2.png")
    assert run("to-voc", "--masks", tmp_path / "t", "--output", folder) == 0
    assert run("to-voc", "--masks", tmp_path / "v", "--output", folder, "--subset", "val") == 0
    lists = folder / "ImageSets" / "Segmentation"
    assert {path.name: path.read_text() for path in lists.iterdir()} == {"train.txt": "1\n", "val.txt": "2\n"}
    lines = (folder / "labelmap.txt").read_text().splitlines()
    assert lines[:3] == ["# label:color_rgb:parts:actions", "background:0,0,0::", "skin:128,0,0::"]
    assert lines[-2:] == ["cloth:0,192,0::", "void:224,224,192::"]
    assert not (folder / "JPEGImages").exists()
    capsys.readouterr()
    assert run("to-voc", "--masks", tmp_path / "v", "--output", folder, "--subset", "val") == 2
    assert "val.txt and 1 more would be replaced; add --overwrite" in capsys.readouterr().err
    (folder / "labelmap.txt").write_text("mine:1,2,3::\n")
    assert run("to-voc", "--masks", tmp_path / "v", "--output", folder, "--subset", "test") == 2
    assert "would be replaced" in capsys.readouterr().err
    assert (folder / "labelmap.txt").read_text() == "mine:1,2,3::\n"
    with pytest.raises(SystemExit):
        run("to-voc", "--masks", tmp_path / "v", "--output", folder, "--subset", "../x")


def test_a_name_that_labelmap_cannot_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "classes.yaml").write_text("rest: []\n'eyes: both': [l_eye, r_eye]\n")
    save_mask(np.array([[0, 1]], dtype=np.uint8), tmp_path / "m" / "a.png")
    words = ["to-voc", "--masks", tmp_path / "m", "--classes", tmp_path / "classes.yaml", "--output", tmp_path / "o"]
    assert run(*words) == 2
    assert "The class 'eyes: both' cannot stand in labelmap.txt; rename it." in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_datumaro_reads_the_colors(written: tuple[Path, dict[str, np.ndarray]]) -> None:
    datumaro = pytest.importorskip("datumaro", reason="datumaro is not installed")
    folder, masks = written
    for item in datumaro.Dataset.import_from(str(folder), "voc_segmentation"):
        back = np.zeros_like(masks[item.id])
        for one in item.annotations:
            back[one.image.astype(bool)] = one.label if one.label < 19 else IGNORE_INDEX
        np.testing.assert_array_equal(back, masks[item.id])


# --- back: labelmap.txt of CVAT --------------------------------------------------------------------


LABELMAP = "# label:color_rgb:parts:actions\nhair:250,50,83::\nbackground:0,0,0::\n\nskin:1,1,1::\nvoid:9,9,9::\n"


def test_colors_of_a_labelmap_become_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labelmap.txt").write_text(LABELMAP)
    picture = np.array([[[250, 50, 83], [1, 1, 1]], [[0, 0, 0], [9, 9, 9]]], dtype=np.uint8)
    (tmp_path / "c").mkdir()
    Image.fromarray(picture).save(tmp_path / "c" / "a.png")
    words = ["ids", "--input", tmp_path / "c", "--labelmap", tmp_path / "labelmap.txt", "--output", tmp_path / "m"]
    assert run(*words) == 0
    with Image.open(tmp_path / "m" / "a.png") as mask:
        assert np.array(mask).tolist() == [[13, 1], [0, 255]]
    # (1, 1, 1) is a color of the file here, and no id.
    Image.fromarray(picture[:1, 1:]).save(tmp_path / "c" / "a.png")
    (tmp_path / "labelmap.txt").write_text(LABELMAP.replace("skin", "nose"))
    assert run(*words, "--overwrite") == 0
    with Image.open(tmp_path / "m" / "a.png") as mask:
        assert np.array(mask).tolist() == [[2]]
    Image.fromarray(picture + 1).save(tmp_path / "c" / "a.png")
    assert run(*words, "--overwrite") == 2
    assert "the color (251, 51, 84) at column 0, row 0 is none of labelmap.txt's" in capsys.readouterr().err


def test_colors_there_and_back(written: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    folder, masks = written
    words = ["--labelmap", folder / "labelmap.txt", "--output", tmp_path / "back"]
    assert run("ids", "--input", folder / "SegmentationClass", *words) == 0
    for stem, truth in masks.items():
        with Image.open(tmp_path / "back" / f"{stem}.png") as mask:
            np.testing.assert_array_equal(np.array(mask), truth)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no color; its lines are as 'skin:128,0,0::'"),
        ("skin\n", "line 1: 'skin' is not as"),
        ("# x\nskin:1,2,300::\n", "line 2: 'skin:1,2,300::' is not as"),
        ("left_eye:1,2,3::\n", "line 1: 'left_eye' is no class; rename it to one of background, skin,"),
        ("skin:1,2,3::\nhair:1,2,3::\n", "line 2: another class has the color (1, 2, 3) as well"),
    ],
)
def test_a_wrong_labelmap(text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "l.txt").write_text(text)
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    words = ["--input", tmp_path / "a.png", "--labelmap", tmp_path / "l.txt", "--output", tmp_path / "o"]
    assert run("ids", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
