"""The photos that somebody asks for by naming files and folders, and what lies beside them and is not done."""

from __future__ import annotations

import enum
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from face_parsing.data.photo_files import (
    CLIP_SUFFIXES,
    NEWER_SUFFIXES,
    SUFFIXES_IN_WORDS,
    is_photo_name,
    refuse_one_name,
)
from face_parsing.system.files import Identity, identity_of, stat_of
from face_parsing.system.wording import first_of

# Cameras' raw files and pictures of programs, which are photos to their owners and are not read.
RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
UNREAD_SUFFIXES = (
    *RAW_SUFFIXES, ".avifs", ".dcm", ".dds", ".exr", ".fits", ".hdp", ".hdr", ".heics", ".jpm", ".jxl", ".jxr", ".kra",
    ".pcx", ".psb", ".psd", ".sgi", ".tga", ".wdp", ".xcf",
)  # fmt: skip
# What often lies beside photos in great numbers, and is none: nobody needs to look into it.
SIDECARS = (".txt", ".json", ".xml", ".csv", ".xmp", ".aae", ".yaml", ".npy", ".md")
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")

BEGINNINGS = (
    (0, b"\xff\xd8\xff"), (0, b"\x89PNG\r\n\x1a\n"), (0, b"GIF8"), (0, b"II*\0"), (0, b"MM\0*"), (8, b"WEBP"),
    (4, b"ftypavif"), (4, b"ftyphei"), (4, b"ftypmif1"), (4, b"jP  \r\n"), (4, b"JXL \r\n"), (0, b"8BPS\0"),
)  # fmt: skip
"""Of photos: the place in the file, and what stands there."""

NAMED = 3  # of a kind, in a message


class _Kind(NamedTuple):
    one: str
    several: str
    missed: bool = False
    """Whether a photo is not done that somebody asked for."""
    advice: str = ""


class Left(enum.Enum):
    """Kinds of what lies beside photos and is not done."""

    UNREAD = _Kind("photo in a format that is not read", "photos in formats that are not read", True, "convert to JPEG")
    UNNAMED = _Kind("photo without a photo's suffix", "photos without a photo's suffix", True, "rename")
    DANGLING = _Kind("link to nothing", "links to nothing", True)
    CLOSED = _Kind("folder that cannot be opened", "folders that cannot be opened", True)
    RAW_TWIN = _Kind("raw file beside its photo", "raw files beside their photos")
    CLIP = _Kind("clip", "clips", advice="name each by itself after --input")
    SUBFOLDER = _Kind("subfolder", "subfolders", advice="--recursive reads them")
    RESULTS = _Kind("folder of earlier results", "folders of earlier results", advice="move photos out of them")
    LOOP = _Kind("link to a folder that is read anyway", "links to folders that are read anyway")
    OTHER = _Kind("other file", "other files")

    def say(self, paths: Sequence[Path]) -> str:
        """So many, and the first ones' paths below the searched folder."""
        kind, names = self.value, first_of([path.as_posix() for path in paths], NAMED)
        advice = f"; {kind.advice}" if kind.advice else ""
        return f"{len(paths)} {kind.one if len(paths) == 1 else kind.several} ({names}{advice})"


@dataclass
class FoundPhotos:
    """Photos with what they are called, and what lies beside them.

    A name is the file's without its suffix, with the folders below the searched one in front of it.
    """

    names: dict[Path, str] = field(default_factory=dict)
    left: dict[Left, list[Path]] = field(default_factory=dict)
    below: dict[Path, Path] = field(default_factory=dict)
    """Where all in ``left`` lie below the searched folder."""
    renamed: list[Path] = field(default_factory=list)
    """Photos that keep their suffix in their name, because another one has the name without it."""

    @property
    def photos(self) -> list[Path]:
        """All photos, in order."""
        return list(self.names)

    @property
    def missed(self) -> int:
        """How many photos lie there and cannot be done."""
        return sum(len(paths) for kind, paths in self.left.items() if kind.value.missed)

    def line(self) -> str:
        """One line on all that is not done, by kind and count; empty where there is nothing."""
        kinds = [kind for kind in Left if self.left.get(kind)]
        return ", ".join(kind.say([self.below[path] for path in self.left[kind]]) for kind in kinds)

    def notes(self) -> list[str]:
        """What a person should know, in a sentence each."""
        notes = [f"not parsed: {self.line()}."] if self.left else []
        if self.renamed:
            many = "1 mask keeps" if len(self.renamed) == 1 else f"{len(self.renamed)} masks keep"
            first = f"{self.names[self.renamed[0]]}.png"
            notes.append(f"{many} the photo's suffix ({first}): another one has the plain name.")
        return notes

    def refuse_one_stem(self) -> None:
        """Raise ValueError where two photos have one stem, for those who know no other names."""
        refuse_one_name((path, path.stem) for path in self.names)


def search_photos(
    sources: Sequence[Path], *, recursive: bool = False, own: Sequence[Path] = (), results: Sequence[str] = ()
) -> FoundPhotos:
    """The photos that files and folders are or hold, each once, in their order.

    ``recursive`` looks into subfolders, into each once, whatever links lead to it. ``own`` are files and folders that
    the caller itself writes: nobody asked for these. ``results`` are what its subfolders of results are called, masks
    first: where such masks lie, all of these are left out, as of an earlier run.

    Raises ValueError where there is no photo, or two of one name.
    """
    found = FoundPhotos()
    skipped = {identity for path in own if (identity := identity_of(path, strict=True)) is not None}
    for source in sources:
        if source.is_dir():
            _Search(found, recursive, skipped, results).read(source)
        elif source.is_file():
            found.names.setdefault(source, source.stem)
        else:
            raise ValueError(f"There is no photo or folder {source}; name an existing one.")
    if not found.names:
        rest = f" It holds {found.line()}." if found.left else ""
        places = ", ".join(map(str, sources))
        raise ValueError(f"There are no photos in {places}; it needs files such as {SUFFIXES_IN_WORDS}.{rest}")
    once: dict[Path, tuple[Path, str]] = {}
    for path, name in found.names.items():
        once.setdefault(path.absolute(), (path, name))
    found.names = dict(once.values())
    _part_twins(found)
    refuse_one_name(found.names.items(), sources[0] if len(sources) == 1 and not recursive else None)
    return found


def _part_twins(found: FoundPhotos) -> None:
    """Call a phone's photo that lies beside another one of its name by its whole name, such as a.heic beside a.jpg."""
    taken = {name for path, name in found.names.items() if path.suffix.lower() not in NEWER_SUFFIXES}
    for path, name in found.names.items():
        if path.suffix.lower() not in NEWER_SUFFIXES:
            continue
        if name in taken:
            found.names[path] = f"{name}{path.suffix}"
            found.renamed.append(path)
        taken.add(found.names[path])


class _Search:
    """One folder that is searched."""

    def __init__(self, found: FoundPhotos, recursive: bool, own: set[Identity], results: Sequence[str]) -> None:
        self.found, self.recursive, self.own, self.results = found, recursive, own, results
        self.root = Path()
        self.seen: set[Identity] = set()
        self.waiting: list[tuple[Path, str]] = []
        """Folders, the next one last, and what stands in front of their photos' names."""
        self.links: list[tuple[Path, str]] = []
        """To folders. They wait until all that are no links were read, so that photos keep their own folders."""

    def read(self, root: Path) -> None:
        """Find all that root holds. Raises OSError where it cannot be opened."""
        self.root = root
        self._read(root, "", list(root.iterdir()))
        while self.waiting or self.links:
            folder, prefix = self.waiting.pop() if self.waiting else self.links.pop(0)
            if folder.is_symlink() and (
                folder.resolve() in folder.absolute().parents or identity_of(folder, strict=True) in self.seen
            ):
                self._leave(Left.LOOP, folder)
                continue
            try:
                entries = list(folder.iterdir())
            except OSError:
                self._leave(Left.CLOSED, folder)
                continue
            self._read(folder, prefix, entries)

    def _leave(self, kind: Left, path: Path) -> None:
        self.found.left.setdefault(kind, []).append(path)
        self.found.below[path] = path.relative_to(self.root)

    def _read(self, folder: Path, prefix: str, entries: list[Path]) -> None:
        """Take the photos of a folder, whose entries these are, and sort the rest."""
        identity = identity_of(folder, strict=True)
        if identity is None or identity in self.seen:
            return
        self.seen.add(identity)
        stems: set[str] = set()
        folders: list[tuple[Path, str]] = []
        rest: list[Path] = []
        for path in sorted(entries):
            facts = stat_of(path, strict=True)
            if facts is not None and (facts.st_dev, facts.st_ino) in self.own:
                continue
            if path.name.startswith(".") and path.name in self.results:
                continue  # what an earlier run remembers
            if path.name.startswith(".") or path.name in SYSTEM_FOLDERS:
                self._leave(Left.OTHER, path)
            elif facts is None:
                self._leave(_kind_of_link(path), path)
            elif stat.S_ISDIR(facts.st_mode):
                folders.append((path, f"{prefix}{path.name}/"))
            elif stat.S_ISREG(facts.st_mode) and is_photo_name(path):
                self.found.names.setdefault(path, prefix + path.stem)
                stems.add(path.stem)
            else:
                rest.append(path)
        for path in rest:
            self._leave(_kind_of_file(path, stems), path)
        self._enter(folders)

    def _enter(self, folders: list[tuple[Path, str]]) -> None:
        """Have folders read later, if subfolders are."""
        if not self.recursive:
            for path, _ in folders:
                self._leave(Left.SUBFOLDER, path)
            return
        if any(path.name in self.results[:1] and _holds_masks(path) for path, _ in folders):
            for path, _ in folders:
                if path.name in self.results:
                    self._leave(Left.RESULTS, path)
            folders = [one for one in folders if one[0].name not in self.results]
        self.waiting += [one for one in reversed(folders) if not one[0].is_symlink()]
        self.links += [one for one in folders if one[0].is_symlink()]


def _holds_masks(folder: Path) -> bool:
    """Whether the first PNG of a folder, however deep, is a mask as we write them: of a palette that begins black."""
    first = next((path for path in folder.rglob("*.png") if path.is_file()), None)
    if first is None:
        return False
    try:
        with first.open("rb") as file:
            head = file.read(64)
    except OSError:
        return False
    return head[12:16] == b"IHDR" and head[25] == 3 and head[37:44] == b"PLTE\0\0\0"


def _kind_of_link(path: Path) -> Left:
    """Of a link to nothing: whether a photo, or a folder of them, may be missing."""
    suffix = path.suffix.lower()
    return Left.DANGLING if not suffix or is_photo_name(path) or suffix in UNREAD_SUFFIXES else Left.OTHER


def _kind_of_file(path: Path, stems: set[str]) -> Left:
    """Of a file that is no photo by its name, in a folder with photos of these stems."""
    suffix = path.suffix.lower()
    if suffix in UNREAD_SUFFIXES:
        return Left.RAW_TWIN if suffix in RAW_SUFFIXES and path.stem in stems else Left.UNREAD
    if suffix in CLIP_SUFFIXES:
        return Left.CLIP
    if suffix in SIDECARS or not path.is_file():
        return Left.OTHER
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return Left.OTHER
    begins = any(head[place : place + len(word)] == word for place, word in BEGINNINGS)
    return Left.UNNAMED if begins else Left.OTHER
