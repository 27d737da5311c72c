"""A ladder of trainings, each of which changes one thing, some side by side, and their table in Markdown.

    python benchmarks/ladder.py benchmarks/ladders/X.yaml --output FOLDER [--jobs 4] [--minutes 9] [--set key=value ...]

The file holds `config` (a recipe), `set` (changes to all rungs), `seeds` and `rungs`: names, each with the list of
its changes. --set comes last, for example for data.root. Each training has a folder and a log of its own under
--output. What is there already is kept: a finished training is not repeated, one that was interrupted goes on. After
--minutes all are interrupted, which saves them, and the table says how far they have come.

F-Scores are means over the seeds, with their standard deviation where there are several, raw / left/right corrected, of
the best epoch without test-time augmentation; the difference is that of the corrected F-Score to the first rung's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import yaml
from tqdm import tqdm

from face_parsing.drawing.plots import read_columns
from face_parsing.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent
RARE = ("eye_g", "hat", "ear_r", "neck_l")
SHUTDOWN_SECONDS = 60


class LadderError(ValueError):
    """A ladder's file that cannot be used."""


@dataclass(frozen=True)
class Rung:
    """One change and the seed it is tried with."""

    name: str
    seed: int
    command: list[str]
    folder: Path

    @property
    def done(self) -> bool:
        """Whether its training has come to its end."""
        return RunFolder(self.folder).scores.exists()

    def start(self, threads: int) -> subprocess.Popen[bytes]:
        """Begin its training or go on with it, in a process group of its own."""
        resume = ["--resume"] if RunFolder(self.folder).last_model.exists() else []
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [*self.command, *resume], cwd=ROOT, stdout=log, stderr=log, env=environment, start_new_session=True
            )


def read_ladder(path: Path, output: Path, overrides: Sequence[str]) -> list[Rung]:
    """The trainings of a ladder's file, all rungs with the first seed before all with the next."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        config, common = str(content["config"]), [str(word) for word in content.get("set", [])]
        seeds = [int(seed) for seed in content["seeds"]]
        changes = {str(name): [str(word) for word in words or []] for name, words in content["rungs"].items()}
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise LadderError(f"{path} is no ladder ({type(error).__name__}: {error}); see benchmarks/ladders.") from None
    rungs = []
    for seed in seeds:
        for name, words in changes.items():
            folder = (output / f"{name}_{seed}").resolve()
            settings = [*common, *words, *overrides, f"run.seed={seed}", f"run.output={folder}"]
            command = [sys.executable, str(ROOT / "src" / "train.py"), "--config", config, "--set", *settings]
            rungs.append(Rung(name, seed, command, folder))
    return rungs


def climb(rungs: Sequence[Rung], *, jobs: int, seconds: float, threads: int) -> None:
    """Train all rungs that are not done, so many at a time; interrupt those that run when the time is over."""
    waiting = [rung for rung in rungs if not rung.done]
    running: dict[str, subprocess.Popen[bytes]] = {}
    end = time.monotonic() + seconds
    with tqdm(total=len(rungs), initial=len(rungs) - len(waiting), desc="trainings") as bar:
        try:
            while (waiting or running) and time.monotonic() < end:
                while waiting and len(running) < jobs:
                    rung = waiting.pop(0)
                    running[rung.folder.name] = rung.start(threads)
                for name in [name for name, process in running.items() if process.poll() is not None]:
                    code = running.pop(name).returncode
                    bar.update()
                    if code:
                        bar.write(f"{name} ended with status {code}; see its log.txt", file=sys.stderr)
                time.sleep(0.5)
        finally:
            for process in running.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            for process in running.values():
                try:
                    process.wait(SHUTDOWN_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


def best_of(rung: Rung) -> dict[str, float] | None:
    """The figures of a training's validation with the highest raw F-Score, and its last epoch and seconds."""
    try:
        columns = read_columns(RunFolder(rung.folder).history)
    except FileNotFoundError:
        return None
    best = columns["f_score"].index(max(columns["f_score"]))
    figures = {name: values[best] for name, values in columns.items()}
    return {**figures, "last_epoch": columns["epoch"][-1], "seconds": columns["seconds"][-1]}


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def table(rungs: Sequence[Rung]) -> str:
    """Markdown, one line a rung."""
    lines = [
        f"| rung | seeds | epochs | F-Score raw | left/right corrected | difference | {' | '.join(RARE)} | minutes |",
        "|---|---|---:|---|---|---:|" + "---:|" * (len(RARE) + 1),
    ]
    first: float | None = None
    for name in dict.fromkeys(rung.name for rung in rungs):
        group = [rung for rung in rungs if rung.name == name]
        found = [(r, best) for r in group if (best := best_of(r)) is not None]
        if not found:
            lines.append(f"| {name} | none validated yet |" + " |" * (len(RARE) + 5))
            continue
        rows = [row for _, row in found]
        ordered = statistics.mean(row["f_score_lr_corrected"] for row in rows)
        first = ordered if first is None else first
        rare = [statistics.mean(row[f"f1_{c}"] for row in rows) for c in RARE]
        seeds = ", ".join(f"{r.seed}{'' if r.done else ' (not at its end)'}" for r, _ in found)
        cells = [
            name, seeds, "/".join(f"{row['last_epoch']:.0f}" for row in rows),
            _mean([row["f_score"] for row in rows]), _mean([row["f_score_lr_corrected"] for row in rows]),
            f"{ordered - first:+.4f}", *(f"{value:.2f}" for value in rare),
            f"{statistics.mean(row['seconds'] for row in rows) / 60:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 2 after a sentence on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ladder", type=Path, help="YAML file of the rungs")
    parser.add_argument("--output", type=Path, required=True, help="folder of the trainings and of table.md")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--threads", type=int, default=1, help="threads of each on the CPU")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="interrupt all after so long")
    parser.add_argument("--set", nargs="+", default=[], dest="overrides", metavar="key=value")
    parser.add_argument("--only", nargs="+", default=[], metavar="RUNG", help="of the rungs, these")
    arguments = parser.parse_args(argv)
    try:
        rungs = read_ladder(arguments.ladder, arguments.output, arguments.overrides)
        unknown = sorted(set(arguments.only) - {rung.name for rung in rungs})
        if unknown:
            raise LadderError(f"{arguments.ladder} has no rung {unknown[0]}; leave it out of --only.")
    except LadderError as error:
        print(f"ladder.py: {error}", file=sys.stderr)
        return 2
    if arguments.only:
        rungs = [rung for rung in rungs if rung.name in arguments.only]
    try:
        climb(rungs, jobs=arguments.jobs, seconds=60 * arguments.minutes, threads=arguments.threads)
    except KeyboardInterrupt:
        print("ladder.py: interrupted; the same command goes on.", file=sys.stderr)
    text = table(rungs)
    arguments.output.mkdir(parents=True, exist_ok=True)
    facts = [json.dumps({"name": r.name, "seed": r.seed, "command": r.command[1:]}) for r in rungs]
    (arguments.output / "commands.jsonl").write_text("\n".join(facts) + "\n", encoding="utf-8")
    (arguments.output / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
