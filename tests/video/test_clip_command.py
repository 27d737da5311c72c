"""Clips on the command line: what is said, and the exit codes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest
from made_clips import moving_face, read_pictures, words, write_clip

from face_parsing.cli import main
from face_parsing.system.commands import UsageError
from face_parsing.video import parse_video

PHOTO = Path(__file__).resolve().parents[2] / "docs/images/astronaut.jpg"


def test_a_clip_and_a_photo_are_parsed_together(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words(clip, PHOTO, output=tmp_path), "--overlay"]) == 0
    said = capsys.readouterr().out
    assert f"wrote the masks of 3 frames to {tmp_path / 'masks/clip.mkv'}" in said
    assert "wrote 1 of 1 masks" in said
    assert said.count("licence: ") == 1
    assert len(read_pictures(tmp_path / "masks/clip.mkv")) == len(read_pictures(tmp_path / "overlay/clip.mp4")) == 3
    assert (tmp_path / "masks/astronaut.png").is_file()


def test_a_bar_shows_frames_per_second(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(clip, output=tmp_path)) == 0
    assert "clip.mp4: 100%" in capsys.readouterr().err


def test_one_clip_that_cannot_be_read_leaves_the_others(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("a text", encoding="utf-8")
    assert main(words(bad, clip, output=tmp_path / "out")) == 1
    said = capsys.readouterr()
    assert "bad.mp4: cannot be read as a clip" in said.err
    assert "1 of 2 clips could not be read" in said.err
    assert (tmp_path / "out/masks/clip.mkv").is_file()


def test_a_sound_is_named_and_leaves_the_clips(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = tmp_path / "song.m4a"
    with av.open(str(song), "w") as container:
        tone = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux([*tone.encode(frame), *tone.encode(None)])
    assert main([*words(song, clip, output=tmp_path / "out"), "--faces", "off"]) == 1
    assert f"{song} holds no pictures, sound alone; leave it out." in capsys.readouterr().err
    assert (tmp_path / "out/masks/clip.mkv").is_file()


def test_what_was_done_is_left_alone(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(clip, output=tmp_path)) == 0
    assert main(words(clip, output=tmp_path)) == 2
    assert "masks/clip.mkv would be replaced; add --overwrite" in capsys.readouterr().err
    assert main([*words(clip, output=tmp_path), "--resume"]) == 0
    assert "clip.mkv was there already" in capsys.readouterr().out
    assert main([*words(clip, output=tmp_path), "--overwrite"]) == 0


def test_wrong_calls_are_refused(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin = tmp_path / "clip.mov"
    twin.write_bytes(clip.read_bytes())
    cases = {
        "There is no clip": words(tmp_path / "missing.mp4", output=tmp_path),
        "would both become clip.mkv": words(clip, twin, output=tmp_path),
        "--submission is for photos alone": [*words(clip, output=tmp_path), "--submission"],
        "--crops is for photos alone": [*words(clip, output=tmp_path), "--crops"],
        "A clip has a mask of every frame: give --no_face empty or whole": [
            *words(clip, output=tmp_path),
            "--no_face",
            "skip",
        ],
        "--resume and --overwrite exclude each other": [*words(clip, output=tmp_path), "--resume", "--overwrite"],
    }
    for sentence, line in cases.items():
        assert main(line) == 2, line
        assert sentence in capsys.readouterr().err


def test_no_clip_is_replaced_by_its_masks(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "masks" / "odd.mkv"
    own.parent.mkdir()
    own.write_bytes(clip.read_bytes())
    for more in ([], ["--overwrite"], ["--resume"]):
        assert main([*words(own, output=tmp_path), *more]) == 2
        assert f"{own} is an input, and {own} would be written in its place" in capsys.readouterr().err
    with pytest.raises(UsageError, match="is an input"):
        parse_video(own, tmp_path, overwrite=True)
    assert own.read_bytes() == clip.read_bytes()


def test_a_clip_that_was_cut_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = moving_face(PHOTO, 10, size=(128, 96), face=96)
    # The index stands first, as in clips for the web: it says how many frames there were.
    whole = write_clip(tmp_path / "whole.mp4", frames, options={"g": "1", "bf": "0"}, muxer={"movflags": "+faststart"})
    with av.open(str(whole)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: packets[6].pos])
    assert main([*words(whole, output=tmp_path / "out"), "--faces", "off"]) == 0
    assert "the clip ends" not in capsys.readouterr().err
    assert main([*words(cut, output=tmp_path / "out"), "--faces", "off"]) == 0
    printed = capsys.readouterr()
    assert f"{cut}: the clip ends after 6 of 10 frames." in printed.err
    assert "wrote the masks of 6 frames" in printed.out


def test_without_pyav_the_extra_is_named(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "av" else real(name, *rest))
    assert main(words(clip, output=tmp_path)) == 2
    assert 'Clips need PyAV: pip install "face-parsing[video]".' in capsys.readouterr().err
