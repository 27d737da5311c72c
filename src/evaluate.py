"""Judge a folder of masks: ``python src/evaluate.py --predictions outputs/x/masks --truth data/val/masks``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from config import as_dict
from dataset import DataError, read_mask
from metrics import ScoreKeeper, Scores, f_scores
from pictures import save_panel
from runtime import atomic_path


def judge_folders(predictions: Path, truth: Path, *, progress: bool = True) -> tuple[Scores, dict[str, float]]:
    """Scores of the masks in predictions for every mask in truth, matched by name; and the F-Score of each.

    Raises DataError for a missing folder, prediction or size.
    """
    for folder in (predictions, truth):
        if not folder.is_dir():
            raise DataError(f"There is no folder {folder} of PNG masks.")
    wanted = sorted(path for path in truth.glob("*.png") if not path.name.startswith("."))
    if not wanted:
        raise DataError(f"There are no PNG masks in {truth}.")
    missing = [path.name for path in wanted if not (predictions / path.name).is_file()]
    if missing:
        raise DataError(f"{predictions} lacks {len(missing)} of {len(wanted)} masks, the first: {missing[0]}.")
    keeper = ScoreKeeper()
    for path in tqdm(wanted, desc="judging", unit="mask", disable=not progress, leave=False):
        target, predicted = read_mask(path), read_mask(predictions / path.name)
        if target.shape != predicted.shape:
            size, expected = ("x".join(map(str, mask.shape[::-1])) for mask in (predicted, target))
            raise DataError(f"{predictions / path.name} is {size}, its ground truth is {expected}.")
        if (predicted == 255).any():
            raise DataError(f"{predictions / path.name} holds the label 255; a prediction's ids are 0 to 18.")
        keeper.update(torch.from_numpy(predicted)[None], torch.from_numpy(target)[None])
    each = f_scores(keeper.confusion()).tolist()
    return keeper.scores(), dict(zip((path.name for path in wanted), each, strict=True))


def draw_worst(predictions: Path, truth: Path, scores: dict[str, float], count: int, path: Path) -> None:
    """A panel of the count masks with the lowest F-Score, the truth beside the prediction."""
    worst = sorted(scores, key=lambda name: scores[name])[:count]
    titles = [f"{rank}. F-Score {scores[name]:.3f}" for rank, name in enumerate(worst, 1)]
    truths, predicted = ([read_mask(folder / name) for name in worst] for folder in (truth, predictions))
    save_panel(path, None, truths, predicted, titles)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    parser = argparse.ArgumentParser(description="Score predicted masks against ground truth as the challenge does.")
    parser.add_argument("--predictions", type=Path, required=True, help="folder of PNG masks from inference.py")
    parser.add_argument("--truth", type=Path, required=True, help="folder of PNG masks; each needs its prediction")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--worst", type=Path, help="also draw the ten worst masks beside their truth, to this PNG")
    args = parser.parse_args(argv)
    try:
        scores, each = judge_folders(args.predictions, args.truth)
        print(scores.table())
        if args.json is not None:
            with atomic_path(args.json) as path:
                path.write_text(json.dumps(as_dict(scores), indent=1) + "\n", encoding="utf-8")
        if args.worst is not None:
            draw_worst(args.predictions, args.truth, each, 10, args.worst)
    except (ValueError, OSError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
