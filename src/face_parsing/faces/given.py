"""Faces that the user names instead of letting them be detected: files of boxes or of five points, by photo.

JSON, by the photo's file name, or its path below the searched folder (a face is a box of four numbers or five points):

    {"a.jpg": [[100, 80, 220, 300], [[151, 190], [250, 192], [200, 250], [160, 300], [245, 301]]], "empty.jpg": []}

Or what ``--json`` writes, in which a face has both: one such file, a list of what several of them hold, or the folder
of them, in which json/NAME.json is of the photo whose mask is called NAME.

CSV, a line a face, with or without a line of titles: the name and a box (x, y, width, height), the name and five points
(x1, y1, ... x5, y5: right eye, left eye, nose, right and left corner of the mouth), or, of a photo without a face, the
name alone. All numbers are pixels from the upper left corner of the upright photo.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.system.wording import first_of

MOST_BYTES = 64 * 2**20  # of a file: half a million faces

NAMED = 3  # photos in a sentence

GivenFaces = dict[str, list[np.ndarray]]
"""By a photo's name: boxes (4,) x, y, width, height, or points (5, 2), float64."""


class GivenFacesError(ValueError):
    """A file of faces that cannot be used; the message names the file and the place, and says what to do."""


def files_of_faces(source: Path) -> list[Path]:
    """The files that are read: the one that source is, or the JSON files of a folder and its subfolders."""
    if not source.is_dir():
        return [source]
    return [path for path in sorted(source.rglob("*.json")) if not path.name.startswith(".") and path.is_file()]


def read_given_faces(source: Path) -> GivenFaces:
    """The faces of FILE.json, of FILE.csv, or of a folder of files that --json wrote. Raises GivenFacesError."""
    if source.is_dir():
        return _of_folder(source)
    text = _text(source)
    readers = {".json": _of_json, ".csv": _of_csv}
    if source.suffix.lower() not in readers:
        raise GivenFacesError(
            f"{source}: faces are read from FILE.json or FILE.csv, or from a folder of --json's files; save them as "
            "one of these."
        )
    return readers[source.suffix.lower()](text, source)


def _text(path: Path) -> str:
    """The text of a file. Raises GivenFacesError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise GivenFacesError(f"{path} is larger than {MOST_BYTES // 2**20} MB; split it.")
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise GivenFacesError(f"The file of faces {path} cannot be read: {reason}.") from None


def _of_folder(folder: Path) -> GivenFaces:
    """The faces of each photo by the name of its JSON file, with subfolders in front and without the suffix."""
    files = files_of_faces(folder)
    if not files:
        raise GivenFacesError(f"{folder} holds no JSON file; name the folder json/ that --json wrote.")
    found: GivenFaces = {}
    for path in files:
        content = _parsed(_text(path), path)
        if not _is_of_photo(content):
            raise GivenFacesError(f"{path} is no file that --json wrote; leave it out, or give it to --points alone.")
        found[path.relative_to(folder).with_suffix("").as_posix()] = _faces(content["faces"], path.stem, path)
    return found


def faces_of_photos(given: GivenFaces, names: Mapping[Path, str], source: Path) -> dict[Path, list[np.ndarray]]:
    """The faces of each photo; ``names`` says what these are called, with folders in front and without the suffix.

    The file calls a photo by its path, below the searched folder or as it was named; by its file's name; or by either
    without the suffix. Raises GivenFacesError where a photo has none, or has a name that others have too.
    """
    keys = keys_of_photos(given, names)
    several = {key for key, count in Counter(keys.values()).items() if count > 1}
    for photo, key in keys.items():
        if key is None:
            raise GivenFacesError(f"{source} does not name {photo.name}; add it, with no face if it has none.")
        if key in several:
            first, second, *_ = [_paths(one, names[one])[0] for one in keys if keys[one] == key]
            raise GivenFacesError(f"{source}: {key} may be {first} or {second}; name each with its folder and suffix.")
    return {photo: given[key] for photo, key in keys.items() if key is not None}


def keys_of_photos(given: GivenFaces, names: Mapping[Path, str]) -> dict[Path, str | None]:
    """What the file calls each photo, or None."""
    return {
        photo: next((key for key in (*_paths(photo, name), photo.name, photo.stem) if key in given), None)
        for photo, name in names.items()
    }


def unused_note(given: GivenFaces, names: Mapping[Path, str], source: Path) -> str | None:
    """A sentence on what the file names and the photos have not, or None."""
    used = set(keys_of_photos(given, names).values())
    unused = [key for key in given if key not in used]
    if not unused:
        return None
    return f"{source} also names {first_of(unused, NAMED)}, which --input has not."


def _paths(photo: Path, name: str) -> list[str]:
    """What a photo may be called exactly: below the searched folder, as it was named, and without the suffix."""
    below = Path(name).parent
    return [(below / photo.name).as_posix(), str(photo), (below / photo.stem).as_posix()]


def why_outside(face: np.ndarray, size: tuple[int, int]) -> str | None:
    """Why a box (4,) or points (5, 2) are no face of a photo of that height and width: nothing of them lies in it."""
    H, W = size
    first, last = (face[:2], face[:2] + face[2:]) if face.shape == (4,) else (face.min(0), face.max(0))
    if (last > 0).all() and (first < (W, H)).all():
        return None
    what = "box" if face.shape == (4,) else "points"
    numbers = ", ".join(f"{value:g}" for value in face.ravel())
    return f"the {what} {numbers} of a face lie{'s' * (what == 'box')} outside the photo of {W}x{H} pixels"


def _parsed(text: str, path: Path) -> Any:
    """What a JSON text holds. Raises GivenFacesError."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else str(error)
        twice = isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError)
        raise GivenFacesError(f"{path}: {reason}." if twice else f"{path} is no JSON ({reason}).") from None


def _of_json(text: str, path: Path) -> GivenFaces:
    content = _parsed(text, path)
    several = content if isinstance(content, list) else [content]
    if several and all(_is_of_photo(one) and isinstance(one.get("file"), str) for one in several):
        content = _by_file(several, path)
    if not isinstance(content, dict) or not all(isinstance(faces, list) for faces in content.values()):
        raise GivenFacesError(f'{path} must hold {{"photo.jpg": [face, ...], ...}}; see --help.')
    return {name: _faces(faces, name, path) for name, faces in content.items()}


def _is_of_photo(content: Any) -> bool:
    """Whether that is what --json writes of one photo."""
    return isinstance(content, dict) and "file" in content and isinstance(content.get("faces"), list)


def _by_file(several: Sequence[dict[str, Any]], path: Path) -> dict[str, Any]:
    """The faces of what --json wrote of several photos, by the photo's name or, where two have one, by its path."""
    counts = Counter(Path(one["file"]).name for one in several)
    names = [Path(one["file"]).name if counts[Path(one["file"]).name] == 1 else one["file"] for one in several]
    try:
        return _once(list(zip(names, (one["faces"] for one in several), strict=True)))
    except ValueError as error:
        raise GivenFacesError(f"{path}: {error}.") from None


def _faces(faces: Sequence[Any], name: str, path: Path) -> list[np.ndarray]:
    """The faces of one photo. Raises GivenFacesError."""
    return [_face(face, f"{path}: face {number} of {name}") for number, face in enumerate(faces, 1)]


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError where a key stands in it twice: Python takes the last one."""
    twice = next((key for key, count in Counter(key for key, _ in pairs).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"it names {twice} twice; put all its faces into one list")
    return dict(pairs)


def _of_csv(text: str, path: Path) -> GivenFaces:
    found: GivenFaces = {}
    rows = csv.reader(text.splitlines())
    try:
        for row in rows:
            if other := _other_separator(row):
                raise GivenFacesError(f"{path}: line {rows.line_num} is separated by {other}; save it with commas.")
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1]:  # spreadsheets fill short lines
                cells.pop()
            if not cells or (rows.line_num == 1 and len(cells) > 1 and not _is_number(cells[1])):
                continue
            faces = found.setdefault(cells[0], [])
            if len(cells) > 1:
                faces.append(_face(_grouped(cells[1:]), f"{path}: line {rows.line_num}"))
    except csv.Error as error:
        raise GivenFacesError(f"{path}: line {rows.line_num}: {error}.") from None
    return found


def _other_separator(row: Sequence[str]) -> str | None:
    """What separates a line that is not separated by commas: it comes as often as a box has numbers, or oftener."""
    line = ",".join(row)
    return next((name for sign, name in ((";", "semicolons"), ("\t", "tabs")) if line.count(sign) >= 4), None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _grouped(cells: Sequence[str]) -> list[Any]:
    """A line's numbers as a face is in JSON. What is no number stays, and is refused there."""
    values = [float(cell) if _is_number(cell) else cell for cell in cells]
    return [values[i : i + 2] for i in range(0, 10, 2)] if len(values) == 10 else values


def _face(face: Any, place: str) -> np.ndarray:
    """A box (4,) or points (5, 2) float64. Raises GivenFacesError that begins with ``place``."""
    if isinstance(face, dict):
        face = face.get("points") or face.get("box")
    try:
        values = np.array(face, dtype=np.float64)
    except (ValueError, TypeError):
        values = np.empty(0)
    if values.shape not in ((4,), (5, 2)) or isinstance(face, str):
        raise GivenFacesError(
            f"{place} is neither a box of four numbers (x, y, width, height) nor five points (x, y); correct it."
        )
    if not np.isfinite(values).all() or np.abs(values).max() > 1e6:
        raise GivenFacesError(f"{place} holds a number that is no place in a photo; correct it.")
    if values.shape == (4,) and values[2:].min() <= 0:
        raise GivenFacesError(f"{place} has a box without width or height; correct it.")
    if values.shape == (5, 2) and (np.ptp(values[:2], 0).max() < 1 or np.ptp(values[[0, 1, 3, 4]], 0).max() < 2):
        raise GivenFacesError(f"{place} has both eyes at one place; correct it.")
    return values
