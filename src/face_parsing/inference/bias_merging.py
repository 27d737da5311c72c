"""Decision biases put into a network, which then decides with them by itself.

Added to the classifier's own biases they do the same as added to log-probabilities, to within what enlarging
probabilities changes, and cost nothing; test-time augmentation, submissions and ONNX files have them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from face_parsing.inference.logit_biases import named, read_biases
from face_parsing.models.checkpoint import CheckpointError, description, load_checkpoint, restore_model, save_checkpoint

SIDE = 64  # of the image on which the result is checked
TOLERANCE = 1e-3


@torch.no_grad()
def merge_biases(model: nn.Module, biases: Sequence[float]) -> None:
    """Add biases (C,) to those of a network's last convolution, its classifier, in place.

    Its channels may be C groups of pixels each (``models.layers.depth_to_space``). Raises ValueError for a network
    whose logits (B, C, H, W) do not all rise by them, and leaves it as it was.
    """
    shift = torch.tensor(biases, dtype=torch.float32)
    last = [m for m in model.modules() if isinstance(m, nn.Conv2d)][-1]
    group, rest = divmod(last.out_channels, len(shift))
    if last.bias is None or rest:
        raise ValueError("its last convolution is no classifier with a bias")
    model.eval()
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    before: Tensor = model(image)
    kept = last.bias.clone()
    last.bias += shift.repeat_interleave(group)
    risen = model(image) - before - shift[:, None, None]
    if risen.abs().max() > TOLERANCE:
        last.bias.copy_(kept)
        raise ValueError("its logits do not rise by what is added to its last convolution's bias")


def merge_into_checkpoint(model_path: Path, biases_path: Path, output: Path) -> str:
    """Write the checkpoint of a network that decides with biases by itself. Gives those that are not 0, for people.

    Raises ValueError for a file that cannot be read, and CheckpointError for a network that cannot take biases.
    """
    content = load_checkpoint(model_path)
    kept = description(content, model_path)
    biases = read_biases(biases_path, kept["labels"])
    model = restore_model(content, model_path)
    try:
        merge_biases(model, biases)
    except ValueError as error:
        raise CheckpointError(f"{model_path} cannot take biases: {error}; use --biases instead.") from None
    # The scores were another decision's.
    save_checkpoint(output, state_dict=model.state_dict(), scores={}, **kept)
    return named(biases, kept["labels"])
