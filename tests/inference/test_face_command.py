"""The command's options about faces: on a parser that finds one face in bright photos, and once on the real one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from face_parsing import cli
from face_parsing.faces.alignment import quadrangle
from face_parsing.labels import CELEBAMASK
from face_parsing.results import ParsedFace, ParsedPhoto
from face_parsing.weights import Weights

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "docs" / "images" / "astronaut.jpg"
POINTS = np.array([[20.0, 20.0], [40.0, 20.0], [30.0, 30.0], [22.0, 40.0], [38.0, 40.0]])


class BrightFaces:
    """As FaceParser: a photo of light pixels has a face, of hair in its upper half; another one has none."""

    made: dict[str, Any]

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        type(self).made = {"paths": paths, **options}
        self.faces, self.no_face = options["faces"], options.get("no_face", "whole")
        self.labels, self.weights, self.checkpoint = CELEBAMASK, Weights((Path(__file__),), "challenge"), None
        self.least_score, self.least_size, self.margin, self.size = 0.5, 16, 1, 16
        self.tta, self.precision, self.postprocessing = False, "fp32", None
        self.soft = options["soft"]

    def parse(self, photos: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.full(photo.shape[:2], 18, np.uint8) for photo in photos]

    def __call__(self, photo: Any, faces: Any = None) -> Any:
        if isinstance(photo, list):
            return [self(one) for one in photo]
        soft = np.zeros((*photo.shape[:2], 19), np.uint8) if self.soft else None
        places = [POINTS] * int(photo.mean() > 128) if faces is None else [POINTS] * len(faces)
        if not places:
            mask = self.parse([photo])[0] * (self.no_face == "whole")
            return ParsedPhoto(mask, photo, CELEBAMASK, found=self.no_face, probabilities=soft)
        mask = np.zeros(photo.shape[:2], np.uint8)
        mask[: len(mask) // 2] = 13
        whose = (mask > 0).astype(np.uint16)
        found = [
            ParsedFace(np.array([10, 10, 30, 40]), points, 0.9, quadrangle(points), number, 16, photo, mask, whose)
            for number, points in enumerate(places, 1)
        ]
        return ParsedPhoto(
            mask, photo, CELEBAMASK, faces=tuple(found), found="faces", instances=whose, probabilities=soft
        )


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """bright.png and white.png have a face, dark.png has none."""
    monkeypatch.setattr(cli, "FaceParser", BrightFaces)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, value in (("bright", 200), ("dark", 10), ("white", 255)):
        Image.new("RGB", (60, 64), (value,) * 3).save(folder / f"{name}.png")
    return folder


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def files_of(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_every_kind_of_file_is_written(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    words = ("--color", "--overlay", "--crops", "--instances", "--json", "--soft")
    assert run("--input", photos, "--output", output, *words) == 0
    kinds = {"color": ".png", "instances": ".png", "json": ".json", "masks": ".png", "overlay": ".jpg", "soft": ".npz"}
    wanted = [f"{kind}/{name}{end}" for kind, end in kinds.items() for name in ("bright", "dark", "white")]
    wanted += [f"{kind}/{name}_1.png" for kind in ("crops", "crop_masks") for name in ("bright", "white")]
    assert files_of(output) == [".face_parsing.json", *sorted(wanted)]
    facts = json.loads((output / "json" / "bright.json").read_text())
    assert (facts["file"], facts["width"], facts["height"]) == (str(photos / "bright.png"), 60, 64)
    assert facts["faces"][0]["points"] == POINTS.tolist()
    assert facts["faces"][0]["pixels"] == facts["pixels"] == {"hair": 60 * 32}
    with Image.open(output / "crops" / "white_1.png") as crop:
        assert (crop.size, crop.getpixel((8, 8))) == ((16, 16), (255, 255, 255))
    out = capsys.readouterr().out.splitlines()
    assert out[1:] == [
        f"wrote 3 of 3 masks to {output / 'masks'}",
        "faces: 2 in 2 photos",
        "1 of 3 photos without a face: parsed whole (dark.png)",
    ]


def test_auto_is_for_shipped_weights_alone(photos: Path, tmp_path: Path) -> None:
    for words, mode in (
        ((), "auto"),
        (("--tta",), "auto"),
        (("--model_path", "mine.onnx"), "off"),
        (("--model_path", "mine.pth"), "off"),
        (("--model_path", "mine.onnx", "--faces", "largest"), "largest"),
        (("--faces", "off"), "off"),
    ):
        assert run("--input", photos / "bright.png", "--output", tmp_path / "out", "--overwrite", *words) == 0
        assert BrightFaces.made["faces"] == mode, words


def test_what_is_not_given_is_left_to_the_parser(photos: Path, tmp_path: Path) -> None:
    words = ("--input", photos, "--output", tmp_path / "out", "--overwrite")
    own = ("least_score", "least_size", "no_face", "margin")
    assert run(*words) == 0
    assert not {name for name in own if name in BrightFaces.made}
    assert run(*words, "--least_score", 0.9, "--least_size", 40, "--no_face", "empty", "--margin", 1.5) == 0
    assert [BrightFaces.made[name] for name in own] == [0.9, 40, "empty", 1.5]


@pytest.mark.parametrize("no_face", ["whole", "empty", "skip"])
def test_a_photo_without_a_face_is_named(
    no_face: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert run("--input", photos, "--output", output, "--json", "--no_face", no_face) == 0
    done = {"whole": "parsed whole", "empty": "given an empty mask", "skip": "left out"}[no_face]
    out = capsys.readouterr().out
    assert f"1 of 3 photos without a face: {done} (dark.png)" in out
    assert f"wrote {2 if no_face == 'skip' else 3} of 3 masks" in out
    assert json.loads((output / "json" / "dark.json").read_text())["found"] == no_face
    mask = output / "masks" / "dark.png"
    assert mask.exists() == (no_face != "skip")
    if mask.exists():
        assert set(np.unique(np.array(Image.open(mask)))) == {18 if no_face == "whole" else 0}


def test_a_photo_without_a_face_is_told_in_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--input", photos / "dark.png", "--output", tmp_path / "out") == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["1 of 1 photo without a face: parsed whole (dark.png)"]


def test_faces_are_named_in_a_file(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = tmp_path / "faces.json"
    points.write_text(json.dumps({"bright.png": [], "dark": [POINTS.tolist(), [1, 2, 30, 40]], "white.png": []}))
    output = tmp_path / "out"
    assert run("--input", photos, "--output", output, "--points", points, "--crops") == 0
    assert BrightFaces.made["faces"] == "all"
    assert files_of(output / "crops") == ["dark_1.png", "dark_2.png"]
    assert "2 of 3 photos without a face: parsed whole (bright.png, white.png)" in capsys.readouterr().out
    points.write_text(json.dumps({"bright.png": []}))
    assert run("--input", photos, "--output", tmp_path / "more", "--points", points) == 2
    assert "faces.json does not name dark.png; add it" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()


def test_faces_are_named_by_path(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "sub").mkdir()
    (photos / "sub" / "dark.png").write_bytes((photos / "dark.png").read_bytes())
    points = tmp_path / "faces.json"
    content = {"bright.png": [], "dark.png": [[1, 2, 30, 40]], "white.png": [], "sub/dark.png": [[1, 2, 30, 40]] * 2}
    points.write_text(json.dumps(content))
    words = ("--input", photos, "--recursive", "--points", points, "--crops")
    assert run(*words, "--output", tmp_path / "out") == 0
    assert files_of(tmp_path / "out" / "crops") == ["dark_1.png", "sub/dark_1.png", "sub/dark_2.png"]
    del content["sub/dark.png"]
    points.write_text(json.dumps(content))
    assert run(*words, "--output", tmp_path / "more") == 2
    assert "faces.json: dark.png may be dark.png or sub/dark.png; name each" in capsys.readouterr().err


def test_what_a_run_found_is_given_back(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "sub").mkdir()
    (photos / "sub" / "dark.png").write_bytes((photos / "white.png").read_bytes())
    first, second = tmp_path / "first", tmp_path / "second"
    words = ("--input", photos, "--recursive", "--json")
    assert run(*words, "--output", first) == 0
    assert run(*words, "--output", second, "--points", first / "json", "--crops") == 0
    for name in ("bright", "dark", "white", "sub/dark"):
        before, now = (json.loads((folder / "json" / f"{name}.json").read_text()) for folder in (first, second))
        assert (before["found"], before["faces"]) == (now["found"], now["faces"])
    assert files_of(second / "crops") == ["bright_1.png", "sub/dark_1.png", "white_1.png"]
    # What is read is never replaced by what is made of it.
    capsys.readouterr()
    assert run(*words, "--output", first, "--points", first / "json", "--overwrite") == 2
    assert "json/bright.json is an input, and" in capsys.readouterr().err


def test_a_photo_that_is_not_there_gets_a_word(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = tmp_path / "faces.csv"
    points.write_text("bright.png\ndark.png\nwhite.png\ngroup.jpg,1,2,3,4\nfar.jpg\n")
    assert run("--input", photos, "--output", tmp_path / "out", "--points", points) == 0
    assert f"Note: {points} also names group.jpg, far.jpg, which --input has not." in capsys.readouterr().err


def test_a_photo_of_a_subfolder_is_named_with_it(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "sub").mkdir()
    (photos / "dark.png").rename(photos / "sub" / "dark.png")
    (photos / "sub" / "gone.jpg").symlink_to("nowhere.jpg")
    assert run("--input", photos, "--output", tmp_path / "out", "--recursive") == 1
    printed = capsys.readouterr()
    assert "1 of 3 photos without a face: parsed whole (sub/dark.png)" in printed.out
    assert "Note: not parsed: 1 link to nothing (sub/gone.jpg)." in printed.err


def test_a_box_outside_the_photo_is_no_face(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = tmp_path / "faces.json"
    points.write_text(json.dumps({"bright.png": [[5, 5, 20, 20]], "dark.png": [[500, 5, 20, 20]], "white.png": []}))
    assert run("--input", photos, "--output", tmp_path / "out", "--points", points) == 1
    reason = (
        "the box 500, 5, 20, 20 of a face lies outside the photo of 60x64 pixels; correct it in the file of --points"
    )
    assert f"{photos / 'dark.png'}: {reason}" in capsys.readouterr().err
    assert files_of(tmp_path / "out" / "masks") == ["bright.png", "white.png"]


def test_nothing_is_replaced_unasked_and_a_run_goes_on(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    words = ("--input", photos, "--output", output)
    assert run(*words, "--json") == 0
    for kind in ("json/bright.json", "masks/bright.png"):
        assert run(*words, "--json") == 2
        assert "would be replaced; add --overwrite" in capsys.readouterr().err
        (output / kind).unlink()
    assert run(*words, "--json", "--resume") == 0
    assert "wrote 1 of 1 masks" in capsys.readouterr().out
    assert run(*words, "--json", "--instances", "--resume") == 0
    assert "0 of 0 masks to" in (said := capsys.readouterr().out)
    assert "; 3 were there already, and 3 photos got further files" in said
    assert run(*words, "--json", "--instances", "--resume") == 0
    assert "; 3 were there already\n" in capsys.readouterr().out
    # Of a photo without a face nobody can tell that its crops were written: it is looked at again.
    assert run(*words, "--crops", "--resume") == 0
    assert "; 3 were there already, and 2 photos got further files" in capsys.readouterr().out
    assert run(*words, "--crops", "--resume") == 0
    assert "1 of 1 photo without a face" in (said := capsys.readouterr().out)
    assert "wrote 0 of 0 masks" in said
    assert "; 3 were there already\n" in said
    (output / "masks" / "white.png").unlink()
    for name in ("bright", "dark"):
        (output / "masks" / f"{name}.png").unlink()
    assert run(*words, "--crops") == 2
    assert "crop" in capsys.readouterr().err


def test_one_odd_name_leaves_the_others(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latin = os.fsdecode(b"caf\xe9.png")
    for name, words, reason in (
        (latin, ("--json",), "its name is not in UTF-8, as JSON must be; rename it or leave out --json"),
        (250 * "a" + ".png", ("--crops",), f"{250 * 'a'}_1.png is longer than names of files may be here; rename it"),
        (251 * "b" + ".png", ("--json",), f"{251 * 'b'}.json is longer than names of files may be here; rename it"),
    ):
        odd, output = photos / name, tmp_path / name[:1]
        odd.write_bytes((photos / "dark.png").read_bytes())
        assert run("--input", photos, "--output", output, *words) == 1
        printed = capsys.readouterr()
        assert reason in printed.err
        assert "wrote 3 of 4 masks" in printed.out
        assert files_of(output / "masks") == ["bright.png", "dark.png", "white.png"]
        assert run("--input", photos, "--output", tmp_path / "plain", "--overwrite") == 0
        odd.unlink()


REFUSED = [
    (("--submission", "--faces", "all"), "--submission takes no --faces: the detector of faces is pretrained"),
    (("--submission", "--faces", "auto", "--margin", 2), "takes no --faces, --margin: the detector"),
    (("--submission", "--crops"), "takes no --crops: the detector"),
    (("--submission", "--points", "faces.json"), "takes no --points: the detector"),
    (("--model_path", "m.onnx", "--crops"), "--crops needs faces, and --faces off is the default with --model_path"),
    (("--faces", "off", "--no_face", "skip"), "--no_face needs faces, and --faces off was given; add --faces all"),
    (("--faces", "off", "--points", "faces.json"), "--points needs faces"),
    (("--points", "faces.json", "--least_score", 0.5), "--points names the faces, and --least_score is about looking"),
    (("--points", "faces.json", "--faces", "auto"), "--points names the faces, and --faces auto is about looking"),
    (("--points", "faces.json", "--faces", "largest"), "names the faces, and --faces largest is about looking"),
    (("--points", "faces.json"), "faces.json cannot be read: No such file"),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED)
def test_options_that_exclude_each_other(
    words: tuple[object, ...], sentence: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--input", photos, "--output", tmp_path / "out", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--least_score", "2", "2 is not from 0 to 1"),
        ("--least_score", "nan", "nan is not from 0 to 1"),
        ("--least_size", "-1", "-1 is not from 0 to 100000"),
        ("--margin", "0.1", "0.1 is not from 0.5 to 4"),
        ("--margin", "wide", "invalid margin value: 'wide'"),
        ("--input", "", "argument --input: the path is empty; name a file or folder"),
        ("--output", "", "argument --output: the path is empty"),
        ("--points", "", "argument --points: the path is empty"),
        ("--model_path", "", "argument --model_path: the path is empty"),
        ("--faces", "best", "invalid choice: 'best'"),
    ],
)
def test_values_out_of_range(option: str, value: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--input", "a.jpg", "--output", "out", option, value)
    assert sentence in capsys.readouterr().err


def test_the_real_parser_finds_a_lying_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(PHOTO) as photo:
        photo.convert("RGB").rotate(90, expand=True).save(folder / "lying.png")
    Image.new("RGB", (200, 150), (90, 120, 60)).save(folder / "meadow.png")
    output = tmp_path / "out"
    assert run("--input", folder, "--output", output, "--json", "--crops", "--instances") == 0
    out = capsys.readouterr().out
    assert "faces: 1 in 1 photo\n" in out
    assert "1 of 2 photos without a face: parsed whole (meadow.png)" in out
    face = json.loads((output / "json" / "lying.json").read_text())["faces"][0]
    assert face["roll"] == pytest.approx(-90 + 6.5, abs=4)
    with Image.open(output / "masks" / "lying.png") as mask, Image.open(output / "instances" / "lying.png") as whose:
        ids, numbers = np.array(mask), np.array(whose)
    assert set(np.unique(numbers)) == {0, 1}
    y, x = (int(place.mean()) for place in np.nonzero(ids == CELEBAMASK.names.index("nose")))
    np.testing.assert_allclose((x, y), face["points"][2], atol=25)  # the class reaches up to the brows
    # Its crop's mask has the eyes above the mouth.
    with Image.open(output / "crop_masks" / "lying_1.png") as mask:
        crop = np.array(mask)
    rows = [np.nonzero(crop == CELEBAMASK.names.index(name))[0].mean() for name in ("l_eye", "nose", "u_lip")]
    assert rows == sorted(rows)
