"""A checkpoint as one file for other runtimes: ``python src/export.py --model_path CHECKPOINT --output face.onnx``.

``.onnx`` is for ONNX Runtime and what reads its format, ``.pt2`` for torch.export's own loader and ExecuTorch. The
graph takes photos as they are decoded, ``image`` (B, H, W, 3) uint8 RGB, so that no user of it can normalise wrongly,
and gives ``logits`` (B, C, H, W) float32 or, with ``--mask``, ``mask`` (B, H, W) uint8. H and W are ``--size``; with
``--dynamic`` B is free, and H and W are any multiples of 32. The file carries classes, palette, size, scores and a
licence note; it is left only if it gives the masks that the checkpoint gives. ``--int8 PHOTOS`` computes in 8 bits,
fitted to a folder of photos: less exact, smaller, and faster on a CPU. ``evaluate.py --model_path face.onnx`` says what
that costs. The packages are in requirements-export.txt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from face_parsing.inference.export import DEFAULT_MODEL, export_model
from face_parsing.inference.onnx_network import ExportError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write a checkpoint as ONNX or as a torch.export program, checked.")
    parser.add_argument("--model_path", type=Path, default=DEFAULT_MODEL, help="checkpoint (weights/face_parsing.pth)")
    parser.add_argument("--output", type=Path, required=True, help="FILE.onnx, or FILE.pt2 for torch.export")
    parser.add_argument("--size", type=int, help="height and width of the photos, pixels (the checkpoint's)")
    parser.add_argument("--dynamic", action="store_true", help="any batch, any height and width in multiples of 32")
    parser.add_argument("--half", action="store_true", help="float16 weights: half the file, a little less exact")
    parser.add_argument(
        "--int8", type=Path, metavar="PHOTOS", help="8 bits, fitted to a folder of photos: fast on a CPU"
    )
    parser.add_argument("--mask", action="store_true", help="give class ids (B, H, W) instead of logits")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    args = _parser().parse_args(argv)
    try:
        if args.output.exists() and not args.overwrite:
            raise ExportError(f"{args.output} would be replaced; add --overwrite or choose another --output.")
        share = export_model(
            args.model_path,
            args.output,
            size=args.size,
            dynamic=args.dynamic,
            half=args.half,
            int8=args.int8,
            mask=args.mask,
        )
    except (ValueError, OSError) as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 2
    size = args.output.stat().st_size / 1e6
    print(f"wrote {args.output} ({size:.1f} MB); its masks equal the checkpoint's on {share:.4%} of pixels or more")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
