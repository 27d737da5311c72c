"""Clips are read as they are shown: upright, in their order, at their own times, whatever they are stored in."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_clips import LOSSLESS, break_packet, gradient, set_matrix, write_clip
from PIL import Image

from face_parsing.video.clip import VideoError, is_clip, read_clip
from face_parsing.video.frames import ClipFrame, read_frames

FRAMES = [gradient(shift=i) for i in range(6)]

TURNS = {  # a, b, c, d of the matrix, and what is shown of stored pixels
    "as stored": ((1, 0, 0, 1), lambda p: p),
    "turned right": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "upside down": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "turned left": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "mirrored, upside down": ((1, 0, 0, -1), lambda p: p[::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    "mirrored, transposed": ((0, -1, -1, 0), lambda p: np.rot90(p, 2).swapaxes(0, 1)),
}


def frames_of(path: Path) -> list[ClipFrame]:
    return list(read_frames(read_clip(path)))


@pytest.mark.parametrize("name", TURNS)
def test_a_clip_is_turned_and_mirrored_as_players_show_it(tmp_path: Path, name: str) -> None:
    matrix, shown = TURNS[name]
    path = set_matrix(write_clip(tmp_path / "clip.mp4", FRAMES, **LOSSLESS), *matrix)
    clip = read_clip(path)
    assert (clip.height, clip.width) == shown(FRAMES[0]).shape[:2]
    for frame, stored in zip(read_frames(clip), FRAMES, strict=True):
        np.testing.assert_array_equal(frame.pixels, shown(stored))


def test_frames_have_their_own_times(tmp_path: Path) -> None:
    times = [0, 1, 5, 6, 20, 21]
    path = write_clip(tmp_path / "clip.mp4", FRAMES, times=times, rate=30)
    clip = read_clip(path)
    frames = list(read_frames(clip))
    assert [frame.time * clip.time_base * 30 for frame in frames] == times
    assert [frame.length * clip.time_base * 30 for frame in frames[:-1]] == [1, 4, 1, 14, 1]


def test_frames_are_numbered_and_those_before_the_first_are_left_out(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "clip.mp4", FRAMES))
    assert clip.count == 6
    everything = list(read_frames(clip))
    assert [frame.number for frame in everything] == [*range(6)]
    for frame, again in zip(everything[4:], read_frames(clip, first=4), strict=True):
        assert (frame.number, frame.time) == (again.number, again.time)
        np.testing.assert_array_equal(frame.pixels, again.pixels)


KINDS: dict[str, dict[str, Any]] = {
    "clip.avi": {"codec": "mjpeg", "kind": "yuvj420p"},
    "clip.mkv": {"codec": "ffv1", "kind": "yuv420p10le"},
    "clip.mov": {"codec": "prores_ks", "kind": "yuv422p10le"},
    "clip.mpg": {"codec": "mpeg2video", "kind": "yuv420p", "options": {"qscale": "2"}},
    "clip.ts": {"codec": "libx264", "kind": "yuv420p"},
    "clip.webm": {"codec": "libvpx-vp9", "kind": "yuv444p"},
    "clip.wmv": {"codec": "wmv2", "kind": "yuv420p", "options": {"qscale": "2"}},
    "clip.flv": {"codec": "flv", "kind": "yuv420p", "options": {"qscale": "2"}},
    "CLIP.M4V": {"codec": "mpeg4", "kind": "yuv420p", "options": {"qscale": "2"}},
    "interlaced.mkv": {"codec": "libx264", "kind": "yuv420p", "options": {"x264opts": "tff=1"}},
}


@pytest.mark.parametrize("name", KINDS)
def test_usual_codecs_and_containers_are_read(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / name, FRAMES, **KINDS[name])
    clip = read_clip(path)
    frames = list(read_frames(clip))
    assert is_clip(path)
    assert [frame.number for frame in frames] == [*range(6)]
    assert [clip.seconds(frame.time) for frame in frames] == pytest.approx([i / 25 for i in range(6)], abs=0.0011)
    for frame, given in zip(frames, FRAMES, strict=True):
        assert frame.pixels is not None
        assert np.abs(frame.pixels[..., :2].astype(int) - given[..., :2]).mean() < 12


@pytest.mark.parametrize(("height", "width"), [(17, 33), (1, 1), (241, 321)])
def test_odd_sizes(tmp_path: Path, height: int, width: int) -> None:
    picture = gradient(height, width)
    path = write_clip(tmp_path / "clip.mkv", [picture] * 2, codec="ffv1", kind="yuv420p")
    for frame in frames_of(path):
        assert frame.pixels is not None
        assert frame.pixels.shape == picture.shape


def test_grey_is_read_as_grey(tmp_path: Path) -> None:
    grey = gradient()[..., 0]
    path = write_clip(tmp_path / "clip.mkv", [grey], codec="ffv1", kind="gray", given="gray")
    (frame,) = frames_of(path)
    np.testing.assert_array_equal(frame.pixels, np.stack([grey] * 3, 2))


def test_what_is_transparent_is_laid_over_white(tmp_path: Path) -> None:
    picture = np.dstack([gradient(), np.full((48, 64), 255, np.uint8)])
    picture[:, 32:] = (10, 20, 30, 0)
    path = write_clip(tmp_path / "clip.mov", [picture], codec="qtrle", kind="argb", given="rgba")
    (frame,) = frames_of(path)
    assert frame.pixels is not None
    np.testing.assert_array_equal(frame.pixels[:, :32], picture[:, :32, :3])
    assert (frame.pixels[:, 32:] == 255).all()


def test_times_begin_with_the_clip(tmp_path: Path) -> None:
    """MPEG's streams begin after a second or so."""
    clip = read_clip(write_clip(tmp_path / "clip.ts", FRAMES, sound="aac"))
    times = [clip.seconds(frame.time) for frame in read_frames(clip)]
    assert times[0] < 0.1
    assert np.diff(times) == pytest.approx([0.04] * 5)


def test_time_goes_on_where_clips_were_laid_end_to_end(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "one.ts", FRAMES)
    both = tmp_path / "both.ts"
    both.write_bytes(path.read_bytes() * 2)
    clip = read_clip(both)
    frames = list(read_frames(clip))
    assert len(frames) == 12
    assert all(np.diff([frame.time for frame in frames]) > 0)


def test_a_broken_frame_keeps_its_place(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", FRAMES, options={"bf": "0"})
    whole = frames_of(path)
    frames = frames_of(break_packet(path, 3))
    assert [frame.broken for frame in frames] == [False] * 3 + [True] + [False] * 2
    assert [frame.time for frame in frames] == [frame.time for frame in whole]
    assert frames[3].pixels is None


def test_a_clip_that_is_cut_gives_what_it_holds(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", [gradient(shift=i) for i in range(40)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    frames = frames_of(path)
    assert 5 < len(frames) < 40
    assert all(frame.pixels is not None for frame in frames[:-2])


def write_sound(path: Path) -> Path:
    """A file of sound alone."""
    import av
    from made_clips import _write_tone

    with av.open(str(path), "w") as container:
        tone: Any = container.add_stream("aac", rate=48000)
        tone.layout = "mono"
        _write_tone(container, tone, 0.2)
    return path


def write_song(path: Path) -> Path:
    """A sound with a cover, which is a picture to FFmpeg."""
    import av
    from av.stream import Disposition
    from made_clips import _write_tone

    with av.open(str(path), "w") as container:
        tone: Any = container.add_stream("libmp3lame", rate=48000)
        tone.layout = "mono"
        cover: Any = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(gradient(), format="rgb24").reformat(format="yuvj420p")))
        container.mux(cover.encode(None))
        _write_tone(container, tone, 0.2)
    return path


def test_what_is_no_clip_is_refused_with_a_sentence(tmp_path: Path) -> None:
    cases = {
        "there is no clip|There is no clip": tmp_path / "missing.mp4",
        r"sound\.mp4 holds no pictures, sound alone; leave it out\.": write_sound(tmp_path / "sound.mp4"),
        r"song\.m4a holds no pictures, sound alone; leave it out\.": write_sound(tmp_path / "song.m4a"),
        r"song\.mp3 holds no pictures, sound alone; leave it out\.": write_song(tmp_path / "song.mp3"),
    }
    (tmp_path / "text.mp4").write_text("a text", encoding="utf-8")
    Image.fromarray(gradient()).save(tmp_path / "photo.jpg")
    cases[r"photo\.jpg is a photo; face_parsing\.FaceParser parses photos\."] = tmp_path / "photo.jpg"
    cases["cannot be read as a clip"] = tmp_path / "text.mp4"
    (tmp_path / "empty.mkv").touch()
    cases[r"empty\.mkv: cannot be read as a clip"] = tmp_path / "empty.mkv"
    for sentence, path in cases.items():
        with pytest.raises(VideoError, match=sentence):
            read_clip(path)


def test_a_clip_without_a_whole_frame_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", FRAMES[:1])
    with pytest.raises(VideoError, match="no frame that can be decoded"):
        read_clip(break_packet(path, 0))


def test_animations_are_photos() -> None:
    assert not any(is_clip(Path(name)) for name in ("a.gif", "a.webp", "a.png", "a.apng", "a.jpg"))
    assert is_clip(Path("A.MOV"))
    assert is_clip(Path("song.m4a"))


def test_a_rate_that_is_not_said_is_a_usual_one(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "clip.mkv", FRAMES[:1]))
    assert clip.rate > 0
    assert clip.aspect == Fraction(1)
