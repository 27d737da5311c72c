"""Many photos through a FaceParser into files, and what became of them: what the command does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from face_parsing.data.photos import PhotoError, read_photo
from face_parsing.faces.given import why_outside
from face_parsing.faces.options import NO_FACE
from face_parsing.inference.folder import for_each_photo
from face_parsing.inference.outputs import Files, printable
from face_parsing.parser import FaceParser
from face_parsing.provenance import Record, Way, digest, facts_of
from face_parsing.results import ParsedPhoto
from face_parsing.system.wording import count_of, first_of

NAMED = 5
"""Photos that a line names, at most."""

FacesOf = Callable[[Path], Sequence[np.ndarray]]
"""From a photo's path to the faces that the user named of it."""


@dataclass
class Report:
    """What became of photos: sentences about those that could not be read, and how many faces each other one has."""

    failures: list[str] = field(default_factory=list)
    found: dict[Path, tuple[str, int]] = field(default_factory=dict)
    """How the mask came about, as ParsedPhoto.found, and how many faces there are."""
    kept: dict[Path, bool] = field(default_factory=dict)
    """The photos whose mask was there and stayed, and whether other files of theirs were written."""

    @classmethod
    def merged(cls, reports: Sequence[Report]) -> Report:
        """One of several processes' reports."""
        whole = cls()
        for report in reports:
            whole.failures += report.failures
            whole.found |= report.found
            whole.kept |= report.kept
        return whole

    @property
    def masks(self) -> int:
        """How many masks were written."""
        return sum(how != "skip" and photo not in self.kept for photo, (how, _) in self.found.items())

    def there(self, left_out: int) -> str:
        """How many masks were there already, beside those of the photos that were left out."""
        more = sum(self.kept.values())
        got = f", and {count_of(more, 'photo')} got further files" if more else ""
        count = left_out + len(self.kept)
        return f"{count} {'was' if count == 1 else 'were'} there already{got}"

    def lines(self, names: Mapping[Path, str]) -> list[str]:
        """What was found, for people: faces, and the photos without one, as parse_folder has their ``names``."""
        how = Counter(kind for kind, _ in self.found.values())
        if set(how) <= {"off"}:
            return []
        portraits = f", {how['portrait']} of them portraits that stay as they are" if how["portrait"] else ""
        with_faces = how["faces"] + how["portrait"]
        count = f"faces: {sum(n for _, n in self.found.values())} in {count_of(with_faces, 'photo')}{portraits}"
        lines = [count] if with_faces else []
        for kind, done in NO_FACE.items():
            photos = [path for path in sorted(self.found) if self.found[path][0] == kind]
            if photos:
                files = [printable((Path(names[one]).parent / one.name).as_posix()) for one in photos]
                named = first_of(files, NAMED)
                total = count_of(len(self.found), "photo")
                lines.append(f"{len(photos)} of {total} without a face: {done} ({named})")
        return lines


def way_of_photos(parser: FaceParser, *, points: Path | None, bits: int | None) -> Way:
    """What all results of photos have in common."""
    given = None if points is None else digest(points)
    return {**facts_of(parser), "file of --points": given, "number of --bits": bits}


def refuse_others(record: Record, files: Files, names: Mapping[Path, str]) -> None:
    """Raise UsageError where results of photos are there that were made in another way, or nobody knows how."""
    every, output = Files(**dict.fromkeys(asdict(files), True)), record.output
    wanted = [file for name in names.values() for file in files.wanted(output, name)]
    record.refuse_others(wanted, (file for name in names.values() for file in every.wanted(output, name)))


def parse_folder(
    parser: FaceParser,
    photos: Sequence[Path],
    output: Path,
    files: Files,
    *,
    names: Mapping[Path, str],
    faces_of: FacesOf | None = None,
    batch_size: int = 1,
    at_once: int = 0,
    bits: int | None = None,
    look: Callable[[Path, np.ndarray], None] | None = None,
    progress: bool = True,
    record: Record | None = None,
    keep: bool = False,
) -> Report:
    """Write the files of each photo, called as ``names`` says; those that exist are replaced, or with ``keep`` stay.

    ``record`` is told of all that is about to be written; the caller ends it.
    ``faces_of`` names the faces instead of a search. ``look`` is shown the masks of photos in which nobody looked for
    faces. The other options are those of predict_folder.
    """
    refused = {photo: why for photo in photos if (why := files.why_not(output, names[photo], photo))}
    report = Report()

    def read(path: Path) -> np.ndarray:
        photo = read_photo(path, bits=bits)
        for face in faces_of(path) if faces_of is not None else ():
            if outside := why_outside(face, (photo.shape[0], photo.shape[1])):
                raise PhotoError(f"{path}: {outside}; correct it in the file of --points")
        return photo

    def parse(paths: Sequence[Path], pixels: Sequence[np.ndarray]) -> Sequence[ParsedPhoto]:
        if faces_of is not None:
            return [parser(photo, faces_of(path)) for path, photo in zip(paths, pixels, strict=True)]
        if parser.faces == "off" and not files.soft:  # a batch in the network at once
            masks = parser.parse(pixels)
            return [
                ParsedPhoto(mask, photo, parser.labels, weights=parser.weights)
                for mask, photo in zip(masks, pixels, strict=True)
            ]
        return parser(list(pixels))

    def write(path: Path, _: np.ndarray, result: ParsedPhoto) -> None:
        if record is not None and (result.found != "skip" or files.json):
            record.begin(file for photo in names for file in files.wanted(output, names[photo]))
        named = replace(result, name=names[path], file=path)
        written = named.save(output, **asdict(files), overwrite=True, keep=keep)
        if keep and result.found != "skip" and "mask" not in written:
            report.kept[path] = bool(written)
        report.found[path] = result.found, len(result.faces)
        if look is not None and result.found == "off":
            look(path, result.mask)

    failures = for_each_photo(
        parse, [photo for photo in photos if photo not in refused], write,
        batch_size=batch_size, at_once=at_once, progress=progress, read=read,
    )  # fmt: skip
    report.failures = [*refused.values(), *failures]
    return report
