"""The audit: each finding on a set into which it was planted, the repaired copy, and the refusals."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit import main
from face_parsing.audit.inspection import mask_facts, photo_facts
from face_parsing.audit.near_duplicates import find_duplicates
from face_parsing.audit.report import REPORT_FILES
from face_parsing.audit.summary import audit, readable
from face_parsing.data.masks import read_mask, save_mask
from face_parsing.data.photos import read_photo
from face_parsing.labels import CLASS_NAMES, swap_left_right
from face_parsing.preparation.repaired import write_repaired
from face_parsing.synthetic.dataset import make_pair

SIZE = 64


def report_of(root: Path, **options: Any) -> dict[str, Any]:
    return audit(root, progress=False, **options)[0]


def mirror_pair(root: Path, stem: str) -> None:
    """Mirror a training photo and its mask and leave the labels as they are."""
    image, mask = (root / "train" / part / f"{stem}.{kind}" for part, kind in (("images", "jpg"), ("masks", "png")))
    Image.fromarray(read_photo(image)[:, ::-1]).save(image, quality=95)
    save_mask(np.ascontiguousarray(read_mask(mask)[:, ::-1]), mask)


# --- the whole command ----------------------------------------------------------------------------


def test_a_clean_set(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "audit"
    assert main(["--root", str(faces), "--output", str(out)]) == 0
    report = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    assert {split: (part["images"], part["masks"]) for split, part in report["splits"].items()} == {
        "train": (12, 12),
        "val": (4, 4),
        "test": (2, 0),
    }
    train = report["splits"]["train"]
    assert train["image_sizes"] == train["mask_sizes"] == {"64x64": 12}
    assert (train["image_modes"], train["image_formats"], train["mask_modes"]) == ({"RGB": 12}, {"JPEG": 12}, {"P": 12})
    assert train["not_mirrored"] + len(train["undecided"]) == 12
    assert report["problems"] == report["notes"] == report["near_duplicates"] == train["mirrored"] == []
    held = sum(bool((read_mask(path) == 13).any()) for path in (faces / "train" / "masks").iterdir())
    assert train["ids"]["13"] == report["classes"]["per_split"]["train"]["images"]["hair"] == held
    assert not (out / "mirrored.png").exists()  # nothing to show
    with (out / "files.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train"] * 12 + ["val"] * 4 + ["test"] * 2
    assert sum(int(rows[0][name]) for name in CLASS_NAMES) == SIZE * SIZE
    text = capsys.readouterr().out
    assert "train: 12 images, 12 masks" in text
    assert "problems: 0" in text
    with Image.open(out / "class_balance.png") as picture:
        assert picture.width > picture.height > 300


def test_every_picture_is_drawn(data: Path, tmp_path: Path) -> None:
    mirror_pair(data, "00001")
    shutil.copy(data / "train/images/00000.jpg", data / "test/images/copy.jpg")
    for number in range(12, 30):  # a class needs 20 holders before a mask can be odd
        image, mask = make_pair(number + 100, size=SIZE)
        Image.fromarray(image).save(data / f"train/images/{number:05d}.jpg")
        save_mask(mask if number < 29 else np.full_like(mask, 1), data / f"train/masks/{number:05d}.png")
    out = tmp_path / "audit"
    assert main(["--root", str(data), "--output", str(out), "--worst", "3"]) == 0
    assert {path.name for path in out.iterdir()} == set(REPORT_FILES)
    report = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    assert report["oddest"][0]["name"] == "train/00029"
    assert len(report["oddest"]) <= 3
    with Image.open(out / "oddest_masks.png") as picture:
        assert picture.width == 8 + 3 * (256 + 8)


def test_the_report_shows_30_lines_and_keeps_all(data: Path) -> None:
    for number in range(40):
        shutil.copy(data / "train/masks/00000.png", data / f"train/masks/only{number:02d}.png")
    report = report_of(data)
    assert len(report["problems"]) == 40
    text = readable(report)
    assert "problems: 40" in text
    assert "... and 10 more" in text
    assert "only29.png" in text
    assert "only30.png" not in text


# --- bad files ------------------------------------------------------------------------------------


def _no_mask(train: Path) -> str:
    (train / "masks/00003.png").unlink()
    return "00003.jpg: no mask"


def _no_image(train: Path) -> str:
    (train / "images/00003.jpg").unlink()
    return "00003.png: no image of this name"


def _color_mask(train: Path) -> str:
    Image.new("RGB", (SIZE, SIZE)).save(train / "masks/00003.png")
    return "00003.png: mode RGB"


def _wrong_id(train: Path) -> str:
    Image.new("L", (SIZE, SIZE), 19).save(train / "masks/00003.png")
    return "00003.png: label 19"


def _truncated(train: Path) -> str:
    path = train / "images/00003.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    return "00003.jpg: cannot be read as a photo (image file is truncated"


def _no_png(train: Path) -> str:
    (train / "masks/00003.png").write_text("not a picture")
    return "00003.png: cannot be read as an image"


def _sizes(train: Path) -> str:
    Image.new("L", (32, 48), 1).save(train / "masks/00003.png")
    return "00003.png: 32x48, but its image is 64x64"


def _same_stem(train: Path) -> str:
    Image.open(train / "images/00003.jpg").save(train / "images/00003.png")
    return "00003.png: 00003.jpg has the same stem"


@pytest.mark.parametrize(
    "spoil", [_no_mask, _no_image, _color_mask, _wrong_id, _truncated, _no_png, _sizes, _same_stem]
)
def test_problems_are_named_and_the_audit_goes_on(data: Path, tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    expected = spoil(data / "train")
    (data / "train/masks/00007.png").unlink()  # a second one
    assert main(["--root", str(data), "--output", str(tmp_path / "audit")]) == 1
    report = json.loads((tmp_path / "audit/audit.json").read_text(encoding="utf-8"))
    problems = report["problems"]
    assert len(problems) == 2
    assert sum(expected in problem for problem in problems) == 1
    assert sum("00007.jpg: no mask" in problem for problem in problems) == 1
    assert report["splits"]["val"]["masks"] == 4


def test_what_training_takes_is_noted(data: Path) -> None:
    images, masks = data / "train/images", data / "train/masks"
    Image.new("RGB", (SIZE, SIZE), (90, 120, 30)).save(images / "00000.jpg")
    Image.open(images / "00001.jpg").convert("L").convert("RGB").save(images / "00001.jpg")
    save_mask(np.full((SIZE, SIZE), 13, np.uint8), masks / "00002.png")
    Image.new("L", (SIZE, SIZE), 255).save(masks / "00003.png")
    (images / "notes.txt").write_text("x")
    (images / ".hidden").write_text("x")
    report = report_of(data)
    assert report["problems"] == []
    expected = (
        "notes.txt: none of",
        "00000.jpg: one color",
        "00001.jpg: has no color",
        "00002.png: hair all over",
        "00003.png: nothing but ignored",
    )
    assert len(report["notes"]) == len(expected)
    assert all(any(text in note for note in report["notes"]) for text in expected)
    assert report["splits"]["train"]["ids"]["255"] == 1
    assert report["near_duplicates"] == []


def test_a_split_without_a_folder_of_masks(data: Path) -> None:
    shutil.rmtree(data / "val/masks")
    report = report_of(data)
    assert [problem for problem in report["problems"] if "val" in problem] == [
        f"{data / 'val'}: there is no folder {data / 'val' / 'masks'}"
    ]
    assert report["splits"]["val"]["images"] == 4


def test_stems_that_are_validated_on(data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "val")
    stems = tmp_path / "val.txt"
    stems.write_text("00002\n00005.jpg\nmissing\n")
    report = report_of(data, val_stems=stems)
    assert (report["splits"]["train"]["images"], report["splits"]["val"]["images"]) == (10, 2)
    assert report["problems"] == [f"{stems}: missing is not in {data / 'train'}"]


# --- left and right -------------------------------------------------------------------------------


def mask_with(*places: tuple[int, int], size: int = 40) -> np.ndarray:
    """Skin, and a 4 px square of each (class, its left column)."""
    mask = np.ones((size, size), np.uint8)
    for row, (c, x) in enumerate(places):
        mask[row * 5 : row * 5 + 4, x : x + 4] = c
    return mask


@pytest.mark.parametrize(
    ("mask", "mirrored", "looks", "contradictory"),
    [
        (mask_with((5, 8), (4, 28)), False, False, False),
        (mask_with((4, 8), (5, 28)), True, True, False),
        (mask_with((5, 28), (7, 28)), None, True, False),  # one side alone, and on the wrong side
        (mask_with((4, 28)), None, False, False),
        (mask_with((4, 18)), None, None, False),  # in the middle
        (mask_with(), None, None, False),
        (mask_with((4, 8), (5, 28), (7, 8), (6, 28)), True, None, True),  # eyes decide, brows disagree
    ],
)
def test_left_and_right(
    tmp_path: Path, mask: np.ndarray, mirrored: bool | None, looks: bool | None, contradictory: bool
) -> None:
    save_mask(mask, tmp_path / "mask.png")
    facts = mask_facts(tmp_path / "mask.png")
    assert (facts.mirrored, facts.looks_mirrored, facts.contradictory) == (mirrored, looks, contradictory)


def test_mirrored_pairs_are_listed_by_split(data: Path) -> None:
    for stem in ("00001", "00006"):
        mirror_pair(data, stem)
    report = report_of(data)
    assert report["splits"]["train"]["mirrored"] == ["00001", "00006"]
    assert report["splits"]["val"]["mirrored"] == []
    assert "train/00006" in readable(report)


def repair(root: Path, folder: Path, *more: str) -> int:
    output = folder.with_name("audit")
    return main(["--root", str(root), "--output", str(output), "--repair", str(folder), *more])


def test_the_repaired_copy_is_in_order(data: Path, tmp_path: Path) -> None:
    for stem in ("00001", "00006"):
        mirror_pair(data, stem)
    (data / "val.txt").write_text("00002\n")
    provenance = {"command": ["x"], "source": "y", "made": "2026-01-01", "breaks": "data.extra", "pairs": 1}
    (data / "provenance.json").write_text(json.dumps(provenance))
    before = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
    copy = tmp_path / "copy"
    assert repair(data, copy) == 0
    assert {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()} == before
    for path, content in before.items():
        repaired = copy / path.relative_to(data)
        if path.parent == data / "train/masks" and path.stem in ("00001", "00006"):
            np.testing.assert_array_equal(read_mask(repaired), swap_left_right(read_mask(path)))
        elif path.name != "provenance.json":
            assert repaired.read_bytes() == content
    again = report_of(copy)
    assert again["problems"] == again["splits"]["train"]["mirrored"] == []
    made = json.loads((copy / "provenance.json").read_text(encoding="utf-8"))
    assert made["breaks"] == "data.extra"
    assert made["pairs"] == 16
    assert made["source"] == str(data.resolve())
    assert "--repair" in made["command"]
    assert set(made) == set(provenance)
    assert [path.name for path in tmp_path.iterdir() if ".partial" in path.name] == []


def test_a_repaired_copy_is_replaced_only_when_asked(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    assert repair(data, copy) == 0
    shutil.rmtree(tmp_path / "audit")
    assert repair(data, copy) == 2
    assert "add --overwrite" in capsys.readouterr().err
    (data / "test/images/00000.jpg").unlink()
    assert repair(data, copy, "--overwrite") == 0
    assert not (copy / "test/images/00000.jpg").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    assert repair(data, mine, "--overwrite") == 2
    assert "provenance.json" in capsys.readouterr().err
    assert (mine / "thesis.txt").read_text() == "mine"


def test_a_failed_copy_leaves_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("face_parsing.preparation.repaired.copy_photo", full)
    with pytest.raises(OSError, match="no space"):
        write_repaired(data, ["train"], set(), tmp_path / "copy", pairs=12, command=[], progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


# --- refusals -------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    message = [line for line in lines if line.startswith("audit.py: ")]
    assert len(message) == 1
    return message[0]


def test_refusals(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "audit"
    assert "no data folder" in refused(capsys, "--root", tmp_path / "nowhere", "--output", out)
    (tmp_path / "empty").mkdir()
    assert "There are no photos in" in refused(capsys, "--root", tmp_path / "empty", "--output", out)
    stems = tmp_path / "val.txt"
    stems.write_text("00001\n")
    assert "keep one" in refused(capsys, "--root", data, "--output", out, "--val_stems", stems)
    for inside in (data / "copy", tmp_path, data):
        assert "lie in each other" in refused(capsys, "--root", data, "--output", out, "--repair", inside)
    assert not out.exists()
    out.mkdir()
    (out / "audit.json").write_text("mine")
    assert "add --overwrite" in refused(capsys, "--root", data, "--output", out)
    assert (out / "audit.json").read_text() == "mine"
    assert main(["--root", str(data), "--output", str(out), "--overwrite"]) == 0
    with pytest.raises(SystemExit):
        main(["--worst", "0"])


def test_nothing_readable_is_still_a_report(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / "data/train" / part).mkdir(parents=True)
    (tmp_path / "data/train/images/a.jpg").write_bytes(b"broken")
    (tmp_path / "data/train/masks/a.png").write_bytes(b"broken")
    assert main(["--root", str(tmp_path / "data"), "--output", str(tmp_path / "audit")]) == 1
    assert {path.name for path in (tmp_path / "audit").iterdir()} == {"audit.json", "files.csv"}


# --- the real data --------------------------------------------------------------------------------


def test_real_validation_masks(real_data: Path) -> None:
    stems = (real_data / "val.txt").read_text(encoding="utf-8").split()
    facts = [mask_facts(real_data / "train/masks" / f"{stem}.png") for stem in stems]
    assert [sum(fact.mirrored is answer for fact in facts) for answer in (True, False, None)] == [4, 95, 1]
    assert sum(bool(fact.looks_mirrored) for fact in facts if fact.mirrored is None) == 1


def test_real_duplicate_between_train_and_dev(real_data: Path) -> None:
    paths = [*sorted((real_data / "train/images").iterdir())[600:], *sorted((real_data / "dev/images").iterdir())]
    found, others = find_duplicates(np.stack([photo_facts(path).thumbnail for path in paths]), progress=False)
    assert [(paths[pair.first].parent.parent.name, paths[pair.second].parent.parent.name) for pair in found] == [
        ("train", "dev")
    ]
    assert found[0].correlation > 0.99
    assert not found[0].mirrored
    assert all(other.correlation < 0.8 for other in others)
