"""A checkpoint as one file for other runtimes: ``python src/export.py --model_path CHECKPOINT --output face.onnx``.

``.onnx`` is for ONNX Runtime and what reads its format, ``.pt2`` for torch.export's own loader and ExecuTorch. The
graph takes photos as they are decoded, ``image`` (B, H, W, 3) uint8 RGB, so that no user of it can normalise wrongly,
and gives ``logits`` (B, C, H, W) float32 or, with ``--mask``, ``mask`` (B, H, W) uint8. H and W are ``--size``; with
``--dynamic`` B is free, and H and W are any multiples of 32. The file carries classes, palette, size, scores, a licence
note and what its output's axes mean; it is left only if it gives the masks that the checkpoint gives.

Of a light U-Net, an ``.onnx`` gives ``block_logits`` (B, C * s * s, h, w) float32 instead: logits before DepthToSpace,
in blocks of s x s pixels. That is faster, and so is the rest of that graph. ``--logits`` gives logits all the same.

``--int8 PHOTOS`` computes in 8 bits, fitted to a folder of photos: less exact, smaller, and faster on a CPU.
``evaluate.py --model_path face.onnx`` says what that costs. Of a light U-Net the file then gives ``scores``
(1, h, w, s, s, C) uint8, which are logits in 8 bits, in blocks of s x s pixels: pixel (y, x) has the C scores
``[0, y // s, x // s, y % s, x % s]``. H and W are then any multiples of the file's ``step``. To choose the largest
class, scores are as good as logits; ``--logits`` gives logits here too.
The packages are in requirements-export.txt.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from face_parsing.inference.export import export_model, fitted_note
from face_parsing.inference.onnx_network import ExportError
from face_parsing.system.commands import a_network, add_overwrite, command, command_parser
from face_parsing.weights import BEST, find_weights


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = command_parser(
        "export.py",
        "Write a checkpoint as ONNX or as a torch.export program, checked to give the same masks.",
        example="python src/export.py --model_path weights/face_parsing_open.pth --output face_parsing.onnx",
    )
    files = parser.add_argument_group("files")
    files.add_argument("--model_path", type=a_network, help="checkpoint (weights/face_parsing_open.pth)")
    files.add_argument("--output", type=Path, required=True, help="FILE.onnx, or FILE.pt2 for torch.export")
    add_overwrite(files, "a file that exists")
    graph = parser.add_argument_group("what the graph takes and gives")
    graph.add_argument("--size", type=int, help="height and width of the photos, pixels (the checkpoint's)")
    graph.add_argument("--dynamic", action="store_true", help="any batch, any height and width in multiples of 32")
    gives = graph.add_mutually_exclusive_group()
    gives.add_argument("--mask", action="store_true", help="give class ids (B, H, W) instead of logits")
    gives.add_argument(
        "--logits", action="store_true", help="give logits of pixels, where logits or bytes in blocks are faster"
    )
    numbers = parser.add_argument_group("how exactly it computes (float32)")
    numbers.add_argument("--half", action="store_true", help="float16 weights: half the file, a little less exact")
    numbers.add_argument(
        "--int8", type=Path, metavar="PHOTOS", help="8 bits, fitted to a folder of photos: fast on a CPU"
    )
    return parser.parse_args(argv)


@command("export.py")
def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    args = parse_arguments(argv)
    if args.output.exists() and not args.overwrite:
        raise ExportError(f"{args.output} would be replaced; add --overwrite or choose another --output.")
    share = export_model(
        args.model_path or find_weights(BEST),
        args.output,
        size=args.size,
        dynamic=args.dynamic,
        half=args.half,
        int8=args.int8,
        mask=args.mask,
        logits=args.logits,
    )
    size = args.output.stat().st_size / 1e6
    print(f"wrote {args.output} ({size:.1f} MB); its masks equal the checkpoint's on {share:.4%} of pixels or more")
    if args.int8 is not None:
        print(fitted_note(args.int8))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
