"""Which files of a folder are photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def photos_in(folder: Path) -> list[Path]:
    """The photos of a folder, in any of PHOTO_SUFFIXES, by name; hidden ones are left out."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES and not p.name.startswith("."))


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
        raise ValueError(f"There are no photos in {source}; it needs files such as {', '.join(PHOTO_SUFFIXES)}.")
    twins = _of_one_stem(photos)
    if twins is not None:
        first, second = twins
        raise ValueError(f"{first.name} and {second.name} in {source} would both become {first.stem}.png; rename one.")
    return photos


def find_all_photos(sources: Sequence[Path]) -> list[Path]:
    """The photos of several files and folders, in their order, each once. Raises ValueError as ``find_photos``."""
    photos = [photo for source in sources for photo in find_photos(source)]
    photos = list({photo.absolute(): photo for photo in photos}.values())
    twins = _of_one_stem(photos)
    if twins is not None:
        first, second = twins
        raise ValueError(f"{first} and {second} would both become {first.stem}.png; rename one or call twice.")
    return photos


def _of_one_stem(photos: Sequence[Path]) -> tuple[Path, Path] | None:
    seen: dict[str, Path] = {}
    for path in photos:
        if path.stem in seen:
            return seen[path.stem], path
        seen[path.stem] = path
    return None
