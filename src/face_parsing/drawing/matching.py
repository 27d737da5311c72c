"""Which pictures belong together, by name, and which files drawing them must not replace."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from face_parsing.data.photo_files import SUFFIXES_IN_WORDS, photos_in
from face_parsing.data.photo_search import SYSTEM_FOLDERS, search_photos
from face_parsing.system.commands import UsageError, refuse_existing, replaced_input
from face_parsing.system.wording import first_of

NAMES_SHOWN = 5


def refuse_replacing(outputs: Sequence[Path], inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Raise UsageError where files would be replaced unasked, or an input by its own picture, asked or not."""
    if own := replaced_input(outputs, inputs):
        raise UsageError(f"{own[0]} would be replaced by its own picture; choose another --output.")
    refuse_existing(outputs, overwrite=overwrite)


def _list(names: Sequence[str]) -> str:
    return first_of(names, NAMES_SHOWN)


def note_subfolders(place: Path) -> None:
    """Print a note on stderr where a folder has subfolders, as --recursive writes them: no subcommand reads these."""
    folders = sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []
    names = [name for name in folders if not name.startswith(".") and name not in SYSTEM_FOLDERS]
    if names:
        count = "1 subfolder is" if len(names) == 1 else f"{len(names)} subfolders are"
        print(f"Note: {count} left out of {place} ({_list(names)}); name each by itself.", file=sys.stderr)


def refuse_empty(place: Path) -> None:
    """Raise UsageError where a file or folder of photos or masks is not there, or the folder holds none of them."""
    if not place.exists():
        raise UsageError(f"There is no file or folder {place}; name an existing one.")
    if place.is_dir() and not photos_in(place):
        raise UsageError(f"There are no pictures in {place}; it needs files such as {SUFFIXES_IN_WORDS}.")


def _by_name(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by what face-parsing calls their masks: a.heic beside a.jpg is a.heic, else a."""
    refuse_empty(folder)
    return {name: path for path, name in search_photos([folder]).names.items()}


def _go_by_whole_names(paths: dict[str, Path], wanted: Sequence[str]) -> None:
    """Call a.heic by its whole name where this is wanted, also when no a.jpg lies beside it any more."""
    for name, path in list(paths.items()):
        if path.name in wanted and path.name not in paths:
            paths[path.name] = paths.pop(name)


def match_stems(
    places: Sequence[Path], stems: Sequence[str] | None = None, *, spare: bool = False
) -> dict[str, list[Path]]:
    """The files of each face, by name, in the order of places: all of them folders of the same names, or all files.

    With stems these faces alone, which every folder must hold. With ``spare`` what the first folder lacks is left out,
    and a note says so. Raises UsageError that names what lacks a partner.
    """
    if all(place.is_file() for place in places):
        return {places[0].stem: list(places)}
    file = next((place for place in places if place.is_file()), None)
    if file is not None:
        raise UsageError(f"{file} is a file and others are folders; name files only, or folders only.")
    found = {place: _by_name(place) for place in places}
    wanted = list(stems or sorted(found[places[0]]))
    for place, paths in found.items():
        _go_by_whole_names(paths, wanted)
        lacks = [stem for stem in wanted if stem not in paths]
        if lacks:
            raise UsageError(f"{place} lacks {_list(lacks)}{'' if stems else f', which {places[0]} has'}.")
        alone = sorted(paths.keys() - set(wanted))
        if alone and spare:
            print(f"Note: {place} has {_list(alone)}, which {places[0]} lacks; left out.", file=sys.stderr)
        elif alone and not stems:
            raise UsageError(f"{place} has {_list(alone)}, which {places[0]} lacks.")
    return {stem: [found[place][stem] for place in places] for stem in wanted}


def match_shared(places: Sequence[Path], stems: Sequence[str] | None = None) -> tuple[dict[str, list[Path]], int]:
    """As match_stems, but what some folder lacks is left out, with a note; and how many faces these are.

    Faces of stems are none of these, because they were named. Raises UsageError also where nothing would be left.
    """
    if stems or any(place.is_file() for place in places):
        return match_stems(places, stems), 0
    found = {place: _by_name(place) for place in places}
    for paths in found.values():
        _go_by_whole_names(paths, list(found[places[0]]))
    every = sorted({name for paths in found.values() for name in paths})
    shared = [name for name in every if all(name in paths for paths in found.values())]
    if not shared:
        return match_stems(places), 0  # which raises
    for place, paths in found.items():
        if lacks := [name for name in every if name not in paths]:
            print(f"Note: {place} lacks {_list(lacks)}; left out.", file=sys.stderr)
    return {name: [found[place][name] for place in places] for name in shared}, len(every) - len(shared)
