"""Does the device wait for data? Both ways of augmentation side by side, and a plain loop beside them.

    python benchmarks/loader.py [--config configs/X.yaml] [--set key=value ...] [--size 512] [--workers N] [--steps 30]

For pairs augmented in loader processes, on the device with all pairs there, and on the device with each batch copied:
images/s of loading alone, of training steps alone (on a batch that is already there), of both together as in training,
and the busy share, which is the second's time over the third's: 100 % is a step that never waits, and augmentation that
runs beside it and costs it nothing. Last a plain loop: the same network in fp32, NCHW, with torchvision's transforms on
PIL images, decoded anew by 4 workers. Uses the config's data, or synthetic faces where there is none.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ColorJitter, InterpolationMode
from torchvision.transforms import functional as tv

from face_parsing.config.loading import load_config
from face_parsing.config.sections import Config, as_dict
from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import Batch
from face_parsing.data.device_loader import DeviceLoader, build_device_loader, joined_batches
from face_parsing.data.loader import build_loader
from face_parsing.data.pairs import Pair
from face_parsing.data.sampler import EpochSampler, repeat_factors
from face_parsing.data.split import make_split
from face_parsing.synthetic.dataset import write_dataset
from face_parsing.system.device import choose_device, choose_precision, prepare_device
from face_parsing.system.environment import describe_environment
from face_parsing.system.workers import LOADED_AHEAD, loader_workers
from face_parsing.training.fused_loss import CombinedLoss
from face_parsing.training.pairs import build_training_set
from face_parsing.training.schedule import Cycles
from face_parsing.training.setup import build_network
from face_parsing.training.trainer import Trainer

PLAIN_WORKERS = 4
WARM_UP = 3
"""Steps before a measurement, in which kernels are chosen and memory is taken."""


def load_pairs(config: Config, folder: Path) -> PairStore:
    """The config's training pairs, or 64 synthetic ones that are written to the folder."""
    root = config.paths.root
    if not (root / "train").exists():
        print(f"{root / 'train'} does not exist; using 64 synthetic faces.")
        root = folder / "faces"
        write_dataset(root, train=64, val=1, size=config.data.size, progress=False)
    data = config.data
    split = make_split(root, val_stems=config.paths.val_stems, val_fraction=data.val_fraction, seed=data.split_seed)
    return PairStore(split.train, config.data.size, repair=True, limit_bytes=config.data.cache_gb * 1e9)


def build_trainer(config: Config, device: torch.device, *, plain: bool = False) -> Trainer:
    """A trainer of the config's network, of which only the speed counts; plain: in fp32 and NCHW."""
    return Trainer(
        build_network(config),
        CombinedLoss(label_smoothing=config.loss.label_smoothing),
        device=device,
        precision=torch.float32 if plain else choose_precision(config.run.precision, device),
        channels_last=config.run.channels_last and not plain,
        compile_model=config.run.compile and not plain,
        cuda_graph=config.run.cuda_graphs and not plain,
        optimizer=as_dict(config.optimizer),
        cycles=Cycles([10**6], [config.optimizer.lr], warmup_steps=1, final_ratio=1.0),
    )


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The time of one call, with what it queued on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


class PlainPairs(Dataset[Batch]):
    """What many a tutorial does: PIL images through torchvision's transforms, opened anew each time."""

    def __init__(self, pairs: list[Pair], size: int, augmentation: dict[str, Any]) -> None:
        self.pairs = pairs
        self.size = size
        self.options = augmentation
        s = augmentation["color_strength"]
        self.jitter = ColorJitter(s, s, s, s / 10)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Batch:
        pair, options = self.pairs[index], self.options
        image: Any = Image.open(pair.image).convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR)
        mask: Any = Image.open(pair.mask).resize((self.size, self.size), Image.Resampling.NEAREST)
        if random.random() < options["flip"]:
            image, mask = tv.hflip(image), tv.hflip(mask)
        if random.random() < options["geometric"]:
            angle = random.uniform(-options["rotate"], options["rotate"])
            shift = [int(self.size * random.uniform(-options["shift"], options["shift"])) for _ in range(2)]
            scale = random.uniform(*options["scale"])
            image = tv.affine(image, angle, shift, scale, [0.0], interpolation=InterpolationMode.BILINEAR)
            mask = tv.affine(mask, angle, shift, scale, [0.0])
        if random.random() < options["color"]:
            image = self.jitter(image)
        return tv.pil_to_tensor(image).permute(1, 2, 0).contiguous(), tv.pil_to_tensor(mask)[0]


def forever(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """Epoch after epoch."""
    while True:
        yield from loader


def measure(
    name: str, make: Callable[[], Iterator[Batch]], trainer: Trainer, ahead: int, steps: int, batch_size: int
) -> float:
    """Print one way's line; gives its images/s of loading and training together."""
    device = trainer.device
    # A batch that is already there: on the device.
    ready = tuple(tensor.to(device) for tensor in next(make()))
    stream = make()
    for _ in range(ahead):  # what was prepared ahead would flatter it
        next(stream)

    def train(batches: Iterator[Any], count: int) -> float:
        # As in training, which shows the loss of the step before.
        return seconds(lambda: trainer.train_epoch(batches, count, after_step=lambda pixels, loss: None), device)

    train(itertools.repeat(ready), WARM_UP)
    images = steps * batch_size
    alone = seconds(lambda: [next(stream) for _ in range(steps)], device)
    stepping = train(itertools.repeat(ready), steps)
    train(stream, max(ahead, WARM_UP))
    together = train(stream, steps)
    print(
        f"{name:28s} {images / alone:10.1f} {images / stepping:10.1f} {images / together:10.1f} "
        f"{min(1.0, stepping / together):8.1%}",
        flush=True,
    )
    return images / together


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", dest="overrides", nargs="+", default=[], metavar="section.key=value")
    parser.add_argument("--size", type=int, default=512, help="image size of training, pixels (512)")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=-1, help="loader processes; -1 as training chooses")
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()
    config = load_config(args.config, args.overrides)
    device = choose_device(config.run.device)
    prepare_device(device, deterministic=config.run.deterministic, threads=config.run.threads)
    with tempfile.TemporaryDirectory() as folder:
        compare(config, args, device, load_pairs(config, Path(folder)))
    return 0


def compare(config: Config, args: argparse.Namespace, device: torch.device, store: PairStore) -> None:
    """Measure and print each way."""
    batch_bytes = 4 * args.batch_size * args.size**2
    joined = joined_batches(device, batch_bytes)
    workers = loader_workers(args.workers, device, batch_bytes=joined * batch_bytes)
    dataset = build_training_set(config, store)
    batch_size = min(args.batch_size, len(store))
    sampler = EpochSampler(
        repeat_factors(store.presence, config.data.repeat_threshold),
        seed=config.run.seed,
        epochs=10**6,
        first_epoch=0,
        stage=lambda _: (args.size, batch_size),
    )
    environment = describe_environment(device)
    print(
        f"{environment['device']}, {environment['cpu_cores']} cores, torch {torch.__version__}; {args.size} px, "
        f"batch {batch_size}, {workers} workers, {args.steps} steps, {len(store)} pairs"
    )
    print(f"{'images/s':28s} {'loading':>10s} {'steps':>10s} {'both':>10s} {'busy':>8s}", flush=True)

    def from_workers() -> Iterator[Batch]:
        loader = build_loader(dataset, sampler, workers=workers, pin=device.type == "cuda")
        # The sampler has a million epochs; its length is never asked for.
        return itertools.islice(iter(loader), None)

    def from_device(share: float) -> DeviceLoader:
        return build_device_loader(
            dataset, sampler, device=device, workers=workers, resident_share=share, joined=joined
        )

    trainer = build_trainer(config, device)
    ahead = joined * (LOADED_AHEAD * workers + 1)
    ways: list[tuple[str, Callable[[], Iterator[Batch]], int]] = [
        ("augmented by workers", from_workers, LOADED_AHEAD * workers)
    ]
    if device.type == "cuda" and store.cached:
        ways.append(("on the device, pairs there", lambda: iter(from_device(1.0)), ahead))
    ways.append(("on the device, pairs copied", lambda: iter(from_device(0.0)), ahead))
    speeds = {name: measure(name, make, trainer, ahead, args.steps, batch_size) for name, make, ahead in ways}
    del trainer
    pairs: DataLoader[Batch] = DataLoader(
        PlainPairs(store.pairs, args.size, as_dict(config.augmentation)),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=PLAIN_WORKERS,
    )
    plain = build_trainer(config, device, plain=True)
    baseline = measure("plain loop", lambda: forever(pairs), plain, 2 * PLAIN_WORKERS, args.steps, batch_size)
    for name, speed in speeds.items():
        print(f"{name:28s} {speed / baseline:.2f} times the plain loop")


if __name__ == "__main__":
    raise SystemExit(main())
