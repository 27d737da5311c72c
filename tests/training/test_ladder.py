"""benchmarks/ladder.py: which trainings a ladder asks for, what is repeated, and the table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import ladder  # noqa: E402 - benchmarks is no package

RUNGS = """
config: configs/networks/unet.yaml
set: [run.workers=0]
seeds: [0, 1]
rungs:
  none:
  low rate: [optimizer.lr=1e-3]
"""
COLUMNS = "epoch,f_score,f_score_lr_corrected,seconds,f1_eye_g,f1_hat,f1_ear_r,f1_neck_l"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ladder.yaml"
    path.write_text(RUNGS, encoding="utf-8")
    return path


def write(rung: ladder.Rung, *lines: str, done: bool = True) -> None:
    rung.folder.mkdir(parents=True)
    (rung.folder / "history.csv").write_text("\n".join([COLUMNS, *lines]) + "\n", encoding="utf-8")
    if done:
        (rung.folder / "scores.json").write_text("{}", encoding="utf-8")


def test_all_rungs_come_with_the_first_seed_before_the_next(file: Path, tmp_path: Path) -> None:
    rungs = ladder.read_ladder(file, tmp_path / "out", ["data.root=elsewhere"])
    assert [(r.name, r.seed) for r in rungs] == [("none", 0), ("low rate", 0), ("none", 1), ("low rate", 1)]
    words = rungs[3].command
    assert words[words.index("--config") + 1] == "configs/networks/unet.yaml"
    assert words[words.index("--set") + 1 :] == [
        "run.workers=0", "optimizer.lr=1e-3", "data.root=elsewhere", "run.seed=1",
        f"run.output={tmp_path / 'out' / 'low rate_1'}",
    ]  # fmt: skip


def test_the_table_takes_each_best_epoch_and_the_difference_to_the_first_rung(file: Path, tmp_path: Path) -> None:
    rungs = ladder.read_ladder(file, tmp_path / "out", [])
    write(rungs[0], "5,0.80,0.81,60,0.5,0.4,0.3,", "10,0.79,0.80,120,0.1,0.1,0.1,")
    write(rungs[1], "5,0.82,0.83,60,0.7,0.4,0.3,0.2", done=False)
    write(rungs[2], "10,0.82,0.83,180,0.7,0.6,0.5,")
    lines = ladder.table(rungs).splitlines()
    assert lines[2] == (
        "| none | 0, 1 | 10/10 | 0.8100 ± 0.0141 | 0.8200 ± 0.0141 | +0.0000 | 0.60 | 0.50 | 0.40 | nan | 2.5 |"
    )
    assert (
        lines[3]
        == "| low rate | 0 (not at its end) | 5 | 0.8200 | 0.8300 | +0.0100 | 0.70 | 0.40 | 0.30 | 0.20 | 1.0 |"
    )
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_a_rung_without_a_score_has_its_line(file: Path, tmp_path: Path) -> None:
    lines = ladder.table(ladder.read_ladder(file, tmp_path / "out", [])).splitlines()
    assert lines[2].startswith("| none | none validated yet |")
    assert lines[2].count("|") == lines[0].count("|")


def test_trainings_are_resumed_run_side_by_side_and_not_repeated(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "training.py"
    script.write_text(
        "import pathlib, sys\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "(folder / 'scores.json').write_text('{}')\n"
        "print('--resume' in sys.argv)\n"
        "sys.exit(int(sys.argv[2]))\n",
        encoding="utf-8",
    )

    def rung(name: str, status: int) -> ladder.Rung:
        folder = tmp_path / f"{name}_0"
        return ladder.Rung(name, 0, [sys.executable, str(script), str(folder), str(status)], folder)

    rungs = [rung("done", 9), rung("begun", 0), rung("broken", 3)]
    write(rungs[0])
    (rungs[1].folder / "checkpoints").mkdir(parents=True)
    (rungs[1].folder / "checkpoints" / "last_model.pth").touch()
    ladder.climb(rungs, jobs=2, seconds=60, threads=1)
    assert not (rungs[0].folder / "log.txt").exists()
    assert (rungs[1].folder / "log.txt").read_text(encoding="utf-8") == "True\n"
    assert (rungs[2].folder / "log.txt").read_text(encoding="utf-8") == "False\n"
    assert "broken_0 ended with status 3; see its log.txt" in capfd.readouterr().err


def test_what_still_runs_when_the_time_is_over_is_asked_to_stop(tmp_path: Path) -> None:
    folder = tmp_path / "slow_0"
    code = (
        "import pathlib, signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(folder / 'told')!r}).touch(), sys.exit(130)))\n"
        f"pathlib.Path({str(folder / 'ready')!r}).touch()\n"
        "time.sleep(60)\n"
    )
    ladder.climb([ladder.Rung("slow", 0, [sys.executable, "-c", code], folder)], jobs=1, seconds=2, threads=1)
    assert (folder / "ready").exists()
    assert (folder / "told").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "config: x\nseeds: [0]\n", "config: x\nseeds: [a]\nrungs: {}\n", "a: [", "rungs: 3"]
)
def test_a_file_that_is_no_ladder_is_named(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    assert ladder.main([str(path), "--output", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"ladder.py: {path} is no ladder (")
    assert not (tmp_path / "out").exists()


def test_the_ladders_here_are_of_recipes_and_keys_that_exist(tmp_path: Path) -> None:
    from face_parsing.config.loading import load_config

    files = sorted((ROOT / "benchmarks" / "ladders").glob("*.yaml"))
    assert files
    for path in files:
        for rung in ladder.read_ladder(path, tmp_path, []):
            words = rung.command
            recipe = ROOT / words[words.index("--config") + 1]
            config = load_config(recipe, words[words.index("--set") + 1 :])
            assert config.track == ("open" if path.stem == "pairs" else "challenge"), rung.name


def test_what_was_run_is_written_down(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert ladder.main([str(file), "--output", str(out), "--minutes", "0"]) == 0
    assert (out / "table.md").read_text(encoding="utf-8") == capsys.readouterr().out
    commands = [json.loads(line) for line in (out / "commands.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [c["seed"] for c in commands] == [0, 0, 1, 1]
    assert ladder.main([str(file), "--output", str(out), "--only", "other"]) == 2
