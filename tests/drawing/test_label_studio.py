"""Masks as Label Studio's brush: bits by hand, a decoder of the tests' own, and that of label-studio-sdk."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from labelled_files import H, W, write_labelled

import draw
from face_parsing.drawing.label_studio import encode_brush, interface
from face_parsing.labels import CELEBAMASK, CLASS_NAMES, IGNORE_INDEX, group_labels


def run(*words: object) -> int:
    return draw.main([str(word) for word in words])


def decoded(encoded: list[int]) -> np.ndarray:
    """The values of the bytes, as the head of ``label_studio.py`` says that they are laid out."""
    bits = "".join(f"{byte:08b}" for byte in encoded)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    number, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < number:
        equal = take(1)
        count = take(sizes[take(2)]) + 1
        values += [take(word)] * count if equal else [take(word) for _ in range(count)]
    assert len(bits) - place < 8
    assert not int(bits[place:] or "0", 2)
    return np.array(values)


def test_bits_by_hand() -> None:
    bits = (
        "00000000000000000000000000010000" "00111" "0010" "0011" "0111" "1111"  # 16 values of 8 bits; 3, 4, 8, 16
        "1" "00" "011" "00000000"  # 4 of 0: one pixel
        "1" "01" "1011" "11111111"  # 12 of 255: three pixels
        "000000"
    )  # fmt: skip
    region = np.array([[False, True], [True, True]])
    assert encode_brush(region) == [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 40))))
def test_a_decoder_gives_the_region_back(region: np.ndarray) -> None:
    values = decoded(encode_brush(region)).reshape(*region.shape, 4)
    np.testing.assert_array_equal(values, np.repeat(region[..., None] * 255, 4, axis=2))


@pytest.mark.parametrize("pixels", [2**14 - 1, 2**14, 2**14 + 1, 2**15 + 3])
def test_runs_longer_than_sixteen_bits(pixels: int) -> None:
    values = decoded(encode_brush(np.ones((1, pixels), dtype=bool)))
    assert len(values) == 4 * pixels
    assert (values == 255).all()


@pytest.fixture
def tasks(tmp_path: Path) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    masks = write_labelled(tmp_path)
    words = ["--images", tmp_path / "images", "--masks", tmp_path / "masks", "--output", tmp_path / "o"]
    assert run("to-label-studio", *words) == 0
    return json.loads((tmp_path / "o" / "tasks.json").read_text()), masks


def test_the_tasks_hold_the_masks(tasks: tuple[list[dict[str, Any]], dict[str, np.ndarray]]) -> None:
    found, masks = tasks
    assert [task["data"]["image"] for task in found] == [
        "/data/local-files/?d=2.jpg", "/data/local-files/?d=10.jpg", "/data/local-files/?d=a%20face.jpg",
    ]  # fmt: skip
    for task, truth in zip(found, masks.values(), strict=True):
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "face_parsing"
        back = np.zeros((H, W), dtype=np.uint8)
        for region in prediction["result"]:
            assert (region["type"], region["from_name"], region["to_name"]) == ("brushlabels", "brush", "image")
            assert (region["original_width"], region["original_height"], region["image_rotation"]) == (W, H, 0)
            assert region["value"]["format"] == "rle"
            (name,) = region["value"]["brushlabels"]
            back[decoded(region["value"]["rle"]).reshape(H, W, 4)[..., 3] == 255] = CLASS_NAMES.index(name)
        np.testing.assert_array_equal(back, np.where(truth == IGNORE_INDEX, 0, truth))


def test_its_own_decoder_gives_the_masks_back(
    tasks: tuple[list[dict[str, Any]], dict[str, np.ndarray]],
) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="label-studio-sdk is not installed")
    found, masks = tasks
    for task, truth in zip(found, masks.values(), strict=True):
        for region in task["predictions"][0]["result"]:
            inside = truth == CLASS_NAMES.index(region["value"]["brushlabels"][0])
            values = brush.decode_rle(region["value"]["rle"]).reshape(H, W, 4)
            np.testing.assert_array_equal(values[..., 3], inside * 255)
            own = brush.mask2rle((inside * 255).astype(np.uint8))  # one byte more where the bits fill theirs
            assert own[: len(region["value"]["rle"])] == region["value"]["rle"]


def test_the_interface_names_what_the_tasks_use() -> None:
    view = ET.fromstring(interface(CELEBAMASK))
    (image,), (brush,) = view.findall("Image"), view.findall("BrushLabels")
    assert (image.get("name"), image.get("value"), brush.get("toName")) == ("image", "$image", "image")
    labels = [(label.get("value"), label.get("background")) for label in brush]
    assert labels[:2] == [("skin", "#cc0000"), ("nose", "#4c9900")]
    assert [name for name, _ in labels] == list(CLASS_NAMES[1:])
    odd = group_labels({"rest": [], 'a"<&>': ["hair"]})
    assert [label.get("value") for label in ET.fromstring(interface(odd)).iter("Label")] == ['a"<&>']


def test_annotations_prefixes_and_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labelled(tmp_path)
    words = ["to-label-studio", "--images", tmp_path / "images", "--masks", tmp_path / "masks", "--output"]
    more = ["--kind", "annotations", "--prefix", "https://example.org/"]
    assert run(*words, tmp_path / "o", *more) == 0
    first = json.loads((tmp_path / "o" / "tasks.json").read_text())[0]
    assert first["data"] == {"image": "https://example.org/2.jpg"}
    assert list(first["annotations"][0]) == ["result"]
    capsys.readouterr()
    assert run(*words, tmp_path / "o") == 2
    assert "tasks.json and 1 more would be replaced; add --overwrite" in capsys.readouterr().err
    (tmp_path / "images" / "10.jpg").write_bytes(b"no photo")
    assert run(*words, tmp_path / "p") == 2
    assert "10.jpg: cannot be read as a photo" in capsys.readouterr().err
    assert not list((tmp_path / "p").iterdir())
