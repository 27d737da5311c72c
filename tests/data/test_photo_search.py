"""What lies in a folder: photos, with what they are called, and the rest by kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from face_parsing.data.photo_files import PHOTO_SUFFIXES, find_photos, photos_in
from face_parsing.data.photo_search import FoundPhotos, Left, search_photos


def fill(root: Path, *names: str, data: bytes = b"") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def named(found: FoundPhotos, root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): name for path, name in found.names.items()}


def left(found: FoundPhotos, root: Path) -> dict[Left, list[str]]:
    return {kind: [path.relative_to(root).as_posix() for path in paths] for kind, paths in found.left.items()}


@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
def test_a_suffix_is_a_photo_everywhere_and_in_both_cases(suffix: str, tmp_path: Path) -> None:
    fill(tmp_path, f"a{suffix}", f"B{suffix.upper()}", f".hidden{suffix}")
    both = [tmp_path / f"B{suffix.upper()}", tmp_path / f"a{suffix}"]
    assert photos_in(tmp_path) == find_photos(tmp_path) == search_photos([tmp_path]).photos == both


def test_what_is_left_is_told_by_kind_and_count(tmp_path: Path) -> None:
    jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
    fill(
        tmp_path, "seen.jpg", "browser.jfif", "old.jpe", ".DS_Store", "Thumbs.db", "._seen.jpg", "notes.txt", "a/b.jpg"
    )
    fill(tmp_path, "layers.psd", "scan.jxl", "camera.NEF", "seen.dng", "a/b.jpg")
    fill(tmp_path, "IMG_0001", "tweet.jpg_large", data=jpeg)
    for name, target in (("gone.jpg", "no.jpg"), ("loop.png", "loop.png"), ("gone", "no"), ("gone.txt", "no.txt")):
        (tmp_path / name).symlink_to(target)
    found = search_photos([tmp_path])
    assert [path.name for path in found.photos] == ["browser.jfif", "old.jpe", "seen.jpg"]
    assert left(found, tmp_path) == {
        Left.UNREAD: ["camera.NEF", "layers.psd", "scan.jxl"],
        Left.UNNAMED: ["IMG_0001", "tweet.jpg_large"],
        Left.DANGLING: ["gone", "gone.jpg", "loop.png"],
        Left.RAW_TWIN: ["seen.dng"],
        Left.SUBFOLDER: ["a"],
        Left.OTHER: [".DS_Store", "._seen.jpg", "gone.txt", "Thumbs.db", "notes.txt"],
    }
    assert found.missed == 3 + 2 + 3
    assert found.line() == (
        "3 photos in formats that are not read (camera.NEF, layers.psd, scan.jxl; convert to JPEG), "
        "2 photos without a photo's suffix (IMG_0001, tweet.jpg_large; rename), "
        "3 links to nothing (gone, gone.jpg, loop.png), 1 raw file beside its photo (seen.dng), "
        "1 subfolder (a; --recursive reads them), 5 other files (.DS_Store, ._seen.jpg, gone.txt and 2 more)"
    )


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "._a.jpg", "list.txt", "a.xmp"])
def test_what_is_no_photo_is_not_missed(name: str, tmp_path: Path) -> None:
    found = search_photos([fill(tmp_path, "a.jpg", name, data=b"anything")])
    assert (found.missed, found.line()) == (0, f"1 other file ({name})")


def test_clips_in_a_folder_are_told(tmp_path: Path) -> None:
    found = search_photos([fill(tmp_path / "mixed", "a.jpg", "clip.MOV")])
    assert (found.missed, found.line()) == (0, "1 clip (clip.MOV; name each by itself after --input)")
    clips = fill(tmp_path / "clips", "a.mp4", "b.mkv")
    with pytest.raises(
        ValueError, match=r"no photos in .*It holds 2 clips \(a\.mp4, b\.mkv; name each by itself after --"
    ):
        search_photos([clips])


def test_a_folder_with_photos_alone_has_nothing_to_tell(tmp_path: Path) -> None:
    found = search_photos([fill(tmp_path, "a.jpg", "b.png")])
    assert (found.missed, found.left, found.notes()) == (0, {}, [])


def test_subfolders_keep_their_structure(tmp_path: Path) -> None:
    fill(
        tmp_path, "b.jpg", "z/a.png", "x/y/a.jpg", "x/y/b.tar.gif", ".cache/no.jpg", "__MACOSX/no.jpg", "@eaDir/no.jpg"
    )
    found = search_photos([tmp_path], recursive=True)
    assert named(found, tmp_path) == {
        "b.jpg": "b", "x/y/a.jpg": "x/y/a", "x/y/b.tar.gif": "x/y/b.tar", "z/a.png": "z/a",
    }  # fmt: skip
    assert left(found, tmp_path) == {Left.OTHER: [".cache", "@eaDir", "__MACOSX"]}


def test_links_to_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    root, away = tmp_path / "root", fill(tmp_path / "away", "far.jpg")
    fill(root, "a/one.jpg", "b/two.jpg")
    fill(tmp_path, "beside.jpg")
    for link, target in {
        "a/up": "..", "a/self": ".", "a/other": "../b", "b/back": "../a", "outside": "../away", "above": "../..",
    }.items():  # fmt: skip
        (root / link).symlink_to(target)
    (away / "home").symlink_to(root)
    found = search_photos([root], recursive=True)
    assert named(found, root) == {"a/one.jpg": "a/one", "b/two.jpg": "b/two", "outside/far.jpg": "outside/far"}
    assert sorted(left(found, root)[Left.LOOP]) == ["a/other", "a/self", "a/up", "above", "b/back", "outside/home"]
    assert found.missed == 0


def test_what_the_command_writes_is_not_read(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "out/masks/a.png", "sub/b.jpg")
    found = search_photos([tmp_path], recursive=True, own=[tmp_path / "out"])
    assert named(found, tmp_path) == {"a.jpg": "a", "sub/b.jpg": "sub/b"}
    assert not found.left
    assert left(search_photos([tmp_path], own=[tmp_path / "out"]), tmp_path) == {Left.SUBFOLDER: ["sub"]}


def test_two_of_one_name(tmp_path: Path) -> None:
    fill(tmp_path, "x/a.jpg", "y/a.jpg", "y/a.heic", "y/b.avif", "y/b.heic")
    found = search_photos([tmp_path], recursive=True)
    assert named(found, tmp_path) == {
        "x/a.jpg": "x/a", "y/a.heic": "y/a.heic", "y/a.jpg": "y/a", "y/b.avif": "y/b", "y/b.heic": "y/b.heic",
    }  # fmt: skip
    assert found.notes() == ["2 masks keep the photo's suffix (y/a.heic.png): another one has the plain name."]
    with pytest.raises(ValueError, match=r"a\.heic and .*a\.jpg would both become a\.png"):
        search_photos([tmp_path / "y"]).refuse_one_stem()
    fill(tmp_path, "x/a.png")
    with pytest.raises(ValueError, match=r"^a\.jpg and a\.png in .* would both become a\.png; rename one"):
        search_photos([tmp_path / "x"])
    with pytest.raises(ValueError, match=r"x/a\.jpg and .*x/a\.png would both become x/a\.png"):
        search_photos([tmp_path], recursive=True)


def test_one_photo_keeps_its_suffix(tmp_path: Path) -> None:
    (note,) = search_photos([fill(tmp_path, "a.jpg", "a.heic")]).notes()
    assert note == "1 mask keeps the photo's suffix (a.heic.png): another one has the plain name."


def test_all_photos_of_one_name_are_told_at_once(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{stem}.{suffix}" for stem in "abcdef" for suffix in ("jpg", "png")))
    start = r"^a\.jpg and a\.png in .* would both become a\.png, and so would 5 more pairs "
    pairs = r"\(b\.jpg and b\.png, c\.jpg and c\.png, d\.jpg and d\.png and 2 more\); rename one of each\.$"
    with pytest.raises(ValueError, match=start + pairs):
        search_photos([tmp_path])
    for stem in "cdef":
        (tmp_path / f"{stem}.png").unlink()
    with pytest.raises(ValueError, match=r"so would 1 more pair \(b\.jpg and b\.png\); rename one of each\.$"):
        search_photos([tmp_path])


def test_a_folder_without_photos_says_what_it_holds(tmp_path: Path) -> None:
    fill(tmp_path, "deep/a.jpg", "b.psd")
    with pytest.raises(ValueError, match=r"no photos in .*It holds 1 photo in a format .*1 subfolder \(deep; --rec"):
        search_photos([tmp_path])


def test_a_photo_named_twice_is_taken_once(tmp_path: Path) -> None:
    fill(tmp_path, "x/a.jpg", "b.jpg")
    found = search_photos([tmp_path / "x" / "a.jpg", tmp_path, tmp_path / "x"], recursive=True)
    assert named(found, tmp_path) == {"x/a.jpg": "a", "b.jpg": "b"}


def test_real_photos_under_every_suffix_are_read(tmp_path: Path) -> None:
    """What a suffix promises, Pillow opens: the formats that it writes itself."""
    from face_parsing.data.photos import read_photo

    kinds = {".jp2": "JPEG2000", ".j2k": "JPEG2000", ".gif": "GIF", ".ppm": "PPM", ".dib": "BMP", ".mpo": "MPO"}
    kinds |= {".apng": "PNG", ".avif": "AVIF", ".jfif": "JPEG", ".webp": "WEBP", ".tiff": "TIFF"}
    for suffix, kind in kinds.items():
        Image.new("RGB", (40, 30), "red").save(tmp_path / f"a{suffix}", format=kind)
        assert read_photo(tmp_path / f"a{suffix}").shape == (30, 40, 3)
