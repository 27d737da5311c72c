"""Clips on the command line: ``face-parsing --input clip.mp4 --output folder``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from face_parsing.system import distributed
from face_parsing.system.commands import UsageError, refuse_existing, refuse_inputs
from face_parsing.system.wording import count_of
from face_parsing.video.clip import VideoError, need_av
from face_parsing.video.parsing import ParsedClip, parse_video, what_is_missing
from face_parsing.video.streams import result_paths

if TYPE_CHECKING:
    from face_parsing.parser import FaceParser


def results_of(args: argparse.Namespace) -> list[str]:
    """What is to be written beside the masks. Raises UsageError for options that are for photos alone."""
    of_photos = [name for name in ("submission", "crops", "soft", "points") if getattr(args, name)]
    if of_photos:
        raise UsageError(f"--{of_photos[0]} is for photos alone; leave it out, or parse the clips by themselves.")
    if args.no_face == "skip":
        raise UsageError("A clip has a mask of every frame: give --no_face empty or whole for clips.")
    if distributed.world_size() > 1:
        raise UsageError("A clip is for one process; start it without torchrun.")
    return [name for name in ("color", "overlay", "instances", "json") if getattr(args, name)]


def check_clips(clips: Sequence[Path], output: Path, wanted: Sequence[str], *, resume: bool, overwrite: bool) -> None:
    """Raise UsageError where a clip is missing, would become another one's files, or replace files unasked."""
    need_av()
    by_stem: dict[str, Path] = {}
    for clip in clips:
        if not clip.is_file():
            raise UsageError(f"There is no clip {clip}; name an existing file.")
        other = by_stem.setdefault(clip.stem, clip)
        if other is not clip:
            raise UsageError(f"{other} and {clip} would both become {clip.stem}.mkv; rename one or call twice.")
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other; give one of them.")
    paths = [path for clip in clips for path in result_paths(output, clip.stem, ["mask", *wanted]).values()]
    refuse_inputs(paths, clips)
    if not resume:
        refuse_existing(paths, overwrite=overwrite)


def check_resumed(clips: Sequence[Path], output: Path, wanted: Sequence[str], parser: FaceParser) -> None:
    """Raise UsageError where results of a clip are there that were made in another way."""
    for clip in clips:
        what_is_missing(clip, output, ["mask", *wanted], parser)


def run_clips(
    program: str,
    clips: Sequence[Path],
    output: Path,
    parser: FaceParser,
    wanted: Sequence[str],
    *,
    at_once: int,
    resume: bool,
    overwrite: bool,
) -> int:
    """Parse clips, one after the other, and say what became of each. Returns 1 where one could not be read, else 0."""
    print(parser.weights)
    failed = 0
    for clip in clips:
        try:
            parsed = parse_video(
                clip, output, parser, **dict.fromkeys(wanted, True),
                resume=resume, overwrite=overwrite, at_once=at_once,
            )  # fmt: skip
        except VideoError as error:
            print(f"{program}: {error}", file=sys.stderr)
            failed += 1
            continue
        for note in parsed.notes():
            print(f"{program}: {clip}: {note}.", file=sys.stderr)
        print(_sentence(parsed, looked=parser.faces != "off"))
    if failed:
        print(f"{program}: {failed} of {len(clips)} clips could not be read.", file=sys.stderr)
    return 1 if failed else 0


def _sentence(parsed: ParsedClip, *, looked: bool) -> str:
    """What became of a clip."""
    file = parsed.files["mask"]
    if parsed.was_there:
        return f"{file} was there already"
    frames = f"{parsed.frames} frame{'s' * (parsed.frames > 1)}"
    said = f"wrote the mask{'s' * (parsed.frames > 1)} of {frames} to {file}"
    if "mask" in parsed.kept:
        others = [str(path) for name, path in parsed.files.items() if name not in parsed.kept]
        said = f"{file} was there already; wrote {', '.join(others)} of {frames}"
    if looked:
        count = len(parsed.numbers)
        said += f"; {count} face{'s' if count != 1 else ''}"
        if parsed.without_face:
            said += f", none in {count_of(parsed.without_face, 'frame')}"
    return said
