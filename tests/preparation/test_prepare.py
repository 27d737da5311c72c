"""The output folder of every preparation: what is there already, what is refused, and what is left by a kill."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prepared_files import Run, files, write_celeba, write_root

import prepare
from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import find_pairs
from face_parsing.data.provenance import broken_rule, read_provenance
from face_parsing.preparation import copying


def test_a_second_call_does_what_is_missing(tmp_path: Path, run: Run) -> None:
    source, out = write_root(tmp_path / "s", {"train": 4, "val": 2, "test": 1}), tmp_path / "out"
    words = ("flip", "--source", source, "--output", out)
    assert "11 made now, 0 were there already" in run(*words)[1]
    complete = files(out)
    kept = out / "train" / "images" / "a0.png"
    before = kept.stat().st_mtime_ns
    (out / "train" / "images" / "a1_flipped.png").unlink()
    (out / "train" / "masks" / "a2.png").unlink()
    (out / "val" / "images" / "a0.png").unlink()
    (out / "val" / "masks" / "a0.png").unlink()
    leftover = out / "train" / "masks" / ".123.a3.png"
    leftover.write_bytes(b"half")
    assert "3 made now, 8 were there already" in run(*words)[1]
    assert not leftover.exists()
    assert files(out) == complete
    assert kept.stat().st_mtime_ns == before


def test_an_interrupted_call_can_be_repeated(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write_root(tmp_path / "s", {"train": 4}), tmp_path / "out"
    calls = itertools.count()

    def interrupted(call: Callable[[], object]) -> object:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return call()

    with monkeypatch.context() as patch:
        patch.setattr(copying, "_guarded", interrupted)
        status, _, complaint = run("layout", "--source", source, "--output", out)
    assert status == 130
    assert "interrupted; the same command goes on where it stopped" in complaint
    record = read_provenance(out)
    assert record is not None
    assert record["pairs"] is None
    assert len(find_pairs(out / "train")) == 2
    assert "2 made now, 2 were there already" in run("layout", "--source", source, "--output", out)[1]


def test_a_killed_call_leaves_whole_files_and_no_process(tmp_path: Path, root: Path) -> None:
    source, out = write_root(tmp_path / "s", {"train": 100}), tmp_path / "out"
    words = [sys.executable, "src/prepare.py", "flip", "--source", source, "--output", out, "--workers", "2"]
    process = subprocess.Popen(list(map(str, words)), cwd=root, stderr=subprocess.DEVNULL)
    masks = out / "train" / "masks"
    deadline = time.monotonic() + 60
    while (not masks.is_dir() or len(list(masks.glob("*.png"))) < 20) and time.monotonic() < deadline:
        time.sleep(0.005)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(pid) for pid in children.read_text().split()] if children.is_file() else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in masks.glob("[!.]*.png"):
        read_mask(path)
    while any(Path(f"/proc/{pid}").exists() and _state(pid) != "Z" for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert prepare.main([*map(str, words[2:-1]), "1"]) == 0
    assert len(find_pairs(out / "train")) == 200
    assert not list(out.rglob(".*"))


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_output_of_another_command_is_refused(tmp_path: Path, run: Run) -> None:
    source, out = write_root(tmp_path / "s", {"train": 2}), tmp_path / "out"
    assert run("layout", "--source", source, "--output", out)[0] == 0
    before = files(out)
    for words in (
        ("flip", "--source", source),
        ("layout", "--source", source, "--size", 16),
        ("layout", "--source", source, "--order", "zllrunning"),
        ("layout", "--source", write_root(tmp_path / "other", {"train": 1})),
    ):
        status, _, complaint = run(*words, "--output", out)
        assert status == 2
        assert f"{out} was made by another command (prepare.py layout --source {source}" in complaint
        assert "--overwrite" in complaint
    assert files(out) == before
    (out / "notes.txt").write_text("mine", "utf-8")
    status, said, _ = run("layout", "--source", tmp_path / "other", "--output", out, "--overwrite")
    assert status == 0
    assert "train 1 pairs; 1 made now, 0 were there" in said
    assert [pair.stem for pair in find_pairs(out / "train")] == ["a0"]
    assert (out / "notes.txt").is_file()


def test_files_of_the_user_are_not_replaced_unasked(tmp_path: Path, run: Run) -> None:
    source, out = write_root(tmp_path / "s", {"train": 1}), write_root(tmp_path / "mine", {"train": 2})
    before = files(out)
    status, _, complaint = run("layout", "--source", source, "--output", out)
    assert status == 2
    assert f"{out / 'train' / 'images'} holds files that this command did not make" in complaint
    assert files(out) == before
    status, _, complaint = run("layout", "--source", tmp_path / "wrong", "--output", out, "--overwrite")
    assert (status, files(out)) == (2, before)  # a wrong source costs nothing
    (tmp_path / "file").write_text("x", "utf-8")
    assert "is a file" in run("layout", "--source", source, "--output", tmp_path / "file")[2]


def test_source_and_output_must_lie_apart(tmp_path: Path, run: Run) -> None:
    source = write_root(tmp_path / "s", {"train": 1})
    before = files(source)
    link = tmp_path / "link"
    link.symlink_to(source)
    for output in (source, link, tmp_path / "x" / ".." / "s"):
        assert "is the source itself" in run("layout", "--source", source, "--output", output, "--overwrite")[2]
    for output in (source / "out", link / "out"):
        assert "lies inside the source" in run("layout", "--source", source, "--output", output, "--overwrite")[2]
    view = tmp_path / "view"  # a layout of links to what the output is
    view.mkdir()
    (view / "train_image").symlink_to(source / "train" / "images")
    (view / "train_mask").symlink_to(source / "train" / "masks")
    complaint = run("layout", "--source", view, "--output", source, "--overwrite")[2]
    assert "is read but lies inside --output" in complaint
    assert files(source) == before


def test_what_breaks_the_rules_is_inherited(tmp_path: Path, run: Run) -> None:
    source = write_celeba(tmp_path / "full", {0: 1, 1: 2})
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("celebamask-hq", "--source", source, "--output", first, "--size", 32)[0] == 0
    (first / "provenance.json").write_text(
        (first / "provenance.json").read_text().replace('"external_data"', '"teacher"'), "utf-8"
    )
    assert run("flip", "--source", first, "--output", second)[0] == 0
    assert broken_rule(second) == "teacher"
    (first / "provenance.json").write_text("[]", "utf-8")
    assert "holds no provenance" in run("flip", "--source", first, "--output", tmp_path / "third")[2]


def test_links_are_made_where_they_can_be(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_root(tmp_path / "s", {"train": 1, "test": 1})
    linked = tmp_path / "view" / "train"
    linked.mkdir(parents=True)
    for part in ("images", "masks"):
        (linked / part).symlink_to(source / "train" / part)
    assert run("layout", "--source", tmp_path / "view", "--output", tmp_path / "out", "--link")[0] == 0
    original, copied = source / "train/images/a0.png", tmp_path / "out/train/images/a0.png"
    assert copied.samefile(original)
    assert not copied.is_symlink()

    def across_devices(*_: object) -> None:
        raise OSError("another device")

    monkeypatch.setattr(os, "link", across_devices)
    assert run("layout", "--source", tmp_path / "view", "--output", tmp_path / "far", "--link")[0] == 0
    assert not (tmp_path / "far/train/images/a0.png").samefile(original)
    assert (tmp_path / "far/train/images/a0.png").read_bytes() == original.read_bytes()


def test_many_problems_are_cut_short(tmp_path: Path, run: Run) -> None:
    source = write_root(tmp_path / "s", {"train": 1})
    for i in range(45):
        (source / "train" / "images" / f"x{i:02d}.jpg").write_bytes(b"")
    lines = run("layout", "--source", source, "--output", tmp_path / "out")[2].splitlines()
    assert "45 problems" in lines[0]
    assert len(lines) == 32
    assert lines[-1].strip() == "... and 15 more"


@pytest.mark.parametrize(
    ("name", "words"), [("group", "data.classes"), ("flip", "mirrors on the fly"), ("layout", "SPLIT_image")]
)
def test_help_says_what_training_does_itself(name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        prepare.main([name, "--help"])
    assert caught.value.code == 0
    assert words in capsys.readouterr().out
