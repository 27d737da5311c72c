"""Put decision biases into a network: ``python src/merge_biases.py --model_path A.pth --biases B.json --output C.pth``.

A bias of ``fit_biases.py`` is added to a class's log-probability. Added to the bias of the classifier itself it does
the same, to within what enlarging probabilities changes, and costs nothing: the network decides so by itself, with
test-time augmentation, in a submission and in an ONNX file too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from face_parsing.inference.logit_biases import merge_biases, named, read_biases
from face_parsing.models.checkpoint import CheckpointError, description, load_checkpoint, restore_model, save_checkpoint
from face_parsing.system.cli import refuse_existing


def _run(args: argparse.Namespace) -> None:
    refuse_existing([args.output], overwrite=args.overwrite)
    content = load_checkpoint(args.model_path)
    kept = description(content, args.model_path)
    biases = read_biases(args.biases, kept["labels"])
    model = restore_model(content, args.model_path)
    try:
        merge_biases(model, biases)
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
        print(f"merge_biases.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
