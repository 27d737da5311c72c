"""What a result says and writes of a photo with two faces: by hand, without a network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from face_parsing.faces.alignment import quadrangle
from face_parsing.labels import CELEBAMASK
from face_parsing.results import Found, ParsedFace, ParsedPhoto
from face_parsing.weights import LICENCE, Weights

SKIN, HAIR = (CELEBAMASK.names.index(name) for name in ("skin", "hair"))
BOX = np.array([1.234, 2, 30, 40])
LARGE = np.array([[20.0, 20.0], [40.0, 20.0], [30.0, 30.0], [22.0, 40.0], [38.0, 40.0]])
SMALL = LARGE[:, ::-1] * [-0.5, 0.5] + [100, 10]  # lies on its side, turned clockwise


@pytest.fixture
def result() -> ParsedPhoto:
    mask, instances = np.zeros((64, 120), np.uint8), np.zeros((64, 120), np.uint16)
    mask[10:50, 10:50], instances[10:50, 10:50] = SKIN, 1
    mask[10:20, 10:50] = HAIR
    mask[10:40, 70:100], instances[10:40, 70:100] = SKIN, 2
    mask[60:] = HAIR  # nobody's
    photo = np.zeros((64, 120, 3), np.uint8)
    photo[instances > 0] = 200
    soft = (np.eye(19, dtype=np.uint8) * 255)[mask]
    faces = tuple(
        ParsedFace(
            np.array([1.234, 2, 30, 40]), points, 0.87654, quadrangle(points), number, 32, photo, mask, instances
        )
        for number, points in enumerate((LARGE, SMALL), 1)
    )
    return ParsedPhoto(
        mask, photo, CELEBAMASK, "two", file=Path("in/two.jpg"), faces=faces, found="faces", instances=instances,
        probabilities=soft, weights=Weights((Path("w/net.onnx"),), "challenge", detector=Path("w/faces.onnx")),
    )  # fmt: skip


def test_what_is_known_becomes_plain_values(result: ParsedPhoto) -> None:
    facts = json.loads(json.dumps(result.to_json()))
    faces = facts.pop("faces")
    assert facts == {
        "file": str(Path("in/two.jpg")),
        "width": 120,
        "height": 64,
        "found": "faces",
        "pixels": {"skin": 1200 + 900, "hair": 400 + 480},
        "weights": ["net.onnx"],
        "track": "challenge",
        "licence": LICENCE,
        "detector": "faces.onnx",
    }
    assert faces[0]["pixels"] == {"skin": 1200, "hair": 400}
    assert faces[1]["pixels"] == {"skin": 900}
    assert [face["number"] for face in faces] == [1, 2]
    assert [face["roll"] for face in faces] == [0.0, 90.0]
    assert faces[0]["points"] == LARGE.tolist()
    assert (faces[0]["box"], faces[0]["score"], faces[0]["side"]) == ([1.23, 2.0, 30.0, 40.0], 0.8765, 80.0)
    np.testing.assert_allclose(faces[0]["quadrangle"], quadrangle(LARGE), atol=0.01)


def test_the_page_lists_what_json_holds(result: ParsedPhoto) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "any-photo.md").read_text(encoding="utf-8")
    files = page.partition("## Files")[2].partition("\n## ")[0]
    for word in (*get_args(Found), *result.to_json()["faces"][0]):
        assert f"`{word}`" in files, word


def test_a_photo_that_nobody_looked_at_has_plain_values_too() -> None:
    alone = ParsedPhoto(np.zeros((4, 6), np.uint8), np.zeros((4, 6, 3), np.uint8), CELEBAMASK)
    facts = alone.to_json()
    assert [facts[name] for name in ("file", "found", "faces", "pixels", "weights", "detector")] == [
        None, "off", [], {}, [], None,
    ]  # fmt: skip
    assert (alone.instances.shape, alone.instances.dtype, alone.instances.any()) == ((4, 6), np.uint16, False)
    assert alone.probabilities is None


def test_a_face_has_its_own_mask_and_crop(result: ParsedPhoto) -> None:
    large, small = result.faces
    np.testing.assert_array_equal(large.mask > 0, result.instances == 1)
    np.testing.assert_array_equal(small.mask, np.where(result.instances == 2, result.mask, 0))
    assert large.crop.shape == (32, 32, 3)
    assert large.crop_mask.shape == (32, 32)
    # Where no network saw the crop its mask is taken from the photo's, turned with it.
    assert set(np.unique(small.crop_mask)) == {0, SKIN}
    assert large.crop_mask[16, 16] == SKIN


def test_every_file_holds_what_the_result_does(result: ParsedPhoto, tmp_path: Path) -> None:
    written = result.save(tmp_path, instances=True, json=True, soft=True, crops=True)
    assert set(written) == {"mask", "instances", "json", "soft", "crop_1", "crop_mask_1", "crop_2", "crop_mask_2"}
    with Image.open(written["instances"]) as image:
        assert image.mode.startswith("I;16")
        np.testing.assert_array_equal(np.array(image), result.instances)
    assert json.loads(written["json"].read_text(encoding="utf-8")) == result.to_json()
    with np.load(written["soft"]) as file:
        np.testing.assert_array_equal(file["probabilities"], result.probabilities)
        assert tuple(file["classes"]) == CELEBAMASK.names
    with Image.open(written["crop_mask_2"]) as image:
        np.testing.assert_array_equal(np.array(image), result.faces[1].crop_mask)


@pytest.mark.parametrize("option", ["instances", "json", "soft", "crops"])
def test_no_file_is_replaced_unasked(option: str, result: ParsedPhoto, tmp_path: Path) -> None:
    asked: dict[str, Any] = {option: True}
    written = result.save(tmp_path, **asked)
    written["mask"].unlink()
    with pytest.raises(FileExistsError, match="would be replaced; pass overwrite=True"):
        result.save(tmp_path, **asked)
    assert not written["mask"].exists()


def test_results_of_arrays_are_told_apart_by_the_names_they_are_given(result: ParsedPhoto, tmp_path: Path) -> None:
    array = replace(result, name="photo", file=None)
    written = [array.save(tmp_path, name=name, color=True, crops=True) for name in (None, "me", "family/you")]
    assert [paths["mask"] for paths in written] == [
        tmp_path / "masks" / f"{name}.png" for name in ("photo", "me", "family/you")
    ]
    assert written[2]["color"] == tmp_path / "color" / "family" / "you.png"
    assert written[1]["crop_2"] == tmp_path / "crops" / "me_2.png"
    with pytest.raises(FileExistsError, match=r"me\.png would be .*, or choose another name"):
        array.save(tmp_path, name="me")
