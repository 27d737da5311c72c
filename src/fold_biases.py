"""Put decision biases into a network: ``python src/fold_biases.py --model_path A.pth --biases B.json --output C.pth``.

A bias of ``fit_biases.py`` is added to a class's log-probability. Added to the bias of the classifier itself it does
the same, to within what enlarging probabilities changes, and costs nothing: the network decides so by itself, with
test-time augmentation, in a submission and in an ONNX file too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from biases import named, read_biases
from checkpoint import CheckpointError, description, load_checkpoint, restore_model, save_checkpoint
from command_line import refuse_existing

SIDE = 64  # of the image on which the result is checked
TOLERANCE = 1e-3


@torch.no_grad()
def fold_biases(model: nn.Module, biases: Sequence[float]) -> None:
    """Add biases (C,) to those of a network's last convolution, its classifier, in place.

    Its channels may be C groups of pixels each (``models.layers.unfold_channels``). Raises ValueError for a network
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


def _run(args: argparse.Namespace) -> None:
    refuse_existing([args.output], overwrite=args.overwrite)
    content = load_checkpoint(args.model_path)
    kept = description(content, args.model_path)
    biases = read_biases(args.biases, kept["labels"])
    model = restore_model(content, args.model_path)
    try:
        fold_biases(model, biases)
    except ValueError as error:
        raise CheckpointError(f"{args.model_path} cannot take biases: {error}; use --biases instead.") from None
    # The scores were another decision's.
    save_checkpoint(args.output, state_dict=model.state_dict(), scores={}, **kept)
    print(f"wrote {args.output}, which decides with {named(biases, kept['labels']) or 'no bias'}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    parser = argparse.ArgumentParser(description="Add decision biases to the classifier of a checkpoint's network.")
    parser.add_argument("--model_path", type=Path, required=True, help="checkpoint")
    parser.add_argument("--biases", type=Path, required=True, help="JSON file of fit_biases.py")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the output file")
    args = parser.parse_args(argv)
    try:
        _run(args)
    except (ValueError, OSError) as error:
        print(f"fold_biases.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
