"""Masks as COCO: its own reader gives every pixel back, and its own evaluation finds them perfect."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_files import H, W, write_labelled
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import draw
from face_parsing.data.masks import save_mask
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX

# pycocotools 2.0.11 decodes in a way that NumPy 2 will leave.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def run(*words: object) -> int:
    return draw.main([str(word) for word in words])


def read(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_by_hand(tmp_path: Path) -> None:
    mask = np.array([[1, 1, 0], [1, 255, 0]], dtype=np.uint8)
    save_mask(mask, tmp_path / "m" / "a.png")
    assert run("to-coco", "--masks", tmp_path / "m", "--output", tmp_path / "c.json") == 0
    content = json.loads((tmp_path / "c.json").read_text())
    assert content["images"] == [{"id": 1, "file_name": "a.png", "width": 3, "height": 2}]
    assert [(c["id"], c["name"]) for c in content["categories"]] == list(enumerate(CLASS_NAMES))[1:]
    (one,) = content["annotations"]
    # By columns: 0 pixels outside, 3 of skin, 3 outside; a run of n is the letter chr(48 + n).
    assert one.pop("segmentation") == {"size": [2, 3], "counts": "033"}
    assert one == {"id": 1, "image_id": 1, "category_id": 1, "area": 3, "bbox": [0, 0, 2, 2], "iscrowd": 0}


@pytest.fixture
def written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, dict[str, np.ndarray]]:
    masks = write_labelled(tmp_path)
    words = ["--masks", tmp_path / "masks", "--images", tmp_path / "images", "--output", tmp_path / "c.json"]
    assert run("to-coco", *words) == 0
    assert capsys.readouterr().out == f"wrote 10 annotations of 3 images to {tmp_path / 'c.json'}\n"
    return tmp_path / "c.json", masks


def test_its_reader_gives_the_masks_back(written: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, masks = written
    coco = read(path)
    assert [image["file_name"] for image in coco.dataset["images"]] == ["2.jpg", "10.jpg", "a face.jpg"]
    for image in coco.dataset["images"]:
        back = np.zeros((H, W), dtype=np.uint8)
        for one in coco.imgToAnns[image["id"]]:
            region = coco.annToMask(one).astype(bool)
            assert not back[region].any()
            back[region] = one["category_id"]
            ys, xs = np.nonzero(region)
            assert one["area"] == region.sum()
            assert one["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
        truth = masks[Path(image["file_name"]).stem]
        np.testing.assert_array_equal(back, np.where(truth == IGNORE_INDEX, 0, truth))


def test_against_itself_it_scores_one(written: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, _ = written
    coco = read(path)
    results: list[dict[str, Any]] = [{**one, "score": 0.9} for one in coco.dataset["annotations"]]
    with contextlib.redirect_stdout(io.StringIO()):
        judged = COCOeval(coco, coco.loadRes(results), "segm")
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"][:, :, :, 0, 2].mean((0, 1))  # by class, all areas, 100 detections
    present = {one["category_id"] for one in coco.dataset["annotations"]}
    assert {c: precision[c - 1] for c in present} == pytest.approx(dict.fromkeys(present, 1.0))
    assert set(np.delete(precision, [c - 1 for c in present])) == {-1.0}


def test_coarser_classes_larger_photos_and_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "classes.yaml").write_text("rest: []\neyes: [l_eye, r_eye]\n")
    save_mask(np.array([[0, 1]], dtype=np.uint8), tmp_path / "m" / "a.png")
    (tmp_path / "i").mkdir()
    Image.new("RGB", (4, 2)).save(tmp_path / "i" / "a.png")
    words = ["to-coco", "--masks", tmp_path / "m", "--output", tmp_path / "c.json"]
    assert run(*words, "--classes", tmp_path / "classes.yaml", "--images", tmp_path / "i") == 0
    coco = read(tmp_path / "c.json")
    assert [category["name"] for category in coco.dataset["categories"]] == ["eyes"]
    assert coco.annToMask(coco.anns[1]).tolist() == [[0, 0, 1, 1]] * 2
    before = (tmp_path / "c.json").read_bytes()
    assert run(*words) == 2
    assert "c.json would be replaced; add --overwrite" in capsys.readouterr().err
    save_mask(np.array([[0, 2]], dtype=np.uint8), tmp_path / "m" / "a.png")
    assert run(*words, "--classes", tmp_path / "classes.yaml", "--overwrite") == 2
    assert "a.png: label 2; the ids of these classes are 0 to 1" in capsys.readouterr().err
    assert (tmp_path / "c.json").read_bytes() == before
    Image.new("RGB", (4, 4)).save(tmp_path / "i" / "a.png")
    assert run(*words, "--images", tmp_path / "i", "--overwrite") == 2
    assert "a.png is 2x1 and its photo" in capsys.readouterr().err
    (tmp_path / "i" / "a.png").rename(tmp_path / "i" / "b.png")
    assert run(*words, "--images", tmp_path / "i", "--overwrite") == 2
    assert f"{tmp_path / 'i'} lacks a, which {tmp_path / 'm'} has" in capsys.readouterr().err


def test_photos_without_a_mask_are_left_out_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labelled(tmp_path)
    masks, images = tmp_path / "masks", tmp_path / "images"
    (masks / "10.png").unlink()
    (images / "broken.jpg").write_bytes(b"")
    assert run("to-coco", "--masks", masks, "--images", images, "--output", tmp_path / "c.json") == 0
    assert f"Note: {images} has 10, broken, which {masks} lacks; left out.\n" in capsys.readouterr().err
    assert [image["file_name"] for image in read(tmp_path / "c.json").dataset["images"]] == ["2.jpg", "a face.jpg"]


def test_a_phones_photo_beside_its_jpeg_has_its_own_mask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks, images = tmp_path / "masks", tmp_path / "images"
    images.mkdir()
    for photo, mask, c, color in (("IMG_1.jpg", "IMG_1", 1, "red"), ("IMG_1.HEIC", "IMG_1.HEIC", 2, "blue")):
        Image.new("RGB", (8, 8), color).save(images / photo, "PNG")
        save_mask(np.full((8, 8), c, dtype=np.uint8), masks / f"{mask}.png")
    words = ["--masks", masks, "--images", images, "--output"]
    assert run("to-coco", *words, tmp_path / "c.json") == 0
    coco = read(tmp_path / "c.json")
    found = {coco.imgs[one["image_id"]]["file_name"]: one["category_id"] for one in coco.dataset["annotations"]}
    assert found == {"IMG_1.jpg": 1, "IMG_1.HEIC": 2}
    assert run("to-voc", *words, tmp_path / "voc") == 0
    with Image.open(tmp_path / "voc" / "JPEGImages" / "IMG_1.HEIC.jpg") as jpeg:
        assert jpeg.getpixel((4, 4)) == pytest.approx((0, 0, 255), abs=4)
    # Without its JPEG it keeps its mask; then the JPEG's mask is one without a photo.
    (images / "IMG_1.jpg").unlink()
    capsys.readouterr()
    assert run("to-coco", *words, tmp_path / "one.json") == 2
    assert f"{images} lacks IMG_1, which {masks} has" in capsys.readouterr().err
    (masks / "IMG_1.png").unlink()
    assert run("to-coco", *words, tmp_path / "one.json") == 0
    assert [image["file_name"] for image in read(tmp_path / "one.json").dataset["images"]] == ["IMG_1.HEIC"]


@pytest.mark.parametrize("format_", ["to-coco", "to-voc", "to-label-studio"])
def test_a_name_that_no_list_can_hold(
    format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    write_labelled(tmp_path)
    masks, images = tmp_path / "masks", tmp_path / "images"
    (masks / "2.png").rename(masks / os.fsdecode(b"caf\xe9.png"))
    (images / "2.jpg").rename(images / os.fsdecode(b"caf\xe9.jpg"))
    with open(2, "w", errors="backslashreplace", closefd=False) as stderr:  # as Python has it outside of tests
        monkeypatch.setattr(sys, "stderr", stderr)
        assert run(format_, "--masks", masks, "--images", images, "--output", tmp_path / "out") == 2
    said = rb"caf\udce9.png: the name is not UTF-8, so that no list can hold it; rename the file"
    assert said in capfdbinary.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format_", ["to-coco", "to-voc", "to-label-studio", "to-ids", "to-kaggle"])
def test_subfolders_are_named(format_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labelled(tmp_path)
    masks = tmp_path / "masks"
    save_mask(np.zeros((2, 2), dtype=np.uint8), masks / "b" / "x.png")
    save_mask(np.zeros((2, 2), dtype=np.uint8), masks / "a" / "x.png")
    (masks / ".hidden").mkdir()
    photos = ["--images", tmp_path / "images"] if format_ not in ("to-ids", "to-kaggle") else []
    assert run(format_, "--masks", masks, *photos, "--output", tmp_path / "out") == 0
    said = f"Note: 2 subfolders are left out of {masks} (a, b); name each by itself.\n"
    assert capsys.readouterr().err.count(said) == 1
    for path in masks.glob("*.png"):
        path.unlink()
    assert run(format_, "--masks", masks, *photos, "--output", tmp_path / "none") == 2
    assert capsys.readouterr().err == f"{said}draw.py: There are no PNG masks in {masks}.\n"


def test_one_mask_and_masks_of_other_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.array([[0, 1]], dtype=np.uint8)
    (tmp_path / "m").mkdir()
    for name in ("a.PNG", "b.bmp", "c.tif"):
        Image.fromarray(mask).save(tmp_path / "m" / name)
    assert run("to-coco", "--masks", tmp_path / "m", "--output", tmp_path / "all.json") == 0
    assert run("to-coco", "--masks", tmp_path / "m" / "b.bmp", "--output", tmp_path / "one.json") == 0
    for name, count in (("all", 3), ("one", 1)):
        assert len(read(tmp_path / f"{name}.json").imgs) == count
    assert run("to-ids", "--masks", tmp_path / "m", "--output", tmp_path / "ids") == 0
    assert sorted(path.name for path in (tmp_path / "ids").iterdir()) == ["a.png", "b.png", "c.png"]
    Image.fromarray(mask).save(tmp_path / "m" / "c.png")
    assert run("to-coco", "--masks", tmp_path / "m", "--output", tmp_path / "twins.json") == 2
    assert "c.png and c.tif" in capsys.readouterr().err


def test_without_pycocotools_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    save_mask(np.zeros((2, 2), dtype=np.uint8), tmp_path / "m" / "a.png")
    assert run("to-coco", "--masks", tmp_path / "m", "--output", tmp_path / "c.json") == 2
    assert capsys.readouterr().err == (
        "draw.py: COCO's run lengths need pycocotools; pip install -r requirements-coco.txt\n"
    )


def test_datumaro_reads_it(written: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    datumaro = pytest.importorskip("datumaro", reason="datumaro is not installed")
    path, masks = written
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    (tmp_path / "images").rename(tmp_path / "coco" / "images")
    path.rename(tmp_path / "coco" / "annotations" / "instances_train.json")
    for item in datumaro.Dataset.import_from(str(tmp_path / "coco"), "coco_instances"):
        back = np.zeros((H, W), dtype=np.uint8)
        for one in item.annotations:  # a box stands beside each mask
            if hasattr(one, "image"):
                back[one.image.astype(bool)] = one.label + 1
        np.testing.assert_array_equal(back, np.where(masks[item.id] == IGNORE_INDEX, 0, masks[item.id]))
