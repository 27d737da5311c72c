"""Masks in other projects' formats: run lengths by hand and at random, both directions, and every refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import draw
from face_parsing.data.masks import save_mask
from face_parsing.data.problems import DataError
from face_parsing.drawing import kaggle
from face_parsing.drawing.kaggle import decode_runs, encode_runs, read_kaggle, rows_of, write_kaggle
from face_parsing.drawing.labelled import numeric_order
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, NUM_CLASSES

MASKS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([*range(19), IGNORE_INDEX])
)


def run(*words: object) -> int:
    return draw.main([str(word) for word in words])


def ids(path: Path) -> tuple[str, np.ndarray]:
    with Image.open(path) as picture:
        return picture.mode, np.array(picture)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Three masks whose names sort differently as numbers and as words."""
    rng = np.random.default_rng(0)
    for name in ("2", "10", "face"):
        blocks = rng.choice([*range(NUM_CLASSES), IGNORE_INDEX], (4, 4)).astype(np.uint8)
        save_mask(blocks.repeat(2, 0).repeat(2, 1), tmp_path / "masks" / f"{name}.png")
    return tmp_path / "masks"


# --- run lengths ----------------------------------------------------------------------------------


def test_runs_by_hand() -> None:
    region = np.zeros((4, 6), dtype=bool)
    region[0, 4:] = region[1, 0] = True  # pixels 5, 6, 7: a run goes on in the next row
    region[3, 1:3] = True  # pixels 20, 21
    assert encode_runs(region) == "5_3_20_2"
    assert encode_runs(np.zeros((4, 6), dtype=bool)) == "0"
    assert encode_runs(np.ones((4, 6), dtype=bool)) == "1_24"
    starts, lengths = decode_runs("5_3_20_2", 24)
    assert (starts.tolist(), lengths.tolist()) == ([4, 19], [3, 2])
    assert [len(part) for part in decode_runs("0", 24)] == [0, 0]


@given(arrays.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_runs_are_those_that_a_loop_finds(region: np.ndarray) -> None:
    runs: list[list[int]] = []
    for place, inside in enumerate(region.ravel().tolist(), 1):
        if inside and runs and sum(runs[-1]) == place:
            runs[-1][1] += 1
        elif inside:
            runs.append([place, 1])
    assert encode_runs(region) == ("_".join(f"{start}_{length}" for start, length in runs) or "0")
    starts, lengths = decode_runs(encode_runs(region), region.size)
    assert np.stack([starts + 1, lengths], 1).tolist() == runs


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is not numbers joined by '_'"),
        ("1 3", "'1 3' is not numbers"),
        ("1_-3", "'1_-3' is not numbers"),
        ("1_3_", "'1_3_' is not numbers"),
        ("1_3_7", "has 3 numbers; each run needs two"),
        ("0_3", "the run 0_3 is not within pixels 1 to 24"),
        ("1_3_5_0", "the run 5_0 is not within"),
        ("23_3", "the run 23_3 is not within"),
        ("9_999999999", "the run 9_999999999 is not within"),
        ("1_" + "9" * 50, r"the segmentation '1_9{28}\.\.\.' is not numbers"),
        ("1_3_3_2", "the runs 1_3_3_2 overlap"),
        ("9_3_3_2", "the runs 9_3_3_2 overlap or are not in ascending order"),
    ],
)
def test_malformed_runs_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        decode_runs(text, 24)


# --- the CSV --------------------------------------------------------------------------------------


def test_rows_by_hand() -> None:
    mask = np.zeros((3, 3), dtype=np.uint8)
    mask[1] = (13, 255, 1)
    rows = list(rows_of(mask, 3, usage="Private", size=3))
    assert len(rows) == 19
    assert rows[0] == ["57", "Private", "background", "1_3_7_3"]
    assert rows[13][3] == "4_1"
    assert [row[3] for row in rows].count("0") == 16
    assert [row[0] for row in rows] == [str(57 + c) for c in range(19)]
    assert [row[2] for row in rows] == list(CLASS_NAMES)
    exact = list(rows_of(np.array([[0, 0], [13, 1]], np.uint8), 0, usage="Public", size=2))
    assert exact[0] == ["0", "Public", "background", "1_2"]
    assert exact[1] == ["1", "Public", "skin", "4_1"]
    assert exact[13] == ["13", "Public", "hair", "3_1"]


@given(st.lists(MASKS, min_size=1, max_size=3))
def test_both_directions_agree(tmp_path_factory: pytest.TempPathFactory, drawn: list[np.ndarray]) -> None:
    folder = tmp_path_factory.mktemp("round")
    size = 9
    paths, expected = [], []
    for i, mask in enumerate(drawn):
        square = np.full((size, size), IGNORE_INDEX, dtype=np.uint8)
        square[: mask.shape[0], : mask.shape[1]] = mask
        expected.append(square)
        paths.append(folder / f"{i}.png")
        save_mask(square, paths[-1])
    write_kaggle(paths, folder / "a.csv", size=size)
    read = read_kaggle(folder / "a.csv", size=size)
    np.testing.assert_array_equal(read, expected)
    for i, mask in enumerate(read):
        save_mask(mask, folder / "again" / f"{i}.png")
    write_kaggle([folder / "again" / f"{i}.png" for i in range(len(read))], folder / "b.csv", size=size)
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()


def test_masks_are_reduced_to_256_by_nearest_neighbour(tmp_path: Path) -> None:
    small = np.random.default_rng(1).integers(0, NUM_CLASSES, (256, 256), dtype=np.uint8)
    save_mask(small.repeat(2, 0).repeat(2, 1), tmp_path / "m" / "a.png")
    assert run("to-kaggle", "--masks", tmp_path / "m", "--output", tmp_path / "a.csv") == 0
    np.testing.assert_array_equal(read_kaggle(tmp_path / "a.csv"), [small])


def test_the_commands_there_and_back(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = tmp_path / "s.csv"
    assert run("to-kaggle", "--masks", masks, "--output", csv, "--usage", "Private", "--size", 8) == 0
    assert capsys.readouterr().out == f"wrote 57 rows of 3 images to {csv}\n"
    lines = csv.read_text().splitlines()
    assert lines[0] == "ID,Usage,label,segmentation"
    assert len(lines) == 58
    assert lines[1].startswith("0,Private,background,")
    assert run("from-kaggle", "--csv", csv, "--output", tmp_path / "named", "--names", masks, "--size", 8) == 0
    for name in ("2", "10", "face"):
        mode, mask = ids(tmp_path / "named" / f"{name}.png")
        assert mode == "P"
        np.testing.assert_array_equal(mask, ids(masks / f"{name}.png")[1])
    assert run("from-kaggle", "--csv", csv, "--output", tmp_path / "numbered", "--size", 8) == 0
    np.testing.assert_array_equal(ids(tmp_path / "numbered" / "1.png")[1], ids(masks / "10.png")[1])
    names = tmp_path / "names.txt"
    names.write_text("a.jpg\n\nb\nc.v2\n")
    assert run("from-kaggle", "--csv", csv, "--output", tmp_path / "listed", "--names", names, "--size", 8) == 0
    assert sorted(path.name for path in (tmp_path / "listed").iterdir()) == ["a.png", "b.png", "c.v2.png"]


def test_other_orders_labels_and_line_ends_are_read(masks: Path, tmp_path: Path) -> None:
    write_kaggle(numeric_order(masks.iterdir()), tmp_path / "a.csv", size=8)
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    turned = [",".join([n, '"Public"', str(int(n) % 19), runs]) for n, _, _, runs in (r.split(",") for r in rows[::-1])]
    (tmp_path / "b.csv").write_bytes(("\ufeff" + "\r\n".join([header, *turned])).encode())
    np.testing.assert_array_equal(read_kaggle(tmp_path / "b.csv", size=8), read_kaggle(tmp_path / "a.csv", size=8))


GOOD = [f"{c},Public,{name},{'1_4' if c == 0 else '0'}" for c, name in enumerate(CLASS_NAMES)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({0: "0,Public,background"}, "line 2: 3 fields; a row has 4: ID,Usage,label,segmentation"),
        ({4: ""}, "line 6: no readable fields"),
        ({4: '4,"Public,l_eye,0'}, "line 6: no readable fields"),
        ({4: "4,Public,l_eye," + "1_1_" * 60000}, "line 6: no readable fields"),
        ({3: "-3,Public,eye_g,0"}, "line 5: the ID '-3' is not a whole number"),
        ({3: "3.0,Public,eye_g,0"}, "line 5: the ID '3.0' is not"),
        ({3: "999999999999,Public,eye_g,0"}, "line 5: the ID 999999999999 is of image .*; at most 100000 images"),
        ({3: "2,Public,nose,0"}, "line 5: the ID 2 has a row already"),
        ({3: "3,Public,hat,0"}, "line 5: the label 'hat'; ID 3 is of class 3, eye_g"),
        ({3: "3,Public,eye_g,2_1"}, "line 5: pixel 2 is given to eye_g, but background has it already"),
        ({3: "3,Public,eye_g,4_2"}, "line 5: the run 4_2 is not within pixels 1 to 4"),
        ({18: None}, r"lacks 1 of the 19 rows of 1 images, the first: ID 18 \(image 0, cloth\)"),
        ({3: "60,Public,eye_g,0"}, r"lacks 57 of the 76 rows of 4 images, the first: ID 3 \(image 0, eye_g\)"),
        (dict.fromkeys(range(19)), "holds no image; below its header it needs 19 rows an image"),
    ],
)
def test_a_malformed_csv_is_refused_with_its_line(tmp_path: Path, change: dict[int, str | None], sentence: str) -> None:
    rows = [change.get(c, row) for c, row in enumerate(GOOD)]
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(["ID,Usage,label,segmentation", *(row for row in rows if row is not None)]) + "\n")
    with pytest.raises(DataError, match=f"bad.csv.*{sentence}"):
        read_kaggle(path, size=2)


def test_limits_and_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["ID,Usage,label,segmentation", *GOOD]))
    assert len(read_kaggle(path, size=2)) == 1
    path.write_text("\n".join(["Id,label,segmentation", *GOOD]))
    with pytest.raises(DataError, match=r"x\.csv, line 1: the header is 'Id,label,segmentation'; it must be ID,"):
        read_kaggle(path, size=2)
    path.write_bytes(b"\xff\xfe\x00" * 100)
    with pytest.raises(DataError, match="line 1: the header"):
        read_kaggle(path, size=2)
    with pytest.raises(DataError, match="cannot be read"):
        read_kaggle(tmp_path / "none.csv")
    monkeypatch.setattr(kaggle, "MAX_PIXELS", 4)
    second = [row.replace(row.split(",")[0], str(19 + c), 1) for c, row in enumerate(GOOD)]
    path.write_text("\n".join(["ID,Usage,label,segmentation", *GOOD, *second]))
    with pytest.raises(DataError, match="line 21: more images than 1"):
        read_kaggle(path, size=2)


def test_id_pngs_are_grey_and_hold_the_ids(masks: Path, tmp_path: Path) -> None:
    assert run("to-ids", "--masks", masks, "--output", tmp_path / "ids") == 0
    for path in masks.iterdir():
        mode, mask = ids(tmp_path / "ids" / path.name)
        assert mode == "L"
        np.testing.assert_array_equal(mask, ids(path)[1])


def test_nothing_is_replaced_unasked_and_nothing_half_written(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv, kept = tmp_path / "s.csv", tmp_path / "out" / "1.png"
    csv.write_text("precious")
    words = ("to-kaggle", "--masks", masks, "--output", csv, "--size", 8)
    assert run(*words) == 2
    assert f"{csv} would be replaced; add --overwrite" in capsys.readouterr().err
    assert csv.read_text() == "precious"
    assert run(*words, "--overwrite") == 0
    kept.parent.mkdir()
    kept.write_text("precious")
    assert run("from-kaggle", "--csv", csv, "--output", kept.parent, "--size", 8) == 2
    assert f"{kept} would be replaced" in capsys.readouterr().err
    assert [path.name for path in kept.parent.iterdir()] == ["1.png"]
    assert run("to-ids", "--masks", masks, "--output", masks) == 2
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(masks / "10.png")
    capsys.readouterr()
    assert run("to-kaggle", "--masks", masks, "--output", tmp_path / "t.csv") == 2
    assert "10.png: mode RGB" in capsys.readouterr().err
    assert not list(tmp_path.glob("*t.csv*"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a\nb\n", "gives 2 names, but the CSV holds 3 images"),
        ("a\nb\nb\n", "'b' cannot name a mask"),
        ("a\nb\n../c\n", "'../c' cannot name a mask"),
    ],
)
def test_wrong_names_are_said(
    masks: Path, text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv, names = tmp_path / "s.csv", tmp_path / "names.txt"
    assert run("to-kaggle", "--masks", masks, "--output", csv, "--size", 8) == 0
    names.write_text(text)
    capsys.readouterr()
    assert run("from-kaggle", "--csv", csv, "--output", tmp_path / "o", "--names", names, "--size", 8) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_wrong_folders_are_said(masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = tmp_path / "s.csv"
    (tmp_path / "empty").mkdir()
    assert run("to-kaggle", "--masks", tmp_path / "no", "--output", csv) == 2
    assert f"There is no folder {tmp_path / 'no'}" in capsys.readouterr().err
    assert run("to-ids", "--masks", tmp_path / "empty", "--output", csv) == 2
    assert "no PNG masks in" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("to-kaggle", "--masks", masks, "--output", csv, "--size", 0)
