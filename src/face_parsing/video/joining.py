"""The segments of a result to one file, with every frame's own time and the sound of the clip."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.system.files import atomic_path
from face_parsing.video.clip import Clip, open_clip
from face_parsing.video.streams import Kind

COPIED_SOUND = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Codecs that MP4 players know; sound in others becomes AAC."""

LAYOUTS = {1: "mono", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""By the number of channels: files may say no more, and AAC needs to know where they stand."""

Timed = tuple[float, Any]
"""A packet of PyAV's, and the second it is for."""


def join(segments: Sequence[tuple[Path, np.ndarray, np.ndarray]], path: Path, kind: Kind, clip: Clip) -> None:
    """Write the pictures of segments, each a file with its frames' times and lengths, to path, which is replaced."""
    import av

    with atomic_path(path) as temporary, av.open(str(temporary), "w", format=kind.container) as out:
        with av.open(str(segments[0][0])) as first:
            stream = out.add_stream_from_template(first.streams.video[0])
        stream.time_base = clip.time_base
        packets: list[Iterator[Timed]] = [_pictures(segments, stream, clip)]
        if kind.sound and clip.sounds:
            packets += [_sound(clip, index, out) for index in range(clip.sounds)]
        for _, packet in heapq.merge(*packets, key=lambda timed: timed[0]):
            out.mux(packet)


def _pictures(segments: Sequence[tuple[Path, np.ndarray, np.ndarray]], stream: Any, clip: Clip) -> Iterator[Timed]:
    """The packets of all segments, one for each frame, in their order."""
    import av

    for path, times, lengths in segments:
        with av.open(str(path)) as container:
            packets = (packet for packet in container.demux(video=0) if packet.size)
            for packet, time, length in zip(packets, times.tolist(), lengths.tolist(), strict=True):
                packet.stream, packet.time_base = stream, clip.time_base
                packet.pts = packet.dts = time
                packet.duration = length
                yield clip.seconds(time), packet


def _sound(clip: Clip, index: int, out: Any) -> Iterator[Timed]:
    """The packets of one of the clip's sounds, in its own codec where players of MP4 know that."""
    source = open_clip(clip.path)
    sound = source.streams.audio[index]
    if sound.codec_context.name in COPIED_SOUND:
        stream = out.add_stream_from_template(sound)
        return _copied(source, sound, stream, clip)
    stream = out.add_stream("aac", rate=sound.rate or 48000)
    stream.layout = LAYOUTS.get(sound.layout.nb_channels, "stereo")
    return _encoded(source, sound, stream, clip)


def _start(sound: Any, clip: Clip) -> int:
    """The clip's first moment in the sound's time base."""
    return round(clip.start * clip.time_base / sound.time_base)


def _copied(source: Any, sound: Any, stream: Any, clip: Clip) -> Iterator[Timed]:
    import av

    start = _start(sound, clip)
    with source:
        packets = source.demux(sound)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:  # a file that is cut has sound up to there
                return
            if packet is None:
                return
            if packet.size and packet.dts is not None:
                packet.stream = stream
                packet.pts, packet.dts = (
                    (packet.pts if packet.pts is not None else packet.dts) - start,
                    packet.dts - start,
                )
                yield float(packet.dts * packet.time_base), packet


def _encoded(source: Any, sound: Any, stream: Any, clip: Clip) -> Iterator[Timed]:
    import av

    context = stream.codec_context
    resampler = av.AudioResampler(format="fltp", layout=context.layout, rate=context.sample_rate)
    start = Fraction(_start(sound, clip)) * sound.time_base
    with source:
        for frame in _frames(source, sound):
            for piece in resampler.resample(frame):
                if piece is not None and piece.pts is not None:
                    piece.pts -= round(start / piece.time_base)
                for packet in stream.encode(piece):
                    yield float((packet.dts or 0) * packet.time_base), packet
        for packet in stream.encode(None):
            yield float((packet.dts or 0) * packet.time_base), packet


def _frames(source: Any, sound: Any) -> Iterator[Any]:
    """The frames of a sound; damaged ones are left out. At last None, which asks for what is held back."""
    import av

    packets = source.demux(sound)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            yield from packet.decode()
        except av.FFmpegError as error:
            if isinstance(error, av.InvalidDataError):
                continue
            break
    yield None
