"""A checkpoint as one file for other runtimes: traced, written, and tried against the checkpoint before it is left.

What the file takes and gives is told in ``src/export.py``; ``byte_graph.py`` has the light U-Net in 8 bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from face_parsing.data.photo_files import find_photos
from face_parsing.data.photos import read_photo
from face_parsing.inference.block_graph import BlockNetwork
from face_parsing.inference.byte_graph import write_byte_graph
from face_parsing.inference.onnx_export import quantise, write_onnx
from face_parsing.inference.onnx_network import (
    OUTPUTS,
    SIDES,
    STEP,
    ExportError,
    RunGraph,
    first_line,
    masks_of,
    run_onnx,
)
from face_parsing.inference.predict import MEAN, STD, fuse_conv_bn
from face_parsing.labels import LabelSet
from face_parsing.models import count_parameters
from face_parsing.models.checkpoint import label_set, load_checkpoint, restore_model
from face_parsing.models.light_unet import LightUNet
from face_parsing.system.environment import PROJECT_ROOT
from face_parsing.system.files import atomic_path
from face_parsing.system.wording import count_of
from face_parsing.weights import LICENCE

PHOTO = PROJECT_ROOT / "docs" / "images" / "astronaut.jpg"
AGREEMENT = 0.9999  # the least share of pixels at which the file's masks equal the checkpoint's
AGREEMENT_HALF = 0.999
AGREEMENT_INT8 = 0.93
CALIBRATED = 32  # photos that 8 bits are fitted to
TRIED = 8  # further ones, that they are tried on


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
        pixels = pixels.to(self.precision)
        if not self.mask:
            return self.network(pixels).float()  # type: ignore[no-any-return]
        if isinstance(self.network, LightUNet):
            return self.network.largest_class(pixels).to(torch.uint8)
        return self.network(pixels).float().argmax(1).to(torch.uint8)  # type: ignore[no-any-return]


def trace(network: nn.Module, size: int, *, dynamic: bool) -> torch.export.ExportedProgram:
    """The network as a graph of size x size pixels. Raises ExportError for what cannot be traced."""
    shapes = None
    if dynamic:
        sides = {
            axis: STEP * torch.export.Dim(name, min=2, max=SIDES[-1] // STEP) for axis, name in ((1, "h"), (2, "w"))
        }
        shapes = {"image": {0: torch.export.Dim("batch", min=1, max=256), **sides}}
    # A batch of one, or a square, would be taken for a fixed one.
    sample = torch.zeros(2 if dynamic else 1, size, size + STEP if dynamic else size, 3, dtype=torch.uint8)
    try:
        with torch.no_grad():
            return torch.export.export(network, (sample,), dynamic_shapes=shapes)
    except Exception as error:  # the tracer raises anything at all
        hint = "; leave out --dynamic" if dynamic else ""
        raise ExportError(f"This network cannot be traced by torch.export ({first_line(error)}){hint}.") from None


def describe(content: Mapping[str, Any], source: Path, *, size: int, parameters: int, gives: str) -> dict[str, str]:
    """What the file says of itself, as text: lists and numbers as JSON."""
    labels: LabelSet = label_set(content)
    facts: dict[str, Any] = {
        "classes": list(labels.names),
        "groups": labels.groups,  # what of the 19 each of them is
        "palette": [list(color) for color in labels.palette],
        "image_size": size,
        "parameters": parameters,
        "scores": {name: value for name, value in dict(content.get("scores", {})).items() if np.isscalar(value)},
    }
    texts = {
        "input": "uint8 RGB, upright, longer side image_size",
        "output": OUTPUTS[gives],
        "source": source.name,
        "licence": LICENCE,
        "track": str(content.get("track")),
    }
    return {**{name: json.dumps(value) for name, value in facts.items()}, **texts}


def run_pt2(path: Path) -> RunGraph:
    """The file of torch.export on the CPU."""
    module = torch.export.load(path).module()
    return lambda photos: module(torch.from_numpy(photos)).numpy()


def sample_photos(size: int, *, dynamic: bool) -> list[np.ndarray]:
    """What the file is tried on: a portrait and noise in turn, (B, H, W, 3) uint8; with dynamic of other sizes too."""
    shapes = [(1, size, size)]
    if dynamic:
        half = max(size // (2 * STEP), 2) * STEP  # of a smaller portrait a network is unsure
        shapes += [(3, size, size), (1, half, half + STEP), (2, half + STEP, half)]
    portrait = Image.fromarray(read_photo(PHOTO))
    rng = np.random.default_rng(0)
    photos = []
    for B, H, W in shapes:
        photos.append(np.stack([np.asarray(portrait.resize((W, H)))] * B))
        photos.append(rng.integers(0, 256, (B, H, W, 3), dtype=np.uint8))
    return photos


def some_photos(folder: Path, size: int) -> list[np.ndarray]:
    """Up to CALIBRATED + TRIED photos (size, size, 3) of a folder, evenly spread over it. Raises ValueError."""
    found = find_photos(folder)
    chosen = [found[i] for i in np.linspace(0, len(found) - 1, min(len(found), CALIBRATED + TRIED)).round().astype(int)]
    # Else those that are tried would all be of the same end of the folder.
    np.random.default_rng(0).shuffle(chosen)  # type: ignore[arg-type]
    return [np.array(Image.fromarray(read_photo(path)).resize((size, size))) for path in chosen]


def fitted_note(folder: Path) -> str:
    """A sentence on how many photos of a folder 8 bits are fitted to, and how many they are tried on."""
    count = len(find_photos(folder))
    fitted, tried = min(count, CALIBRATED), min(max(count - CALIBRATED, 0), TRIED)
    few = "" if tried == TRIED else f"; {CALIBRATED} and {TRIED} are usual, so give it more photos"
    both = f"{count_of(fitted, 'photo')}, and tried on {count_of(tried, 'other')}"
    return f"8 bits were fitted to {both} and a portrait{few}."


def agreement(run: RunGraph, network: nn.Module, photos: Sequence[np.ndarray], classes: int) -> float:
    """The least share of a sample's pixels at which the file gives the class of the float32 network of PhotoNetwork."""
    shares = []
    for batch in photos:
        found = run(batch)
        masks = masks_of(found, batch.shape[1:3], classes)
        with torch.no_grad():
            wanted = network(torch.from_numpy(batch)).numpy()
        shares.append(float((masks == wanted).mean()) if masks.shape == wanted.shape else 0.0)
    return min(shares)


def export_model(
    model_path: Path,
    output: Path,
    *,
    size: int | None = None,
    dynamic: bool = False,
    half: bool = False,
    int8: Path | None = None,
    mask: bool,
    logits: bool = False,
) -> float:
    """Write the checkpoint's network to output, ``.onnx`` or ``.pt2``; size None is the checkpoint's own.

    ``int8`` is a folder of photos to fit 8 bits to. Of a light U-Net an ``.onnx`` gives logits in blocks of pixels, and
    in 8 bits scores in bytes, unless ``mask`` or ``logits`` are asked for. Returns the least share of a photo's pixels
    on which the file agreed with the checkpoint. Raises ExportError, and leaves no file, for what cannot be exported
    or agrees on less than AGREEMENT (AGREEMENT_HALF, AGREEMENT_INT8) of them.
    """
    if output.suffix not in (".onnx", ".pt2"):
        raise ExportError(f"--output {output}: the name must end in .onnx or .pt2.")
    if int8 is not None and (dynamic or half or output.suffix != ".onnx"):
        raise ExportError("--int8 is for .onnx, without --dynamic and --half.")
    content = load_checkpoint(model_path)
    size = size or content["image_size"]
    assert size is not None
    if size not in SIDES:
        raise ExportError(f"--size {size}: it must be a multiple of {STEP} from {SIDES[0]} to {SIDES[-1]}.")
    onnx = output.suffix == ".onnx"
    model = restore_model(content, model_path)
    fused = fuse_conv_bn(model)
    photos = [] if int8 is None else some_photos(int8, size)
    blocks_of = fused if onnx and not mask and not logits and isinstance(fused, LightUNet) else None
    gives = "mask" if mask else "logits" if blocks_of is None else "scores" if photos else "block_logits"
    facts = describe(content, model_path, size=size, parameters=count_parameters(model), gives=gives)
    with atomic_path(output) as temporary:
        if blocks_of and photos:
            write_byte_graph(blocks_of, temporary, photos[:CALIBRATED], facts)
        else:
            whole = BlockNetwork(blocks_of, half=half) if blocks_of else PhotoNetwork(fused, mask=mask, half=half)
            program = trace(whole, size, dynamic=dynamic)
            _write_program(program, temporary, facts, onnx=onnx, gives=gives, int8=photos[:CALIBRATED])
        run = run_onnx(temporary) if onnx else run_pt2(temporary)
        samples, needed, hint = sample_photos(size, dynamic=dynamic), AGREEMENT, "please report it with the checkpoint"
        if half:  # where a network is unsure, as it is of noise, rounding decides
            samples, needed, hint = samples[::2], AGREEMENT_HALF, "leave out --half"
        if photos:  # noise is like nothing that 8 bits were fitted to
            samples = [samples[0], *(photo[None] for photo in photos[CALIBRATED:])]
            needed, hint = AGREEMENT_INT8, "give --int8 more photos, of the kind that it will see, or leave it out"
        classes = len(label_set(content))
        share = agreement(run, PhotoNetwork(model, mask=True, half=False).eval(), samples, classes)
        if share < needed:
            raise ExportError(
                f"{output} was not written: it gives the checkpoint's class on {share:.4%} of pixels, and "
                f"{needed:.2%} are needed; {hint}."
            )
    return share


def _write_program(
    program: torch.export.ExportedProgram,
    path: Path,
    facts: Mapping[str, str],
    *,
    onnx: bool,
    gives: str,
    int8: Sequence[np.ndarray],
) -> None:
    """Write a graph from trace as ONNX, in 8 bits where there are photos to fit them to, or for torch.export."""
    if not onnx:
        torch.export.save(program, path, extra_files=dict(facts))
        return
    write_onnx(program, path, facts, output=gives)
    if int8:
        quantise(path, int8)
