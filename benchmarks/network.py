"""What the network is made of: stages, sizes, parameters, multiply-adds, as a Markdown table.

    python benchmarks/network.py [--config configs/X.yaml] [--set key=value ...] [--size 512]

Multiply-adds are those of convolutions and matrix products, as torch.utils.flop_counter counts them, halved.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from config import PARAMETER_LIMIT, load_config
from labels import NUM_CLASSES
from models import build_model, count_parameters


def parts_of(model: nn.Module) -> list[tuple[str, list[str]]]:
    """The rows of the table: a name and the submodules that belong to it."""
    stages = len(list(model.get_submodule("stages").children()))
    ups = len(list(model.get_submodule("ups").children()))
    rows = [("stem", ["stem"])]
    rows += [(f"encoder 1/{2 ** (i + 1)}", [f"downs.{i}", f"stages.{i}"]) for i in range(stages)]
    rows += [(f"decoder 1/{2 ** (ups - i)}", [f"ups.{i}"]) for i in range(ups)]
    return [*rows, ("classifier", ["head"])]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", dest="overrides", nargs="+", default=[], metavar="section.key=value")
    parser.add_argument("--size", type=int, default=512, help="height and width of the input, pixels (512)")
    args = parser.parse_args()
    config = load_config(args.config, args.overrides)
    model = build_model(config.to_dict()["model"], NUM_CLASSES).eval()
    shapes: dict[str, tuple[int, ...]] = {}

    def remember(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            shapes[name] = tuple(output.shape[1:])

        return hook

    rows = parts_of(model)
    for _, names in rows:
        model.get_submodule(names[-1]).register_forward_hook(remember(names[-1]))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, args.size, args.size))
    counts = counter.get_flop_counts()
    root = type(model).__name__
    print(f"| part | output at {args.size} px | parameters | GMAC |\n|---|---|---:|---:|")
    for title, names in rows:
        parameters = sum(count_parameters(model.get_submodule(name)) for name in names)
        macs = sum(sum(counts.get(f"{root}.{name}", {}).values()) for name in names) / 2e9
        channels, height, width = shapes[names[-1]]
        print(f"| {title} | {channels} x {height} x {width} | {parameters:,} | {macs:.2f} |")
    total = counter.get_total_flops() / 2e9
    print(f"| all | limit {PARAMETER_LIMIT:,} | {count_parameters(model):,} | {total:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
