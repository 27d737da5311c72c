"""Groups of faces: what photo and truth say, the terciles, and what the command prints and writes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from judged_files import run, write_model
from PIL import Image

from face_parsing.data.masks import save_mask
from face_parsing.evaluation.evaluator import items_in
from face_parsing.evaluation.groups import (
    SCORES,
    FaceTraits,
    group_faces,
    group_report,
    has_long_hair,
    lightness,
    read_traits,
    skin_lightness,
)
from face_parsing.evaluation.significance import bootstrap_interval
from face_parsing.labels import class_ids, group_labels

SKIN, NOSE, GLASSES, LIP, HAIR, HAT = class_ids("skin", "nose", "eye_g", "l_lip", "hair", "hat")


def face(*, glasses: bool = False, hat: bool = False, hair_to: int = 8) -> np.ndarray:
    """A mask (32, 32): skin of 400 pixels in rows 8 to 27, lips down to row 21, hair above and on the left side."""
    mask = np.zeros((32, 32), dtype=np.uint8)
    mask[8:28, 6:26] = SKIN
    mask[14:18, 14:18] = NOSE
    mask[20:22, 12:20] = LIP
    mask[2:8, 6:26] = HAIR
    mask[2:hair_to, 1:6] = HAIR
    if glasses:
        mask[10:13, 8:24] = GLASSES
    if hat:
        mask[2:8] = HAT
    return mask


def test_lightness_is_that_of_cielab() -> None:
    grays = np.array([[0] * 3, [119] * 3, [255] * 3, [5] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    # L* of black, the middle gray, white, one of the linear foot, and the three primaries, as tables of CIELAB have it
    assert lightness(grays) == pytest.approx([0, 50.0, 100, 1.37, 53.24, 87.73, 32.30], abs=0.05)


def test_skin_lightness_is_the_median_over_skin_and_nose_alone() -> None:
    mask = np.array([[0, SKIN, SKIN, NOSE, HAIR]], dtype=np.uint8)
    photo = np.repeat(np.array([[0, 10, 119, 200, 255]], dtype=np.uint8)[..., None], 3, axis=2)
    assert skin_lightness(photo, mask) == pytest.approx(50, abs=0.05)
    assert skin_lightness(photo, np.zeros_like(mask)) is None


def test_hair_is_long_where_a_twentieth_of_the_skin_lies_below_the_mouth() -> None:
    skin = int(np.isin(face(), (SKIN, NOSE)).sum())
    assert skin == 384  # a twentieth is 19.2: of the 5 columns of hair, 4 rows below row 21
    assert has_long_hair(face(hair_to=8)) is False
    assert has_long_hair(face(hair_to=25)) is False
    assert has_long_hair(face(hair_to=26)) is True
    assert has_long_hair(face(hair_to=32)) is True


def test_a_face_without_hair_or_mouth_is_in_no_group_of_hair() -> None:
    bald, covered = face(), face(hair_to=32)
    bald[bald == HAIR] = 0
    covered[covered == LIP] = SKIN
    assert has_long_hair(bald) is None
    assert has_long_hair(covered) is None
    assert has_long_hair(np.where(face() == SKIN, 0, face()).astype(np.uint8)) is False


def traits(light: float | None = 50.0, **changes: bool | None) -> FaceTraits:
    return dataclasses.replace(FaceTraits(light, glasses=False, hat=False, long_hair=False), **changes)


def test_terciles_are_of_the_faces_at_hand_and_leave_out_those_without_skin() -> None:
    tones, *_ = group_faces([traits(value) for value in (70, 10, None, 30, 20, 60, 50)])
    assert {name: inside.nonzero()[0].tolist() for name, inside in tones.members.items()} == {
        "dark": [1, 4], "medium": [3, 6], "light": [0, 5],
    }  # fmt: skip
    assert tones.lightness == {"dark": (10, 20), "medium": (30, 50), "light": (60, 70)}
    assert tones.left_out == 1


def test_equal_faces_share_a_tercile() -> None:
    tones, *_ = group_faces([traits(40)] * 5 + [traits(50)])
    assert [int(inside.sum()) for inside in tones.members.values()] == [5, 0, 1]
    nobody, *_ = group_faces([traits(None)] * 2)
    assert [int(inside.sum()) for inside in nobody.members.values()] == [0, 0, 0]
    assert nobody.left_out == 2


def test_the_other_groups() -> None:
    _, glasses, hat, hair = group_faces(
        [traits(glasses=True, long_hair=True), traits(hat=True), traits(long_hair=None)]
    )
    assert glasses.members["with"].tolist() == [True, False, False]
    assert glasses.members["without"].tolist() == [False, True, True]
    assert hat.members["with"].tolist() == [False, True, False]
    assert (hair.members["long"].tolist(), hair.members["short"].tolist()) == ([1, 0, 0], [0, 1, 0])
    assert (glasses.left_out, hair.left_out) == (0, 1)


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """Twelve faces, light ones and long hair predicted worse: photos, true masks and predictions."""
    for folder in ("images", "truth", "guess"):
        (tmp_path / folder).mkdir()
    for i in range(12):
        truth = face(glasses=i < 2, hat=i == 3, hair_to=32 if i % 2 else 8)
        photo = np.full((32, 32, 3), 40 + 15 * i, dtype=np.uint8)
        guess = np.roll(truth, i // 4 + i % 2, axis=1)
        Image.fromarray(photo).save(tmp_path / "images" / f"{i:02d}.png")
        save_mask(truth, tmp_path / "truth" / f"{i:02d}.png")
        save_mask(guess, tmp_path / "guess" / f"{i:02d}.png")
    return tmp_path


def test_traits_are_read_from_photo_and_truth(crowd: Path) -> None:
    found = read_traits(items_in(crowd / "truth", crowd / "images"))
    assert list(found) == [f"{i:02d}" for i in range(12)]
    assert [stem for stem, each in found.items() if each.glasses] == ["00", "01"]
    assert [stem for stem, each in found.items() if each.hat] == ["03"]
    assert [each.long_hair for each in found.values()] == [False, True] * 6
    tones = [each.lightness for each in found.values()]
    assert tones == sorted(tones, key=lambda value: value or 0)


def test_the_command_prints_and_writes_each_group(crowd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--predictions", crowd / "guess", "--truth", crowd / "truth", "--images", crowd / "images"]
    out = crowd / "scores.json"
    assert run(*words, "--json", crowd / "plain.json") == 0
    plain = capsys.readouterr().out
    assert run(*words, "--groups", "--json", out, "--per_image", crowd / "faces.csv") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(plain)
    assert "groups" not in json.loads((crowd / "plain.json").read_text(encoding="utf-8"))

    found = json.loads(out.read_text(encoding="utf-8"))["groups"]
    assert {trait: {name: row["faces"] for name, row in each["groups"].items()} for trait, each in found.items()} == {
        "skin tone": {"dark": 4, "medium": 4, "light": 4},
        "glasses": {"with": 2, "without": 10},
        "hat": {"with": 1, "without": 11},
        "hair": {"long": 6, "short": 6},
    }
    scores = np.loadtxt(crowd / "faces.csv", delimiter=",", skiprows=1, usecols=(1, 2))
    light = found["skin tone"]["groups"]["light"]
    assert light["f_score"] == pytest.approx(scores[8:, 0].mean())
    assert light["f_score_lr_corrected"] == pytest.approx(scores[8:, 1].mean())
    assert tuple(light["f_score_interval"]) == pytest.approx(bootstrap_interval(scores[8:, 0]))
    hair = found["hair"]["difference"]
    assert (hair["this"], hair["other"]) == ("long", "short")
    assert hair["f_score"]["mean"] == pytest.approx(scores[1::2, 0].mean() - scores[::2, 0].mean())
    assert hair["f_score"]["low"] < hair["f_score"]["mean"] < hair["f_score"]["high"] < 0
    assert found["hat"]["difference"] is None  # of one face
    assert found["hair"]["left_out"] == 0
    row = next(line for line in printed.splitlines() if line.startswith("skin tone: light"))
    assert row.split()[3:5] == ["4*", f"{light['f_score']:.4f}"]
    assert "hair: long - short" in printed
    assert (
        "Skin tones are thirds of the faces at hand, by lightness in the photo, which depends on the light" in printed
    )
    assert "* fewer than 20 faces: the interval is too narrow to be trusted." in printed
    one = next(line for line in printed.splitlines() if line.startswith("hat: with "))
    assert one.split()[2:] == ["1*", *(f"{found['hat']['groups']['with'][key]:.4f}" for key in SCORES)]
    assert "f_score_interval" not in found["hat"]["groups"]["with"]
    said = next(line for line in printed.splitlines() if line.startswith("hat: with - without"))
    assert said.endswith("cannot be told: 1 and 11 faces")


def test_groups_of_20_faces_are_not_marked() -> None:
    row = {"faces": 20, "f_score": 0.5, "f_score_interval": (0.4, 0.6)}
    row |= {"f_score_lr_corrected": 0.5, "f_score_lr_corrected_interval": (0.4, 0.6)}
    end = {"mean": 0.0, "low": -0.1, "high": 0.1}
    difference = {"this": "with", "other": "without", "f_score": end, "f_score_lr_corrected": end}
    found = {"hat": {"groups": {"with": row, "without": row}, "difference": difference, "left_out": 0}}
    assert "*" not in group_report(found)
    groups = {"with": row, "without": {**row, "faces": 19}}
    assert "hat: with - without * " in group_report({"hat": {**found["hat"], "groups": groups}})


def test_a_set_without_glasses_has_an_empty_group(crowd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in (0, 1):
        (crowd / "truth" / f"{i:02d}.png").unlink()
    words = ["--predictions", crowd / "guess", "--truth", crowd / "truth", "--images", crowd / "images"]
    assert run(*words, "--groups", "--json", crowd / "a.json") == 0
    found = json.loads((crowd / "a.json").read_text(encoding="utf-8"))["groups"]["glasses"]
    assert found["groups"]["with"] == {"faces": 0}
    assert found["difference"] is None
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("glasses: with "))
    assert row.split() == ["glasses:", "with", "0", "-", "-"]


def test_a_checkpoint_is_judged_by_groups_of_the_truth(crowd: Path, model: Path) -> None:
    words = ["--truth", crowd / "truth", "--images", crowd / "images", "--groups"]
    assert run("--predictions", crowd / "guess", *words, "--json", crowd / "a.json") == 0
    assert run("--model_path", model, *words, "--json", crowd / "b.json", "--device", "cpu") == 0
    counts = [
        [
            [row["faces"] for row in each["groups"].values()]
            for each in json.loads((crowd / name).read_text(encoding="utf-8"))["groups"].values()
        ]
        for name in ("a.json", "b.json")
    ]
    assert counts[0] == counts[1]


def test_what_cannot_be_grouped_is_refused_in_a_sentence(crowd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--truth", crowd / "truth", "--groups"]
    assert run("--predictions", crowd / "guess", *words) == 2
    assert "00.png is not known; name them by --images." in capsys.readouterr().err
    coarse = write_model(crowd / "coarse.pth", labels=group_labels({"rest": [], "hair": ["hair"]}))
    assert run("--model_path", coarse, *words, "--images", crowd / "images", "--device", "cpu") == 2
    assert "--groups is for the 19 classes" in capsys.readouterr().err
    Image.new("RGB", (40, 32)).save(crowd / "images" / "03.png")
    assert run("--predictions", crowd / "guess", *words, "--images", crowd / "images") == 2
    assert "03.png is 40x32, its mask is 32x32" in capsys.readouterr().err
