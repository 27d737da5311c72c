"""The commands that draw: colors and ids, overlays, panels, curves, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import draw
from face_parsing.data.masks import save_mask
from face_parsing.drawing.folders import column_title
from face_parsing.drawing.pictures import CELL, save_picture
from face_parsing.inference.outputs import output_paths, save_instances, write_outputs
from face_parsing.labels import PALETTE
from face_parsing.synthetic.dataset import make_pair


def run(*words: object) -> int:
    return draw.main([str(word) for word in words])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Three photos and their masks."""
    for i in range(3):
        photo, mask = make_pair(i, size=64)
        save_picture(photo, tmp_path / "images" / f"{i}.jpg")
        save_mask(mask, tmp_path / "masks" / f"{i}.png")
    return tmp_path / "masks"


def test_colors_and_back(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("color", "--input", masks, "--output", tmp_path / "color") == 0
    assert run("ids", "--input", tmp_path / "color", "--output", tmp_path / "ids") == 0
    assert "exact" not in capsys.readouterr().out
    for i in range(3):
        colored = pixels(tmp_path / "color" / f"{i}.png")
        assert colored.shape == (64, 64, 3)
        np.testing.assert_array_equal(colored, np.array(PALETTE, dtype=np.uint8)[pixels(masks / f"{i}.png")])
        np.testing.assert_array_equal(pixels(tmp_path / "ids" / f"{i}.png"), pixels(masks / f"{i}.png"))
    assert run("color", "--input", masks / "1.png", "--output", tmp_path / "one") == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["1.png"]
    assert run("colour", "--input", masks / "1.png", "--output", tmp_path / "one") == 2  # the old spelling, the same
    assert "1.png would be replaced; add --overwrite" in capsys.readouterr().err


def test_the_colors_of_a_parsed_photo_give_its_mask_back(tmp_path: Path) -> None:
    mask = np.arange(19, dtype=np.uint8).repeat(3).reshape(3, 19)
    write_outputs(np.zeros((3, 19, 3), dtype=np.uint8), mask, output_paths(tmp_path, "a", color=True))
    assert run("ids", "--input", tmp_path / "color", "--output", tmp_path / "back") == 0
    assert (tmp_path / "back" / "a.png").read_bytes() == (tmp_path / "masks" / "a.png").read_bytes()


def test_ids_name_the_first_unknown_color_or_take_the_nearest(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("color", "--input", masks / "0.png", "--output", tmp_path) == 0
    picture = pixels(tmp_path / "0.png").copy()
    picture[7, 5] = (201, 3, 0)
    save_picture(picture, tmp_path / "odd.png")
    words = ["ids", "--input", tmp_path / "odd.png", "--output", tmp_path / "ids"]
    assert run(*words) == 2
    assert "odd.png: the color (201, 3, 0) at column 5, row 7 is none of the palette's" in capsys.readouterr().err
    assert not (tmp_path / "ids").exists()
    assert run(*words, "--nearest") == 0
    found, expected = pixels(tmp_path / "ids" / "odd.png"), pixels(masks / "0.png").copy()
    expected[7, 5] = 1
    np.testing.assert_array_equal(found, expected)
    assert "0.0% of the pixels were of no exact color" in capsys.readouterr().out


def test_clear_deep_and_binary_pictures_become_the_ids_that_were_meant(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = pixels(masks / "0.png")
    opaque = (truth > 0)[..., None] * np.uint8(255)
    colors = np.array(PALETTE, dtype=np.uint8)[truth]
    (tmp_path / "in").mkdir()
    Image.fromarray(np.dstack([colors, opaque])).save(tmp_path / "in" / "colors.png")
    Image.fromarray(np.dstack([truth, truth, truth, opaque])).save(tmp_path / "in" / "greys.png")
    Image.fromarray(truth.astype(np.uint16)).save(tmp_path / "in" / "deep.png")
    assert run("ids", "--input", tmp_path / "in", "--output", tmp_path / "out") == 0
    assert "Note" not in capsys.readouterr().err
    for name in ("colors", "greys", "deep"):
        np.testing.assert_array_equal(pixels(tmp_path / "out" / f"{name}.png"), truth)
    Image.fromarray(opaque[..., 0]).save(tmp_path / "binary.png")
    assert run("ids", "--input", tmp_path / "binary.png", "--output", tmp_path / "out") == 0
    assert "1 mask holds no class but background (255 means 'ignore'" in capsys.readouterr().err
    half = np.dstack([colors, opaque // 2])
    Image.fromarray(half).save(tmp_path / "half.png")
    assert run("ids", "--input", tmp_path / "half.png", "--output", tmp_path / "out") == 2
    assert "half.png: the color" in capsys.readouterr().err


def test_a_palette_of_other_colors_names_the_command_that_reads_indices(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = Image.open(masks / "0.png")
    picture.putpalette([7 * i % 256 for i in range(768)])
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "m.png")
    assert run("ids", "--input", tmp_path / "in", "--output", tmp_path / "out") == 2
    assert capsys.readouterr().err.endswith("If its palette's indices are the ids, 'draw.py to-ids' takes these.\n")
    assert run("to-ids", "--masks", tmp_path / "in", "--output", tmp_path / "out") == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "m.png"), pixels(masks / "0.png"))


def test_colors_of_a_coarser_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "classes.yaml").write_text("rest: []\neyes: [l_eye, r_eye]\n")
    save_mask(np.array([[0, 1]], dtype=np.uint8), tmp_path / "m.png")
    words = ["color", "--input", tmp_path / "m.png", "--output", tmp_path / "out"]
    assert run(*words, "--classes", tmp_path / "classes.yaml") == 0
    assert pixels(tmp_path / "out" / "m.png").tolist() == [[list(PALETTE[0]), list(PALETTE[4])]]
    save_mask(np.array([[0, 2]], dtype=np.uint8), tmp_path / "m.png")
    assert run(*words, "--classes", tmp_path / "classes.yaml", "--overwrite") == 2
    assert "m.png: label 2; the ids of these classes are 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["ids --input", "color --input", "to-ids --masks", "to-coco --masks"])
def test_numbers_of_faces_are_no_class_ids(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_instances(np.array([[0, 1], [2, 3]], dtype=np.uint16), tmp_path / "instances" / "a.png")
    assert run(*words.split(), tmp_path / "instances", "--output", tmp_path / "out") == 2
    said = f"{tmp_path / 'instances' / 'a.png'}: its numbers are faces, as --instances writes them; name a mask of"
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").is_file()
    assert not list(tmp_path.glob("out/*"))


def test_overlays(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    assert run("overlay", "--images", images, "--masks", masks, "--output", tmp_path / "over") == 0
    assert sorted(path.name for path in (tmp_path / "over").iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]
    assert pixels(tmp_path / "over" / "0.jpg").shape[0] > 64  # the legend
    # A photo twice as large as its mask is laid under the enlarged mask; one of another shape is refused.
    save_picture(np.full((128, 128, 3), 90, dtype=np.uint8), tmp_path / "large.png")
    words = ["overlay", "--masks", masks / "0.png", "--output", tmp_path / "two", "--images"]
    assert run(*words, tmp_path / "large.png") == 0
    save_picture(np.full((128, 100, 3), 90, dtype=np.uint8), tmp_path / "narrow.png")
    assert run(*words, tmp_path / "narrow.png") == 2
    assert "0.png is 64x64 and its photo" in capsys.readouterr().err


def test_overlays_of_what_has_both_photo_and_mask(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    (masks / "2.png").unlink()
    save_mask(np.zeros((64, 64), dtype=np.uint8), masks / "more.png")
    words = ["overlay", "--images", images, "--masks", masks, "--output"]
    assert run(*words, tmp_path / "over") == 1
    assert sorted(path.name for path in (tmp_path / "over").iterdir()) == ["0.jpg", "1.jpg"]
    said = capsys.readouterr()
    assert said.err.startswith(f"Note: {images} lacks more; left out.\nNote: {masks} lacks 2; left out.\n")
    assert f"wrote 2 of 4 pictures to {tmp_path / 'over'}" in said.out
    for name in ("0", "1"):
        (masks / f"{name}.png").unlink()
    assert run(*words, tmp_path / "none") == 2
    assert f"{masks} lacks 0, 1, 2, which {images} has." in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.fixture
def panel(masks: Path, tmp_path: Path) -> list[object]:
    """The command of a panel of two masks a photo: the truth, and nothing."""
    for i in range(3):
        save_mask(np.zeros((64, 64), dtype=np.uint8), tmp_path / "run" / "masks" / f"{i}.png")
    return ["panel", "--images", tmp_path / "images", "--masks", masks, tmp_path / "run" / "masks"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("--titles one", "--titles names 1 columns, --masks 2"),
        ("--stems 7 8", "lacks 7, 8."),
        ("--output a.png", "a.png would be replaced; add --overwrite"),
    ],
)
def test_a_panel_that_is_refused(
    panel: list[object],
    extra: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_text("mine")
    assert run(*panel, "--output", "c.png", *extra.split()) == 2
    assert message in capsys.readouterr().err
    assert Path("a.png").read_text() == "mine"
    assert not Path("c.png").exists()


def test_a_panel_of_several_masks(
    panel: list[object], masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = panel
    assert run(*words, "--output", tmp_path / "a.png", "--titles", "truth", "nothing", "--faces", 2) == 0
    assert "2 of 3 faces" in capsys.readouterr().out
    height, width = pixels(tmp_path / "a.png").shape[:2]
    assert 3 * CELL < width < 3.2 * CELL
    assert 2 * CELL < height < 3 * CELL
    assert run(*words, "--output", tmp_path / "b.png", "--stems", "2") == 0
    assert pixels(tmp_path / "b.png").shape[0] < 2 * CELL
    assert column_title(tmp_path / "run" / "masks") == "run"
    save_mask(np.zeros((64, 64), dtype=np.uint8), masks / "more.png")
    (tmp_path / "run" / "masks" / "0.png").unlink()
    assert run(*words, "--output", tmp_path / "c.png") == 1
    said = capsys.readouterr()
    assert f"Note: {tmp_path / 'images'} lacks more; left out." in said.err
    assert f"Note: {tmp_path / 'run' / 'masks'} lacks 0, more; left out." in said.err
    assert "2 of 4 faces" in said.out
    assert run(*words, "--output", tmp_path / "d.png", "--stems", "0", "1") == 2
    assert f"{tmp_path / 'run' / 'masks'} lacks 0." in capsys.readouterr().err


def test_a_folder_without_pictures_is_named_whatever_was_meant(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for words in (["overlay", "--images", tmp_path / "images", "--masks", empty], ["color", "--input", empty]):
        assert run(*words, "--output", tmp_path / "out") == 2
        assert f"There are no pictures in {empty}; it needs files such as" in capsys.readouterr().err
    assert run("color", "--input", masks / "0.png", "--output", tmp_path / "out") == 0
    assert capsys.readouterr().out == f"wrote 1 picture to {tmp_path / 'out'}\n"


def test_subfolders_are_named(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (masks / "album").mkdir()
    said = f"Note: 1 subfolder is left out of {masks} (album); name each by itself.\n"
    for words in (["color", "--input", masks], ["overlay", "--images", tmp_path / "images", "--masks", masks]):
        assert run(*words, "--output", tmp_path / str(words[0])) == 0
        assert said in capsys.readouterr().err


def test_curves_of_runs_with_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named: list[dict[str, Path]] = []
    monkeypatch.setattr(draw, "plot_runs", lambda histories, path, *, minutes: named.append(histories))
    for folder in ("a/run", "b/run", "c"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "history.csv").write_text("")
    words = ["curves", tmp_path / "a" / "run", tmp_path / "b" / "run" / "history.csv", tmp_path / "c", "--output"]
    assert run(*words, tmp_path / "x.png", "--x", "minutes") == 0
    assert list(named[0]) == ["run", "b/run", "c"]
    assert run(*words, tmp_path / "x.gif") == 2
    assert "must end in .png, .pdf, .svg" in capsys.readouterr().err
    assert run("curves", tmp_path, "--output", tmp_path / "x.png") == 2
    assert f"There is no history {tmp_path / 'history.csv'}" in capsys.readouterr().err


def test_nothing_is_replaced_unasked(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["color", "--input", masks, "--output", tmp_path / "out"]
    assert run(*words) == 0
    before = (tmp_path / "out" / "0.png").read_bytes()
    assert run(*words) == 2
    assert "0.png and 2 more would be replaced; add --overwrite" in capsys.readouterr().err
    assert run(*words, "--overwrite") == 0
    assert (tmp_path / "out" / "0.png").read_bytes() == before
    # Not even with --overwrite does a picture replace the mask that it shows.
    assert run("color", "--input", masks, "--output", masks, "--overwrite") == 2
    assert "would be replaced by its own picture" in capsys.readouterr().err
