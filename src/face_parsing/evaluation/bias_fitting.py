"""What fitting decision biases needs beside the fit itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from face_parsing.data.pairs import Pair, read_pair
from face_parsing.evaluation.metrics import ScoreKeeper, f_scores
from face_parsing.evaluation.significance import bootstrap_interval
from face_parsing.inference.logit_biases import add_biases
from face_parsing.inference.predict import predict_probabilities
from face_parsing.labels import LabelSet

STRIDE = 2  # every second row and column of pixels is looked at


def predict_pair(model: nn.Module, pair: Pair, size: int, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    image, mask = read_pair(pair, size)
    probabilities = predict_probabilities([model], torch.from_numpy(image[None]).to(device), image_size=size)
    return probabilities[0].cpu().numpy(), mask


def report_validation(
    model: nn.Module,
    pairs: Sequence[Pair],
    size: int,
    device: torch.device,
    biases: np.ndarray,
    labels: LabelSet,
) -> None:
    keepers = ScoreKeeper(labels), ScoreKeeper(labels)
    for pair in tqdm(pairs, desc="validating", unit="pair", leave=False):
        probabilities, mask = predict_pair(model, pair, size, device)
        for keeper, scores in zip(keepers, (probabilities, add_biases(probabilities, biases)), strict=True):
            keeper.update(torch.from_numpy(scores.argmax(0))[None], torch.from_numpy(labels.table[mask])[None])
    before, after = (keeper.scores() for keeper in keepers)
    change = (f_scores(keepers[1].counts()) - f_scores(keepers[0].counts())).numpy()
    low, high = bootstrap_interval(change)
    print(
        f"validation, {before.images} pairs: F-Score {before.f_score:.4f} -> {after.f_score:.4f}, left/right corrected "
        f"{before.f_score_lr_corrected:.4f} -> {after.f_score_lr_corrected:.4f}; "
        f"change {change.mean():+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
    )
