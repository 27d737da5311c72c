"""8 bits from the photo's bytes to scores in bytes: what is merged is exact, and the file can be read by its facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from block_networks import C, network

from face_parsing.inference.byte_graph import GREY, ByteNetwork, write_byte_graph
from face_parsing.inference.onnx_network import OUTPUTS, masks_of, run_onnx
from face_parsing.inference.predict import normalize
from face_parsing.models.layers import Merge
from face_parsing.synthetic.dataset import make_pair

onnx: Any = pytest.importorskip("onnx")
onnxruntime: Any = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CHANNELS = (12, 16, 16)


def opened(scores: torch.Tensor, block: int) -> torch.Tensor:
    """Scores of blocks (B, s*s*C, h, w) as (B, C, H, W), the slow way."""
    B, _, h, w = scores.shape
    blocks = scores.view(B, block, block, C, h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(B, C, h * block, w * block)


@pytest.mark.parametrize("block", [1, 2, 4])
def test_the_first_convolution_reads_the_photo_and_gives_what_it_gave(block: int) -> None:
    """Away from the border: its padding stands for GREY."""
    model = network(block, CHANNELS)
    photo = torch.from_numpy(make_pair(7, size=64)[0][None])
    pixels = photo.permute(0, 3, 1, 2).float() - GREY
    blocks = normalize(photo)
    if block > 1:
        blocks = torch.nn.functional.pixel_unshuffle(blocks, block)
    first: Any = model.encoder[0]
    merged: Any = ByteNetwork(model).network.encoder[0]
    with torch.no_grad():
        wanted, found = first[0][0](blocks), merged[0][0](pixels)
    assert found.shape == wanted.shape
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(found[inner], wanted[inner], rtol=0, atol=2e-5)
    assert not torch.allclose(found, wanted, atol=1e-2)


@pytest.mark.parametrize("block", [1, 2, 4])
def test_the_scores_are_the_logits_with_a_pixels_classes_side_by_side(block: int) -> None:
    """Away from the border."""
    model = network(block, CHANNELS)
    photo = torch.from_numpy(make_pair(8, size=96 * block)[0][None])
    with torch.no_grad():
        wanted = model(normalize(photo))
        found = opened(ByteNetwork(model)(photo.permute(0, 3, 1, 2).float() - GREY), block)
    seen = 32 * block  # pixels from the border at which it may still be felt
    inner = (..., slice(seen, -seen), slice(seen, -seen))
    torch.testing.assert_close(found[inner], wanted[inner], rtol=0, atol=1e-3)
    assert (found.argmax(1) == wanted.argmax(1)).float().mean() > 0.95


def test_the_network_is_left_as_it_was() -> None:
    model = network(2, CHANNELS)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ByteNetwork(model)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("block", "size", "merge"),
    [(2, (64, 64), "concat"), (4, (96, 64), "concat"), (1, (64, 68), "add"), (2, (64, 64), "add")],
)
def test_a_file_can_be_read_by_what_it_says_of_itself(
    block: int, size: tuple[int, int], merge: Merge, tmp_path: Path
) -> None:
    """It takes all sizes that are multiples of its step, whatever the photos' were that it was fitted to."""
    H, W = size
    photos = [make_pair(seed, size=96)[0] for seed in range(6)]
    model, path = network(block, CHANNELS, merge), tmp_path / "face.onnx"
    write_byte_graph(model, path, photos, {"output": OUTPUTS["scores"]})
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (output,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("image", "tensor(uint8)", [1, "height", "width", 3])
    blocks = [1, "rows", "columns", block, block, C]
    assert (output.name, output.type, output.shape) == ("scores", "tensor(uint8)", blocks)
    facts = session.get_modelmeta().custom_metadata_map
    assert (facts["output"], json.loads(facts["step"])) == (OUTPUTS["scores"], model.step)
    assert [side % model.step for side in size] == [0, 0]
    photo = photos[0][:H, :W]
    scores = run_onnx(path)(photo[None])
    assert scores.shape == (1, H // block, W // block, block, block, C)
    y, x = np.mgrid[:H, :W]
    logits = scores[0, y // block, x // block, y % block, x % block].astype(np.float32)
    logits = json.loads(facts["score_scale"]) * (logits - json.loads(facts["score_zero_point"]))
    with torch.no_grad():
        wanted = model(normalize(torch.from_numpy(photo[None])))[0].permute(1, 2, 0).numpy()
    assert np.abs(logits - wanted)[8:-8, 8:-8].mean() < 0.05 * np.abs(wanted).max()
    np.testing.assert_array_equal(masks_of(scores, size, C)[0], logits.argmax(-1))


def test_nothing_is_float_but_the_enlargements(tmp_path: Path) -> None:
    """As ONNX Runtime runs it: a Conv or a Relu in float would take longer than all that 8 bits gain elsewhere."""
    path = tmp_path / "face.onnx"
    write_byte_graph(network(2, CHANNELS), path, [make_pair(seed, size=64)[0] for seed in range(4)], {})
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert not {"Conv", "FusedConv", "Relu", "Cast", "Sub", "Div", "ConvInteger"} & set(kinds)
    assert kinds.count("QuantizeLinear") == kinds.count("DequantizeLinear") == kinds.count("Resize") == 2
