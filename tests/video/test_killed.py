"""A run that is killed in the middle goes on, and long clips of large frames take no more memory than short ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from made_clips import moving_face, read_pictures, write_clip

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "docs/images/astronaut.jpg"

RUN = """
import resource, sys
from face_parsing import FaceParser
from face_parsing.video import parse_video, pipeline
pipeline.SEGMENT_FRAMES = int(sys.argv[3])
parser = FaceParser(faces="all", threads=1)
result = parse_video(sys.argv[1], sys.argv[2], parser, overlay=True, resume=True, progress=False)
print(result.frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
"""Parse a clip, with segments of so many frames; print the number of frames and the most memory in KiB."""


def start(clip: Path, output: Path, segment: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", RUN, str(clip), str(output), str(segment)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def printed(process: subprocess.Popen[str]) -> list[int]:
    """The numbers that a run prints, once it has come to its end."""
    text, _ = process.communicate()
    assert process.returncode == 0
    return [int(word) for word in text.split()]


def test_a_killed_run_goes_on_and_gives_the_same_frames(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_face(PHOTO, 16, size=(160, 120), face=112))
    killed = start(clip, tmp_path / "killed", 3)
    while not (tmp_path / "killed/.clip.parts/000001.npz").exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed/masks").exists()
    for output in ("killed", "whole"):
        assert printed(start(clip, tmp_path / output, 3))[0] == 16
    for name, kind in (("masks/clip.mkv", "gray"), ("overlay/clip.mp4", "rgb24")):
        first, second = (read_pictures(tmp_path / output / name, kind) for output in ("killed", "whole"))
        for picture, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(picture, other)
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == [".face_parsing.json", "masks", "overlay"]


def loop(path: Path, source: Path, frames: int) -> Path:
    """Write a clip of so many frames: another one's, over and over, as they are stored."""
    with av.open(str(path), "w") as out:
        with av.open(str(source)) as first:
            stream = out.add_stream_from_template(first.streams.video[0])
        count = 0
        while count < frames:
            with av.open(str(source)) as container:
                for packet in container.demux(video=0):
                    if packet.size and count < frames:
                        packet.stream = stream
                        packet.pts = packet.dts = round(count / 25 / packet.time_base)
                        out.mux(packet)
                        count += 1
    return path


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """2,000 frames of 3840x2160, against 50 of them."""
    frames = moving_face(PHOTO, 10, size=(3840, 2160), face=1600)
    source = write_clip(tmp_path / "source.mp4", frames, options={"bf": "0", "g": "10", "preset": "ultrafast"})
    (short, least), (long, most) = (
        printed(start(loop(tmp_path / f"{count}.mp4", source, count), tmp_path / "out", 240)) for count in (50, 2000)
    )
    assert (short, long) == (50, 2000)
    assert most < 1.25 * least


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
from face_parsing.cli import main
sys.exit(main(["--input", sys.argv[1], "--output", sys.argv[2], "--faces", "off"]))
"""
"""Parse a clip where no file may have more than 1500 bytes, as on a full disk."""


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_face(PHOTO, 12, size=(160, 120), face=112))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", FULL, str(clip), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.endswith(".clip.parts cannot be written: File too large; make room for it, then add --resume to go on.")
