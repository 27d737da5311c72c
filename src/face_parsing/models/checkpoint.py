"""Checkpoints: plain containers and tensors alone, written atomically, read without running code.

``best_model.pth`` describes a network ready for use. ``last_model.pth`` holds, beside that, under
``"training"``, everything a run needs to go on.
"""

from __future__ import annotations

import os
import pickle
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from face_parsing.config.renamed import current_figure, with_current_names
from face_parsing.labels import CELEBAMASK, LabelSet, group_labels
from face_parsing.models import build_model
from face_parsing.models.checkpoint_guards import InflatedError, check_fields, no_larger_than, refuse_inflation
from face_parsing.system.files import atomic_path
from face_parsing.system.untrusted import check_extent
from face_parsing.system.workers import is_dead_worker
from face_parsing.weights import shipped_networks

FORMAT_VERSION = 1


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and says why."""


def save_checkpoint(
    path: Path,
    *,
    state_dict: Mapping[str, Tensor],
    model: Mapping[str, Any],
    image_size: int,
    inference: Mapping[str, Any],
    track: str,
    scores: Mapping[str, float],
    labels: LabelSet = CELEBAMASK,
    trained_on: Sequence[str] | None = None,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint to path: to a temporary file first, then renamed, so that path is never half-written.

    ``model`` is the description that ``build_model`` takes, ``image_size`` the longest side (pixels) of
    the network's input, ``inference`` the config's section, ``scores`` what validation measured,
    ``trained_on`` the stems of the pairs that the weights have learned from.
    """
    content = {
        "format": FORMAT_VERSION,
        "classes": labels.groups,
        "state_dict": dict(state_dict),
        "model": dict(model),
        "image_size": image_size,
        "inference": dict(inference),
        "track": track,
        "scores": dict(scores),
    }
    if trained_on is not None:
        content["trained_on"] = list(trained_on)
    if training is not None:
        content["training"] = dict(training)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # what torch's writer makes of an OSError
            if is_dead_worker(error):
                raise
            raise error.__context__ if isinstance(error.__context__, OSError) else OSError(str(error)) from None
        file.flush()
        os.fsync(file.fileno())


def description(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What ``save_checkpoint`` needs, beside weights and scores, to write a checkpoint's network again with others.

    Raises CheckpointError, naming the path of the content, where it lacks some of it.
    """
    missing = [key for key in ("inference", "track") if key not in content]
    if missing:
        raise CheckpointError(f"{path} lacks {missing[0]}, which training writes; name a checkpoint that has it.")
    kept = {key: content[key] for key in ("model", "image_size", "inference", "track")}
    return {**kept, "labels": label_set(content), "trained_on": content.get("trained_on")}


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU. Raises CheckpointError; no code in the file is ever run."""
    if not path.is_file():
        shipped = ", ".join(name for name in shipped_networks() if name.endswith(".pth"))  # a wheel holds none
        raise CheckpointError(
            f"There is no checkpoint {path}; train one with 'python src/train.py', or name another."
            + (f" Shipped are: {shipped}." if shipped else "")
        )
    if path.suffix == ".onnx":
        raise CheckpointError(f"{path} is an ONNX file, and a checkpoint is needed here; name the .pth it was made of.")
    try:
        refuse_inflation(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except InflatedError as error:
        raise CheckpointError(f"{path} is no checkpoint of this project: {error}.") from None
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} is no checkpoint of this project: it holds more than tensors and plain values, "
            "and was refused without running any of it."
        ) from None
    except Exception as error:  # damaged bytes make the reader raise anything at all
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise CheckpointError(f"The checkpoint {path} is damaged: {reason}") from None
    if not isinstance(content, dict) or not {"format", "state_dict", "model", "image_size"} <= content.keys():
        raise CheckpointError(f"{path} is no checkpoint of this project: it lacks the model's description.")
    try:
        check_extent(
            {key: value for key, value in content.items() if key not in ("state_dict", "training", "trained_on")}
        )
    except ValueError as error:
        raise CheckpointError(f"{path} is no checkpoint of this project: {error}.") from None
    if content["format"] != FORMAT_VERSION:
        found = reprlib.repr(content["format"])
        raise CheckpointError(f"{path} has format {found}, this version reads format {FORMAT_VERSION}.")
    try:
        label_set(content)
    except (ValueError, TypeError, AttributeError):
        found = reprlib.repr(content.get("classes"))
        raise CheckpointError(f"{path} was trained on other classes: {found}.") from None
    try:
        check_fields(content)
    except ValueError as error:
        raise CheckpointError(f"{path} is no checkpoint of this project: {error}.") from None
    return _with_current_names(content)


def _with_current_names(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint whose model or scores may have names of earlier versions."""
    model, _ = with_current_names(content["model"], "model")
    scores = content.get("scores", {}).items()
    renamed = {current_figure(name): value for name, value in scores}
    return {**content, "model": model} | ({"scores": renamed} if "scores" in content else {})


def label_set(content: Mapping[str, Any]) -> LabelSet:
    """The classes that a loaded checkpoint's network tells apart. Raises ValueError where they are none."""
    classes = content.get("classes")
    if classes in (list(CELEBAMASK.names), CELEBAMASK.groups):  # the first checkpoints held the names alone
        return CELEBAMASK
    if not isinstance(classes, dict) or not classes:
        raise ValueError(f"{classes} are no classes")
    return group_labels(classes)


def restore_model(content: Mapping[str, Any], source: Path) -> nn.Module:
    """The network of a loaded checkpoint, in evaluation mode, on the CPU. Raises CheckpointError."""
    weights = content["state_dict"]
    try:
        with no_larger_than(weights):
            model = build_model(content["model"], len(label_set(content)))
        model.load_state_dict(weights)
    except Exception as error:  # what a description makes the networks raise has no class in common
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"The weights in {source} do not fit its own description: {reason[:500]}") from None
    for name, value in model.state_dict().items():
        if not bool(value.isfinite().all()):
            raise CheckpointError(
                f"The weights in {source} are not all finite numbers ({name}); name another checkpoint."
            )
    return model.eval()


def load_networks(
    paths: Sequence[Path], *, track: str, size: int | None = None
) -> tuple[list[nn.Module], dict[str, Any]]:
    """The networks of one prediction, on the CPU, and the content of the first checkpoint, ``trained_on`` that of all.

    Several, whose probabilities are averaged, are for the track ``open``, and must agree in classes and image
    size. ``size`` takes the place of that image size. Raises CheckpointError.
    """
    if len(paths) > 1 and track != "open":
        raise CheckpointError(
            f"{len(paths)} checkpoints are named, but the challenge allows no ensemble of models; "
            "name one, or add --track open."
        )
    contents = [load_checkpoint(path) for path in paths]
    first = contents[0]
    for path, content in zip(paths, contents, strict=True):
        if label_set(content) != label_set(first):
            raise CheckpointError(f"{path} and {paths[0]} tell different classes apart; an ensemble needs the same.")
        if size is not None:
            content["image_size"] = size
        if content["image_size"] != first["image_size"]:
            raise CheckpointError(
                f"{path} works at {content['image_size']} pixels and {paths[0]} at {first['image_size']}; "
                "an ensemble needs one size."
            )
    trained_on = {stem for content in contents for stem in content.get("trained_on") or ()}
    networks = [restore_model(content, path) for path, content in zip(paths, contents, strict=True)]
    return networks, {**first, "trained_on": sorted(trained_on)}


def augmentation_of(content: Mapping[str, Any], *, tta: bool) -> dict[str, Any]:
    """``scales`` and ``flip`` to predict with: the checkpoint's own with tta, else the photo alone."""
    if not tta:
        return {"scales": (1.0,), "flip": False}
    if "inference" not in content:
        raise CheckpointError("The checkpoint does not say what --tta is to average over; leave --tta out.")
    return {key: content["inference"][key] for key in ("scales", "flip")}
