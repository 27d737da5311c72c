"""Scores of a model on a validation set."""

from __future__ import annotations

import torch
from torch import nn
from tqdm import tqdm

from face_parsing.data.dataset import ValidationSet
from face_parsing.evaluation.metrics import ScoreKeeper, Scores
from face_parsing.inference.predict import predict_masks, prepare_model
from face_parsing.system import distributed


@torch.inference_mode()
def validate(
    model: nn.Module,
    dataset: ValidationSet,
    *,
    image_size: int,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    progress: bool = False,
) -> Scores:
    """Scores of a model on a validation set, at the masks' own size, without test-time augmentation.

    It predicts with the functions that inference predicts with. Raises ValueError for an empty set. Of several
    processes each takes every so-many-th batch, and all get the scores of one that had taken them all.
    """
    model = prepare_model(model, device)
    keeper = ScoreKeeper(dataset.store.labels)
    starts = range(0, len(dataset), batch_size)[distributed.rank() :: distributed.world_size()]
    for first in tqdm(starts, desc="evaluating", unit="batch", disable=not progress, leave=False):
        pairs = [dataset[i] for i in range(first, min(first + batch_size, len(dataset)))]
        photos = torch.stack([photo for photo, _ in pairs]).to(device)
        masks = torch.stack([mask for _, mask in pairs]).to(device)
        H, W = masks.shape[1:]
        with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
            predicted = predict_masks([model], photos, image_size=image_size, output_size=(H, W), labels=keeper.labels)
        keeper.update(predicted, masks)
    return ScoreKeeper.merged(distributed.from_all(keeper)).scores()
