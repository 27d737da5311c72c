"""A checkpoint as one file for other runtimes: ``python src/export.py --model_path CHECKPOINT --output face.onnx``.

``.onnx`` is for ONNX Runtime and what reads its format, ``.pt2`` for torch.export's own loader and ExecuTorch. The
graph takes photos as they are decoded, ``image`` (B, H, W, 3) uint8 RGB, so that no user of it can normalise wrongly,
and gives ``logits`` (B, C, H, W) float32 or, with ``--mask``, ``mask`` (B, H, W) uint8. H and W are ``--size``; with
``--dynamic`` B is free, and H and W are any multiples of 32. The file carries classes, palette, size, scores and a
licence note; it is left only if it gives the masks that the checkpoint gives. The packages are in
requirements-export.txt.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from checkpoint import label_set, load_checkpoint, restore_model
from labels import LabelSet
from models import count_parameters
from predict import MEAN, STD, fold_norms, read_photo
from runtime import PROJECT_ROOT, atomic_path

DEFAULT_MODEL = PROJECT_ROOT / "weights" / "face_parsing.pth"
PHOTO = PROJECT_ROOT / "docs" / "images" / "astronaut.jpg"
STEP = 32  # pixels that height and width are multiples of
LARGEST = 4096
AGREEMENT = 0.9999  # the least share of pixels at which the file's masks equal the checkpoint's
AGREEMENT_HALF = 0.999
LICENCE = "As the data the weights were trained on; CelebAMask-HQ is for non-commercial research and education alone."

Run = Callable[[np.ndarray], np.ndarray]
"""From photos (B, H, W, 3) uint8 to what the graph gives."""


class ExportError(ValueError):
    """A checkpoint that cannot be exported as asked; the message says why and what to do."""


class PhotoNetwork(nn.Module):
    """A network with what stands before and behind it: photos (B, H, W, 3) uint8 to logits or masks.

    With half, weights and maps are float16; logits are float32 all the same.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, mask: bool, half: bool) -> None:
        super().__init__()
        self.mask = mask
        self.precision = torch.float16 if half else torch.float32
        self.network = network.to(self.precision).requires_grad_(False)
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).mul(255).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        # float16 starts after the normalisation: before it, it would round the pixels.
        pixels = (image.permute(0, 3, 1, 2).float() - self.mean) / self.std
        logits: Tensor = self.network(pixels.to(self.precision)).float()
        return logits.argmax(1).to(torch.uint8) if self.mask else logits


# --- the program ----------------------------------------------------------------------------------


def trace(network: PhotoNetwork, size: int, *, dynamic: bool) -> torch.export.ExportedProgram:
    """The network as a graph of size x size pixels. Raises ExportError for what cannot be traced."""
    shapes = None
    if dynamic:
        sides = {axis: STEP * torch.export.Dim(name, min=2, max=LARGEST // STEP) for axis, name in ((1, "h"), (2, "w"))}
        shapes = {"image": {0: torch.export.Dim("batch", min=1, max=256), **sides}}
    # A batch of one, or a square, would be taken for a fixed one.
    sample = torch.zeros(2 if dynamic else 1, size, size + STEP if dynamic else size, 3, dtype=torch.uint8)
    try:
        with torch.no_grad():
            return torch.export.export(network, (sample,), dynamic_shapes=shapes)
    except Exception as error:  # the tracer raises anything at all
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        hint = "; leave out --dynamic" if dynamic else ""
        raise ExportError(f"This network cannot be traced by torch.export ({reason}){hint}.") from None


def describe(content: Mapping[str, Any], source: Path, *, size: int, parameters: int) -> dict[str, str]:
    """What the file says of itself, as text: lists and numbers as JSON."""
    labels: LabelSet = label_set(content)
    facts: dict[str, Any] = {
        "classes": list(labels.names),
        "palette": [list(colour) for colour in labels.palette],
        "image_size": size,
        "parameters": parameters,
        "scores": {name: value for name, value in dict(content.get("scores", {})).items() if np.isscalar(value)},
    }
    texts = {"input": "uint8 RGB, upright, longer side image_size", "source": source.name, "licence": LICENCE}
    return {**{name: json.dumps(value) for name, value in facts.items()}, **texts, "track": str(content.get("track"))}


def write_onnx(program: torch.export.ExportedProgram, path: Path, facts: Mapping[str, str], *, output: str) -> None:
    """The program in ONNX's format, weights inside. Raises ExportError where the packages are not installed."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(f"{error}; install what ONNX needs: pip install -r requirements-export.txt") from None
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's and onnxscript's, of each other
        onnx = torch.onnx.export(
            program, dynamo=True, input_names=["image"], output_names=[output], verbose=False, external_data=False
        )
        assert onnx is not None
        onnx.model.metadata_props.update(facts)
        onnx.save(path, external_data=False)


def run_onnx(path: Path, threads: int = 0) -> Run:
    """The file in ONNX Runtime on the CPU, with so many threads (0: its own choice)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may need the cores
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda photos: session.run(None, {"image": photos})[0]


def run_pt2(path: Path) -> Run:
    """The file of torch.export on the CPU."""
    module = torch.export.load(path).module()
    return lambda photos: module(torch.from_numpy(photos)).numpy()


# --- is it the same? ------------------------------------------------------------------------------


def sample_photos(size: int, *, dynamic: bool) -> list[np.ndarray]:
    """What the file is tried on: a portrait and noise, (B, H, W, 3) uint8; with dynamic of other sizes too."""
    shapes = [(1, size, size)]
    if dynamic:
        shapes += [(3, size, size), (1, 2 * STEP, 3 * STEP), (2, 5 * STEP, 2 * STEP)]
    portrait = Image.fromarray(read_photo(PHOTO))
    rng = np.random.default_rng(0)
    photos = []
    for B, H, W in shapes:
        photos.append(np.stack([np.asarray(portrait.resize((W, H)))] * B))
        photos.append(rng.integers(0, 256, (B, H, W, 3), dtype=np.uint8))
    return photos


def agreement(run: Run, network: nn.Module, photos: Sequence[np.ndarray]) -> float:
    """The least share of a sample's pixels at which the file gives the class of the float32 network of PhotoNetwork."""
    shares = []
    for batch in photos:
        found = run(batch)
        masks = found.argmax(1) if found.ndim == 4 else found
        with torch.no_grad():
            wanted = network(torch.from_numpy(batch)).numpy()
        shares.append(float((masks == wanted).mean()) if masks.shape == wanted.shape else 0.0)
    return min(shares)


def export_model(
    model_path: Path, output: Path, *, size: int | None = None, dynamic: bool = False, half: bool = False, mask: bool
) -> float:
    """Write the checkpoint's network to output, ``.onnx`` or ``.pt2``; size None is the checkpoint's own.

    Returns the least share of pixels on which it agreed with the checkpoint. Raises ExportError, and leaves no file,
    for what cannot be exported or agrees on less than AGREEMENT (AGREEMENT_HALF) of a sample's pixels.
    """
    if output.suffix not in (".onnx", ".pt2"):
        raise ExportError(f"--output {output}: the name must end in .onnx or .pt2.")
    content = load_checkpoint(model_path)
    size = size or content["image_size"]
    assert size is not None
    if size % STEP or not 2 * STEP <= size <= LARGEST:
        raise ExportError(f"--size {size}: it must be a multiple of {STEP} from {2 * STEP} to {LARGEST}.")
    model = restore_model(content, model_path)
    folded = fold_norms(model)
    program = trace(PhotoNetwork(folded, mask=mask, half=half), size, dynamic=dynamic)
    reference = PhotoNetwork(model, mask=True, half=False).eval()
    facts = describe(content, model_path, size=size, parameters=count_parameters(model))
    with atomic_path(output) as temporary:
        if output.suffix == ".onnx":
            write_onnx(program, temporary, facts, output="mask" if mask else "logits")
            run = run_onnx(temporary)
        else:
            torch.export.save(program, temporary, extra_files=facts)
            run = run_pt2(temporary)
        share = agreement(run, reference, sample_photos(size, dynamic=dynamic))
        needed = AGREEMENT_HALF if half else AGREEMENT
        if share < needed:
            hint = "leave out --half" if half else "please report it with the checkpoint's description"
            raise ExportError(
                f"{output} was not written: it gives the checkpoint's class on {share:.4%} of pixels, and "
                f"{needed:.2%} are needed; {hint}."
            )
    return share


# --- the command ----------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write a checkpoint as ONNX or as a torch.export program, checked.")
    parser.add_argument("--model_path", type=Path, default=DEFAULT_MODEL, help="checkpoint (weights/face_parsing.pth)")
    parser.add_argument("--output", type=Path, required=True, help="FILE.onnx, or FILE.pt2 for torch.export")
    parser.add_argument("--size", type=int, help="height and width of the photos, pixels (the checkpoint's)")
    parser.add_argument("--dynamic", action="store_true", help="any batch, any height and width in multiples of 32")
    parser.add_argument("--half", action="store_true", help="float16 weights: half the file, a little less exact")
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
            args.model_path, args.output, size=args.size, dynamic=args.dynamic, half=args.half, mask=args.mask
        )
    except (ValueError, OSError) as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 2
    size = args.output.stat().st_size / 1e6
    print(f"wrote {args.output} ({size:.1f} MB); its masks equal the checkpoint's on {share:.4%} of pixels or more")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
