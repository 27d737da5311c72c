"""Small clips made on the fly: pictures of every size, codec and rate, sound, and what is wrong with files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

LOSSLESS = {"codec": "libx264rgb", "kind": "rgb24", "options": {"qp": "0", "preset": "ultrafast"}}
"""Of ``write_clip``: what is decoded is what was given."""


def gradient(height: int = 48, width: int = 64, shift: int = 0) -> np.ndarray:
    """A picture (H, W, 3) uint8 without any symmetry."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([x * 255 // width, y * 255 // height, (x + 2 * y + 7 * shift) % 256], 2)
    return picture.astype(np.uint8)


def moving_face(
    photo: Path, count: int, *, size: tuple[int, int] = (320, 240), face: int = 160, step: float = 2.0
) -> list[np.ndarray]:
    """Frames in which the square photo of somebody, ``face`` pixels wide, moves over grey by ``step`` pixels a frame.

    There is noise as of a sensor.
    """
    W, H = size
    person = np.asarray(Image.open(photo).convert("RGB").resize((face, face), Image.Resampling.LANCZOS))
    random = np.random.default_rng(0)
    frames = []
    for i in range(count):
        frame = np.full((H, W, 3), 110, np.float32)
        x, y = round((W - face) / 2 + step * i) % (W - face), (H - face) // 2
        frame[y : y + face, x : x + face] = person
        frames.append(np.clip(frame + random.normal(0, 3, frame.shape), 0, 255).astype(np.uint8))
    return frames


def write_clip(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    kind: str = "yuv420p",
    times: Sequence[int] | None = None,
    rate: int = 25,
    options: dict[str, str] | None = None,
    sound: str = "",
    given: str = "rgb24",
    muxer: dict[str, str] | None = None,
    **context: Any,
) -> Path:
    """Write frames (H, W, 3), shown at ``times`` in parts 1 / rate of a second, and the sound of a codec, if named."""
    H, W = frames[0].shape[:2]
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = W, H, kind
        stream.codec_context.time_base = Fraction(1, rate)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        tone: Any = container.add_stream(sound, rate=48000) if sound else None
        if tone is not None:
            tone.layout = "mono"
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format=given)
            frame.pts, frame.time_base = (i if times is None else times[i]), Fraction(1, rate)
            container.mux(stream.encode(frame.reformat(format=kind)))
        container.mux(stream.encode(None))
        if tone is not None:
            _write_tone(container, tone, len(frames) / rate)
    return path


def _write_tone(container: Any, tone: Any, seconds: float) -> None:
    wave = (0.2 * np.sin(np.arange(round(48000 * seconds)) / 17)).astype(np.float32)[None]
    resampler = av.AudioResampler(format=tone.codec_context.format, layout="mono", rate=48000)
    for start in range(0, wave.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(wave[:, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, start
        for piece in resampler.resample(frame):
            container.mux(tone.encode(piece))
    container.mux(tone.encode(None))


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Give the first track of an MP4 file a display matrix."""
    content = bytearray(path.read_bytes())
    start = content.find(b"tkhd") + 4
    at = start + (32 if content[start] else 20) + 20
    content[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def break_packet(path: Path, number: int) -> Path:
    """Overwrite what is in the packet of a frame, counted in the order of the file."""
    with av.open(str(path)) as container:
        packet = [one for one in container.demux(video=0) if one.size][number]
        at, size = packet.pos, packet.size
    content = bytearray(path.read_bytes())
    content[at : at + size] = b"\0" * size
    path.write_bytes(content)
    return path


def read_pictures(path: Path, kind: str | None = None) -> list[np.ndarray]:
    """All pictures of a clip as they are stored, in their own format or another one."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=kind) if kind else frame.to_ndarray() for frame in container.decode(video=0)]


def read_times(path: Path) -> list[Fraction]:
    """When each of its pictures is shown, in seconds."""
    with av.open(str(path)) as container:
        return [Fraction(frame.pts) * frame.time_base for frame in container.decode(video=0)]


def words(*inputs: Path, output: Path) -> list[str]:
    """A command line that parses clips and photos."""
    return ["--input", *map(str, inputs), "--output", str(output), "--threads", "1"]
