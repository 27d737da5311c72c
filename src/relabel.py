"""Correct training labels by a trained network: ``python src/relabel.py --model_path CKPT --data ROOT --output NEW``.

Self-distillation, for the open track alone: where the network is sure and disagrees, its class replaces the
label (Xie et al. 2020 train on all of a teacher's labels; here the given ones stay wherever it is unsure).
Training goes on from the same checkpoint:
``python src/train.py --set track=open data.root=NEW open_track.pretrained=CKPT``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from checkpoint import augmentation_of, label_set, load_networks
from dataset import DataError, Pair, Split, make_split, read_mask
from labels import CELEBAMASK, CLASS_NAMES, IGNORE_INDEX, NUM_CLASSES, class_ids, is_mirrored, swap_left_right
from pictures import contact_sheet, difference, save_mask, save_picture
from predict import exact_arithmetic, predict_probabilities, prepare_model, read_photo
from preparation.copying import Job, Plan, PreparationError, carry_out, problems_text
from preparation.layouts import OWN_LAYOUT, copy_job, find_splits, output_files, plan_pairs
from preparation.pairs import copy_photo
from runtime import atomic_path, choose_device, prepare_device

KEPT = ("eye_g", "hat", "ear_r", "neck_l")
"""Rare classes, which a network misses more often than the person who drew them invented them."""

Probabilities = Callable[[np.ndarray], np.ndarray]
"""Photo (H, W, 3) uint8 to class probabilities (19, H, W) float32."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a label is replaced."""

    confidence: float = 0.9
    """A pixel becomes the network's class where that one's probability is at least this."""
    ignore: float = 0.0
    """Where nothing is that sure, a label less probable than this becomes the ignore label; 0 ignores none."""
    max_change: float = 0.1
    """A mask of which a larger share would change stays as it is: there the network is wrong, or the face special."""
    keep: tuple[str, ...] = KEPT
    """Labels of these classes always stay."""

    def __post_init__(self) -> None:
        for name in ("confidence", "ignore", "max_change"):
            if not 0 <= getattr(self, name) <= 1:
                raise PreparationError(f"--{name} is {getattr(self, name)}; it is a share from 0 to 1.")
        for name in self.keep:
            if name not in CLASS_NAMES:
                raise PreparationError(f"--keep names {name!r}; the classes are {', '.join(CLASS_NAMES)}.")


def correct(mask: np.ndarray, probabilities: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """The mask (H, W) uint8 with the labels replaced of which probabilities (19, H, W) are sure that they are wrong.

    Ignored pixels stay ignored.
    """
    best = probabilities.argmax(0).astype(np.uint8)
    fixed = np.isin(mask, [*class_ids(*thresholds.keep), IGNORE_INDEX])
    sure = probabilities.max(0) >= thresholds.confidence
    corrected = np.where(sure & ~fixed, best, mask)
    if thresholds.ignore:
        label = np.where(mask == IGNORE_INDEX, 0, mask)[None].astype(np.intp)
        doubtful = np.take_along_axis(probabilities, label, 0)[0] < thresholds.ignore
        corrected = np.where(doubtful & ~sure & ~fixed, np.uint8(IGNORE_INDEX), corrected)
    return corrected


def relabel_pair(
    image: Path, mask: Path, outputs: tuple[Path, ...], probabilities: Probabilities, thresholds: Thresholds, left: Path
) -> None:
    """Write the image as outputs[0] and its corrected mask as outputs[1]; a mask that stays is noted in the file left.

    A mirrored mask is repaired first: the network never learned those labels. Raises PhotoError and DataError.
    """
    photo, ids = read_photo(image), read_mask(mask)
    if ids.shape != photo.shape[:2]:
        raise DataError(f"{mask}: its size is not that of its image")
    if is_mirrored(ids):
        ids = swap_left_right(ids)
    corrected = correct(ids, probabilities(photo), thresholds)
    if (corrected != ids).mean() > thresholds.max_change:
        corrected = ids
        with left.open("a", encoding="utf-8") as file:
            file.write(f"{mask.stem}\n")
    save_mask(corrected, outputs[1])
    copy_photo(image, outputs[0])


def network_probabilities(
    models: Sequence[nn.Module], *, image_size: int, scales: Sequence[float], flip: bool, device: torch.device
) -> Probabilities:
    """What the networks, prepared for the device, say of a photo, averaged."""

    def probabilities(photo: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(photo[None]).to(device)
        with exact_arithmetic():
            found = predict_probabilities(models, batch, image_size=image_size, scales=scales, flip=flip)
        found = F.interpolate(found, size=photo.shape[:2], mode="bilinear", align_corners=False)
        return found[0].cpu().numpy()

    return probabilities


def plan_relabelling(
    root: Path, output: Path, split: Split, probabilities: Probabilities, thresholds: Thresholds, recipe: dict[str, Any]
) -> Plan:
    """Copy root; training pairs of split get corrected masks, those validated on and tested on keep theirs."""
    splits = find_splits(root, OWN_LAYOUT)
    trained = {pair.image for pair in split.train}
    left_alone = output / "left_alone.txt"

    def jobs_of(name: str, image: Path, mask: Path | None) -> list[Job]:
        if mask is None or image not in trained:
            return [copy_job(output, name, image, mask)]
        outputs = output_files(output, name, image, mask)
        return [Job(outputs, partial(relabel_pair, image, mask, outputs, probabilities, thresholds, left_alone))]

    return plan_pairs(splits, jobs_of, recipe=recipe, breaks="teacher")


# --- what changed ---------------------------------------------------------------------------------


def count_changes(pairs: Iterable[Pair], output: Path) -> tuple[np.ndarray, dict[str, float], list[str]]:
    """Pixels (19, 20) by old and new label (the last column: ignored), the changed share of each mask, and the
    stems of repaired ones. Pairs whose corrected mask is missing are left out.
    """
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES + 1), dtype=np.int64)
    shares: dict[str, float] = {}
    repaired: list[str] = []
    for pair in pairs:
        path = output / "train" / "masks" / f"{pair.stem}.png"
        if not path.is_file():
            continue
        old, new = read_mask(pair.mask), read_mask(path)
        if is_mirrored(old):
            old = swap_left_right(old)
            repaired.append(pair.stem)
        valid = old != IGNORE_INDEX
        column = np.where(new == IGNORE_INDEX, NUM_CLASSES, new)[valid].astype(np.int64)
        cells = np.bincount(old[valid] * np.int64(NUM_CLASSES + 1) + column, minlength=counts.size)
        counts += cells.reshape(counts.shape)
        shares[pair.stem] = float((old != new).mean())
    return counts, shares, repaired


def report_text(counts: np.ndarray, shares: dict[str, float], repaired: Sequence[str], left: Sequence[str]) -> str:
    """What happened to the labels, as lines: the set's share, each class's, and the most frequent changes."""
    total, changed = int(counts.sum()), int(counts.sum() - np.trace(counts))
    touched = sum(share > 0 for share in shares.values())
    lines = [
        f"{changed / max(total, 1):.3%} of the pixels changed, in {touched} of {len(shares)} masks; {len(repaired)} "
        f"mirrored masks repaired; {len(left)} masks left alone, of which more than the limit would have changed.",
        f"{'class':<12}{'pixels':>12}{'gone':>9}{'come':>9}",
    ]
    names = [*CLASS_NAMES, "ignored"]
    before, after = counts.sum(1), counts.sum(0)
    for c, name in enumerate(CLASS_NAMES):
        if before[c] + after[c]:
            base = max(int(before[c]), 1)
            gone, come = before[c] - counts[c, c], after[c] - counts[c, c]
            lines.append(f"{name:<12}{before[c]:12,}{gone / base:9.2%}{come / base:9.2%}")
    moved = counts.copy()
    np.fill_diagonal(moved, 0)
    for cell in np.argsort(moved, axis=None, kind="stable")[::-1][:8]:
        old, new = divmod(int(cell), NUM_CLASSES + 1)
        if moved[old, new]:
            lines.append(f"{names[old]} -> {names[new]}: {moved[old, new]:,} pixels")
    return "\n".join(lines)


def draw_most_changed(
    pairs: Sequence[Pair], output: Path, shares: dict[str, float], path: Path, count: int = 8
) -> None:
    """Photo, label and corrected label of the masks that changed most."""
    chosen = sorted(shares, key=lambda stem: -shares[stem])[:count]
    by_stem = {pair.stem: pair for pair in pairs}
    old = [read_mask(by_stem[stem].mask) for stem in chosen]
    old = [swap_left_right(mask) if is_mirrored(mask) else mask for mask in old]
    new = [read_mask(output / "train" / "masks" / f"{stem}.png") for stem in chosen]
    photos = [read_photo(by_stem[stem].image) for stem in chosen]
    rows = [[p, o, n, difference(o, n, p)] for p, o, n in zip(photos, old, new, strict=True)]
    titles = ["photo", "label", "corrected", "what changed"]
    save_picture(contact_sheet(rows, titles, [f"{stem}   {shares[stem]:.1%} changed" for stem in chosen]), path)


# --- the command ----------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Copy a data set with training labels corrected where a trained network is sure (open track)."
    )
    parser.add_argument("--model_path", type=Path, nargs="+", required=True, help="checkpoint; several are averaged")
    parser.add_argument("--data", type=Path, required=True, help="data set to correct; nothing in it is changed")
    parser.add_argument("--val_stems", type=Path, help="pairs of train/ with these stems keep their labels")
    parser.add_argument("--output", type=Path, required=True, help="folder of the corrected copy; it is created")
    defaults = Thresholds()
    parser.add_argument("--confidence", type=float, default=defaults.confidence, help="probability that replaces (0.9)")
    parser.add_argument("--ignore", type=float, default=defaults.ignore, help="labels below it become 255 (0: none)")
    parser.add_argument("--max_change", type=float, default=defaults.max_change, help="larger changes are left (0.1)")
    parser.add_argument("--keep", nargs="*", default=list(KEPT), help=f"labels that stay ({' '.join(KEPT)})")
    parser.add_argument("--tta", action="store_true", help="average over the checkpoint's scales and flip")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if any")
    parser.add_argument("--overwrite", action="store_true", help="replace what another command left in the output")
    return parser.parse_args(argv)


def _networks(args: argparse.Namespace, device: torch.device) -> Probabilities:
    models, first = load_networks(args.model_path, track="open")
    if label_set(first) != CELEBAMASK:
        raise PreparationError(f"{args.model_path[0]} tells other classes apart than the 19; name a network of all 19.")
    return network_probabilities(
        [prepare_model(model, device) for model in models],
        image_size=first["image_size"],
        device=device,
        **augmentation_of(first, tta=args.tta),
    )


def _run(args: argparse.Namespace, command: Sequence[str]) -> int:
    thresholds = Thresholds(
        confidence=args.confidence, ignore=args.ignore, max_change=args.max_change, keep=tuple(args.keep)
    )
    device = choose_device(args.device)
    prepare_device(device)
    if args.val_stems is None and not (args.data / "val").is_dir():
        raise PreparationError(
            f"There is no folder {args.data / 'val'}; name the pairs that are validated on by --val_stems: their "
            "labels must stay."
        )
    split = make_split(args.data, val_stems=args.val_stems, val_fraction=0.1, seed=0)
    recipe = {
        "subcommand": "relabel", "models": [str(path.resolve()) for path in args.model_path], "tta": args.tta,
        "confidence": args.confidence, "ignore": args.ignore, "max_change": args.max_change, "keep": args.keep,
        "val": [pair.stem for pair in split.val],
    }  # fmt: skip
    plan = plan_relabelling(args.data, args.output, split, _networks(args, device), thresholds, recipe)
    if args.overwrite:
        (args.output / "left_alone.txt").unlink(missing_ok=True)
    outcome = carry_out(
        plan, source=args.data, output=args.output, command=["relabel.py", *command], workers=1,
        overwrite=args.overwrite,
    )  # fmt: skip
    pairs = tqdm(split.train, desc="counting changes", unit="mask", leave=False)
    counts, shares, repaired = count_changes(pairs, args.output)
    noted = args.output / "left_alone.txt"
    left = sorted(set(noted.read_text(encoding="utf-8").split())) if noted.is_file() else []
    print(report_text(counts, shares, repaired, left))
    with atomic_path(args.output / "relabel.json") as path:
        content = {"pixels": counts.tolist(), "changed": shares, "repaired": repaired, "left_alone": left}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if shares:
        draw_most_changed(split.train, args.output, shares, args.output / "most_changed.png")
    print(f"{args.output}: {outcome.summary()}; relabel.json and most_changed.png say what changed")
    print(f"Train on it: --set track=open data.root={args.output} open_track.pretrained={args.model_path[0]}")
    if outcome.problems:
        print(f"relabel.py: {problems_text(outcome.problems)}", file=sys.stderr)
    return 1 if outcome.problems else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, 1 where bad files were left out, 2 after a sentence on stderr, 130 after Ctrl+C."""
    command = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(parse_arguments(command), command)
    except (ValueError, OSError) as error:
        print(f"relabel.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("relabel.py: interrupted; the same command goes on where it stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
