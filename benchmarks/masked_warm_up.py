"""A self-supervised start: the recipe's network learns to fill in hidden patches of the 800 training photos.

``python benchmarks/masked_warm_up.py --config configs/default.yaml --output outputs/warm_up --set data.root=...``, then
``python src/train.py --set run.start_from=outputs/warm_up``. After SimMIM (Xie et al. 2022): half of the patches of 16
pixels are hidden, and the loss is the mean distance in these alone. Labels are not used, other photos neither.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from checkpoint import save_checkpoint
from config import load_config
from dataset import EpochSampler, batches_of, build_training_loader
from models import build_model
from optim import AveragedModel, build_optimizer, learning_rate, set_learning_rate
from predict import normalize
from run_folder import RunFolder
from runtime import prepare_device, seed_everything
from training import build_training_set, draw_weights, load_data

PATCH, HIDDEN, SIZE, BATCH = 16, 0.5, 192, 16
WITHOUT = ("augmentation.paste=0", "augmentation.occlusion=0", "augmentation.noise=0")
"""What spoils a photo is nothing to be learnt."""


def main() -> None:
    """Train, and write a checkpoint whose classifier alone is fresh, beside the split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--set", nargs="+", default=[], metavar="key=value")
    args = parser.parse_args()
    config = load_config(args.config, [*args.set, *WITHOUT])
    seed = config.run.seed
    prepare_device(torch.device("cpu"), deterministic=False, threads=config.run.threads)
    seed_everything(seed)
    train, _, split = load_data(config, None)
    weights = draw_weights(config, train)
    sampler = EpochSampler(
        weights, seed=seed, epochs=args.epochs, first_epoch=0, stage=lambda _: (SIZE, BATCH), share=(0, 1)
    )
    loader = build_training_loader(build_training_set(config, train), sampler, workers=0, pin=False)
    values = config.to_dict()
    model = build_model(values["model"], 3, pretrained=False).to(memory_format=torch.channels_last)
    options = values["optimizer"] | {"head_lr_scale": 1.0}
    clip, decay = options.pop("clip_norm"), options.pop("ema_decay")
    optimizer, average = build_optimizer(model, **options), AveragedModel(model, decay)
    steps = sampler.steps(0)
    patches = torch.Generator().manual_seed(seed)
    total = 0.0
    for step, (images, _) in enumerate(batches_of(loader)):
        rate = {"steps": args.epochs * steps, "warmup_steps": steps, "final_ratio": 0.01}
        set_learning_rate(optimizer, learning_rate(step, peak=config.optimizer.lr, **rate))
        photos = normalize(images).contiguous(memory_format=torch.channels_last)
        coarse = torch.rand(len(photos), 1, SIZE // PATCH, SIZE // PATCH, generator=patches) < HIDDEN
        hidden = F.interpolate(coarse.float(), (SIZE, SIZE))
        with torch.autocast("cpu", torch.bfloat16):
            filled = model(photos * (1 - hidden))
        loss = ((filled.float() - photos).abs() * hidden).sum() / (3 * hidden.sum())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
        average.update(model)
        total += loss.item()
        if (step + 1) % steps == 0:
            print(f"epoch {(step + 1) // steps}: loss {total / steps:.4f}", flush=True)
            total = 0.0
    state = build_model(values["model"], 19, pretrained=False).state_dict()
    learnt = average.model.state_dict()
    state |= {name: value for name, value in learnt.items() if value.shape == state[name].shape}
    folder = RunFolder(args.output)
    folder.best_model.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(
        folder.best_model,
        state_dict=state,
        model=values["model"],
        image_size=SIZE,
        inference=values["inference"],
        track=config.track,
        scores={},
        labels=train.labels,
    )
    split.save(folder.split)


if __name__ == "__main__":
    main()
