"""A clip in, its videos out: what is kept, what is written, what is said, and what is never overwritten."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from made_clips import (
    LOSSLESS,
    break_packet,
    gradient,
    moving_face,
    read_pictures,
    read_times,
    set_matrix,
    write_clip,
)

from face_parsing import FaceParser
from face_parsing.inference.postprocess_settings import Postprocessing
from face_parsing.labels import CELEBAMASK
from face_parsing.system.commands import UsageError
from face_parsing.video import VideoError, parse_video, pipeline
from face_parsing.video.clip import read_clip
from face_parsing.video.frames import read_frames

PHOTO = Path(__file__).resolve().parents[2] / "docs/images/astronaut.jpg"
CHECKPOINT = PHOTO.parents[2] / "weights/face_parsing.pth"
FRAMES = moving_face(PHOTO, 5, size=(96, 64), face=64)


@pytest.fixture(scope="module")
def whole() -> FaceParser:
    """Parses frames as they are."""
    return FaceParser(faces="off", threads=1)


@pytest.fixture(scope="module")
def of_faces() -> FaceParser:
    """Follows faces."""
    return FaceParser(faces="all", threads=1)


@pytest.fixture(scope="module")
def face_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face that moves, twelve frames."""
    frames = moving_face(PHOTO, 12)
    return write_clip(tmp_path_factory.mktemp("clip") / "face.mp4", frames, options={"crf": "12"}, sound="aac")


def assert_same(masks: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for mask, other in zip(masks, expected, strict=True):
        np.testing.assert_array_equal(mask, other)


def parsed_frames(path: Path, parser: FaceParser) -> list[np.ndarray]:
    """The masks of a clip's frames by themselves."""
    return [parser.parse([frame.pixels])[0] for frame in read_frames(read_clip(path)) if frame.pixels is not None]


def test_every_id_of_every_frame_survives(tmp_path: Path, whole: FaceParser) -> None:
    path = write_clip(tmp_path / "clip.mp4", FRAMES)
    result = parse_video(path, tmp_path / "out", whole, progress=False)
    assert result.files == {"mask": tmp_path / "out/masks/clip.mkv"}
    assert (result.frames, result.numbers, result.broken) == (5, (), ())
    masks = read_pictures(result.files["mask"])
    assert_same(masks, parsed_frames(path, whole))
    assert len(np.unique(masks[0])) > 1
    assert [file.name for file in (tmp_path / "out/masks").iterdir()] == ["clip.mkv"]
    assert [file.name for file in (tmp_path / "out").glob(".*")] == [".face_parsing.json"]


def test_ids_of_every_value_survive(tmp_path: Path) -> None:
    from face_parsing.video.joining import join
    from face_parsing.video.parts import Parts, SegmentWriter
    from face_parsing.video.streams import KINDS

    clip = read_clip(write_clip(tmp_path / "clip.mp4", FRAMES))
    random = np.random.default_rng(0)
    ids = [random.integers(0, 256, (64, 96), dtype=np.uint8) for _ in range(5)]
    numbers = [random.integers(0, 65536, (64, 96), dtype=np.uint16) for _ in range(5)]
    parts = Parts(tmp_path / "parts", {})
    parts.begin(resume=False, overwrite=False)
    writer = SegmentWriter(parts, 0, clip, ["mask", "instances"])
    for i in range(5):
        writer.write({"mask": ids[i], "instances": numbers[i]}, {}, i * 512, 512)
    writer.finish({})
    for name, pictures in (("mask", ids), ("instances", numbers)):
        join([(parts.path(0, name), *parts.times(0))], tmp_path / f"{name}.mkv", KINDS[name], clip)
        assert_same(read_pictures(tmp_path / f"{name}.mkv"), pictures)


def test_times_of_a_variable_rate_and_the_turn_are_kept(tmp_path: Path, whole: FaceParser) -> None:
    times = [0, 1, 5, 6, 20]
    path = set_matrix(write_clip(tmp_path / "clip.mp4", FRAMES, times=times, rate=30, **LOSSLESS), 0, 1, -1, 0)
    result = parse_video(path, tmp_path / "out", whole, color=True, overlay=True, progress=False)
    for name in ("overlay", "color"):
        assert read_times(result.files[name]) == [Fraction(time, 30) for time in times]
        assert read_pictures(result.files[name], "rgb24")[0].shape == (96, 64, 3)
    # Matroska's clock has milliseconds.
    assert [float(time) for time in read_times(result.files["mask"])] == pytest.approx(
        [t / 30 for t in times], abs=5e-4
    )
    assert read_pictures(result.files["mask"])[0].shape == (96, 64)


@pytest.mark.parametrize(
    ("sound", "suffix", "kept"), [("aac", "mp4", "aac"), ("pcm_s16le", "avi", "aac"), ("", "mp4", "")]
)
def test_sound_is_kept(tmp_path: Path, whole: FaceParser, sound: str, suffix: str, kept: str) -> None:
    path = write_clip(tmp_path / f"clip.{suffix}", FRAMES * 3, sound=sound)
    result = parse_video(path, tmp_path / "out", whole, overlay=True, progress=False)
    with av.open(str(result.files["overlay"])) as container:
        assert [stream.codec_context.name for stream in container.streams.audio] == [kept] * bool(kept)
        if kept:
            heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
            assert len(heard) / 48000 == pytest.approx(0.6, abs=0.05)
            assert np.abs(heard).max() == pytest.approx(0.2, abs=0.05)


def test_an_overlay_looks_like_the_clip_where_nothing_is_drawn(tmp_path: Path, of_faces: FaceParser) -> None:
    """Its colors are those of the clip, and an odd size gets a row and a column more."""
    frames = [gradient(121, 161, shift=i) for i in range(3)]
    path = write_clip(tmp_path / "clip.mkv", frames, codec="ffv1", kind="yuv444p")
    parser = FaceParser(faces="all", no_face="empty", threads=1)
    result = parse_video(path, tmp_path / "out", parser, overlay=True, progress=False)
    assert result.without_face == 3
    assert not any(mask.any() for mask in read_pictures(result.files["mask"]))
    for seen, given in zip(read_pictures(result.files["overlay"], "rgb24"), frames, strict=True):
        assert seen.shape == (122, 162, 3)
        assert np.abs(seen[:121, :161, :2].astype(int) - given[..., :2]).mean() < 3


def test_a_face_is_followed_under_one_number(tmp_path: Path, of_faces: FaceParser, face_clip: Path) -> None:
    result = parse_video(face_clip, tmp_path, of_faces, instances=True, json=True, overlay=True, progress=False)
    assert (result.frames, result.numbers, result.without_face) == (12, (1,), 0)
    masks, instances = (read_pictures(result.files[name]) for name in ("mask", "instances"))
    lines = [json.loads(line) for line in result.files["json"].read_text(encoding="utf-8").splitlines()]
    assert [line["frame"] for line in lines] == [*range(12)]
    assert [line["time"] for line in lines] == pytest.approx([i / 25 for i in range(12)])
    skin = CELEBAMASK.names.index("skin")
    for i, (mask, whose, line) in enumerate(zip(masks, instances, lines, strict=True)):
        (face,) = line["faces"]
        assert face["number"] == 1
        assert np.array_equal(np.unique(whose), [0, 1])
        assert (mask[whose == 0] == 0).all()
        y, x = np.nonzero(mask == skin)
        left, top, width, height = face["box"]
        assert left < x.mean() < left + width
        assert top < y.mean() < top + height
        assert x.mean() == pytest.approx(np.nonzero(masks[0] == skin)[1].mean() + 2 * i, abs=1.5)


def test_a_broken_frame_is_named_and_bridged(tmp_path: Path, whole: FaceParser) -> None:
    path = write_clip(tmp_path / "clip.mp4", FRAMES, options={"bf": "0", "g": "1"})
    expected = parsed_frames(path, whole)
    result = parse_video(break_packet(path, 2), tmp_path / "out", whole, overlay=True, json=True, progress=False)
    assert result.broken == ((2, 0.08),)
    assert result.notes() == ["frame 2 (0.080 s) is broken; it has the mask before it"]
    expected[2] = expected[1]
    assert_same(read_pictures(result.files["mask"]), expected)
    assert len(read_pictures(result.files["overlay"])) == 5
    assert json.loads(result.files["json"].read_text(encoding="utf-8").splitlines()[2])["broken"]


def test_nothing_is_overwritten_unasked(tmp_path: Path, whole: FaceParser) -> None:
    path = write_clip(tmp_path / "clip.mp4", FRAMES[:2])
    file = tmp_path / "out/masks/clip.mkv"
    file.parent.mkdir(parents=True)
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"masks/clip\.mkv would be replaced; pass overwrite=True or"):
        parse_video(path, tmp_path / "out", whole, progress=False)
    assert file.read_text(encoding="utf-8") == "mine"
    with pytest.raises(UsageError, match=r"masks/clip\.mkv lies there, and nothing says how it was made"):
        parse_video(path, tmp_path / "out", whole, resume=True, progress=False)
    assert file.read_text(encoding="utf-8") == "mine"
    assert parse_video(path, tmp_path / "out", whole, overwrite=True, progress=False).frames == 2
    assert parse_video(path, tmp_path / "out", whole, resume=True, progress=False).was_there


class StopError(Exception):
    """Stands for Ctrl-C, a full disk, or the end of the world."""


def stop(*words: object) -> None:
    raise StopError


def test_what_was_stopped_goes_on_and_gives_the_same(
    tmp_path: Path, of_faces: FaceParser, face_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SEGMENT_FRAMES", 4)
    at_once = {"instances": True, "json": True, "progress": False}
    whole_run = parse_video(face_clip, tmp_path / "whole", of_faces, **at_once)
    real, seen = pipeline._Finisher.finish, []

    def finish(self: object, job: object) -> None:
        seen.append(job)
        if len(seen) == 10:
            raise StopError
        real(self, job)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline._Finisher, "finish", finish)
    with pytest.raises(StopError):
        parse_video(face_clip, tmp_path / "parts", of_faces, **at_once)
    assert not list((tmp_path / "parts").glob("*/face.*"))
    with pytest.raises(UsageError, match=r"holds the beginning of an earlier run; add --resume \(resume=True\) to"):
        parse_video(face_clip, tmp_path / "parts", of_faces, **at_once)
    with pytest.raises(UsageError, match="was begun with another choice of results"):
        parse_video(face_clip, tmp_path / "parts", of_faces, resume=True, color=True, **at_once)
    seen.clear()
    result = parse_video(face_clip, tmp_path / "parts", of_faces, resume=True, **at_once)
    assert len(seen) == 4  # two segments were done
    assert (result.frames, result.numbers) == (whole_run.frames, whole_run.numbers)
    for name in ("mask", "instances"):
        assert_same(read_pictures(result.files[name]), read_pictures(whole_run.files[name]))
    assert result.files["json"].read_bytes() == whole_run.files["json"].read_bytes()
    assert [file.name for file in (tmp_path / "parts").glob(".*")] == [".face_parsing.json"]


@pytest.mark.parametrize(
    ("named", "options"),
    [
        (r"test-time augmentation \(tta\)", {"tta": True}),
        ("precision", {"precision": "bf16"}),
        ("post-processing", {"postprocess": Postprocessing(steps=("components",))}),
        ("post-processing", {"postprocess": lambda labels: Postprocessing(biases=(0.5,) * len(labels))}),
    ],
)
def test_a_run_goes_on_only_as_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, options: dict[str, Any]
) -> None:
    path = write_clip(tmp_path / "clip.mp4", FRAMES[:2])
    monkeypatch.setattr(pipeline._Beginner, "begin", stop)
    plain, other = (
        FaceParser(CHECKPOINT, faces="off", threads=1, device="cpu", size=64, **some) for some in ({}, options)
    )
    for first, second in ((plain, other), (other, plain)):
        with pytest.raises(StopError):
            parse_video(path, tmp_path / "out", first, overwrite=True, progress=False)
        with pytest.raises(StopError):  # as it began
            parse_video(path, tmp_path / "out", first, resume=True, progress=False)
        with pytest.raises(UsageError, match=f"was begun with another {named}; parse as then, or add --overwrite"):
            parse_video(path, tmp_path / "out", second, resume=True, progress=False)


def test_segments_leave_no_seam(
    tmp_path: Path, of_faces: FaceParser, face_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SEGMENT_FRAMES", 3)
    result = parse_video(face_clip, tmp_path, of_faces, overlay=True, progress=False)
    assert read_times(result.files["overlay"]) == [Fraction(i, 25) for i in range(12)]
    assert [float(time) for time in read_times(result.files["mask"])] == pytest.approx([i / 25 for i in range(12)])


def test_a_clip_that_cannot_be_read_is_named(tmp_path: Path, whole: FaceParser) -> None:
    (tmp_path / "text.mp4").write_text("a text", encoding="utf-8")
    with pytest.raises(VideoError, match=r"text\.mp4: cannot be read as a clip"):
        parse_video(tmp_path / "text.mp4", tmp_path / "out", whole)
    assert not (tmp_path / "out").exists()
