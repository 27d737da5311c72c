"""Clips parsed frame by frame: ``from face_parsing.video import parse_video``."""

from __future__ import annotations

from face_parsing.video.clip import VideoError
from face_parsing.video.parsing import ParsedClip, parse_video

__all__ = ["ParsedClip", "VideoError", "parse_video"]
