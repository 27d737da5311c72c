"""What a run leaves when its last epoch is done: final scores, a panel of faces and, if asked for, a submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from face_parsing.config.sections import Config
from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import ValidationSet
from face_parsing.data.photo_search import search_photos
from face_parsing.drawing.pictures import panel, save_picture
from face_parsing.evaluation.metrics import Scores
from face_parsing.evaluation.validation import validate
from face_parsing.inference.folder import predict_folder
from face_parsing.inference.predict import exact_arithmetic, predict_masks
from face_parsing.inference.run_py import SubmissionError
from face_parsing.inference.submission import pack_submission
from face_parsing.inference.torch_network import parse_with
from face_parsing.models import count_parameters
from face_parsing.models.checkpoint import load_checkpoint, restore_model
from face_parsing.system import distributed
from face_parsing.training.averaging import average_weights, renew_statistics
from face_parsing.training.resuming import RunState
from face_parsing.training.run_folder import RunFolder


def finish_run(config: Config, folder: RunFolder, val: ValidationSet, state: RunState, device: torch.device) -> None:
    """Evaluate the best model as inference would, draw its panel, and pack a submission if the config asks for one."""
    content = distributed.from_main(lambda: load_checkpoint(folder.best_model))
    model = restore_model(content, folder.best_model).to(device)
    scores = _judge(model, content["image_size"], val, device) if len(val) else None
    if not distributed.is_main():
        return
    folder.write_history(state.history, curves=True)
    print(f"{_result(config, content, judged=scores is not None)}")
    if scores is None:
        print(f"Weights: {folder.best_model}\nCurves: {folder.root}")
    else:
        print(scores.table())
        facts = {
            "epoch": content["scores"]["epoch"],
            "image_size": content["image_size"],
            "parameters": count_parameters(model),
            "seed": config.run.seed,
            "training_seconds": round(state.seconds, 1),
        }
        folder.write_scores(scores, facts)
        size, faces = content["image_size"], config.run.panel_faces
        panel = draw_panel(model, val, image_size=size, faces=faces, device=device)
        if panel is not None:
            save_picture(panel, folder.panel)
        print(f"Weights: {folder.best_model}\nCurves, panel and scores: {folder.root}")
    if config.run.pack_submission:
        pack_test_photos(config, folder.predictions, model, content, device)


def _judge(model: nn.Module, image_size: int, val: ValidationSet, device: torch.device) -> Scores:
    with exact_arithmetic():
        return validate(model, val, image_size=image_size, batch_size=8, device=device, progress=True)


def _result(config: Config, content: Mapping[str, Any], *, judged: bool) -> str:
    """What the run's weights are, and how they were judged."""
    if config.schedule.average_cycles:
        what = f"Average of what the last {config.schedule.average_cycles} cycles ended with"
    else:
        what = f"{'Best' if judged else 'Last'} model: epoch {content['scores']['epoch']}"
    if not judged:
        return f"{what}. It was trained on all pairs, so that none is left to judge it by."
    return f"{what}, evaluated in fp32 without test-time augmentation."


def average_cycles(
    model: nn.Module,
    ends: Sequence[Mapping[str, Tensor]],
    config: Config,
    train: PairStore,
    device: torch.device,
) -> None:
    """Make the model, on the device, the mean of what cycles of the learning rate have ended with.

    Its BatchNorm statistics are found anew on the training pairs (Izmailov et al. 2018).
    """
    model.load_state_dict(average_weights(ends))
    renew_statistics(model, config, train, device)
    model.eval()


def draw_panel(
    model: nn.Module, val: ValidationSet, *, image_size: int, faces: int, device: torch.device
) -> np.ndarray | None:
    """Photo, label and prediction of so many validation faces, evenly spread over the set: (H, W, 3) uint8.

    None where there are no faces to show.
    """
    count = min(faces, len(val))
    if not count:
        return None
    pairs = [val[i * len(val) // count] for i in range(count)]
    photos = torch.stack([photo for photo, _ in pairs]).to(device)
    H, W = photos.shape[1:3]
    labels = val.store.labels
    masks = predict_masks([model], photos, image_size=image_size, output_size=(H, W), labels=labels).cpu().numpy()
    truths = [mask.numpy() for _, mask in pairs]
    return panel([photo.numpy() for photo, _ in pairs], truths, list(masks), labels=labels)


def pack_test_photos(
    config: Config, folder: Path, model: nn.Module, content: Mapping[str, Any], device: torch.device
) -> None:
    """Predict the test photos into the folder and pack them. Raises SubmissionError where one cannot be read."""
    found = search_photos([config.paths.root / "test" / "images"])
    if found.missed:
        raise SubmissionError(f"No submission was packed: {config.paths.root / 'test' / 'images'} has {found.line()}.")
    found.refuse_one_stem()
    used = config.inference
    tta: dict[str, Any] = {"scales": (1.0,), "flip": False}
    if used.submission_tta:
        tta = {"scales": used.scales, "flip": used.flip}
    parse = parse_with([model], image_size=content["image_size"], device=device, **tta)
    failures = predict_folder(parse, found.photos, folder, color=True)
    if failures:
        raise SubmissionError("No submission was packed: " + "; ".join(failures))
    zip_path = folder / "submission.zip"
    pack_submission(zip_path, masks=folder / "masks", photos=found.photos, content=content, tta=tta)
    print(f"Submission, checked with the judges' command: {zip_path}")
