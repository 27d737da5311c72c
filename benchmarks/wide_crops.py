"""How well a network parses what a wide crop shows: people at half the size, over something else, or turned.

    python benchmarks/wide_crops.py --data data [--val_stems val.txt] [--model_path FILE ...] [--backgrounds FOLDER]
        [--views aligned standing around]

Each validation face is shown in five ways, and its mask is moved with it:

- aligned: as it is;
- turned: by 30 degrees, continued by its own reflection;
- standing: cut out, at half the size, at the lower edge of another background;
- over another: the same, over the next validation photo, whose person keeps its labels where it is seen;
- around: a crop of twice the side around the photo, over another background. Nobody knows how a person goes on below
  the photo, so what lies there repeats its last row and is not scored.

Backgrounds are those of the next validation photos, continued smoothly behind their person, or the photos of
--backgrounds, without people, cut to squares. The table gives the F-Score, raw, and F1 of hair and clothes: the mean
over the faces that show them, and that of all pixels of the set, where it also costs to find them where none are.
Everything is the same at each call.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import cv2
import numpy as np
import torch
from tqdm import tqdm

from face_parsing.augmentation.face_geometry import ImageAndMask
from face_parsing.augmentation.textures import continued
from face_parsing.data.pairs import read_pair
from face_parsing.data.photo_files import photos_in
from face_parsing.data.photos import read_photo
from face_parsing.data.split import make_split
from face_parsing.evaluation.metrics import ScoreKeeper, set_f1
from face_parsing.inference.onnx_network import read_onnx
from face_parsing.inference.torch_network import read_checkpoints
from face_parsing.labels import IGNORE_INDEX, class_ids
from face_parsing.system.environment import PROJECT_ROOT

Parse = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
WEIGHTS = [PROJECT_ROOT / "weights" / name for name in ("face_parsing.pth", "face_parsing_fast.pth")]
VIEWS = ("aligned", "turned", "standing", "over another", "around")
TURN = 30  # degrees
SIZE = 512
CLASSES = ("hair", "cloth")


def turned(pair: ImageAndMask) -> ImageAndMask:
    """The pair turned about its middle, counter-clockwise."""
    S = len(pair[1])
    matrix = cv2.getRotationMatrix2D(((S - 1) / 2, (S - 1) / 2), TURN, 1.0)
    image, mask = (
        cv2.warpAffine(part, matrix, (S, S), flags=flags, borderMode=cv2.BORDER_REFLECT)
        for part, flags in zip(pair, (cv2.INTER_LINEAR, cv2.INTER_NEAREST), strict=True)
    )
    return image, mask


def halved(pair: ImageAndMask, scene: ImageAndMask, top: int, left: int, *, seed: int) -> ImageAndMask:
    """The scene with the pair's person over it, at half the size, its photo's corner at (top, left).

    Of each square of four labels one is kept, the same of all, drawn by the seed: always the first would move the mask.
    """
    image, mask = pair
    S = len(mask)
    person = (mask != 0).astype(np.float32)
    half = (S // 2, S // 2)
    alpha = cv2.resize(person, half, interpolation=cv2.INTER_AREA)[..., None]
    look = cv2.resize(image * person[..., None], half, interpolation=cv2.INTER_AREA)
    y, x = np.random.default_rng(seed).integers(2, size=2)
    labels = mask[y : S // 2 * 2 : 2, x : S // 2 * 2 : 2]
    picture, kept = scene[0].astype(np.float32), scene[1].copy()
    place = np.s_[top : top + S // 2, left : left + S // 2]
    picture[place] = look + (1 - alpha) * picture[place]
    kept[place] = np.where(labels != 0, labels, kept[place])
    return (picture + 0.5).astype(np.uint8), kept


def background_of(pair: ImageAndMask) -> np.ndarray:
    """The photo's background (S, S, 3), uint8, with its person smoothed away."""
    return (continued(pair[0], pair[1] == 0) + 0.5).astype(np.uint8)


def views(pair: ImageAndMask, other: ImageAndMask, background: np.ndarray, *, seed: int) -> dict[str, ImageAndMask]:
    """What is shown of a face, by VIEWS."""
    S = len(pair[1])
    empty = background, np.zeros_like(pair[1])
    left = int(np.random.default_rng(seed).integers(S - S // 2 + 1))
    around, mask = halved(pair, empty, S // 4, S // 4, seed=seed)
    end = S // 4 + S // 2
    around[end:], mask[end:] = around[end - 1], IGNORE_INDEX
    standing, over = (halved(pair, scene, S - S // 2, left, seed=seed) for scene in (empty, other))
    return dict(zip(VIEWS, (pair, turned(pair), standing, over, (around, mask)), strict=True))


def square(photo: np.ndarray) -> np.ndarray:
    """The middle of a photo, (SIZE, SIZE, 3)."""
    H, W = photo.shape[:2]
    side = min(H, W)
    top, left = (H - side) // 2, (W - side) // 2
    interpolation = cv2.INTER_AREA if side > SIZE else cv2.INTER_LINEAR
    return cv2.resize(photo[top : top + side, left : left + side], (SIZE, SIZE), interpolation=interpolation)


def open_network(path: Path) -> Parse:
    """What parses photos with a checkpoint or an ONNX file of the 19 classes, on one thread."""
    if path.suffix == ".onnx":
        return read_onnx(path, 1).parse
    return read_checkpoints([path], device=torch.device("cpu"), track="open").parse


def measure(parse: Parse, shown: Sequence[dict[str, ImageAndMask]], chosen: Sequence[str]) -> dict[str, list[float]]:
    """Of each chosen view the F-Score, and F1 of CLASSES: the means over faces and those of the set."""
    keepers = {view: ScoreKeeper() for view in chosen}
    for face in tqdm(shown, desc="parsing", unit="face", leave=False, mininterval=5):
        for view, keeper in keepers.items():
            image, mask = face[view]
            keeper.update(torch.from_numpy(np.asarray(parse([image])[0]))[None], torch.from_numpy(mask)[None])
    found = {}
    for view, keeper in keepers.items():
        scores, pooled = keeper.scores(), set_f1(keeper.counts()).tolist()
        means = [scores.f1.get(name, np.nan) for name in CLASSES]
        found[view] = [scores.f_score, *means, *(pooled[c] for c in class_ids(*CLASSES))]
    return found


def table_rows(name: str, found: dict[str, list[float]]) -> list[str]:
    """Markdown, one line a view."""
    return [
        f"| {name} | {view} | {f_score:.4f} | {' | '.join(f'{value:.3f}' for value in rest)} |"
        for view, (f_score, *rest) in found.items()
    ]


def command_line(about: str | None) -> argparse.ArgumentParser:
    """The options of a tool that shows validation faces to networks; ``about`` is its docstring."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/, and val/ or --val_stems")
    parser.add_argument("--val_stems", type=Path, help="file of the stems of train/ that are validated on")
    parser.add_argument("--model_path", type=Path, nargs="+", default=WEIGHTS, help=".pth or .onnx (the shipped ones)")
    parser.add_argument("--limit", type=int, help="the first so many faces alone")
    return parser


def validation_pairs(args: argparse.Namespace) -> list[ImageAndMask]:
    """The faces that ``command_line``'s options name, SIZE pixels high and wide. From here on one thread computes."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    faces = make_split(args.data, val_stems=args.val_stems, val_fraction=0.1, seed=0).val[: args.limit]
    return [read_pair(pair, SIZE) for pair in faces]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("--backgrounds", type=Path, help="folder of photos without people")
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=VIEWS, help="some of them alone")
    args = parser.parse_args(argv)
    pairs = validation_pairs(args)
    others = [*pairs[1:], pairs[0]]
    behind = [background_of(other) for other in others]
    if args.backgrounds is not None:
        photos = [square(read_photo(path)) for path in photos_in(args.backgrounds)]
        behind = [photos[i % len(photos)] for i in range(len(pairs))]
    shown = [views(*parts, seed=i) for i, parts in enumerate(zip(pairs, others, behind, strict=True))]
    heads = [*CLASSES, *(f"{name}, set" for name in CLASSES)]
    print(f"{len(shown)} faces\n\n| weights | view | F raw | {' | '.join(heads)} |\n|---|---|---:|---:|---:|---:|---:|")
    for path in args.model_path:
        print("\n".join(table_rows(path.as_posix(), measure(open_network(path), shown, args.views))), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
