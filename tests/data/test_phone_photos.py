"""AVIF and HEIC: turned once, with alpha, with 10 bits, in sequences; and what is said without pillow-heif."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from photo_samples import corners, save_heif, turned
from PIL import Image

from face_parsing import cli
from face_parsing.data.photos import PhotoError, read_photo

CLOSE = 4  # of 255: what a codec of the best quality changes away from edges


def middles(photo: np.ndarray) -> np.ndarray:
    """The colors in the middle of the four quarters: (4, 3)."""
    H, W = photo.shape[:2]
    return np.array([photo[H // 4 + y * H // 2, W // 4 + x * W // 2] for y in (0, 1) for x in (0, 1)], int)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["phone.avif", "phone.heic"])
def test_a_turned_photo_is_turned_once(name: str, orientation: int, tmp_path: Path) -> None:
    exif = turned(orientation)
    Image.fromarray(corners()).save(tmp_path / "same.png", exif=exif)
    if name.endswith("avif"):
        Image.fromarray(corners()).save(tmp_path / name, quality=100, exif=exif)
    else:
        save_heif(tmp_path / name, corners(), exif=exif)
    assert (b"irot" in (tmp_path / name).read_bytes()) == (orientation in (3, 5, 6, 7, 8))
    photo, expected = read_photo(tmp_path / name), read_photo(tmp_path / "same.png")
    assert photo.shape == expected.shape
    assert np.abs(middles(photo) - middles(expected)).max() <= CLOSE


@pytest.mark.parametrize("name", ["phone.avif", "phone.heic"])
def test_what_is_transparent_is_laid_over_white(name: str, tmp_path: Path) -> None:
    alpha = np.full((64, 96, 1), 255, np.uint8)
    alpha[:, :48] = 0
    photo = np.concatenate([corners(), alpha], axis=2)
    if name.endswith("avif"):
        Image.fromarray(photo).save(tmp_path / name, quality=100)
    else:
        save_heif(tmp_path / name, photo)
    read = middles(read_photo(tmp_path / name))
    assert np.abs(read - [[255] * 3, [0, 255, 0], [255] * 3, [0] * 3]).max() <= CLOSE


def test_10_bits_are_read_as_8(tmp_path: Path) -> None:
    samples = corners().astype(np.uint16) * 257
    file = pillow_heif.from_bytes(mode="RGB;16", size=(96, 64), data=samples.tobytes())
    file.save(tmp_path / "ten.heic", quality=-1)
    assert pillow_heif.open_heif(tmp_path / "ten.heic", convert_hdr_to_8bit=False).mode == "RGB;16"
    assert np.abs(middles(read_photo(tmp_path / "ten.heic")) - middles(corners())).max() <= CLOSE


def test_of_a_sequence_the_first_and_of_several_the_one_that_the_file_says(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (96, 64), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "burst.avif", quality=100, save_all=True, append_images=frames[1:])
    assert np.abs(middles(read_photo(tmp_path / "burst.avif")) - [255, 0, 0]).max() <= CLOSE
    several = pillow_heif.HeifFile()
    for frame in frames:
        several.add_from_pillow(frame)
    for index, color in enumerate([[255, 0, 0], [0, 0, 255]]):
        several.save(tmp_path / "several.heic", quality=100, primary_index=index)
        assert np.abs(middles(read_photo(tmp_path / "several.heic")) - color).max() <= CLOSE


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    save_heif(tmp_path / "really heic.jpg", corners())
    assert np.abs(middles(read_photo(tmp_path / "really heic.jpg")) - middles(corners())).max() <= CLOSE


@pytest.mark.parametrize("name", ["phone.heic", "phone.HEIF", "camera.hif", "called.jpg"])
def test_without_pillow_heif_a_sentence_names_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_heif(tmp_path / name, corners())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    wanted = f'{path}: reading HEIC takes pillow-heif: pip install "face-parsing[heif]"'
    with pytest.raises(PhotoError) as caught:
        read_photo(path)
    assert str(caught.value) == wanted
    assert cli.main(["--input", str(path), "--output", str(tmp_path / "out")]) == 1
    assert f"inference.py: {wanted}\n" in capsys.readouterr().err


def test_a_damaged_heic_is_named(tmp_path: Path) -> None:
    whole = save_heif(tmp_path / "whole.heic", corners()).read_bytes()
    for share in (0.02, 0.3, 0.7):
        (tmp_path / "cut.heic").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(PhotoError, match=r"cut\.heic: cannot be read as a photo \(.+\); replace or remove it"):
            read_photo(tmp_path / "cut.heic")


def test_jpegs_do_not_load_it() -> None:
    code = (
        "import sys; from face_parsing.data.photos import read_photo; read_photo('docs/images/astronaut.jpg'); "
        "print('pillow_heif' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, 'src'); {code}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
