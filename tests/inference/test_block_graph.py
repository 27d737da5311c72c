"""The light U-Net in blocks: what its graph computes otherwise gives what the network gives, borders included."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from block_networks import C, network
from PIL import Image

from face_parsing.data.photos import read_photo
from face_parsing.inference.block_graph import BlockNetwork, JoiningConvolution
from face_parsing.inference.enlarging_convolution import EnlargingConvolution
from face_parsing.inference.export import PhotoNetwork, export_model, trace
from face_parsing.inference.onnx_export import write_onnx
from face_parsing.inference.onnx_network import masks_of, read_onnx, run_onnx
from face_parsing.inference.predict import normalize
from face_parsing.models.layers import Merge
from face_parsing.synthetic.dataset import make_pair
from face_parsing.weights import find_weights

CHANNELS = (12, 16, 20, 24)


@pytest.mark.parametrize(("h", "w"), [(1, 1), (1, 4), (2, 3), (6, 9), (8, 8)])
def test_a_convolution_comes_before_the_enlargement_or_after_it(h: int, w: int) -> None:
    """To the last bits of double precision, at the borders too."""
    generator = torch.Generator().manual_seed(h * w)
    maps = torch.randn(2, 7, h, w, generator=generator, dtype=torch.float64)
    weight = torch.randn(5, 7, 3, 3, generator=generator, dtype=torch.float64)
    enlarged = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    with torch.no_grad():
        found = EnlargingConvolution(weight).double()(maps)
    torch.testing.assert_close(found, F.conv2d(enlarged, weight, padding=1), rtol=0, atol=1e-12)


def test_one_value_alone_is_enlarged_by_hand() -> None:
    """A kernel that takes the pixel on the left: 4 and 8, enlarged to 4, 5, 7, 8, move to the right."""
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 0] = 1
    with torch.no_grad():
        found = EnlargingConvolution(weight)(torch.tensor([[[[4.0, 8.0]]]]))
    assert found.tolist() == [[[[0, 4, 5, 7], [0, 4, 5, 7]]]]


def test_a_joint_convolution_is_the_sum_of_two() -> None:
    conv = torch.nn.Conv2d(9, 4, 3, padding=1)
    below, beside = torch.randn(2, 5, 3, 4), torch.randn(2, 4, 6, 8)
    enlarged = F.interpolate(below, scale_factor=2, mode="bilinear", align_corners=False)
    with torch.no_grad():
        wanted = conv(torch.cat([enlarged, beside], 1)).relu()
        found = JoiningConvolution(conv, 5)(below, beside)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("block", [1, 2, 4])
@pytest.mark.parametrize("channels", [(12, 16), (12, 16, 20, 24)], ids=["two_stages", "four_stages"])
@pytest.mark.parametrize("size", [(96, 64), (70, 90)])
@pytest.mark.parametrize("merge", get_args(Merge))
def test_the_blocks_are_the_logits(block: int, channels: tuple[int, ...], size: tuple[int, int], merge: Merge) -> None:
    """All of them: its padding is the mean color, as the network's. Sizes that are no multiples are filled as there."""
    model, (H, W) = network(block, channels, merge), size
    photos = torch.from_numpy(np.stack([make_pair(seed, size=96)[0][:H, :W] for seed in (8, 9)]))
    with torch.no_grad():
        wanted = model(normalize(photos))
        blocks = BlockNetwork(model, half=False)(photos)
    assert blocks.shape[1:] == (C * block**2, *(-(-side // model.step) * model.step // block for side in (H, W)))
    found = F.pixel_shuffle(blocks, block)[:, :, :H, :W]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-3 * float(wanted.abs().max()))
    masks = masks_of(blocks.numpy(), (H, W), C)
    assert (masks == wanted.argmax(1).numpy()).mean() > 0.999


def test_the_network_is_left_as_it_was() -> None:
    model = network(2, CHANNELS)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    BlockNetwork(model, half=True)
    assert list(model.state_dict()) == list(before)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("dynamic", [False, True])
def test_onnx_runtime_computes_the_same_with_operators_of_the_standard(dynamic: bool, tmp_path: Path) -> None:
    onnx: Any = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    model, path = network(4, (8, 12, 16)), tmp_path / "face.onnx"
    write_onnx(trace(BlockNetwork(model, half=False), 64, dynamic=dynamic), path, {}, output="block_logits")
    run = run_onnx(path)
    for size in ((64, 64), *([(96, 64), (32, 160)] if dynamic else [])):
        photos = np.stack([make_pair(seed, size=160)[0][: size[0], : size[1]] for seed in range(2 if dynamic else 1)])
        with torch.no_grad():
            wanted = BlockNetwork(model, half=False)(torch.from_numpy(photos)).numpy()
        np.testing.assert_allclose(run(photos), wanted, atol=1e-4)
    graph = onnx.load(path).graph
    assert {node.domain for node in graph.node} == {""}
    kinds = [node.op_type for node in graph.node]
    assert not {"DepthToSpace", "Div", "ArgMax", "Resize"} & set(kinds)  # two enlargements, both behind convolutions


def test_real_faces_get_the_masks_of_the_checkpoint(real_data: Path, tmp_path: Path) -> None:
    """At the network's size and at the photo's, in a file as export.py writes it and in one of logits as before."""
    pytest.importorskip("onnxscript")
    source = find_weights("face_parsing_fast.pth")
    blocks, plain = tmp_path / "blocks.onnx", tmp_path / "logits.onnx"
    export_model(source, blocks, mask=False, size=448)
    export_model(source, plain, mask=False, logits=True, size=448)
    one, other = read_onnx(blocks, threads=1), read_onnx(plain, threads=1)
    for stem in (real_data / "val.txt").read_text(encoding="utf-8").split()[::25]:
        photo = read_photo(next((real_data / "train" / "images").glob(f"{stem}.*")))
        for size in (photo.shape[1::-1], (448, 448), (300, 260)):
            pixels = np.array(Image.fromarray(photo).resize(size))
            (found,), (wanted,) = one.parse([pixels]), other.parse([pixels])
            assert (found == wanted).mean() > 0.9999


def test_what_stands_for_the_network_in_other_files_is_as_it_was() -> None:
    """``--mask``, ``--logits`` and 8 bits have the photo's normalisation and the network itself."""
    model = network(2, CHANNELS)
    photos = torch.from_numpy(make_pair(3, size=64)[0][None])
    with torch.no_grad():
        logits = PhotoNetwork(model, mask=False, half=False)(photos)
        torch.testing.assert_close(logits, model(normalize(photos)), rtol=0, atol=1e-4)
        assert torch.equal(PhotoNetwork(model, mask=True, half=False)(photos).long(), logits.argmax(1))
