"""Near-duplicates: planted ones are found, and others are none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from face_parsing.audit import near_duplicates
from face_parsing.audit.near_duplicates import aligned_correlation, describe_thumbnails, find_copies, find_duplicates
from face_parsing.audit.summary import audit, readable
from face_parsing.data.photos import read_photo
from face_parsing.labels import CLASS_NAMES, swap_left_right
from face_parsing.synthetic.dataset import make_pair


def test_planted_duplicates_are_found(data: Path) -> None:
    photo = read_photo(data / "train/images/00004.jpg")
    Image.fromarray(photo).save(data / "test/images/same.jpg", quality=50)
    Image.fromarray((photo * 0.7).astype(np.uint8)).resize((48, 48)).save(data / "train/images/dark.png")
    mirrored = read_photo(data / "train/images/00008.jpg")[:, ::-1]
    Image.fromarray(mirrored).save(data / "val/images/turned.jpg", quality=50)
    found = audit(data, progress=False)[0]["near_duplicates"]
    pairs = {frozenset((pair["first"], pair["second"])): pair["mirrored"] for pair in found}
    assert pairs == {
        frozenset(("train/00004", "test/same")): False,
        frozenset(("train/00004", "train/dark")): False,
        frozenset(("train/dark", "test/same")): False,
        frozenset(("train/00008", "val/turned")): True,
    }
    assert all(pair["correlation"] > 0.9 for pair in found)


def thumbnails(count: int) -> np.ndarray:
    pictures = [cv2.cvtColor(make_pair(seed, size=64)[0], cv2.COLOR_RGB2GRAY) for seed in range(count)]
    return np.stack(pictures)


def test_blocks_compare_all_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", 3)
    monkeypatch.setattr(near_duplicates, "CANDIDATE", 0.2)
    pictures = thumbnails(10)
    found = {c for block in near_duplicates._candidates(describe_thumbnails(pictures), progress=False) for c in block}
    rows, turned = describe_thumbnails(pictures), describe_thumbnails(pictures[:, :, ::-1])
    slow = set()
    for i in range(10):
        for j in range(i + 1, 10):
            slow |= {(i, j, mirrored) for mirrored, row in ((False, rows[i]), (True, turned[i])) if row @ rows[j] > 0.2}
    assert found == slow
    assert len(slow) > 5


def test_many_copies_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MOST_CANDIDATES", 4)
    pictures = np.repeat(thumbnails(1), 12, axis=0)
    found, _ = find_duplicates(pictures, progress=False)
    assert len(found) <= 12 * 4
    assert {likeness.first for likeness in found} | {likeness.second for likeness in found} == set(range(12))


def test_a_shifted_and_turned_copy_is_laid_onto_its_original() -> None:
    first, other = thumbnails(2)
    turn = cv2.getRotationMatrix2D((32, 32), 3, 1.03)
    copy = cv2.warpAffine(first, turn, (64, 64), borderMode=cv2.BORDER_REFLECT_101)
    assert aligned_correlation(first, copy) > 0.95
    assert aligned_correlation(first, first) == pytest.approx(1)
    assert aligned_correlation(first, other) < 0.7
    assert aligned_correlation(first, np.full_like(first, 7)) == pytest.approx(0, abs=1e-3)


def test_one_thumbnail_is_no_duplicate() -> None:
    assert find_duplicates(thumbnails(1), progress=False) == ([], [])


def test_copies_of_one_set_in_another() -> None:
    known, others = thumbnails(6), thumbnails(12)[6:]
    assert find_copies(known, others) == []
    darker = (known[4] * 0.7).astype(np.uint8)
    planted = np.stack([others[0], known[2][:, ::-1], others[1], darker])
    found = {(copy.first, copy.second, copy.mirrored) for copy in find_copies(known, planted)}
    assert found == {(2, 1, True), (4, 3, False)}


def test_two_masks_of_one_photo_are_compared(data: Path) -> None:
    photo = read_photo(data / "train/images/00004.jpg")
    with Image.open(data / "train/masks/00004.png") as image:
        mask = np.array(image)
    moved = np.array([[1, 0, 1], [0, 1, 0]], np.float32)
    for stem, turned in (("again", False), ("turned", True)):
        other, labels = cv2.warpAffine(photo, moved, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), mask.copy()
        labels[labels == CLASS_NAMES.index("nose")] = CLASS_NAMES.index("skin")
        labels = cv2.warpAffine(labels, moved, mask.shape[::-1], flags=cv2.INTER_NEAREST, borderValue=255)
        if turned:
            other, labels = other[:, ::-1], swap_left_right(labels[:, ::-1])
        Image.fromarray(np.ascontiguousarray(other)).save(data / f"train/images/{stem}.png")
        Image.fromarray(np.ascontiguousarray(labels)).save(data / f"train/masks/{stem}.png")
    report = audit(data, progress=False)[0]
    found = {(pair["first"], pair["second"]): pair["masks_agree"] for pair in report["near_duplicates"]}
    classes = len(np.unique(mask))
    # The nose is in one of the two masks alone: it costs a class where that one is the truth.
    # The masks that lack the nose are copies of one another.
    for pair, alike in ((("train/again", "train/turned"), 1.0), (("train/00004", "train/again"), 1 - 0.5 / classes)):
        assert found[pair] == pytest.approx(alike, abs=0.05)
    agreeing = report["masks_agree"]
    assert agreeing["pairs"] == 2
    assert agreeing["f1"]["nose"] < 0.1
    assert agreeing["f1"]["hair"] > 0.9
    assert (
        f"2 of them are one photo with two masks, which agree by an F-Score of {agreeing['f_score']:.3f}"
        in readable(report)
    )
    Image.fromarray(mask).resize((mask.shape[1] // 2, mask.shape[0]), Image.Resampling.NEAREST).save(
        data / "train/masks/again.png"
    )
    (data / "train/masks/turned.png").unlink()
    report = audit(data, progress=False)[0]
    assert report["masks_agree"] == {}
    assert {pair["masks_agree"] for pair in report["near_duplicates"]} == {None}
