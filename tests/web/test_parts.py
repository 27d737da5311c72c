"""The page's own arithmetic is Python's, bit for bit: resizing, the choice of classes, what a file says of itself."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from face_parsing.faces.alignment import crop, quadrangle, widened
from face_parsing.faces.around import REACH, around_table, clothes_of, fill_around
from face_parsing.faces.paste import Square, owners
from face_parsing.inference.largest_class import largest_class_of_blocks
from face_parsing.labels import CELEBAMASK

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
SIZES = [((50, 70), (20, 30)), ((64, 64), (64, 31)), ((33, 40), (33, 17)), ((20, 30), (50, 70)), ((97, 1), (32, 32))]
TALL = [((200, 60), (50, 40)), ((190, 64), (160, 8)), ((96, 40), (40, 11)), ((97, 40), (40, 12))]
"""Some of which Pillow resizes by columns first."""


def text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def call(calls: list[dict[str, Any]]) -> list[Any]:
    """What the page's modules give, in Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node, which runs the page's modules")
    done = subprocess.run([node, FOLDER / "parts.mjs"], input=json.dumps(calls), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def array(found: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(found), np.uint8).reshape(shape)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("gap", [None, 1.0, 2.0])
def test_resizing_is_pillows(channels: int, gap: float | None) -> None:
    """Without reducing first, and with it."""
    rng = np.random.default_rng(0)
    sizes = [*SIZES, *TALL]
    photos = [rng.integers(0, 256, (*size, channels), dtype=np.uint8) for size, _ in sizes]
    calls = [
        {"part": "resize", "data": text(p), "width": p.shape[1], "height": p.shape[0], "channels": channels,
         "w": w, "h": h, "gap": gap} for p, (_, (h, w)) in zip(photos, sizes, strict=True)
    ]  # fmt: skip
    for photo, (_, (h, w)), found in zip(photos, sizes, call(calls), strict=True):
        image = Image.fromarray(np.ascontiguousarray(photo[..., :3]))
        expected = image.resize((w, h), Image.Resampling.BILINEAR, reducing_gap=gap)
        np.testing.assert_array_equal(array(found, (h, w, 3)), np.array(expected))


def test_the_largest_class_is_pythons() -> None:
    rng = np.random.default_rng(1)
    cases = [
        ((6, 5, 2, 2, 19), (11, 9), (37, 31)),
        ((3, 4, 4, 4, 19), (12, 16), (12, 16)),
        ((8, 8, 2, 2, 5), (16, 16), (9, 40)),
    ]
    scores = [rng.integers(0, 9, shape, dtype=np.uint8) for shape, _, _ in cases]
    calls = [
        {"part": "largestClass", "data": text(s), "shape": s.shape, "corner": corner, "size": size}
        for s, (_, corner, size) in zip(scores, cases, strict=True)
    ]
    for s, (_, corner, size), found in zip(scores, cases, call(calls), strict=True):
        np.testing.assert_array_equal(array(found, size), largest_class_of_blocks(s, corner, size))


POINTS = np.array([[40.0, 50.0], [70.0, 55.0], [52.0, 70.0], [38.0, 85.0], [62.0, 90.0]])


@pytest.mark.parametrize(("margin", "size"), [(1.0, 96), (1.5, 320), (1.0, 48), (3.0, 40), (3.0, 24)])
def test_a_crop_is_pythons(margin: float, size: int) -> None:
    """Inside the photo and beyond it, as it is, enlarged, shrunk, and reduced before."""
    rng = np.random.default_rng(2)
    photo = rng.integers(0, 256, (130, 120, 3), dtype=np.uint8)
    given = {"data": text(photo), "width": 120, "height": 130, "points": POINTS.tolist()}
    (found,) = call([{"part": "crop", **given, "margin": margin, "size": size}])
    square = quadrangle(POINTS, margin=margin)
    np.testing.assert_allclose(found["quadrangle"], square, atol=1e-9)
    np.testing.assert_array_equal(array(found["pixels"], (size, size, 3)), crop(photo, square, size))


def test_who_owns_a_pixel_is_as_in_python() -> None:
    squares = [
        quadrangle(POINTS),
        quadrangle(np.add(POINTS, (50, 20))),
        quadrangle(np.subtract(POINTS[:, ::-1], (10, 60))),
    ]
    (found,) = call([{"part": "owners", "quadrangles": [one.tolist() for one in squares], "width": 150, "height": 140}])
    expected = owners(squares, 140, 150)
    assert set(np.unique(expected)) == {0, 1, 2, 3}
    assert (np.frombuffer(base64.b64decode(found), np.uint16).reshape(140, 150) == expected).all()


def test_what_goes_on_beyond_a_crop_is_pythons() -> None:
    """Clothes and hair in stripes that fade: clothes end where their color is another than in the crop."""
    side, square = 240, np.array([[82, 75], [160, 80], [155, 158], [77, 153]], float)
    rng = np.random.default_rng(3)
    rows = np.linspace(0, 1, side)[:, None, None]
    photo = ((1 - rows) * (200, 30, 30) + rows * (40, 60, 200) + rng.integers(0, 12, (side, side, 1))).astype(np.uint8)
    cloth, hair = CELEBAMASK.names.index("cloth"), CELEBAMASK.names.index("hair")
    whole = np.zeros((side, side), np.uint8)
    whole[:, 90:130], whole[20:, 140:150] = cloth, hair
    owner = owners([square], side, side)
    mask = np.where(owner > 0, whole, 0).astype(np.uint8)
    given = {"data": text(photo), "width": side, "height": side, "corners": square.tolist()}
    said = {"whole": text(whole), "mask": text(mask), "owner": text(owner.astype(np.uint8))}
    ((found, owned),) = call([{"part": "around", **given, **said}])
    around = around_table(CELEBAMASK)[whole]
    fill_around(photo, Square(widened(square, REACH)), 1, mask, around, owner, clothes_of(CELEBAMASK))
    assert 0 < (mask[160:] == cloth).sum() < (whole[160:] == cloth).sum()
    np.testing.assert_array_equal(array(found, (side, side)), mask)
    np.testing.assert_array_equal(array(owned, (side, side)), owner)


def test_the_facts_of_a_file_are_those_that_onnx_reads() -> None:
    path = ROOT / "weights" / "face_parsing_open.onnx"
    expected = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert call([{"part": "facts", "file": str(path)}]) == [expected]
