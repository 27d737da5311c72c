#!/usr/bin/env bash
# Guess:     ONNX Runtime's static quantiser treats a Relu behind a Conv as part of the Conv, since the Conv's output
#            range already holds no negative values once the Relu is applied.
# Behaviour: with op_types_to_quantize=["Conv"] the Conv's output is quantised before the Relu, negative values and all,
#            and again behind it. ONNX Runtime then keeps a DequantizeLinear and a QuantizeLinear between two
#            convolutions, and runs a Relu in float32 where no QuantizeLinear follows. With ["Conv", "Relu"] all of
#            that vanishes into the integer convolutions.
# Matters:   each Conv and Relu of a network costs a pass over its map as float32 and back, and half of the first
#            one's levels are spent on values that the Relu drops. Nothing says so: the file is valid and as small.
# Versions:  onnxruntime 1.31.1, onnx 1.23.2, numpy 2.4.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$folder/packages" onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
PYTHONPATH="$folder/packages" python3 - <<'PYTHON'
import logging
from collections import Counter

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

logging.disable(logging.WARNING)
rng = np.random.default_rng(0)
shape = [1, 8, 16, 16]


def write_two_convolutions(path):
    """Conv, Relu, Conv, Relu."""
    nodes, constants, x = [], [], "x"
    for i in range(2):
        weight = rng.normal(size=(8, 8, 3, 3)).astype(np.float32)
        constants.append(numpy_helper.from_array(weight, f"w{i}"))
        nodes.append(helper.make_node("Conv", [x, f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        x = f"r{i}"
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)] for name in ("x", x)]
    graph = helper.make_graph(nodes, "two", *ends, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


class Samples(quantization.CalibrationDataReader):
    def __init__(self):
        self.left = [rng.normal(size=shape).astype(np.float32) for _ in range(4)]

    def get_next(self):
        return {"x": self.left.pop()} if self.left else None


def nodes_that_run(kinds):
    """The operators of the optimised model, quantised with these types."""
    quantization.quantize_static("float.onnx", "int8.onnx", Samples(), op_types_to_quantize=kinds)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = "optimised.onnx"
    options.log_severity_level = 3
    onnxruntime.InferenceSession("int8.onnx", options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load("optimised.onnx").graph.node)


write_two_convolutions("float.onnx")
without, with_relu = nodes_that_run(["Conv"]), nodes_that_run(["Conv", "Relu"])
print('op_types_to_quantize=["Conv"]:        ', dict(without))
print('op_types_to_quantize=["Conv", "Relu"]:', dict(with_relu))
counted = ("QLinearConv", "QuantizeLinear", "DequantizeLinear", "Relu")
as_seen = [[found[kind] for kind in counted] for found in (without, with_relu)] == [[2, 2, 2, 1], [2, 1, 1, 0]]
print("as on 2026-11-30" if as_seen else "CHANGED since 2026-11-30")
raise SystemExit(not as_seen)
PYTHON
