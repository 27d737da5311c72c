"""Files of 16 bits that hold 8 to 14: scaled where they say so or the user does, and warned of where nobody does."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from photo_samples import write_png, write_tiff
from PIL import Image

from face_parsing import cli
from face_parsing.data.photos import PhotoError, PhotoWarning, read_photo

VALUES = np.array([0, 500, 1000, 2048, 4095], np.uint16)
EIGHT = [0, 31, 62, 128, 255]
"""VALUES of 4095, times 255, rounded."""


def color_of(values: np.ndarray) -> np.ndarray:
    """(1, W, 3): the values in red, reversed in green, none in blue."""
    return np.stack([values, values[::-1], np.zeros_like(values)], axis=1)[None]


EIGHT_COLOR = color_of(np.array(EIGHT, np.uint8))
ALPHA = np.full((1, 5, 1), 4095, np.uint16)


def written(kind: str, path: Path, **options: int) -> Path:
    """12 bits in the lower ones of 16."""
    if kind == "grey.png":
        return write_png(path, VALUES[None], **options)
    if kind == "color.png":
        return write_png(path, color_of(VALUES), **options)
    if kind == "alpha.png":
        return write_png(path, np.concatenate([color_of(VALUES), ALPHA], axis=2), **options)
    if kind == "color.tif":
        return write_tiff(path, color_of(VALUES), {281: (3, [4095] * 3)} if options else None)
    image = Image.fromarray(VALUES[None])
    if kind == "big-endian.tif":
        image = Image.frombytes("I;16B", (5, 1), VALUES.astype(">u2").tobytes())
    # Pillow 13.0 writes another MaxSampleValue than it is given where it compresses.
    image.save(path, tiffinfo={281: 4095} if options else {}, compression=None if options else "tiff_lzw")
    return path


KINDS = ("grey.png", "color.png", "alpha.png", "color.tif", "grey.tif", "big-endian.tif")


def expected(kind: str) -> np.ndarray:
    return EIGHT_COLOR if kind.startswith(("color", "alpha")) else np.array(EIGHT)[None, :, None].repeat(3, axis=2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_file_says_is_scaled(kind: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_photo(written(kind, tmp_path / kind, significant=12)), expected(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_user_says_is_scaled(kind: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_photo(written(kind, tmp_path / kind), bits=12), expected(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_where_nobody_says_a_warning_names_what_scales(kind: str, tmp_path: Path) -> None:
    path = written(kind, tmp_path / kind)
    with pytest.warns(
        PhotoWarning, match=r"4095 of 65535.*'--bits 12' of inference\.py or face-parsing scales them"
    ) as caught:
        photo = read_photo(path)
    assert str(path) in str(caught[0].message)
    if kind != "alpha.png":  # of which nearly all is the white behind it
        assert photo.max() <= 16


@pytest.mark.parametrize(("brightest", "bits"), [(255, 8), (1023, 10), (3000, 12), (16383, 14)])
def test_the_warning_names_the_usual_number_of_bits(brightest: int, bits: int, tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", np.array([[0, brightest]], np.uint16))
    with pytest.warns(PhotoWarning, match=f"--bits {bits}'"):
        read_photo(path)


def test_what_is_bright_or_black_is_not_warned_of_and_stays_as_it_was(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bright = read_photo(write_png(tmp_path / "a.png", np.array([[0, 16384, 65535]], np.uint16)))
        np.testing.assert_array_equal(bright[0, :, 0], [0, 64, 255])
        black = read_photo(write_png(tmp_path / "b.png", np.zeros((2, 2, 3), np.uint16)))
        assert not black.any()
        full = color_of(np.array([0, 255, 40000, 65535], np.uint16))
        np.testing.assert_array_equal(read_photo(write_png(tmp_path / "c.png", full)), full >> 8)


def test_declared_bits_that_stand_above_are_not_scaled_again(tmp_path: Path) -> None:
    """As PNG's standard wants them: 12 bits in the upper ones of 16, here of a dark photo."""
    samples = np.array([[0, 16, 160, 4080]], np.uint16)
    photo = read_photo(write_png(tmp_path / "dark.png", samples, significant=12))
    np.testing.assert_array_equal(photo[0, :, 0], [0, 0, 1, 16])
    bright = np.array([[0, 4095 * 16 + 15]], np.uint16)
    np.testing.assert_array_equal(
        read_photo(write_png(tmp_path / "bright.png", bright, significant=12))[0, :, 0], [0, 255]
    )


def test_planes_of_16_bits_are_refused_because_pillow_takes_them_for_8(tmp_path: Path) -> None:
    planes = {284: (3, [2]), 273: (4, [8, 18, 28]), 279: (4, [10, 10, 10])}
    path = write_tiff(tmp_path / "planes.tif", color_of(VALUES), planes)
    with pytest.raises(PhotoError, match=r"planes\.tif: it holds 16-bit color, one channel after the other; save it"):
        read_photo(path)


def test_the_command_scales_and_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).resolve().parents[2]
    grey = np.asarray(Image.open(root / "docs" / "images" / "astronaut.jpg").convert("L").resize((128, 128)))
    Image.fromarray(grey).save(tmp_path / "8.png")
    (tmp_path / "12").mkdir()
    for i in range(5):
        write_png(tmp_path / "12" / f"{i}.png", grey.astype(np.uint16) * 16)
    network = ["--model_path", "face_parsing.onnx", "--faces", "off"]
    words = [*network, "--input", str(tmp_path / "12"), "--output"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert cli.main([*words, str(tmp_path / "dark")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "Warning: " in line]
    assert len(lines) == 4
    assert lines[-1].endswith("Warning: the same of 2 more.")
    assert cli.main([*words, str(tmp_path / "bright"), "--bits", "12"]) == 0
    assert cli.main([*network, "--input", str(tmp_path / "8.png"), "--output", str(tmp_path / "eight")]) == 0
    eight, bright, dark = (
        np.asarray(Image.open(tmp_path / name))
        for name in ("eight/masks/8.png", "bright/masks/0.png", "dark/masks/0.png")
    )
    assert (eight == bright).mean() > 0.99
    assert (eight == dark).mean() < 0.9
    with pytest.raises(SystemExit):
        cli.main([*words, str(tmp_path / "no"), "--bits", "17"])
    assert cli.main([*words, str(tmp_path / "no"), "--bits", "12", "--submission"]) == 2
    assert "--submission takes no --bits" in capsys.readouterr().err
