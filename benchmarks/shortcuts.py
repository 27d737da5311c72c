"""What the short cuts of inference/predict.py save of a photo's way to its mask, and whether they change it.

    python benchmarks/shortcuts.py [--rounds 12] [--photo 512] [--size 448]

Milliseconds of CPU in one thread, the least of rounds in which all take turns, and the share of pixels whose class
the last row changes: both shipped weights, and other networks with random ones.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from face_parsing.data.photos import read_photo
from face_parsing.inference.predict import largest_class, predict_masks, predict_probabilities, prepare_model
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model
from face_parsing.models.checkpoint import load_networks
from face_parsing.system.device import prepare_device
from face_parsing.system.environment import PROJECT_ROOT

WEIGHTS = PROJECT_ROOT / "weights"


def steps(model: nn.Module, photos: Tensor, size: int) -> dict[str, Callable[[], Tensor]]:
    """Each step's way to the masks of photos (1, H, W, 3), seen by the network at size."""
    device = torch.device("cpu")
    H, W = photos.shape[1:3]
    fused = prepare_model(model, device)

    def through_probabilities() -> Tensor:
        return largest_class(predict_probabilities([model], photos, image_size=size), (H, W))

    return {
        "probabilities, then the largest": through_probabilities,
        "the largest logit": lambda: predict_masks([model], photos, image_size=size),
        "and each BatchNorm fused into its convolution": lambda: predict_masks([fused], photos, image_size=size),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--photo", type=int, default=512, help="height and width of the photo, pixels (512)")
    parser.add_argument("--size", type=int, default=448, help="what the network sees it at (448)")
    args = parser.parse_args(argv)
    prepare_device(torch.device("cpu"), threads=1)
    torch.manual_seed(0)
    portrait = Image.fromarray(read_photo(PROJECT_ROOT / "docs" / "images" / "astronaut.jpg"))
    photos = torch.from_numpy(np.array(portrait.resize((args.photo, args.photo))))[None]
    models = {path.stem: load_networks([path], track="challenge")[0][0] for path in sorted(WEIGHTS.glob("*.pth"))}
    for name in ("deeplabv3plus", "separable_unet"):
        models[name] = build_model({"name": name}, NUM_CLASSES)
    works = {name: steps(model.eval(), photos, args.size) for name, model in models.items()}
    best: dict[tuple[str, str], float] = {}
    masks: dict[tuple[str, str], Tensor] = {}
    for _ in tqdm(range(args.rounds), desc="rounds", leave=False):
        for name, ways in works.items():
            for step, work in ways.items():
                start = time.process_time()
                masks[name, step] = work()
                taken = time.process_time() - start
                best[name, step] = min(best.get((name, step), taken), taken)
    print(
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}; one thread, photo {args.photo} px, network {args.size}; "
        f"torch {torch.__version__}\n"
    )
    print("| ms of CPU a photo | " + " | ".join(models) + " |\n|---|" + "---:|" * len(models))
    rows = list(next(iter(works.values())))
    for step in rows:
        print(f"| {step} | " + " | ".join(f"{1000 * best[name, step]:.1f}" for name in models) + " |")
    changed = [float((masks[name, rows[0]] != masks[name, rows[-1]]).double().mean()) for name in models]
    print("| pixels that change their class | " + " | ".join(f"{share:.3%}" for share in changed) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
