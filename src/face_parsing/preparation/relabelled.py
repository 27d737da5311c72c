"""Correct training labels by a trained network: ``prepare.py relabel``.

Self-distillation, for the open track alone: where the network is sure and disagrees, its class replaces the
label (Xie et al. 2020 train on all of a teacher's labels; here the given ones stay wherever it is unsure).
Training goes on from the same checkpoint:
``python src/train.py --set track=open data.root=NEW open_track.pretrained=CKPT``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from face_parsing.data.mask_log import MaskLog
from face_parsing.data.masks import read_mask, save_mask
from face_parsing.data.pairs import Pair
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.data.split import Split, make_split
from face_parsing.drawing.pictures import contact_sheet, difference, save_picture
from face_parsing.inference.predict import exact_arithmetic, predict_probabilities, prepare_model
from face_parsing.labels import CELEBAMASK, is_mirrored, swap_left_right
from face_parsing.models.checkpoint import augmentation_of, label_set, load_networks
from face_parsing.preparation.copying import Job, Outcome, Plan, PreparationError, carry_out
from face_parsing.preparation.corrections import Thresholds, correct, count_changes, report_text
from face_parsing.preparation.layouts import OWN_LAYOUT, copy_job, find_splits, output_files, plan_pairs
from face_parsing.preparation.pair_files import copy_photo
from face_parsing.system.device import choose_device, prepare_device
from face_parsing.system.files import atomic_path

Probabilities = Callable[[np.ndarray], np.ndarray]
"""Photo (H, W, 3) uint8 to class probabilities (19, H, W) float32."""


def relabel_pair(
    image: Path,
    mask: Path,
    outputs: tuple[Path, ...],
    probabilities: Probabilities,
    thresholds: Thresholds,
    unchanged: Path,
) -> MaskLog:
    """Write the image as outputs[0] and its corrected mask as outputs[1]; one that stays is noted in unchanged.

    A mirrored mask is repaired first: the network never learned those labels. Raises PhotoError and DataError.
    """
    log = MaskLog()
    photo, ids = read_photo(image), read_mask(mask, log=log)
    if ids.shape != photo.shape[:2]:
        raise DataError(f"{mask}: its size is not that of its image")
    if is_mirrored(ids):
        ids = swap_left_right(ids)
    corrected = correct(ids, probabilities(photo), thresholds)
    if (corrected != ids).mean() > thresholds.max_change:
        corrected = ids
        with unchanged.open("a", encoding="utf-8") as file:
            file.write(f"{mask.stem}\n")
    save_mask(corrected, outputs[1])
    copy_photo(image, outputs[0])
    return log


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
    unchanged = output / "left_alone.txt"

    def jobs_of(name: str, image: Path, mask: Path | None) -> list[Job]:
        if mask is None or image not in trained:
            return [copy_job(output, name, image, mask)]
        outputs = output_files(output, name, image, mask)
        return [Job(outputs, partial(relabel_pair, image, mask, outputs, probabilities, thresholds, unchanged))]

    return plan_pairs(splits, jobs_of, recipe=recipe, breaks="teacher")


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


def _load_teachers(paths: Sequence[Path], *, tta: bool, device: torch.device) -> Probabilities:
    models, first = load_networks(paths, track="open")
    if label_set(first) != CELEBAMASK:
        raise PreparationError(f"{paths[0]} tells other classes apart than the 19; name a network of all 19.")
    return network_probabilities(
        [prepare_model(model, device) for model in models],
        image_size=first["image_size"],
        device=device,
        **augmentation_of(first, tta=tta),
    )


def _write_report(split: Split, output: Path) -> str:
    """Write relabel.json and most_changed.png beside the corrected set, and give what they say as text."""
    pairs = tqdm(split.train, desc="counting changes", unit="mask", leave=False)
    counts, shares, repaired = count_changes(pairs, output)
    noted = output / "left_alone.txt"
    unchanged = sorted(set(noted.read_text(encoding="utf-8").split())) if noted.is_file() else []
    with atomic_path(output / "relabel.json") as path:
        content = {"pixels": counts.tolist(), "changed": shares, "repaired": repaired, "left_alone": unchanged}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if shares:
        draw_most_changed(split.train, output, shares, output / "most_changed.png")
    return report_text(counts, shares, repaired, unchanged)


def relabel(
    root: Path,
    output: Path,
    model_paths: Sequence[Path],
    thresholds: Thresholds,
    *,
    val_stems: Path | None = None,
    tta: bool = False,
    device_name: str = "auto",
    command: Sequence[str],
    overwrite: bool = False,
) -> tuple[Outcome, str]:
    """Copy a data set with the training labels corrected by networks; ``command`` is what its provenance will say.

    Gives what became of the pairs, and what happened to their labels as text. Raises ValueError for what cannot be.
    """
    device = choose_device(device_name)
    prepare_device(device)
    if val_stems is None and not (root / "val").is_dir():
        raise PreparationError(
            f"There is no folder {root / 'val'}; name the pairs that are validated on by --val_stems: their "
            "labels must stay."
        )
    split = make_split(root, val_stems=val_stems, val_fraction=0.1, seed=0)
    recipe = {
        "subcommand": "relabel", "models": [str(path.resolve()) for path in model_paths], "tta": tta,
        "confidence": thresholds.confidence, "ignore": thresholds.ignore, "max_change": thresholds.max_change,
        "keep": list(thresholds.keep), "val": [pair.stem for pair in split.val],
    }  # fmt: skip
    teachers = _load_teachers(model_paths, tta=tta, device=device)
    plan = plan_relabelling(root, output, split, teachers, thresholds, recipe)
    if overwrite:
        (output / "left_alone.txt").unlink(missing_ok=True)
    outcome = carry_out(plan, source=root, output=output, command=command, workers=1, overwrite=overwrite)
    return outcome, _write_report(split, output)
