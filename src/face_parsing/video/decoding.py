"""Packets to frames, and which of them are damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Decoded:
    """What a packet gave: its own time stamp, whether its data are damaged, and frames, most of earlier packets."""

    stamp: int | None
    damaged: bool
    frames: list[Any]


def decoded(container: Any, stream: Any) -> Iterator[Decoded]:
    """Every packet of a stream of PyAV's, decoded. A file that is cut gives what it holds.

    Decoders conceal what is damaged as well as they can, and say so in their log alone: so that is listened to.
    """
    import av

    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        packets = container.demux(stream)
        while True:
            with av.logging.Capture():  # or it would be printed
                try:
                    packet = next(packets, None)
                except av.FFmpegError:
                    yield Decoded(None, False, _delayed(stream))
                    return
            if packet is None:
                return
            yield _decode(packet)
    finally:
        av.logging.set_level(before)


def _decode(packet: Any) -> Decoded:
    import av

    with av.logging.Capture() as log:
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return Decoded(packet.pts, True, [])
    return Decoded(packet.pts, bool(log) or packet.is_corrupt, frames)


def _delayed(stream: Any) -> list[Any]:
    """The frames that a decoder still holds back."""
    import av

    with av.logging.Capture():
        try:
            return list(stream.codec_context.decode(None))
        except av.FFmpegError:
            return []
