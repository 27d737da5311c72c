"""Whatever is put in: a loader gives what it promises or refuses in its own words, and what is written comes back."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hostile_case import packed
from hostile_checkpoints import content
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from face_parsing.config.loading import ConfigError, from_dict, load_config
from face_parsing.config.sections import Config
from face_parsing.data.masks import read_mask, save_mask
from face_parsing.data.photos import PhotoError, read_photo
from face_parsing.data.problems import DataError
from face_parsing.drawing.kaggle import HEADER, read_kaggle, write_kaggle
from face_parsing.evaluation.evaluator import EvaluationItem
from face_parsing.evaluation.predictors import stored_masks
from face_parsing.inference.submission import _write_zip
from face_parsing.labels import IGNORE_INDEX, NUM_CLASSES
from face_parsing.models.checkpoint import CheckpointError, load_checkpoint, restore_model

pytestmark = pytest.mark.filterwarnings("ignore")  # what decoders say of odd bytes on the side


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that the examples of a test share."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def attempt(call: Callable[[], Any], refusal: type[Exception]) -> tuple[Any, str]:
    """What a call gives and "", or None and the message of its refusal. Any other exception goes on."""
    try:
        return call(), ""
    except refusal as error:
        assert str(error)  # noqa: PT017 - nothing that raises may do without a word
        return None, str(error)


# --- configs --------------------------------------------------------------------------------------

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.datetimes()
    | st.binary(max_size=4)
)  # fmt: skip
SECTIONS = [name for name, values in Config().to_dict().items() if isinstance(values, dict)]
KEYS = st.sampled_from([*SECTIONS, "track", "name", "stages", "classes", "scales", "options", "encoder"])
NESTED = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3) | SCALARS, inner, max_size=3)
    ),
    max_leaves=12,
)
LIKE_A_CONFIG = st.dictionaries(
    KEYS, st.dictionaries(KEYS | st.text(max_size=5), NESTED, max_size=3) | NESTED, max_size=3
)


@given(NESTED | LIKE_A_CONFIG)
@settings(max_examples=60)
def test_any_nested_value_is_a_config_or_a_config_error(place: Path, value: Any) -> None:
    path = place / "c.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    for load in (lambda: load_config(path), lambda: from_dict(value) if isinstance(value, dict) else None):
        found, _ = attempt(load, ConfigError)
        assert found is None or from_dict(found.to_dict()) == found


YAML_WORDS = st.sampled_from(
    ["data", "run", ": ", "- ", "[", "]", "{", "}", "&a ", "*a", "<<", "!!int ", "!!bool ", "!!timestamp ", "!!set ",
     "!!omap ", "!!python/name:os ", "\n", "\n  ", "? ", "|", ">", "'", '"', "#", "1", "0x", "1:2:3", ".nan", "---",
     "2001-13-01", "\\ud800", "...", "%YAML 1.1", "\t", "null", "~", "\x85", "\u2028"]
)  # fmt: skip


@given(st.lists(YAML_WORDS | st.text(max_size=3), max_size=14).map("".join))
@settings(max_examples=100)
def test_any_text_is_a_config_or_a_config_error(place: Path, text: str) -> None:
    path = place / "t.yaml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    for load in (
        lambda: load_config(path),
        lambda: load_config(None, [f"run={text}"]),
        lambda: load_config(None, [text]),
    ):
        attempt(load, ConfigError)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_config_or_a_config_error(place: Path, data: bytes) -> None:
    (place / "b.yaml").write_bytes(data)
    _, message = attempt(lambda: load_config(place / "b.yaml"), ConfigError)
    assert not message or "b.yaml" in message or "configuration" in message


# --- images ---------------------------------------------------------------------------------------

IDS = [*range(NUM_CLASSES), IGNORE_INDEX]
MASKS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from(IDS))
MODES = ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "HSV", "LAB", "YCbCr")


@given(MASKS, st.sampled_from(["L", "P"]))
def test_a_mask_comes_back_as_it_was_written(place: Path, mask: np.ndarray, mode: str) -> None:
    path = place / "m.png"
    if mode == "P":
        save_mask(mask, path)
    else:
        Image.fromarray(mask).save(path)
    np.testing.assert_array_equal(read_mask(path), mask)


@given(
    st.sampled_from(["PNG", "GIF", "TIFF", "BMP", "WEBP", "JPEG", "PPM"]),
    st.sampled_from(MODES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
@settings(max_examples=150)
def test_damaged_images_are_read_or_refused_by_name(
    place: Path, kind: str, mode: str, changes: list[tuple[float, int]], kept: float
) -> None:
    buffer = io.BytesIO()
    try:
        Image.new("L", (9, 7), 3).convert(mode).save(buffer, kind)
    except (OSError, ValueError, KeyError):
        return  # Pillow cannot write this mode in this format
    data = bytearray(buffer.getvalue())
    for where, value in changes:
        data[int(where * len(data))] = value
    path = place / "d.png"
    path.write_bytes(data[: int(kept * len(data)) + 1])
    mask, no_mask = attempt(lambda: read_mask(path), DataError)
    photo, no_photo = attempt(lambda: read_photo(path), PhotoError)
    for message in (no_mask, no_photo):
        assert not message or message.startswith(f"{path}: ")
        assert "\n" not in message
    assert mask is None or ((mask.dtype, mask.ndim) == (np.uint8, 2) and set(np.unique(mask)) <= set(IDS))
    assert photo is None or (photo.dtype, photo.ndim, photo.shape[2]) == (np.uint8, 3, 3)


# --- checkpoints ----------------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.sampled_from(["format", "classes", "model", "image_size", "inference", "track", "scores", "state_dict"]),
        NESTED.filter(lambda value: "date" not in repr(value)),  # which torch refuses to load, and rightly
        max_size=2,
    )
)
@settings(max_examples=30)
def test_any_field_of_a_checkpoint_is_sound_or_refused(place: Path, fields: dict[str, Any]) -> None:
    path = place / "c.pth"
    path.write_bytes(packed(content(**fields)))
    model, message = attempt(lambda: restore_model(load_checkpoint(path), path), CheckpointError)
    assert isinstance(model, torch.nn.Module) or str(path) in message
    assert "\n" not in message


# --- CSV and zip ----------------------------------------------------------------------------------


@given(st.lists(arrays.arrays(np.uint8, (6, 6), elements=st.sampled_from(IDS)), min_size=1, max_size=3))
def test_the_kaggle_csv_there_and_back(place: Path, masks: list[np.ndarray]) -> None:
    paths = [place / f"{i}.png" for i in range(len(masks))]
    for mask, path in zip(masks, paths, strict=True):
        save_mask(mask, path)
    write_kaggle(paths, place / "k.csv", size=6)
    for mask, found in zip(masks, read_kaggle(place / "k.csv", size=6), strict=True):
        np.testing.assert_array_equal(found, mask)


CELLS = st.sampled_from(
    ["0", "1", "18", "19", "1_2", "1_1_3_1", "skin", "background", "Public", "", "-1", "1_", '"', "9" * 20, "\x00"]
)


@given(st.lists(st.lists(CELLS | st.text(max_size=4), max_size=5).map(",".join), max_size=6), st.booleans())
@settings(max_examples=60)
def test_any_csv_is_masks_or_refused_with_its_line(place: Path, rows: list[str], headed: bool) -> None:
    path = place / "x.csv"
    path.write_bytes("\n".join([",".join(HEADER)] * headed + rows).encode("utf-8", errors="surrogatepass"))
    found, message = attempt(lambda: read_kaggle(path, size=4), DataError)
    assert str(path) in message if found is None else all(mask.shape == (4, 4) for mask in found)


FULL = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, NUM_CLASSES - 1)
)
STEMS = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=9
)


@given(st.dictionaries(STEMS.filter(lambda stem: not stem.startswith(".")), FULL, min_size=1, max_size=3))
@settings(max_examples=15)
def test_a_submissions_masks_come_back_from_its_zip(stored: dict[str, np.ndarray]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for stem, mask in stored.items():
            save_mask(mask, place / f"{stem}.png")
        photos = [place / f"{stem}.jpg" for stem in stored]
        _write_zip(place / "s.zip", place, photos, content())
        with zipfile.ZipFile(place / "s.zip") as archive:
            assert archive.testzip() is None
        faces = [EvaluationItem(stem, place / f"{stem}.png") for stem in stored]
        read = stored_masks(place / "s.zip", faces)
        for face in faces:
            np.testing.assert_array_equal(read(face), stored[face.stem])


@given(
    st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=30)), max_size=3), st.binary(max_size=60), st.booleans()
)
def test_any_zip_is_predictions_or_refused_by_name(
    place: Path, members: list[tuple[str, bytes]], noise: bytes, pure: bool
) -> None:
    path = place / "any.zip"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(f"masks/{name}.png"), data)
    path.write_bytes(noise if pure else buffer.getvalue() + noise)
    found, message = attempt(lambda: stored_masks(path, [EvaluationItem("0", place / "0.png")]), DataError)
    assert found is not None or str(path) in message
