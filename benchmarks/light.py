"""How light parsing is: time and memory from a cold start, of large photos and of a folder, as a Markdown table.

    python benchmarks/light.py [--runs 3] [--threads 2] [--rows ROW ...] [--against CHECKOUT]

Each row is a process of its own, ``inference.py`` with the 8-bit reference, from its start to its end; memory is the
most that it held at once, as the operating system counted it. With ``--against``, another checkout of this project
does the same beside it, in the same Python: the two take turns in each run, and a last pair of columns says how many
times as fast and as small this one is. Times are medians over the runs, with the fastest and the slowest behind them.
Photos are docs/images/astronaut.jpg, enlarged: no data set is needed. The warm photo is decoded, of 512 px, and
passes one process many times; ``runtime`` is what ONNX Runtime takes of that.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PHOTO = "docs/images/astronaut.jpg"

# These run in processes of their own: what this process holds would count as theirs, for it is where they start.
MAKE = """
import sys
from pathlib import Path
from PIL import Image, ImageChops, ImageOps
folder, photo = Path(sys.argv[1]), Image.open(sys.argv[2]).convert("RGB")
def save(image, path, quality=92):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=quality)
save(photo, folder / "one" / "photo.jpg")
large = photo.resize((6000, 4000), Image.Resampling.BICUBIC)
for i in range(6):
    save(ImageOps.mirror(large) if i % 2 else large, folder / "six" / f"{i}.jpg")
save(photo.resize((9000, 8000), Image.Resampling.BICUBIC), folder / "largest" / "photo.jpg")
for i in range(100):
    shifted = ImageChops.offset(photo, 13 * i, 7 * i)
    save(ImageOps.mirror(shifted) if i % 2 else shifted, folder / "hundred" / f"{i:03d}.jpg", 95)
"""

WARM = """
import statistics, sys, time
from pathlib import Path
from PIL import Image
import numpy as np
path, photo, threads, runtime = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "runtime"
try:
    from face_parsing.inference.onnx_network import read_onnx
except ImportError:  # before 2026-12
    from onnx_file import read_onnx
network = read_onnx(path, threads)
pixels = np.array(Image.open(photo).convert("RGB").resize((512, 512)))
spent = []
run = network.run
def timed(photos):
    start = time.perf_counter()
    found = run(photos)
    spent.append(time.perf_counter() - start)
    return found
object.__setattr__(network, "run", timed)
whole = []
for _ in range(60):
    start = time.perf_counter()
    network.parse([pixels])
    whole.append(time.perf_counter() - start)
print(statistics.median((spent if runtime else whole)[10:]))
"""


@dataclass(frozen=True)
class Row:
    """One thing that is measured: its title, the folder of photos, and the options of inference.py or, warm, none."""

    title: str
    photos: str
    options: tuple[str, ...] = ()
    model: str = "face_parsing_open.onnx"
    warm: str = ""


ROWS = {
    "one": Row("one photo, `--color --overlay`", "one", ("--color", "--overlay")),
    "checkpoint": Row("the same with the .pth", "one", ("--color", "--overlay"), "face_parsing_open.pth"),
    "warm": Row("photo of 512 px to its mask, warm", "one", warm="whole"),
    "runtime": Row("of which ONNX Runtime", "one", warm="runtime"),
    "six": Row("six photos of 24 MP", "six"),
    "six_overlay": Row("six photos of 24 MP, `--overlay`", "six", ("--overlay",)),
    "six_all": Row("six photos of 24 MP, `--color --overlay`", "six", ("--color", "--overlay")),
    "largest": Row("one photo of 72 MP, `--color --overlay`", "largest", ("--color", "--overlay")),
    "hundred": Row("100 JPEGs of 512 px", "hundred"),
}


@dataclass(frozen=True)
class Measured:
    """Seconds, and the most memory held at once, in MB."""

    seconds: float
    megabytes: float


def measure(command: Sequence[str | Path], checkout: Path) -> tuple[Measured, str]:
    """Run a command in a checkout, with its modules. Returns what it took and printed. Raises RuntimeError with it."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    with tempfile.TemporaryFile("w+") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=checkout, env=environment, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        printed = out.read()
    if process.returncode:
        raise RuntimeError(f"{checkout}: {' '.join(map(str, command))} ended with {process.returncode}:\n{printed}")
    return Measured(seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 1000)), printed


def run_row(row: Row, checkout: Path, photos: Path, output: Path, threads: int) -> Measured:
    """One row, once."""
    model = checkout / "weights" / row.model
    words: list[str | Path] = [sys.executable]
    if row.warm:
        words += ["-c", WARM, model, photos / row.photos / "photo.jpg", str(threads), row.warm]
        taken, printed = measure(words, checkout)
        return Measured(float(printed.split()[-1]), taken.megabytes)
    shutil.rmtree(output, ignore_errors=True)
    words += ["src/inference.py", "--model_path", model, "--threads", str(threads), *row.options]
    return measure([*words, "--input", photos / row.photos, "--output", output], checkout)[0]


def _spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    return f"{show(statistics.median(values))} ({show(min(values))} to {show(max(values))})"


def seconds(value: float) -> str:
    """A time as people read it."""
    return f"{1000 * value:.1f} ms" if value < 0.1 else f"{value:.2f} s"


def table_row(row: Row, runs: Sequence[Sequence[Measured]]) -> str:
    """A row of the table, of the runs of each checkout, this one first."""
    cells = [row.title]
    for found in reversed(runs):
        cells.append(_spread([one.seconds for one in found], seconds))
        cells.append("" if row.warm else f"{statistics.median(one.megabytes for one in found):.0f} MB")
    if len(runs) == 2:
        ours, theirs = runs
        ratios = [other.seconds / one.seconds for one, other in zip(ours, theirs, strict=True)]
        cells.append(_spread(ratios, lambda ratio: f"{ratio:.2f}"))
        small = statistics.median(other.megabytes / one.megabytes for one, other in zip(ours, theirs, strict=True))
        cells.append("" if row.warm else f"{small:.1f}")
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="how often each row is measured (3)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="some rows alone")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout, to take turns with this")
    args = parser.parse_args(argv)
    checkouts = [ROOT, *([args.against.resolve()] if args.against else [])]
    print(
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}; {platform.processor() or platform.machine()}, "
        f"{os.cpu_count()} cores, {args.threads} threads; load {os.getloadavg()[0]:.1f} before; {args.runs} runs\n"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run([sys.executable, "-c", MAKE, str(folder), str(ROOT / PHOTO)], check=True)
        heads = [*(["before", "MB"] if args.against else []), "here", "MB"]
        heads += ["times as fast", "times as small"] if args.against else []
        print(f"| | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
        for name in args.rows:
            runs: list[list[Measured]] = [[] for _ in checkouts]
            for _ in range(args.runs):
                for found, checkout in zip(runs, checkouts, strict=True):
                    found.append(run_row(ROWS[name], checkout, folder, folder / "out", args.threads))
            print(table_row(ROWS[name], runs), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
