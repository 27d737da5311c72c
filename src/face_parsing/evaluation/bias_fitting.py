"""Fits decision biases to what networks say of the pairs of a data set.

On the training pairs, by default. The network has seen these, so the gain is told three times: on the pairs it was
fitted on, on folds of them that were left out of the fit, and on the validation pairs, which neither the network nor
the fit has seen. But where a network is unsure on new faces, it is not on those it has learnt: fitting ``on`` the
validation pairs, a few ``classes`` best, is better, and the folds left out are then the only honest gain. Of several
networks of one recipe it finds what suits them all, and so less of what is one network's chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from face_parsing.data.pairs import Pair, read_pair
from face_parsing.data.split import make_split
from face_parsing.evaluation.bias_search import LIMIT, Samples
from face_parsing.evaluation.metrics import ScoreKeeper, f_scores
from face_parsing.evaluation.significance import bootstrap_interval
from face_parsing.inference.logit_biases import add_biases, named
from face_parsing.inference.predict import predict_probabilities, prepare_model
from face_parsing.labels import LabelSet, is_mirrored, swap_left_right
from face_parsing.models.checkpoint import label_set, load_checkpoint, restore_model
from face_parsing.system.device import choose_device, prepare_device

Network = tuple[nn.Module, int]
"""A model, prepared for its device, and the size at which it sees a photo, pixels."""

STRIDE = 2  # every second row and column of pixels is looked at


def _predict_pair(network: Network, pair: Pair, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (C, size, size) of a pair's photo, and its mask (size, size)."""
    model, size = network
    image, mask = read_pair(pair, size)
    probabilities = predict_probabilities([model], torch.from_numpy(image[None]).to(device), image_size=size)
    return probabilities[0].cpu().numpy(), mask


def _report_validation(
    network: Network, pairs: Sequence[Pair], device: torch.device, biases: np.ndarray, labels: LabelSet
) -> None:
    """Print the F-Scores of a network on validation pairs, without biases and with them."""
    keepers = ScoreKeeper(labels), ScoreKeeper(labels)
    for pair in tqdm(pairs, desc="validating", unit="pair", leave=False):
        probabilities, mask = _predict_pair(network, pair, device)
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


def _load_networks(paths: Sequence[Path], device: torch.device) -> tuple[list[Network], LabelSet]:
    """Networks of the same classes, and these. Raises ValueError where they are not the same."""
    contents = [load_checkpoint(path) for path in paths]
    labels = label_set(contents[0])
    if any(label_set(content) != labels for content in contents):
        raise ValueError("The networks of --model_path tell different classes apart; fit their biases one by one.")
    networks = [
        (prepare_model(restore_model(content, path), device), int(content["image_size"]))
        for content, path in zip(contents, paths, strict=True)
    ]
    return networks, labels


def _indices(names: Sequence[str] | None, labels: LabelSet) -> list[int] | None:
    unknown = sorted(set(names or ()) - set(labels.names))
    if unknown:
        raise ValueError(f"--classes: there is no class {unknown[0]}; choose from {', '.join(labels.names)}.")
    return None if names is None else [labels.names.index(name) for name in names]


def _collect(
    networks: Sequence[Network], pairs: Sequence[Pair], device: torch.device, labels: LabelSet, limit: float
) -> Samples:
    """What each network says of each pair, one network after the other; mirrored masks are swapped back first."""
    samples = Samples(labels, limit=limit)
    for network in networks:
        for pair in tqdm(pairs, desc="predicting", unit="pair", leave=False):
            probabilities, mask = _predict_pair(network, pair, device)
            if is_mirrored(mask):
                mask = swap_left_right(mask)
            samples.add(probabilities[:, ::STRIDE, ::STRIDE], labels.table[mask[::STRIDE, ::STRIDE]])
    return samples


def fit_biases(
    data: Path,
    model_paths: Sequence[Path],
    *,
    on: str = "train",
    val_stems: Path | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    limit: float = LIMIT,
    max_pairs: int | None = None,
    device_name: str = "auto",
) -> tuple[np.ndarray, LabelSet]:
    """Biases (C,) for the decisions of networks, and their classes; what they gain is printed.

    ``on`` is the part of the data set that they are fitted on, ``train`` or ``val``. Biases of other ``classes`` than
    those named stay 0. ``seed`` is that of the split and of the folds. Raises ValueError for what does not fit.
    """
    split = make_split(data, val_stems=val_stems, val_fraction=val_fraction, seed=seed)
    device = choose_device(device_name)
    prepare_device(device)
    networks, labels = _load_networks(model_paths, device)
    chosen = _indices(classes, labels)
    kind = "training" if on == "train" else "validation"
    pairs = (split.train if on == "train" else split.val)[:max_pairs]
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} {kind} pairs are too few to fit on; two at least are needed.")
    samples = _collect(networks, pairs, device, labels, limit)
    N, count = len(pairs), len(networks)
    change = samples.cross_validate(seed, classes=chosen, rounds=count).reshape(count, N).mean(0)
    biases = samples.fit(np.ones(N * count, dtype=bool), chosen)
    plain, fitted = (samples.f_scores(values).mean() for values in (np.zeros(len(labels)), biases))
    low, high = bootstrap_interval(change)
    print(
        f"{kind}, {N} pairs{f' by {count} networks' if count > 1 else ''}: F-Score {plain:.4f} -> {fitted:.4f}; "
        f"on folds left out of the fit {change.mean():+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
    )
    if on == "train":
        for network in networks:
            _report_validation(network, split.val, device, biases, labels)
    print(named(biases, labels))
    return biases, labels
