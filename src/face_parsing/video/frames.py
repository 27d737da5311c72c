"""The frames of a clip as they are shown: in their order, with their own time stamps, none of them left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from face_parsing.video.clip import Clip, open_clip, pictures_of
from face_parsing.video.decoding import decoded

HD_ROWS = 720  # from which on colors without a name are those of BT.709, as players take them


@dataclass(frozen=True)
class ClipFrame:
    """A frame: its number from 0, its time and length in the clip's time base, and its pixels (H, W, 3) uint8 RGB.

    ``broken`` says that its data are damaged or missing: ``pixels`` are then what could be made of them, or None.
    """

    number: int
    time: int
    length: int
    pixels: np.ndarray | None
    broken: bool = False


@dataclass(frozen=True)
class _Shown:
    """A frame of PyAV's, or None where there is none, with its time stamp, if it has any."""

    stamp: int | None
    frame: Any
    broken: bool


def read_frames(clip: Clip, *, first: int = 0) -> Iterator[ClipFrame]:
    """The frames of a clip from number ``first`` on. Those before it are decoded too, and nothing more.

    To jump there would be faster. It would give other pixels behind a damaged frame, and others in some codecs.
    """
    with open_clip(clip.path) as container:
        before: ClipFrame | None = None
        for number, (time, length, shown) in enumerate(_timed(container, clip)):
            if before is not None:
                # Until the next one comes: a container's own lengths follow the order of storage.
                yield replace(before, length=time - before.time)
                before = None
            if number >= first:
                pixels = None if shown.frame is None else pixels_of_frame(shown.frame, clip)
                before = ClipFrame(number, time, length, pixels, shown.broken)
        if before is not None:
            yield before


def _timed(container: Any, clip: Clip) -> Iterator[tuple[int, int, _Shown]]:
    """Each frame with its time from the clip's start and about its length, in the clip's time base. Time goes on."""
    usual = max(1, round(1 / (clip.rate * clip.time_base)))
    offset = -clip.start
    last: int | None = None
    end = 0  # of the frame before
    for shown in _shown(container):
        length = (shown.frame.duration if shown.frame is not None else 0) or usual
        time = end if shown.stamp is None else shown.stamp + offset
        if last is not None and time <= last:
            # Stamps that stand still or begin anew, as where clips were laid end to end.
            offset, time = offset + end - time, end
        last, end = time, time + length
        yield time, length, shown


def _shown(container: Any) -> Iterator[_Shown]:
    """The frames of a file in their order, and the places of those that could not be decoded."""
    damaged: list[int] = []  # stamps of packets whose frames have not come yet
    for packet in decoded(container, pictures_of(container)):
        if packet.damaged and packet.stamp is not None:
            damaged.append(packet.stamp)
        for frame in packet.frames:
            lost = sorted(stamp for stamp in damaged if frame.pts is not None and stamp < frame.pts)
            yield from (_Shown(stamp, None, True) for stamp in lost)
            yield _Shown(frame.pts, frame, frame.pts in damaged or frame.is_corrupt)
            damaged = [stamp for stamp in damaged if stamp not in (*lost, frame.pts)]
    yield from (_Shown(stamp, None, True) for stamp in sorted(damaged))


def pixels_of_frame(frame: Any, clip: Clip) -> np.ndarray:
    """A frame of PyAV's as it is shown, (H, W, 3) uint8 RGB; what is transparent is laid over white."""
    from av.video.reformatter import Colorspace

    transparent = any(component.is_alpha for component in frame.format.components)
    unknown = frame.colorspace == 2  # AVCOL_SPC_UNSPECIFIED
    colors = (Colorspace.ITU709 if frame.height >= HD_ROWS else Colorspace.ITU601) if unknown else None
    width, height = clip.stored
    kind = "rgba" if transparent else "rgb24"
    pixels: np.ndarray = frame.reformat(width, height, kind, src_colorspace=colors).to_ndarray()
    if transparent:
        share = pixels[..., 3:].astype(np.uint16)
        pixels = ((pixels[..., :3] * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
    return clip.orientation.apply(pixels)
