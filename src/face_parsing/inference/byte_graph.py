"""The light U-Net in 8 bits from end to end: a photo's own bytes go in, scores of one byte come out.

Between a photo and its classes an ordinary graph computes in float32 at the photo's full size, where maps are dear: it
normalises, moves pixels into blocks, and moves logits out of them. Here the first convolution reads the photo itself,
since its 8 bits are the photo's, and blocks are left to whoever reads the scores.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from face_parsing.inference.onnx_export import quantise, write_onnx
from face_parsing.inference.predict import MEAN, STD
from face_parsing.models.layers import PlainUNet
from face_parsing.models.light_unet import LightUNet

GREY = 114  # about the mean of MEAN, in bytes: what the first convolution's padding stands for
PIXELS = "pixels"


class ByteNetwork(nn.Module):
    """Pixels less GREY (B, 3, H, W), H and W multiples of the network's step, to scores of blocks (B, s*s*C, h, w).

    The scores are the logits of ``network``, a LightUNet without BatchNorm behind its first convolution; their
    channels are ordered by row and column in the block and then by class. At the border they differ: the padding of
    the first convolution is GREY, and there was the mean color.
    """

    def __init__(self, network: LightUNet) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        stage: Any = self.network.encoder[0]
        stage[0][0] = first_convolution(stage[0][0], network.space_to_depth, level=GREY)
        order_by_pixel(self.network.head[1], network.space_to_depth)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> Tensor:
        return PlainUNet.forward(self.network, pixels)


def first_convolution(conv: nn.Conv2d, block: int, *, level: Tensor | float) -> nn.Conv2d:
    """What ``conv`` gives of normalised pixels in blocks, from pixels less a level: wider by the block, with its step.

    The weights take the division by the standard deviation, the bias takes the mean.
    """
    out, _, kernel, _ = conv.weight.shape
    weight = conv.weight.view(out, 3, block, block, kernel, kernel).permute(0, 1, 4, 2, 5, 3)
    mean, std = (torch.tensor(values, dtype=torch.float64).mul(255) for values in (MEAN, STD))
    weight = weight.reshape(out, 3, kernel * block, kernel * block).double() / std.view(3, 1, 1)
    assert conv.bias is not None, "its BatchNorm must be part of it"
    bias = conv.bias.double() - weight.sum((2, 3)) @ (mean - level)
    merged = nn.Conv2d(3, out, kernel * block, block, block * (kernel // 2))
    merged.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return merged.requires_grad_(False)


def order_by_pixel(conv: nn.Conv2d, block: int) -> None:
    """Order the channels of a classifier of blocks (C, s, s) as (s, s, C): a pixel's scores lie side by side."""
    order = torch.arange(conv.out_channels).view(-1, block**2).T.flatten()
    with torch.no_grad():
        for values in conv.parameters():
            values.copy_(values[order])


def write_byte_graph(network: LightUNet, path: Path, photos: Sequence[np.ndarray], facts: Mapping[str, str]) -> None:
    """Write the network to an ONNX file, its 8 bits fitted to photos like these, (H, W, 3) uint8.

    It goes from ``image`` (1, H, W, 3) uint8, H and W any multiples of the network's step, to ``scores``
    (1, h, w, s, s, C) uint8. Raises ExportError.
    """
    H, W = photos[0].shape[:2]
    below, beside = -H % network.step, -W % network.step
    filled = [np.pad(photo, ((0, below), (0, beside), (0, 0)), mode="edge") for photo in photos]
    samples = [photo.transpose(2, 0, 1).astype(np.float32) - GREY for photo in filled]
    program = torch.export.export(ByteNetwork(network).eval(), (torch.from_numpy(samples[0][None]),))
    write_onnx(program, path, facts, given=PIXELS, output="scores")
    quantise(path, samples, fixed={PIXELS: (1.0, GREY)})
    _open_to_bytes(path, block=network.space_to_depth, step=network.step)


def _open_to_bytes(path: Path, *, block: int, step: int) -> None:
    """Let a quantised file take the photo where it had quantised pixels, and give what it made float again.

    Nothing in it depends on the size any more: maps are enlarged twice, to no size of their own.
    """
    import onnx
    from onnx.helper import make_node, make_tensor_value_info

    model = onnx.load(path)
    graph = model.graph
    entry = next(node for node in graph.node if PIXELS in node.input)
    end = next(node for node in graph.node if "scores" in node.output)
    assert (entry.op_type, end.op_type) == ("QuantizeLinear", "DequantizeLinear")
    channels = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    graph.initializer.append(_constant("twice", [1, 1, 2, 2], np.float32))
    for node in graph.node:
        if node.op_type == "Resize":
            node.input[2:] = ["twice"]
    # Of the shape, 0 stands for what it was.
    graph.initializer.append(_constant("scores_shape", [0, 0, 0, block, block, channels // block**2], np.int64))
    first = make_node("Transpose", ["image"], [entry.output[0]], perm=[0, 3, 1, 2])
    last = [
        make_node("Transpose", [end.input[0]], ["pixel_scores"], perm=[0, 2, 3, 1]),
        make_node("Reshape", ["pixel_scores", "scores_shape"], ["scores"]),
    ]
    constants = {value.name: onnx.numpy_helper.to_array(value).item() for value in graph.initializer if not value.dims}
    for fact, value in (("score_scale", end.input[1]), ("score_zero_point", end.input[2])):
        model.metadata_props.add(key=fact, value=json.dumps(constants[value]))
    model.metadata_props.add(key="step", value=json.dumps(step))
    between = [node for node in graph.node if node not in (entry, end)]
    for part in (graph.node, graph.input, graph.output, graph.value_info):
        del part[:]
    graph.node.extend([first, *between, *last])
    used = {name for node in graph.node for name in node.input}
    kept = [value for value in graph.initializer if value.name in used]  # not the sizes that were enlarged to
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.input.append(make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, "height", "width", 3]))
    shape = [1, "rows", "columns", block, block, channels // block**2]
    graph.output.append(make_tensor_value_info("scores", onnx.TensorProto.UINT8, shape))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _constant(name: str, values: Sequence[int], kind: type) -> Any:
    """A constant of a graph."""
    import onnx

    return onnx.numpy_helper.from_array(np.array(values, dtype=kind), name)
