"""--resume of clips: what is there stays byte for byte, and results of two ways of parsing are never mixed."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_clips import moving_face, words, write_clip

from face_parsing import FaceParser
from face_parsing.cli import main
from face_parsing.system.commands import UsageError
from face_parsing.video import parse_video, parsing, pipeline

PHOTO = Path(__file__).resolve().parents[2] / "docs/images/astronaut.jpg"


def contents(output: Path) -> dict[str, bytes]:
    return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def test_further_results_leave_what_is_there(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words(clip, output=tmp_path), "--json"]) == 0
    before = contents(tmp_path)
    assert main([*words(clip, output=tmp_path), "--json", "--color", "--resume"]) == 0
    said = f"{tmp_path}/masks/clip.mkv was there already; wrote {tmp_path}/color/clip.mp4 of 3 frames; 1 face"
    assert said in capsys.readouterr().out
    after = contents(tmp_path)
    assert set(after) - set(before) == {"color/clip.mp4"}
    assert all(after[name] == before[name] for name in ("masks/clip.mkv", "json/clip.jsonl"))
    assert main([*words(clip, output=tmp_path), "--json", "--color", "--resume"]) == 0
    assert "clip.mkv was there already\n" in capsys.readouterr().out


@pytest.mark.parametrize("further", [(), ("--color",), ("--json",)])
def test_another_way_is_refused(
    further: tuple[str, ...], tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, output = tmp_path / "other.mp4", tmp_path / "out"
    other.write_bytes(clip.read_bytes())
    assert main([*words(clip, output=output), "--json"]) == 0
    before = contents(output)
    # Nothing at all is done, though the first clip and the photo could be.
    assert main([*words(other, clip, PHOTO, output=output), "--resume", "--faces", "off", *further]) == 2
    sentence = (
        f"{output}/masks/clip.mkv was made with another choice of faces; parse as then, give --overwrite instead of "
        "--resume, or choose another --output.\n"
    )
    assert capsys.readouterr().err.endswith(sentence)
    assert contents(output) == before


def test_another_clip_of_the_name_is_refused(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_clip(tmp_path / "clip.mp4", moving_face(PHOTO, 2, size=(96, 64), face=64))
    assert main([*words(clip, output=tmp_path), "--faces", "off"]) == 0
    assert main([*words(other, output=tmp_path), "--faces", "off", "--resume"]) == 2
    assert "masks/clip.mkv was made with another clip; parse as then" in capsys.readouterr().err


def test_a_photo_that_is_refused_stops_the_clip(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(PHOTO, output=tmp_path)) == 0
    assert main([*words(clip, PHOTO, output=tmp_path), "--resume", "--faces", "off"]) == 2
    assert "masks/astronaut.png was made with another choice of faces" in capsys.readouterr().err
    assert not (tmp_path / "masks/clip.mkv").exists()


class StopError(Exception):
    """Stands for Ctrl-C, a full disk, or the end of the world."""


def test_a_run_that_was_stopped_while_it_added_goes_on(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two of its files, and where it replaces another way's results."""
    parser = FaceParser(faces="off", threads=1)
    real = parsing.join

    def stopped(segments: object, file: Path, *rest: object) -> None:
        if file.parent.name == "overlay":
            raise StopError
        real(segments, file, *rest)  # type: ignore[arg-type]

    parse_video(clip, tmp_path, parser, progress=False)
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(parsing, "join", stopped)
        with pytest.raises(StopError):
            parse_video(clip, tmp_path, parser, resume=True, color=True, overlay=True, progress=False)
    assert (tmp_path / "color/clip.mp4").exists()
    other = FaceParser(faces="all", threads=1)
    with pytest.raises(UsageError, match="was begun with another choice of faces"):
        parse_video(clip, tmp_path, other, resume=True, color=True, overlay=True, progress=False)
    result = parse_video(clip, tmp_path, parser, resume=True, color=True, overlay=True, progress=False)
    assert result.kept == ("mask",)
    assert contents(tmp_path)["masks/clip.mkv"] == before["masks/clip.mkv"]
    assert parse_video(clip, tmp_path, parser, resume=True, color=True, overlay=True, progress=False).was_there


def test_an_overwriting_run_that_was_stopped_goes_on_without_what_it_leaves(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*words: object) -> None:
        raise StopError

    whole, faces = (FaceParser(faces=mode, no_face="empty", threads=1) for mode in ("off", "all"))
    parse_video(clip, tmp_path, faces, json=True, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline._Beginner, "begin", stop)
        with pytest.raises(StopError):
            parse_video(clip, tmp_path, whole, overwrite=True, progress=False)
    with pytest.raises(UsageError, match=r"json/clip\.jsonl was made with another choice of faces"):
        parse_video(clip, tmp_path, whole, json=True, resume=True, progress=False)
    assert not parse_video(clip, tmp_path, whole, resume=True, progress=False).was_there
    with pytest.raises(UsageError, match=r"json/clip\.jsonl was made with another choice of faces"):
        parse_video(clip, tmp_path, whole, resume=True, progress=False)
    (tmp_path / "json/clip.jsonl").unlink()
    assert parse_video(clip, tmp_path, whole, resume=True, progress=False).was_there


def test_ctrl_c_names_resume(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline._Beginner, "begin", stop)
        assert main(words(clip, output=tmp_path)) == 130
    assert "inference.py: interrupted. Go on with --resume." in capsys.readouterr().err
    assert main([*words(clip, output=tmp_path), "--resume"]) == 0
