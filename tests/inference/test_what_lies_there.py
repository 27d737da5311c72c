"""The command on folders of all sorts: what is done, what is told, the exit code, and no submission with a gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing import cli

ROOT = Path(__file__).resolve().parents[2]


def save(path: Path, kind: str | None = None, *, turn: int = 0) -> Path:
    """The portrait, small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(ROOT / "docs" / "images" / "astronaut.jpg") as portrait:
        portrait.resize((192, 192)).rotate(turn).save(path, format=kind)
    return path


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def masks(output: Path) -> list[str]:
    return sorted(path.relative_to(output / "masks").as_posix() for path in (output / "masks").rglob("*.png"))


def notes(errors: str) -> list[str]:
    return [line for line in errors.splitlines() if line.startswith(("Note: ", "inference.py: "))]


def test_the_folder_of_the_issue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    for name, kind in (("seen.jpg", None), ("browser.jfif", "JPEG"), ("phone.avif", None), ("below/deeper.jpg", None)):
        save(source / name, kind)
    (source / "annexed.jpg").symlink_to("gone/annexed.jpg")
    assert run("--input", source, "--output", output) == 1
    assert masks(output) == ["browser.png", "phone.png", "seen.png"]
    printed = capsys.readouterr()
    assert f"wrote 3 of 4 masks to {output / 'masks'}" in printed.out
    assert notes(printed.err) == [
        "Note: not parsed: 1 link to nothing (annexed.jpg), 1 subfolder (below; --recursive reads them).",
        "inference.py: 1 of 4 photos could not be read (the note names 1 of them).",
    ]
    (source / "annexed.jpg").unlink()
    assert run("--input", source, "--output", output, "--overwrite", "--recursive") == 0
    assert masks(output) == ["below/deeper.png", "browser.png", "phone.png", "seen.png"]


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        (".DS_Store", b"", 0),
        ("Thumbs.db", b"", 0),
        ("._face.jpg", b"", 0),
        ("notes.txt", b"", 0),
        ("sub/face.jpg", b"", 0),
        ("photo.psd", b"", 1),
        ("photo.cr3", b"", 1),
        ("face.nef", b"", 0),  # beside face.jpg
        ("empty.jpg", b"", 1),
        ("DSC0001", b"\xff\xd8\xff\xe1", 1),
    ],
)
def test_the_exit_code_says_whether_a_photo_is_missing(name: str, data: bytes, code: int, tmp_path: Path) -> None:
    save(tmp_path / "in" / "face.jpg")
    (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "in" / name).write_bytes(data)
    assert run("--input", tmp_path / "in", "--output", tmp_path / "out") == code
    assert masks(tmp_path / "out") == ["face.png"]


@pytest.mark.parametrize("gap", ["link", "unread", "twin"])
def test_no_submission_lacks_a_photo(gap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    save(source / "face.jpg")
    if gap == "link":
        (source / "gone.jpg").symlink_to("nowhere.jpg")
    elif gap == "unread":
        (source / "other.jxl").touch()
    else:
        save(source / "face.avif")
    assert run("--input", source, "--output", output, "--submission") == (2 if gap == "twin" else 1)
    assert not (output / "submission.zip").exists()
    wanted = (
        "would both become face.png"
        if gap == "twin"
        else "could not be read (the note names 1 of them); no submission.zip was"
    )
    assert wanted in capsys.readouterr().err


def test_a_submission_is_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "in" / "face.jpg")
    assert run("--input", tmp_path / "in", "--output", tmp_path / "out", "--submission", "--recursive") == 2
    assert "--submission takes no --recursive" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["in/parsed", "in", "."])
def test_what_was_written_is_not_read_the_second_time(place: str, tmp_path: Path) -> None:
    for name in ("a.jpg", "sub/a.jpg"):
        save(tmp_path / "in" / name)
    words = ("--input", tmp_path / "in", "--output", tmp_path / place, "--recursive", "--color", "--overlay")
    assert run(*words) == 0
    assert masks(tmp_path / place) == ["a.png", "sub/a.png"]
    assert run(*words, "--overwrite") == 0
    assert masks(tmp_path / place) == ["a.png", "sub/a.png"]
    assert (tmp_path / place / "overlay" / "sub" / "a.jpg").is_file()
    (tmp_path / place / "masks" / "sub" / "a.png").unlink()
    assert run(*words, "--resume") == 0
    assert masks(tmp_path / place) == ["a.png", "sub/a.png"]


def test_results_of_an_earlier_run_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in"
    for name in ("a.jpg", "sub/a.jpg", "dataset/masks/a.jpg", "dataset/masks/a.png", "dataset/color/b.jpg"):
        save(source / name)
    (source / "dataset" / "masks" / "a.png").unlink()
    words = ("--input", source, "--recursive", "--color", "--overlay", "--crops")
    assert run(*words, "--output", source / "out") == 0
    wanted = ["a.png", "dataset/color/b.png", "dataset/masks/a.png", "sub/a.png"]
    assert masks(source / "out") == wanted
    capsys.readouterr()
    assert run(*words, "--output", source / "out2") == 0
    assert masks(source / "out2") == wanted
    assert "Note: not parsed: 5 folders of earlier results (out/color, out/crop_masks, out/crops and 2 more" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("more", [(), ("--overwrite",), ("--resume",)])
@pytest.mark.parametrize("folder", ["masks", "color", "crops"])
def test_no_photo_is_replaced_by_what_is_made_of_it(
    folder: str, more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = save(tmp_path / "in" / folder / "q.png")
    before = photo.read_bytes()
    words = ("--input", photo.parent, "--output", tmp_path / "in", "--color", "--crops", *more)
    assert run(*words) == 2
    assert f"{photo} is an input, and {photo} would be written in its place; choose" in capsys.readouterr().err
    assert photo.read_bytes() == before
    assert [path for path in (tmp_path / "in").rglob("*") if path.is_file()] == [photo]


def test_a_face_on_its_side_gets_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upright = save(tmp_path / "in" / "upright.jpg")
    assert run("--input", upright, "--output", tmp_path / "a", "--faces", "off") == 0
    assert notes(capsys.readouterr().err) == []
    for name, turn in (("left.jpg", 90), ("down.jpg", 180), ("right.jpg", 270)):
        save(tmp_path / "in" / name, turn=turn)
    Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save(tmp_path / "in" / "wall.png")
    assert run("--input", tmp_path / "in", "--output", tmp_path / "b", "--faces", "off") == 0
    (note,) = notes(capsys.readouterr().err)
    assert note.startswith("Note: 4 masks look like no upright face (down.jpg, left.jpg, right.jpg and 1 more); ")
    assert note.endswith("; with --faces all faces are found however they lie.")
    # Where faces were looked for, there is nothing to say of how they lie.
    assert run("--input", tmp_path / "in", "--output", tmp_path / "c") == 0
    printed = capsys.readouterr()
    assert notes(printed.err) == []
    assert "1 of 5 photos without a face: parsed whole (wall.png)" in printed.out
