"""How fast is the data loader, and what share of a training step does it take?

    python benchmarks/loader.py [--config configs/X.yaml] [--set key=value ...] [--size 512] [--workers N] [--steps 30]

Prints images/s of the loader alone, of training steps alone (on a batch that is already there), of both together as
in training, and the share of a step in which training waits for data. Uses the config's data, or synthetic faces
where its folder does not exist.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch

from config import Config, as_dict, load_config
from dataset import EpochSampler, PairStore, TrainingSet, build_training_loader, make_split, rarity_weights
from engine import Batch, Trainer
from losses import CombinedLoss
from runtime import choose_device, choose_precision, describe_environment, loader_workers, prepare_device
from synthetic import write_dataset
from training import build_network, resolve_path


def load_pairs(config: Config) -> PairStore:
    """The config's training pairs, or 64 synthetic ones."""
    root = resolve_path(config.data.root)
    with tempfile.TemporaryDirectory() as folder:
        if not root.exists():
            print(f"{root} does not exist; using 64 synthetic faces.")
            root = Path(folder) / "faces"
            write_dataset(root, train=64, val=1, size=config.data.size, progress=False)
        stems = resolve_path(config.data.val_stems) if config.data.val_stems else None
        split = make_split(root, val_stems=stems, val_fraction=config.data.val_fraction, seed=config.data.split_seed)
        return PairStore(split.train, config.data.size, repair=True, limit_bytes=config.data.cache_gb * 1e9)


def build_trainer(config: Config, device: torch.device) -> Trainer:
    """A trainer of the config's network, of which only the speed counts."""
    return Trainer(
        build_network(config),
        CombinedLoss(label_smoothing=config.loss.label_smoothing),
        device=device,
        precision=choose_precision(config.run.precision, device),
        channels_last=config.run.channels_last,
        compile_model=config.run.compile,
        optimizer=as_dict(config.optimizer),
        steps=10**6,
        warmup_steps=1,
        final_lr_ratio=1.0,
    )


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The time of one call, with what it queued on the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


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
    prepare_device(device, threads=config.run.threads)
    workers = loader_workers(args.workers, device)
    store = load_pairs(config)
    augmentation = as_dict(config.augmentation)
    augmentation.pop("enabled")
    dataset = TrainingSet(store, seed=0, augmentation=augmentation)
    batch_size = min(args.batch_size, len(store))
    sampler = EpochSampler(
        rarity_weights(store.presence, config.data.rare_frequency),
        seed=0,
        epochs=10**6,
        first_epoch=0,
        stage=lambda _: (args.size, batch_size),
    )
    environment = describe_environment(device)
    print(
        f"{environment['device']}, {environment['cpu_cores']} cores, torch {torch.__version__}; {args.size} px, "
        f"batch {batch_size}, {workers} workers, {args.steps} steps"
    )

    def batches() -> itertools.islice[Batch]:
        # The sampler has a million epochs; its length is never asked for.
        return itertools.islice(iter(build_training_loader(dataset, sampler, workers=workers, pin=False)), None)

    stream = batches()
    first = next(stream)
    for _ in range(4 * workers):  # what the workers prepared ahead would flatter them
        next(stream)
    images = args.steps * batch_size
    loading = seconds(lambda: [next(stream) for _ in range(args.steps)], device)
    trainer = build_trainer(config, device)
    trainer.train_epoch(itertools.repeat(first), 3)
    stepping = seconds(lambda: trainer.train_epoch(itertools.repeat(first), args.steps), device)
    together = seconds(lambda: trainer.train_epoch(stream, args.steps), device)
    print(f"loader alone      {images / loading:8.1f} images/s")
    print(f"step alone        {images / stepping:8.1f} images/s")
    print(f"loader and step   {images / together:8.1f} images/s")
    print(f"data's share of a step  {max(0.0, 1 - stepping / together):.1%}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
