"""How near are a training step and a prediction to what the machine could do, and where does the rest of the time go?

    python benchmarks/profile_step.py [--config configs/X.yaml] [--set key=value ...] [--threads 2] [--size 512]
        [--batch_size 16] [--runs 5] [--cpu_time]

Two floors, neither of which can be gone below. Arithmetic: the multiply-adds of the convolutions and matrix products
(torch.utils.flop_counter; three times the forward pass's for a training step) at the rate that a large matrix product
or a large 3x3 convolution, whichever is better, reaches here in the same precision. Bytes: what
those convolutions must at least read and write (their input, weights and output once each, as if all that stands
between them were done on the way), at the rate that a large copy reaches. Then the time taken, the median of the
runs after a first one, and the operations that take most of it (torch.profiler, own time, without what they call).
Prediction: one decoded photo to its mask in fp32, the config's network with random weights, as inference.py does it.
Training: one step of the config's network, loss and optimiser in the config's precision, on a batch that is there;
on a GPU it is also replayed from a recording, as training does it (run.cuda_graphs).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.loader import build_trainer
from torch import Tensor
from torch.profiler import DeviceType, ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from face_parsing.config.loading import ConfigError, load_config
from face_parsing.config.sections import Config
from face_parsing.inference.predict import exact_arithmetic, parse_photos, prepare_model
from face_parsing.synthetic.dataset import make_pair
from face_parsing.system.device import choose_device, choose_precision, prepare_device
from face_parsing.training.cuda_graph import WARM_UPS
from face_parsing.training.setup import build_network

OPERATIONS = 10  # rows of the table of operations
# So large that starting a kernel is no part of the time: on a CPU, on a GPU.
MATRIX = {"cpu": 2048, "cuda": 8192}
IMAGES = {"cpu": 4, "cuda": 64}
COPIED_BYTES = {"cpu": 2**28, "cuda": 2**32}
CONVOLUTIONS = {"aten::convolution", "aten::convolution_backward"}


class ConvolutionBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of the tensors that go into and come out of convolutions, and of their gradients."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._schema.name in CONVOLUTIONS:
            outputs = result if isinstance(result, tuple) else (result,)
            tensors = [x for x in (*args, *outputs) if isinstance(x, Tensor)]
            self.total += sum(x.numel() * x.element_size() for x in tensors)
        return result


class Bench:
    """A device and the clock by which it is timed."""

    def __init__(self, device: torch.device, clock: Callable[[], float]) -> None:
        self.device, self.clock = device, clock

    def seconds(self, work: Callable[[], object], runs: int) -> list[float]:
        """Of each run, after a first that is not counted."""
        found = []
        for _ in range(runs + 1):
            start = self.clock()
            work()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            found.append(self.clock() - start)
        return found[1:]

    def macs_per_second(self, precision: torch.dtype) -> tuple[float, float]:
        """Of a large matrix product and of a large 3x3 convolution, each at its best."""
        side = MATRIX[self.device.type]
        a, b = (torch.randn(side, side, device=self.device).to(precision) for _ in range(2))
        product_macs = side**3
        B, C, side = IMAGES[self.device.type], 256, 64
        maps = torch.randn(B, side, side, C, device=self.device).to(precision).permute(0, 3, 1, 2)  # channels last
        kernels = torch.randn(C, 3, 3, C, device=self.device).to(precision).permute(0, 3, 1, 2)
        exact = exact_arithmetic() if precision is torch.float32 else contextlib.nullcontext()  # as predictions are
        with torch.no_grad(), exact:
            product = min(self.seconds(lambda: a @ b, 7))
            convolution = min(self.seconds(lambda: F.conv2d(maps, kernels, padding=1), 7))
        return product_macs / product, B * side**2 * C**2 * 9 / convolution

    def bytes_per_second(self) -> float:
        """Read and written by a large copy, at its best."""
        size = COPIED_BYTES[self.device.type]
        source = torch.ones(size, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        return 2 * size / min(self.seconds(lambda: target.copy_(source), 7))

    def operations(self, work: Callable[[], object]) -> list[tuple[str, int, float]]:
        """Name, calls and milliseconds of each operation of one run, the longest first."""
        cuda = self.device.type == "cuda"
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if cuda else [])
        with profile(activities=activities) as profiler:
            work()
            if cuda:
                torch.cuda.synchronize()
        own = "self_device_time_total" if cuda else "self_cpu_time_total"
        # A kernel is counted with its operator, and stands for itself once more.
        events = [event for event in profiler.key_averages() if event.device_type == DeviceType.CPU]
        rows = [(event.key, event.count, getattr(event, own) / 1000) for event in events]
        return sorted(rows, key=lambda row: -row[2])


def name_of(precision: torch.dtype) -> str:
    """``fp32`` and so on."""
    return {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[precision]


def report(bench: Bench, works: dict[str, tuple[Callable[[], object], torch.dtype, float]], runs: int) -> None:
    """The tables of some pieces of work, each with the precision of its convolutions and their multiply-adds."""
    bandwidth = bench.bytes_per_second()
    peaks = {precision: bench.macs_per_second(precision) for _, precision, _ in works.values()}
    print("| measured on this machine | |\n|---|---:|")
    for precision, found in peaks.items():
        print(f"| matrix product of {MATRIX[bench.device.type]}, {name_of(precision)} | {found[0] / 1e9:.0f} GMAC/s |")
        print(f"| 3x3 convolution of 256 channels, {name_of(precision)} | {found[1] / 1e9:.0f} GMAC/s |")
    print(f"| copy of {COPIED_BYTES[bench.device.type] >> 20} MiB, read and written | {bandwidth / 1e9:.1f} GB/s |\n")
    print("| work | GMAC | arithmetic floor, ms | MB | bytes floor, ms | taken, ms | of the higher floor |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for title, (work, precision, macs) in works.items():
        taken = statistics.median(bench.seconds(work, runs))
        with ConvolutionBytes() as moved:
            work()
        floors = macs / max(peaks[precision]), moved.total / bandwidth
        print(
            f"| {title} | {macs / 1e9:.2f} | {1000 * floors[0]:.1f} | {moved.total / 1e6:.0f} | {1000 * floors[1]:.1f} "
            f"| {1000 * taken:.1f} | {max(floors) / taken:.0%} |"
        )
    for title, (work, _, _) in works.items():
        rows = bench.operations(work)
        total = sum(row[2] for row in rows)
        print(f"\n{title}, under the profiler {total:.0f} ms:\n")
        print("| operation | calls | ms | share |\n|---|---:|---:|---:|")
        for name, calls, milliseconds in rows[:OPERATIONS]:
            print(f"| `{name}` | {calls} | {milliseconds:.1f} | {milliseconds / total:.0%} |")
        rest = sum(row[2] for row in rows[OPERATIONS:])
        print(f"| all others | {sum(row[1] for row in rows[OPERATIONS:])} | {rest:.1f} | {rest / total:.0%} |")


def prediction(config: Config, size: int, device: torch.device) -> Callable[[], object]:
    """One photo to its mask."""
    model = prepare_model(build_network(config), device)
    photo, _ = make_pair(0, size=size)
    return lambda: parse_photos([model], [photo], image_size=size, device=device)


def training_step(config: Config, size: int, batch_size: int, device: torch.device) -> Callable[[], object]:
    """One step on a batch of one face."""
    trainer = build_trainer(config, device)
    photo, mask = (torch.from_numpy(np.stack([array] * batch_size)) for array in make_pair(0, size=size))
    batches = itertools.repeat((photo.to(device), mask.to(device)))
    return lambda: trainer.train_epoch(batches, 1)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print. Returns 0, or 2 after an error of the user."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", dest="overrides", nargs="+", default=[], metavar="section.key=value")
    parser.add_argument("--threads", type=int, default=0, help="threads of the CPU; 0 (default): torch's choice")
    parser.add_argument("--size", type=int, default=512, help="height and width, pixels (512)")
    parser.add_argument("--batch_size", type=int, default=16, help="of a training step (16)")
    parser.add_argument("--runs", type=int, default=5, help="timed runs (5)")
    parser.add_argument("--cpu_time", action="store_true", help="seconds of CPU, not of the clock: for a busy machine")
    args = parser.parse_args(argv)
    try:
        # The operations of a compiled or a recorded step have no names, and its convolutions cannot be counted.
        config = load_config(args.config, [*args.overrides, "run.compile=false", "run.cuda_graphs=false"])
        device = choose_device(config.run.device)
    except (ConfigError, ValueError) as error:
        print(f"profile_step.py: {error}", file=sys.stderr)
        return 2
    if args.cpu_time and (args.threads != 1 or device.type == "cuda"):
        parser.error("--cpu_time is for --threads 1 and no GPU")
    prepare_device(device, threads=args.threads)
    precision = choose_precision(config.run.precision, device)
    torch.manual_seed(0)
    machine = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()}, {os.cpu_count()} cores"
    print(
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}; {machine}, {torch.get_num_threads()} threads; "
        f"torch {torch.__version__}; {args.size} px{'; by CPU time' if args.cpu_time else ''}\n"
    )
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        build_network(config).eval()(torch.zeros(1, 3, args.size, args.size))
    macs = flops.get_total_flops() / 2
    step = training_step(config, args.size, args.batch_size, device)
    works = {
        "prediction, one photo, fp32": (prediction(config, args.size, device), torch.float32, macs),
        f"training step, batch {args.batch_size}, {name_of(precision)}": (step, precision, 3 * macs * args.batch_size),
    }
    bench = Bench(device, time.process_time if args.cpu_time else time.perf_counter)
    report(bench, works, args.runs)
    if device.type == "cuda":
        recorded = load_config(args.config, [*args.overrides, "run.compile=false", "run.cuda_graphs=true"])
        replayed = training_step(recorded, args.size, args.batch_size, device)
        bench.seconds(replayed, WARM_UPS)
        print(f"\nReplayed from a recording: {1000 * statistics.median(bench.seconds(replayed, args.runs)):.1f} ms.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
