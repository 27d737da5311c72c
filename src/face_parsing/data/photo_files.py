"""Which files of a folder are photos: by their suffix, the same for every command."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from face_parsing.system.wording import count_of, first_of

# As data.photos reads them, whatever they are called.
PHOTO_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".webp", ".bmp",
    ".dib", ".tif", ".tiff", ".gif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif",
    ".hif",
)  # fmt: skip
NEWER_SUFFIXES = (".avif", ".heic", ".heif", ".hif")
"""Of phones, which often put the same photo as a JPEG beside it."""

CLIP_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".3gp", ".wmv", ".flv",
    ".ogv", ".mxf", ".y4m",
)  # fmt: skip
"""What clips are called. A GIF, a WebP or a PNG is a photo, of which the first frame counts."""
SOUND_SUFFIXES = (
    ".m4a", ".m4b", ".mp3", ".wav", ".aac", ".flac", ".ogg", ".oga", ".opus", ".wma", ".aif", ".aiff", ".mka",
)  # fmt: skip
"""What sounds are called: clips without pictures, most of them."""

NAMED = 3  # in a sentence

SUFFIXES_IN_WORDS = ".jpg, .png, .webp, .bmp, .tif, .gif, .jp2, .ppm, .avif and .heic"
"""The usual ones, for messages."""


def is_photo_name(path: Path) -> bool:
    """Whether a file is a photo by its name; hidden ones are none."""
    return path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(".")


def photos_in(folder: Path) -> list[Path]:
    """The photos of a folder, in any of PHOTO_SUFFIXES, by name; hidden ones are left out."""
    return sorted(path for path in folder.iterdir() if is_photo_name(path))


def refuse_one_name(names: Iterable[tuple[Path, str]], folder: Path | None = None) -> None:
    """Raise ValueError where two photos have one name, as whose mask the later one would replace the earlier one's."""
    seen: dict[str, Path] = {}
    pairs = [(seen[name], path, name) for path, name in names if seen.setdefault(name, path) is not path]
    if not pairs:
        return
    first, second, name = pairs[0]
    both, mend = f"{first} and {second}", "rename one or call twice"
    if folder is not None:
        both, mend = f"{first.name} and {second.name} in {folder}", "rename one"
    more = ""
    if others := pairs[1:]:
        some = first_of([f"{one.name} and {other.name}" for one, other, _ in others], NAMED)
        more = f", and so would {count_of(len(others), 'more pair')} ({some})"
        mend = "rename one of each"
    raise ValueError(f"{both} would both become {name}.png{more}; {mend}.")


def find_photos(source: Path) -> list[Path]:
    """The photos of a folder by name, hidden files and subfolders left out, or the one photo that source is.

    Raises ValueError where there is none, and for two photos of one stem, whose masks would be one file.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ValueError(f"There is no photo or folder {source}; name an existing one.")
    photos = [path for path in photos_in(source) if path.is_file()]
    if not photos:
        raise ValueError(f"There are no photos in {source}; it needs files such as {SUFFIXES_IN_WORDS}.")
    refuse_one_name(((path, path.stem) for path in photos), source)
    return photos
