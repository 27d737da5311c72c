"""Masks whose ids mean other classes: parts out of place are told once, a set in its places says nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import audit
import prepare
from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_order import is_upright
from face_parsing.data.masks import read_mask
from face_parsing.labels import class_ids
from face_parsing.preparation.face_synthetics import IDS
from face_parsing.preparation.layouts import ORDERS
from face_parsing.synthetic.dataset import make_pair

LAPA = ("background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "nose", "u_lip", "mouth", "l_lip", "hair")
TOLD = "masks the parts of the face do not lie in their places"


def in_order(mask: np.ndarray, order: tuple[str, ...]) -> np.ndarray:
    """The mask as a set of that order holds it; what the order lacks is background."""
    table = np.zeros(256, dtype=np.uint8)
    table[list(class_ids(*order))] = np.arange(len(order))
    return table[mask]


def test_by_hand() -> None:
    mask = np.zeros((8, 4), dtype=np.uint8)
    mask[1, :2], mask[2, :2], mask[4, 1], mask[6, :3] = 6, 4, 2, 12
    assert is_upright(mask) is True
    assert is_upright(mask[::-1]) is False
    mask[1, 2] = 7  # more of a brow, at the same place
    assert is_upright(mask) is True
    mask[7] = 2
    assert is_upright(mask) is False
    mask[mask == 2] = 0
    assert is_upright(mask) is True
    mask[mask == 4] = 0
    assert is_upright(mask) is None


@pytest.mark.parametrize("size", [64, 300])
def test_of_synthetic_faces_only_those_of_other_orders_are_out_of_place(size: int) -> None:
    for seed in range(4):
        mask = make_pair(seed, size=size)[1]
        assert is_upright(mask) is True
        assert is_upright(np.rot90(mask, 2)) is False
        for order in (LAPA, ORDERS["zllrunning"]):
            assert is_upright(in_order(mask, order)) is False


@pytest.fixture
def lapa(tmp_path: Path, faces: Path) -> Path:
    """The twelve training faces as LaPa lays them out."""
    shutil.copytree(faces / "train" / "images", tmp_path / "LaPa" / "train" / "images")
    (tmp_path / "LaPa" / "train" / "labels").mkdir()
    for path in (faces / "train" / "masks").iterdir():
        mask = in_order(np.array(Image.open(path)), LAPA)
        Image.fromarray(mask).save(tmp_path / "LaPa" / "train" / "labels" / path.name)
    return tmp_path / "LaPa"


def test_a_set_prepared_without_its_order_is_told_of(
    lapa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["layout", "--source", str(lapa), "--workers", "1", "--output"]
    assert prepare.main([*words, str(tmp_path / "wrong")]) == 0
    told = capsys.readouterr().err
    assert f"in 12 of 12 {TOLD}" in told
    assert told.count("Warning: ") == 1
    assert audit.main(["--root", str(tmp_path / "wrong"), "--output", str(tmp_path / "report")]) == 0
    assert f"in 12 of 12 {TOLD}" in capsys.readouterr().out
    (tmp_path / "order.yaml").write_text(f"[{', '.join(LAPA)}]")
    assert prepare.main([*words, str(tmp_path / "right"), "--order", str(tmp_path / "order.yaml")]) == 0
    assert TOLD not in capsys.readouterr().err
    # Of the right order and of none of ours: what counts is where the parts are afterwards.
    assert prepare.main([*words, str(tmp_path / "other"), "--order", "zllrunning"]) == 0
    assert TOLD in capsys.readouterr().err


def test_face_synthetics_is_in_order_once_it_is_translated(
    tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = np.zeros(256, dtype=np.uint8)
    for theirs, own in IDS.items():
        if own:
            table[own] = theirs
    (tmp_path / "source").mkdir()
    for path in (faces / "train" / "masks").iterdir():
        shutil.copy(faces / "train" / "images" / f"{path.stem}.jpg", tmp_path / "source" / f"{path.stem}.png")
        Image.fromarray(table[np.array(Image.open(path))]).save(tmp_path / "source" / f"{path.stem}_seg.png")
    assert prepare.main(["face-synthetics", "--source", str(tmp_path / "source"), "--output", str(tmp_path / "o")]) == 0
    assert capsys.readouterr().err.count("Warning") == 0


def test_few_masks_and_few_odd_ones_say_nothing(tmp_path: Path) -> None:
    def notes(odd: int, count: int) -> list[str]:
        log = MaskLog()
        for i in range(count):
            mask = make_pair(i, size=64)[1]
            Image.fromarray(np.rot90(mask, 2) if i < odd else mask).save(tmp_path / f"{i}.png")
            read_mask(tmp_path / f"{i}.png", log=log)
        return log.order_notes()

    assert notes(4, 4) == []
    assert notes(1, 8) == []
    (line,) = notes(2, 8)
    assert line.startswith(f"Warning: in 2 of 8 {TOLD}")
    assert line.endswith(f"the first: {tmp_path / '0.png'}.")
