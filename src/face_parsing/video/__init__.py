"""Clips parsed frame by frame: ``from face_parsing.video import parse_video``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from face_parsing.video.clip import VideoError
    from face_parsing.video.parsing import ParsedClip, parse_video

__all__ = ["ParsedClip", "VideoError", "parse_video"]


def __getattr__(name: str) -> object:
    """What is offered, once it is asked for: photos need none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from face_parsing.video import clip, parsing

    return getattr(clip if name == "VideoError" else parsing, name)
