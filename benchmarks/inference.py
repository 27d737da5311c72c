"""Images/s from photos to masks, ours beside others' networks, on the same machine, threads and photos, in one run.

    python benchmarks/inference.py [--threads 2] [--rounds 15] [--cpu_time] [--ways eager bf16 compile onnx int8]
        [--networks NAME ...]
    python benchmarks/inference.py --folder 100 [--ways eager onnx]
    python benchmarks/inference.py --shipped [--threads 2] [--rounds 15] [--cpu_time]

The first takes one decoded photo of 512 px to its mask; the second a folder of JPEGs to PNG masks, as inference.py
does it, with reading and writing beside the network, in five parts; the third one photo of 512 px by the files of
weights/, each at the size that it asks for, on the CPU, and by DeepLab v3+ at 512 px beside them. Every network goes
through the package's own inference/predict.py and inference/folder.py: normalisation, channels-last, BatchNorms fused,
largest class. For ONNX Runtime it is the graph that export.py writes by default, and the package's reader after it:
that takes less time than to choose the class in the graph (--mask), of peers too. The networks take turns in each
round; the figures are medians over the rounds, in brackets how many times as fast ours is. Peers have random weights
(peers.py); the first two are the shipped ones. Multiply-adds are those of convolutions and matrix products as
torch.utils.flop_counter counts them, halved. ONNX Runtime runs on the CPU alone; its 8 bits are fitted to one portrait
here, as for the speed they may.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads of torch would slow ONNX Runtime's, and the PNGs'
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from benchmarks.peers import PEERS
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from face_parsing.data.photos import read_photo
from face_parsing.inference.block_graph import BlockNetwork
from face_parsing.inference.byte_graph import write_byte_graph
from face_parsing.inference.export import PhotoNetwork, trace
from face_parsing.inference.folder import predict_folder
from face_parsing.inference.onnx_export import quantise, write_onnx
from face_parsing.inference.onnx_network import ExportedNetwork, read_onnx, run_onnx
from face_parsing.inference.outputs import Parse
from face_parsing.inference.predict import prepare_model
from face_parsing.inference.torch_network import parse_with
from face_parsing.labels import CELEBAMASK, NUM_CLASSES
from face_parsing.models import build_model, count_parameters
from face_parsing.models.checkpoint import load_networks
from face_parsing.models.light_unet import LightUNet
from face_parsing.system.device import prepare_device
from face_parsing.system.environment import PROJECT_ROOT

WEIGHTS = PROJECT_ROOT / "weights"
PHOTO = PROJECT_ROOT / "docs" / "images" / "astronaut.jpg"
SIZE = 512
PARTS = 5
WAYS = {
    "eager": "PyTorch fp32",
    "bf16": "PyTorch bf16",
    "compile": "torch.compile fp32",
    "onnx": "ONNX Runtime fp32",
    "int8": "ONNX Runtime int8",
}

RUNTIME = {"onnx", "int8"}  # ways of ONNX Runtime
RIVAL = "DeepLab v3+ / MobileNet v2"  # the fastest peer of comparable published accuracy

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ours: fast": lambda: load_networks([WEIGHTS / "face_parsing_fast.pth"], track="challenge")[0][0],
    "ours: reference": lambda: load_networks([WEIGHTS / "face_parsing.pth"], track="challenge")[0][0],
    "ours: separable U-Net": lambda: build_model({"name": "separable_unet"}, NUM_CLASSES),
    **PEERS,
}


# --- ways to run a network ------------------------------------------------------------------------


def exported(ready: nn.Module, threads: int, *, size: int = SIZE, int8: bool) -> Parse:
    """A network from prepare_model in ONNX Runtime on the CPU, as export.py writes it by default, and its reader."""
    photo = np.array(Image.fromarray(portrait()).resize((size, size)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        if int8 and isinstance(ready, LightUNet):
            write_byte_graph(ready, path, [photo], {})
        else:
            unet = ready if isinstance(ready, LightUNet) else None
            whole = BlockNetwork(unet, half=False) if unet else PhotoNetwork(ready, mask=False, half=False)
            write_onnx(trace(whole, size, dynamic=False), path, {}, output="block_logits" if unet else "logits")
            if int8:
                quantise(path, [photo])
        return ExportedNetwork(path, run_onnx(path, threads), CELEBAMASK, size, dynamic=False).parse


def ways_of(network: nn.Module, ways: Sequence[str], device: torch.device, threads: int) -> dict[str, Parse]:
    """From photos to masks in each of the ways."""

    def parse(model: nn.Module, precision: str = "fp32") -> Parse:
        return parse_with([model], image_size=SIZE, device=device, precision=precision)

    ready = prepare_model(network.eval(), device)
    made: dict[str, Parse] = {}
    for way in ways:
        if way == "eager":
            made[way] = parse(ready)
        elif way == "bf16":
            made[way] = parse(ready, "bf16")
        elif way == "compile":
            made[way] = parse(torch.compile(ready, dynamic=False))  # type: ignore[arg-type]
        elif device.type == "cpu":
            made[way] = exported(ready, threads, int8=way == "int8")
    return made


def shipped_ways(threads: int) -> dict[tuple[str, str], Parse]:
    """From photos to masks by each file of weights/, as inference.py does it on a CPU, and by RIVAL at 512 px."""
    cpu = torch.device("cpu")
    rival = prepare_model(NETWORKS[RIVAL]().eval(), cpu)
    made = {(RIVAL, way): exported(rival, threads, int8=way == "int8") for way in ("onnx", "int8")}
    for path in sorted(WEIGHTS.glob("*.pth")):
        models, content = load_networks([path], track="challenge")
        ready = [prepare_model(models[0], cpu)]
        size = content["image_size"]
        for way, precision in (("eager", "fp32"), ("bf16", "bf16")):
            made[path.name, way] = parse_with(ready, image_size=size, device=cpu, precision=precision)
        made[path.name, "onnx"] = exported(ready[0], threads, size=size, int8=False)
        exported_path = path.with_suffix(".onnx")
        made[exported_path.name, "int8"] = read_onnx(exported_path, threads).parse
    return made


# --- measuring ------------------------------------------------------------------------------------


def size_of(network: nn.Module) -> tuple[int, float]:
    """Parameters, and GMAC of one photo."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, SIZE, SIZE))
    return count_parameters(network), counter.get_total_flops() / 2e9


def measure(
    runners: dict[tuple[str, str], Callable[[int], int]],
    rounds: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[tuple[str, str], float]:
    """Images/s of each runner, which is given the round's number and says how many photos it took; after a first."""
    rates: dict[tuple[str, str], list[float]] = {key: [] for key in runners}
    for number in tqdm(range(rounds + 1), desc="rounds", leave=False):
        for key, run in runners.items():
            if device.type == "cuda":
                torch.cuda.synchronize()
            start = clock()
            photos = run(max(number - 1, 0))
            if number:
                rates[key].append(photos / (clock() - start))
    return {key: statistics.median(found) for key, found in rates.items()}


def portrait() -> np.ndarray:
    """One face (SIZE, SIZE, 3) uint8."""
    return np.array(Image.fromarray(read_photo(PHOTO)).resize((SIZE, SIZE)))


def make_photos(folder: Path, count: int) -> list[Path]:
    """JPEGs of one portrait, each shifted, every other one mirrored."""
    face = portrait()
    paths = []
    for i in range(count):
        photo = np.roll(face, (7 * i, 13 * i), (0, 1))[:, :: -1 if i % 2 else 1]
        paths.append(folder / f"{i:04d}.jpg")
        Image.fromarray(np.ascontiguousarray(photo)).save(paths[-1], quality=95)
    return paths


def single(parse: Parse, photo: np.ndarray) -> Callable[[int], int]:
    """A runner of one decoded photo."""

    def run(number: int) -> int:
        return len(parse([photo]))

    return run


def folder_part(parse: Parse, photos: list[Path], output: Path, at_once: int) -> Callable[[int], int]:
    """A runner of a part of a folder, so many photos at once, or 0 for batches."""

    def run(number: int) -> int:
        part = photos[number % PARTS :: PARTS]
        predict_folder(parse, part, output, at_once=at_once, progress=False)
        return len(part)

    return run


# --- the table ------------------------------------------------------------------------------------


def print_table(
    sizes: dict[str, tuple[int, float]], rates: dict[tuple[str, str, str], float], columns: Sequence[tuple[str, str]]
) -> None:
    """A row a network, a column a device and way; the first network is ours."""
    print("| network | parameters | GMAC |" + "".join(f" {d}, {WAYS[w]} |" for d, w in columns))
    print("|---|---:|---:|" + "---:|" * len(columns))
    first = next(iter(sizes))
    for name, (parameters, macs) in sizes.items():
        cells = []
        for device, way in columns:
            rate, ours = rates.get((device, name, way)), rates.get((device, first, way))
            if rate is None or ours is None:
                cells.append("not measured")
            else:
                cells.append(f"{rate:.1f}" if name == first else f"{rate:.1f} ({ours / rate:.2f}x)")
        print(f"| {name} | {parameters:,} | {macs:.2f} | " + " | ".join(cells) + " |")


def measure_shipped(threads: int, rounds: int, clock: Callable[[], float]) -> None:
    """Measure and print the shipped files, and RIVAL beside them."""
    photo = portrait()
    runners = {key: single(parse, photo) for key, parse in shipped_ways(threads).items()}
    rates = measure(runners, rounds, torch.device("cpu"), clock)
    print(f"| file | way | images/s | ms a photo | times as fast as {RIVAL} |\n|---|---|---:|---:|---:|")
    for (name, way), rate in rates.items():
        title = name if name == RIVAL else f"`weights/{name}`"
        ratio = f"{rate / rates[RIVAL, way]:.2f}" if way in RUNTIME else ""
        print(f"| {title} | {WAYS[way]} | {rate:.1f} | {1000 / rate:.1f} | {ratio} |")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=0, help="threads of the CPU; 0 (default): torch's choice")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of one photo each (15)")
    parser.add_argument("--folder", type=int, default=0, metavar="N", help="a folder of N photos instead of one photo")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--cpu_time", action="store_true", help="seconds of CPU, not of the clock: for a busy machine")
    parser.add_argument("--shipped", action="store_true", help="the files of weights/, each at the size it asks for")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    args = parser.parse_args(argv)
    if args.cpu_time and (args.folder or args.threads != 1 or torch.cuda.is_available()):
        parser.error("--cpu_time is for one photo, --threads 1, and no GPU")
    if args.shipped and args.folder:
        parser.error("--shipped takes one photo")
    if args.folder and args.folder < PARTS:
        parser.error(f"--folder {args.folder}: it takes {PARTS} photos at least")
    logging.getLogger("torch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    cpu = torch.device("cpu")
    prepare_device(cpu, threads=args.threads)
    torch.manual_seed(0)
    devices = {"CPU": cpu, "GPU": torch.device("cuda")} if torch.cuda.is_available() else {"CPU": cpu}
    gpu = torch.cuda.get_device_name() if "GPU" in devices else "no GPU"
    print(
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}; {platform.processor() or platform.machine()}, "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads; {gpu}; torch {torch.__version__}"
        f"{'; by CPU time' if args.cpu_time else ''}\n"
    )
    clock = time.process_time if args.cpu_time else time.perf_counter
    if args.shipped:
        measure_shipped(torch.get_num_threads(), args.rounds, clock)
        return 0
    sizes = {name: size_of(NETWORKS[name]()) for name in args.networks}
    rates: dict[tuple[str, str, str], float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        photos = make_photos(Path(temporary), args.folder or 1)
        pixels = read_photo(photos[0])
        for title, device in devices.items():
            runners: dict[tuple[str, str], Callable[[int], int]] = {}
            for name in tqdm(args.networks, desc="preparing", leave=False):
                # Of a folder, as in inference.py, each of ONNX Runtime's threads takes a photo of its own.
                threads = 1 if args.folder else torch.get_num_threads()
                for way, parse in ways_of(NETWORKS[name](), args.ways, device, threads).items():
                    if args.folder:
                        at_once = torch.get_num_threads() if way in RUNTIME else 0
                        runners[name, way] = folder_part(parse, photos, Path(temporary) / "out", at_once)
                    else:
                        runners[name, way] = single(parse, pixels)
            found = measure(runners, PARTS if args.folder else args.rounds, device, clock)
            rates.update({(title, name, way): rate for (name, way), rate in found.items()})
    columns = [(device, way) for device in ("CPU", "GPU") for way in args.ways if device == "CPU" or way not in RUNTIME]
    print_table(sizes, rates, columns)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
