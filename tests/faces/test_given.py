"""Faces that the user names: the files that are read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_parsing.faces.given import GivenFacesError, faces_of_photos, read_given_faces, why_outside

BOX = [10.0, 20.0, 30.5, 40.0]
POINTS = [[15.0, 30.0], [33.0, 31.0], [24.0, 40.0], [17.0, 50.0], [31.0, 51.0]]


def written(folder: Path, content: object, name: str = "faces.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_json_has_boxes_points_and_photos_without_a_face(tmp_path: Path) -> None:
    content = {"a.jpg": [BOX, POINTS, {"points": POINTS, "box": BOX}, {"box": BOX}], "b": []}
    found = read_given_faces(written(tmp_path, content))
    for face, values in zip(found["a.jpg"], (BOX, POINTS, POINTS, BOX), strict=True):
        np.testing.assert_array_equal(face, values)
    path = tmp_path / "faces.json"
    named = {Path("photos/a.jpg"): "a", Path("photos/b.png"): "b"}
    assert [len(faces) for faces in faces_of_photos(found, named, path).values()] == [4, 0]
    with pytest.raises(GivenFacesError, match=r"faces\.json does not name c\.png; add it, with no face if it has none"):
        faces_of_photos(found, {Path("c.png"): "c"}, path)


def test_photos_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    names = {Path("in/x.jpg"): "x", Path("in/a/x.jpg"): "a/x", Path("in/b/x.jpg"): "b/x"}
    content = {"x.jpg": [], "a/x.jpg": [BOX], "in/b/x.jpg": [BOX, POINTS]}
    path = written(tmp_path, content)
    assert [len(faces) for faces in faces_of_photos(read_given_faces(path), names, path).values()] == [0, 1, 2]
    path = written(tmp_path, {"x.jpg": [], "a/x": [BOX]})
    with pytest.raises(GivenFacesError, match=r"faces\.json: x\.jpg may be x\.jpg or b/x\.jpg; name each"):
        faces_of_photos(read_given_faces(path), names, path)
    twins = {Path("a.jpg"): "a", Path("a.heic"): "a.heic"}
    path = written(tmp_path, {"a": [BOX]})
    with pytest.raises(GivenFacesError, match=r"a may be a\.jpg or a\.heic"):
        faces_of_photos(read_given_faces(path), twins, path)


def test_a_json_file_of_the_command_is_read(tmp_path: Path) -> None:
    content = {"file": "photos/a.jpg", "faces": [{"number": 1, "box": BOX, "points": POINTS}], "width": 100}
    found = read_given_faces(written(tmp_path, content))
    assert list(found) == ["a.jpg"]
    np.testing.assert_array_equal(found["a.jpg"][0], POINTS)


def test_the_json_of_several_photos_is_read_as_a_list(tmp_path: Path) -> None:
    content = [{"file": f"in/{name}", "faces": faces} for name, faces in (("a.jpg", [BOX]), ("x.jpg", []))]
    twin = {"file": "in/sub/x.jpg", "faces": [{"number": 1, "box": BOX, "points": POINTS}]}
    found = read_given_faces(written(tmp_path, [*content, twin]))
    assert {name: len(faces) for name, faces in found.items()} == {"a.jpg": 1, "in/x.jpg": 0, "in/sub/x.jpg": 1}
    with pytest.raises(GivenFacesError, match=r"faces\.json: it names in/sub/x\.jpg twice"):
        read_given_faces(written(tmp_path, [twin, twin]))


def test_the_folder_of_json_files_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "json"
    (folder / "sub").mkdir(parents=True)
    face = {"number": 1, "box": BOX, "points": POINTS}
    # The photo of an array has no file; twins keep their suffix.
    for name, file, faces in (("a", None, []), ("a.heic", "in/a.heic", [face]), ("sub/a", "in/sub/a.jpg", [face] * 2)):
        written(folder, {"file": file, "faces": faces}, f"{name}.json")
    names = {Path("in/a.jpg"): "a", Path("in/a.heic"): "a.heic", Path("in/sub/a.jpg"): "sub/a"}
    given = read_given_faces(folder)
    assert [len(faces) for faces in faces_of_photos(given, names, folder).values()] == [0, 1, 2]
    with pytest.raises(GivenFacesError, match=r"json does not name b\.jpg; add it"):
        faces_of_photos(given, {Path("in/b.jpg"): "b"}, folder)
    written(folder, {"file": "b.jpg", "faces": [[1, 2]]}, "b.json")
    with pytest.raises(GivenFacesError, match=r"b\.json: face 1 of b is neither"):
        read_given_faces(folder)
    written(folder, {"b.jpg": []}, "b.json")
    with pytest.raises(GivenFacesError, match=r"b\.json is no file that --json wrote; leave it out, or give it to"):
        read_given_faces(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GivenFacesError, match=r"empty holds no JSON file; name the folder json/ that --json wrote"):
        read_given_faces(tmp_path / "empty")


@pytest.mark.parametrize("title", ["", "file,x,y,width,height\n", "\ufefffile, x, y, width, height,,,\n"])
def test_csv_has_a_line_a_face(title: str, tmp_path: Path) -> None:
    points = ",".join(str(value) for point in POINTS for value in point)
    text = f"{title}a.jpg,10,20,30.5,40,,\n\nb.jpg, {points}\na.jpg,1,2,3,4\nnobody.jpg\n"
    found = read_given_faces(written(tmp_path, text, "faces.csv"))
    assert {name: len(faces) for name, faces in found.items()} == {"a.jpg": 2, "b.jpg": 1, "nobody.jpg": 0}
    np.testing.assert_array_equal(found["a.jpg"], [BOX, [1, 2, 3, 4]])
    np.testing.assert_array_equal(found["b.jpg"][0], POINTS)


@pytest.mark.parametrize(
    ("face", "reason"),
    [
        ([1, 2, 3], "face 1 of a.jpg is neither a box of four numbers"),
        ([[1, 2], [3, 4]], "is neither"),
        ("1234", "is neither"),
        (None, "is neither"),
        ({"place": 3}, "is neither"),
        ([1, 2, "three", 4], "is neither"),
        ([1, 2, 3, [4]], "is neither"),
        ([1, 2, 0, 4], "has a box without width or height"),
        ([1, 2, 3, 1e12], "holds a number that is no place in a photo"),
        ([1, 2, 3, float("nan")], "holds a number that is no place in a photo"),
        ([[5, 5]] * 5, "has both eyes at one place"),
    ],
)
def test_what_is_no_face_is_refused(face: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(GivenFacesError, match=reason):
        read_given_faces(written(tmp_path, {"a.jpg": [face]}))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("faces.json", "{", r"faces\.json is no JSON"),
        ("faces.json", "[]", r'must hold \{"photo\.jpg": \[face'),
        ("faces.json", '{"a.jpg": 3}', "must hold"),
        ("faces.json", "[" * 100_000, "is no JSON"),
        (
            "faces.json",
            '{"a.jpg": [], "a.jpg": []}',
            r"faces\.json: it names a\.jpg twice; put all its faces",
        ),
        (
            "faces.csv",
            "file;x;y;width;height\na.jpg;1,5;2;3;4\n",
            r"line 1 is separated by semicolons; save it",
        ),
        ("faces.csv", "a.jpg\t1\t2\t3\t4\n", r"faces\.csv: line 1 is separated by tabs; save it with commas"),
        ("faces.txt", "", r"read from FILE\.json or FILE\.csv"),
        ("faces.csv", "a.jpg,1,2,3\n", r"faces\.csv: line 1 is neither"),
        ("faces.csv", "a.jpg,1,2,3,4\nb.jpg,1,2,x,4\n", "line 2 is neither"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(name: str, content: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(GivenFacesError, match=reason):
        read_given_faces(written(tmp_path, content, name))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(GivenFacesError, match=r"no\.json cannot be read: No such file"):
        read_given_faces(tmp_path / "no.json")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(GivenFacesError, match=r"bytes\.csv cannot be read: it is no text in UTF-8"):
        read_given_faces(tmp_path / "bytes.csv")


@pytest.mark.parametrize(
    ("face", "outside"),
    [
        ([-5, -5, 6, 6], None),
        ([63, 47, 500, 500], None),
        ([64, 10, 5, 5], "the box 64, 10, 5, 5 of a face lies outside the photo of 64x48 pixels"),
        ([10, 48.5, 5, 5], "the box 10, 48.5, 5, 5 of a face lies outside"),
        ([-20, 10, 20, 5], "the box -20, 10, 20, 5 of a face lies outside"),
        ([[x + 50, y] for x, y in POINTS], "the points 65, 30, 83, 31, 74, 40, 67, 50, 81, 51 of a face lie outside"),
        (POINTS, None),
    ],
)
def test_a_face_outside_the_photo_is_none(face: Any, outside: str | None) -> None:
    why = why_outside(np.array(face, np.float64), (48, 64))
    assert why is None if outside is None else str(why).startswith(outside)
