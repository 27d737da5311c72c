"""A clip: what its file says of its pictures, its times and its sound."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from face_parsing.data.photo_files import CLIP_SUFFIXES, SOUND_SUFFIXES, is_photo_name
from face_parsing.data.photos import MAX_PIXELS
from face_parsing.system.commands import UsageError
from face_parsing.video.decoding import decoded
from face_parsing.video.orientation import Orientation, orientation_of

MOVING_SUFFIXES = (".gif", ".apng")  # photos to the command, and clips to who asks for it
USUAL_RATE = Fraction(25)  # frames/s of a clip that does not say


class VideoError(ValueError):
    """A clip that cannot be parsed, or a file of it that cannot be written; the message says why and what to do."""


@dataclass(frozen=True)
class Clip:
    """What a file says of its pictures. Sizes are as shown; times are in ``time_base`` seconds from ``start``.

    ``count`` is about how many frames there are, if that is known, ``declared`` how many the file says there are, where
    it says so, ``aspect`` a pixel's width over its height,
    ``sounds`` the number of sounds, and ``stored`` the width and height before the orientation. ``primaries`` and
    ``transfer`` say what the colors mean, in numbers of FFmpeg's.
    """

    path: Path
    width: int
    height: int
    orientation: Orientation
    time_base: Fraction
    rate: Fraction
    start: int
    count: int | None
    declared: int | None
    aspect: Fraction
    sounds: int
    stored: tuple[int, int]
    primaries: int
    transfer: int

    def seconds(self, time: int) -> float:
        """A frame's time in seconds."""
        return float(time * self.time_base)


def is_clip(path: Path) -> bool:
    """Whether a file is a clip, by its name; so is a sound, of which it is told then that it has no pictures."""
    return path.suffix.lower() in (*CLIP_SUFFIXES, *SOUND_SUFFIXES) and not path.is_dir()


def need_av() -> None:
    """Raise UsageError where PyAV is not installed."""
    if importlib.util.find_spec("av") is None:
        raise UsageError('Clips need PyAV: pip install "face-parsing[video]".')


def open_clip(path: Path) -> Any:
    """The file in PyAV. Raises VideoError."""
    import av

    if not path.is_file():
        raise VideoError(f"There is no clip {path}; name an existing file.")
    try:
        return av.open(str(path))
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(f"{path}: cannot be read as a clip ({reason}); replace or remove it.") from None


def read_clip(path: Path) -> Clip:
    """What the file says of itself and its first frame. Raises VideoError for a photo or a file without pictures."""
    if is_photo_name(path) and path.suffix.lower() not in MOVING_SUFFIXES:
        raise VideoError(f"{path} is a photo; face_parsing.FaceParser parses photos.")
    need_av()
    with open_clip(path) as container:
        if all(_is_cover(stream) for stream in container.streams.video):
            alone = ", sound alone" if container.streams.audio else ""
            raise VideoError(f"{path} holds no pictures{alone}; leave it out.")
        stream = pictures_of(container)
        first = next((frame for packet in decoded(container, stream) for frame in packet.frames), None)
        if first is None:
            raise VideoError(f"{path} holds no frame that can be decoded; replace or remove it.")
        if first.width * first.height > MAX_PIXELS:
            raise VideoError(f"{path}: frames of more than {MAX_PIXELS // 10**6} megapixels; make it smaller.")
        orientation = orientation_of(first)
        width, height = orientation.size(first.width, first.height)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
        start = container.start_time
        return Clip(
            path,
            width,
            height,
            orientation,
            stream.time_base,
            Fraction(rate),
            0 if start is None else round(Fraction(start, av_time_base()) / stream.time_base),
            _count(container, stream, Fraction(rate)),
            _declared(stream, Fraction(rate)),
            1 / aspect if orientation.swapped and aspect else aspect,
            len(container.streams.audio),
            (first.width, first.height),
            first.color_primaries,
            first.color_trc,
        )


def av_time_base() -> int:
    """The parts of a second that a container's own times are in."""
    import av

    return int(av.time_base)


def _is_cover(stream: Any) -> bool:
    """Whether pictures are a song's cover."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def pictures_of(container: Any) -> Any:
    """The stream that players show: not the cover of a song. One thread decodes it: others parse meanwhile."""
    stream = container.streams.best("video") or container.streams.video[0]
    stream.codec_context.thread_count = 1
    return stream


def _declared(stream: Any, rate: Fraction) -> int | None:
    """How many frames a container says there are; None where an edit list may show fewer of them than are stored."""
    if not stream.frames or (stream.duration and round(stream.duration * stream.time_base * rate) < stream.frames):
        return None
    return int(stream.frames)


def _count(container: Any, stream: Any, rate: Fraction) -> int | None:
    """How many frames there are: as the container says, else about, by its length; None where it says neither."""
    if stream.frames:
        return int(stream.frames)
    if stream.duration:
        return max(1, round(stream.duration * stream.time_base * rate))
    return max(1, round(Fraction(container.duration, av_time_base()) * rate)) if container.duration else None
