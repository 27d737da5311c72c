"""What becomes of a clip: which files, in which containers and codecs, and how pictures get into them.

Masks and instances go through FFV1, which gives back every id. Pictures to look at go through H.264, which plays
everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.video.clip import Clip

SEGMENT_CONTAINER = "nut"
"""Of what is not finished: it takes every codec, and can be read up to where it was cut."""

BT709, LIMITED = 1, 1  # of colorspace and color_range


@dataclass(frozen=True)
class Kind:
    """A sort of result: its folder, its file's suffix and container, and how its pictures are encoded."""

    folder: str
    suffix: str
    container: str
    codec: str
    given: str
    stored: str
    options: dict[str, str] = field(hash=False)
    sound: bool = False


_IDS = {"level": "3", "g": "1", "slicecrc": "1"}
# Without frames that depend on later ones: their time stamps would not go together where segments meet.
_LOOKS = {"preset": "veryfast", "crf": "18", "bf": "0"}

KINDS = {
    "mask": Kind("masks", ".mkv", "matroska", "ffv1", "gray", "gray", _IDS),
    "instances": Kind("instances", ".mkv", "matroska", "ffv1", "gray16le", "gray16le", _IDS),
    "color": Kind("color", ".mp4", "mp4", "libx264", "rgb24", "yuv420p", _LOOKS, sound=True),
    "overlay": Kind("overlay", ".mp4", "mp4", "libx264", "rgb24", "yuv420p", _LOOKS, sound=True),
}
"""The results by name: class ids, 8 bits; which face a pixel is of, 16 bits; their colors; the clip under them."""


class Encoder:
    """Pictures of one kind to a file that is not finished before ``close``."""

    def __init__(self, path: Path, kind: Kind, clip: Clip) -> None:
        import av

        self.kind = kind
        self._container: Any = av.open(str(path), "w", format=SEGMENT_CONTAINER)
        stream: Any = self._container.add_stream(kind.codec, rate=clip.rate, options=dict(kind.options))
        stream.width, stream.height = self._size(clip)
        stream.pix_fmt = kind.stored
        context = stream.codec_context
        context.time_base, context.sample_aspect_ratio = clip.time_base, clip.aspect
        if kind.stored != kind.given:
            context.colorspace, context.color_range = BT709, LIMITED
            context.color_primaries, context.color_trc = clip.primaries, clip.transfer
        self._stream, self._time_base = stream, clip.time_base

    def _size(self, clip: Clip) -> tuple[int, int]:
        """H.264 with halved colors takes even sizes alone: a last row or column is then there twice."""
        odd = (0, 0) if self.kind.stored == self.kind.given else (clip.width % 2, clip.height % 2)
        return clip.width + odd[0], clip.height + odd[1]

    def write(self, picture: np.ndarray, time: int) -> None:
        """Add a picture (H, W) or (H, W, 3), shown at a time in the clip's time base."""
        from av import VideoFrame
        from av.video.reformatter import Colorspace

        H, W = picture.shape[:2]
        below, beside = self._stream.height - H, self._stream.width - W
        if below or beside:
            picture = np.pad(picture, ((0, below), (0, beside), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(picture, format=self.kind.given)
        if self.kind.stored != self.kind.given:
            frame = frame.reformat(format=self.kind.stored, dst_colorspace=Colorspace.ITU709)
        frame.pts, frame.time_base = time, self._time_base
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the codec still holds, and the file's end."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of the file, which is of no use."""
        self._container.close()


def result_paths(output: Path, stem: str, wanted: Any) -> dict[str, Path]:
    """Where the results of a clip go, by the names of KINDS, and ``json``, as far as they are wanted."""
    paths = {name: output / kind.folder / f"{stem}{kind.suffix}" for name, kind in KINDS.items() if name in wanted}
    if "json" in wanted:
        paths["json"] = output / "json" / f"{stem}.jsonl"
    return paths
