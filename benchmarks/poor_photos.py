"""How well a network parses poor photos, whole and without a face detector: turned, tiny, dark, blurred, of high gamma.

    python benchmarks/poor_photos.py --data data [--val_stems val.txt] [--model_path FILE ...]

Each validation face is shown as it is and in five poorer ways, and its mask is moved where it turns:

- turned: by 30 degrees, continued by its own reflection;
- tiny: shrunk to 64 pixels, so that a face has about 35, and enlarged again;
- dark: a seventh of the light, noisy as a small sensor is, not brightened;
- blurred: by a Gaussian of 3 pixels;
- gamma: its levels, over 255, to the power of 3.

The table gives the F-Score, raw, and what each way loses; the last column is the mean loss. Everything is the same at
each call.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from benchmarks.wide_crops import Parse, command_line, open_network, turned, validation_pairs
from tqdm import tqdm

from face_parsing.augmentation.degradation import blurred, dark, small, with_gamma
from face_parsing.augmentation.face_geometry import ImageAndMask
from face_parsing.evaluation.metrics import ScoreKeeper

TINY, SIGMA, GAMMA = 64, 3.0, 3.0
LIGHT, ELECTRONS, READ_NOISE = 1 / 7, 200.0, 2.0
WAYS = ("as it is", "turned", "tiny", "dark", "blurred", "gamma")


def ways(pair: ImageAndMask, *, seed: int) -> dict[str, ImageAndMask]:
    """A pair as WAYS show it; ``seed`` draws the noise."""
    image, mask = pair
    rng = np.random.default_rng(seed)
    low_light = dark(image, exposure=LIGHT, electrons=ELECTRONS, read_noise=READ_NOISE, gain=1.0, rng=rng)
    images = (small(image, TINY), low_light, blurred(image, SIGMA), with_gamma(image, GAMMA))
    return dict(zip(WAYS, (pair, turned(pair), *((poor, mask) for poor in images)), strict=True))


def measure(parse: Parse, pairs: Sequence[ImageAndMask]) -> list[float]:
    """The F-Score, raw, of each of WAYS."""
    keepers = {way: ScoreKeeper() for way in WAYS}
    for seed, pair in enumerate(tqdm(pairs, desc="parsing", unit="face", leave=False, mininterval=5)):
        for way, (image, mask) in ways(pair, seed=seed).items():
            found = torch.from_numpy(np.asarray(parse([image])[0]))
            keepers[way].update(found[None], torch.from_numpy(mask)[None])
    return [keeper.scores().f_score for keeper in keepers.values()]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    args = command_line(__doc__).parse_args(argv)
    pairs = validation_pairs(args)
    print(f"{len(pairs)} faces\n\n| weights | {' | '.join(WAYS)} | mean loss |\n|---|{'---:|' * (len(WAYS) + 1)}")
    for path in args.model_path:
        clean, *poor = measure(open_network(path), pairs)
        cells = [f"{clean:.4f}", *(f"{value:.4f} ({value - clean:+.4f})" for value in poor)]
        print(f"| {path.as_posix()} | {' | '.join(cells)} | {clean - float(np.mean(poor)):.4f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
