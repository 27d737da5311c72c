"""What a network is made of, or how all of them compare, as a Markdown table.

    python benchmarks/network.py [--config configs/X.yaml] [--set key=value ...] [--size 512]
    python benchmarks/network.py --all [--config configs/X.yaml ...] [--size 512] [--threads 2] [--runs 9]

The first gives one network's parts: sizes, parameters, multiply-adds. The second compares those of configs/networks
and configs/open, or of the given configs, with their speed: on the CPU in fp32 one image at a time, on a GPU, where
there is one, in bf16 sixteen at a time; channels last, without compiling, the median of the runs after a first one.
Weights are random, nothing is downloaded. Multiply-adds are those of convolutions and matrix products, as
torch.utils.flop_counter counts them, halved.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from face_parsing.challenge import PARAMETER_LIMIT
from face_parsing.config.loading import ConfigError, load_config
from face_parsing.config.sections import Config
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model, count_parameters

ROOT = Path(__file__).resolve().parent.parent
GPU_BATCH = 16


# --- one network ----------------------------------------------------------------------------------


def parts_of(model: nn.Module) -> list[tuple[str, list[str]]]:
    """The rows of the table: a name and the submodules that belong to it."""
    children = dict(model.named_children())
    if "ups" in children:  # the reference U-Net
        stages, ups = (len(list(children[name].children())) for name in ("stages", "ups"))
        rows = [("stem", ["stem"])]
        rows += [(f"encoder 1/{2 ** (i + 1)}", [f"downs.{i}", f"stages.{i}"]) for i in range(stages)]
        rows += [(f"decoder 1/{2 ** (ups - i)}", [f"ups.{i}"]) for i in range(ups)]
        return [*rows, ("classifier", ["head"])]
    if set(children) == {"network"}:
        return [(name, [f"network.{name}"]) for name, _ in children["network"].named_children()]
    rows = []
    for name, child in children.items():
        inner = [f"{name}.{i}" for i in range(len(child))] if isinstance(child, nn.ModuleList) else [name]
        rows += [(part.replace(".", " "), [part]) for part in inner]
    return rows


def print_parts(model: nn.Module, size: int) -> None:
    """The table of one network, whose parts each give one map."""
    shapes: dict[str, tuple[int, ...]] = {}

    def remember(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor | Sequence[Tensor]) -> None:
            shapes[name] = tuple((output if isinstance(output, Tensor) else output[-1]).shape[1:])

        return hook

    rows = parts_of(model)
    for _, names in rows:
        model.get_submodule(names[-1]).register_forward_hook(remember(names[-1]))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, size, size))
    counts = counter.get_flop_counts()
    root = type(model).__name__
    print(f"| part | output at {size} px | parameters | GMAC |\n|---|---|---:|---:|")
    for title, names in rows:
        parameters = sum(count_parameters(model.get_submodule(name)) for name in names)
        macs = sum(sum(counts.get(f"{root}.{name}", {}).values()) for name in names) / 2e9
        channels, height, width = shapes[names[-1]]
        print(f"| {title} | {channels} x {height} x {width} | {parameters:,} | {macs:.2f} |")
    total = counter.get_total_flops() / 2e9
    print(f"| all | limit {PARAMETER_LIMIT:,} | {count_parameters(model):,} | {total:.2f} |")


# --- all networks ---------------------------------------------------------------------------------


def median_seconds(run: Callable[[], object], runs: int) -> float:
    """Of one call, after a first that is not counted."""
    run()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def cpu_speed(model: nn.Module, size: int, runs: int) -> float:
    """Images a second in fp32, one at a time."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    photo = torch.randn(1, 3, size, size).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return 1 / median_seconds(lambda: model(photo), runs)


def gpu_speed(model: nn.Module, size: int, runs: int) -> float:
    """Images a second in bf16, GPU_BATCH at a time."""
    model.to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
    photos = torch.randn(GPU_BATCH, 3, size, size, device="cuda").to(memory_format=torch.channels_last)

    def run() -> None:
        model(photos)
        torch.cuda.synchronize()

    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        return GPU_BATCH / median_seconds(run, runs)


def count(description: dict[str, Any], size: int) -> tuple[int, float]:
    """Parameters and GMAC of a network, without its memory."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = build_model(description, NUM_CLASSES).eval()
        model(torch.zeros(1, 3, size, size))
    return count_parameters(model), counter.get_total_flops() / 2e9


def title_of(config: Config) -> str:
    """What the table calls a config's network."""
    model = config.to_dict()["model"]
    return f"smp {model['architecture']} / {model['encoder']}" if model["name"] == "smp" else model["name"]


def print_comparison(configs: Sequence[Config], *, size: int, runs: int) -> None:
    """The table of all networks, one row a config."""
    gpu = torch.cuda.is_available()
    threads = f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    fastest = torch.cuda.get_device_name() if gpu else "none here"
    rows = []
    for config in tqdm(configs, desc="networks"):
        description = config.to_dict()["model"]
        parameters, macs = count(description, size)
        model = build_model(description, NUM_CLASSES).eval()
        cpu = f"{cpu_speed(model, size, runs):.3g}"
        fast = f"{gpu_speed(model, size, runs):.0f}" if gpu else "not measured"
        rows.append(f"| {title_of(config)} | {parameters:,} | {macs:.2f} | {cpu} | {fast} |")
    print(f"| network | parameters | GMAC at {size} px | CPU images/s ({threads}) | GPU images/s ({fastest}) |")
    print("\n".join(["|---|---:|---:|---:|---:|", *rows]))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table. Returns 0, or 2 after an error of the user."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="compare networks: those of configs/networks and /open")
    parser.add_argument("--config", type=Path, action="append", default=[], help="config; repeated with --all")
    parser.add_argument("--set", dest="overrides", nargs="+", default=[], metavar="section.key=value")
    parser.add_argument("--size", type=int, default=512, help="height and width of the input, pixels (512)")
    parser.add_argument("--threads", type=int, default=0, help="threads of the CPU; 0 (default): torch's choice")
    parser.add_argument("--runs", type=int, default=9, help="timed runs of each network (9)")
    args = parser.parse_args(argv)
    if len(args.config) > 1 and not args.all:
        parser.error("several --config need --all")
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        if args.all:
            found = [path for folder in ("networks", "open") for path in sorted((ROOT / "configs" / folder).glob("*"))]
            configs = [load_config(path, args.overrides) for path in args.config or found]
            print_comparison(configs, size=args.size, runs=args.runs)
        else:
            config = load_config(args.config[0] if args.config else None, args.overrides)
            print_parts(build_model(config.to_dict()["model"], NUM_CLASSES).eval(), args.size)
    except (ConfigError, ValueError) as error:
        print(f"network.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
