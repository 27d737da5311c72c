#!/usr/bin/env bash
# Guess:     a bilinear Resize of uint8 gives what it gives of the same numbers in float32, rounded, and takes less time.
# Behaviour: ONNX Runtime cuts fractions off, so that nearly half of the values are lower by 1. It also takes several
#            times as long as DequantizeLinear, Resize in float32 and QuantizeLinear together.
# Matters:   who takes the float island out of a quantised U-Net, to save two operators at each enlargement, gets a
#            slower file whose maps are darker by half a level after each of them.
# Versions:  onnxruntime 1.31.1, onnx 1.23.2, numpy 2.4.6; seen on 2026-11-30 (x86-64, Linux, one thread).
#
# Needs Python 3.11 or newer with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place/packages" \
    onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$place"
PYTHONPATH="$place/packages" python3 - <<'PY'
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SHAPE = [1, 64, 96, 96]
VALUES = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
ENLARGED = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}


def enlarging(kind):
    """A session that enlarges bytes twice: as they are, or as floats in between (with or without rounding back)."""
    if kind == "bytes":
        nodes, end = [helper.make_node("Resize", ["x", "", "twice"], ["y"], **ENLARGED)], TensorProto.UINT8
    else:
        nodes = [helper.make_node("DequantizeLinear", ["x", "one", "zero"], ["a"]),
                 helper.make_node("Resize", ["a", "", "twice"], ["b" if kind == "rounded" else "y"], **ENLARGED)]
        end = TensorProto.FLOAT
        if kind == "rounded":
            nodes.append(helper.make_node("QuantizeLinear", ["b", "one", "zero"], ["y"]))
            end = TensorProto.UINT8
    constants = {"twice": np.array([1, 1, 2, 2], np.float32)}
    if kind != "bytes":
        constants |= {"one": np.float32(1), "zero": np.uint8(0)}
    graph = helper.make_graph(
        nodes, "enlarging", [helper.make_tensor_value_info("x", TensorProto.UINT8, SHAPE)],
        [helper.make_tensor_value_info("y", end, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def run(session):
    """What a session gives, and the least milliseconds of thirty runs."""
    spent = []
    for _ in range(30):
        start = time.perf_counter()
        (found,) = session.run(None, {"x": VALUES})
        spent.append(time.perf_counter() - start)
    return found, 1000 * min(spent)


exact, _ = run(enlarging("floats"))
(cut, slow), (rounded, fast) = run(enlarging("bytes")), run(enlarging("rounded"))
cut, rounded = cut.astype(int), rounded.astype(int)
print(f"bytes: {slow:.1f} ms, mean {cut.mean() - exact.mean():+.2f} levels off; equal to the floor of the exact value "
      f"in {(cut == np.floor(exact)).mean():.1%}")
print(f"by float32: {fast:.1f} ms, mean {rounded.mean() - exact.mean():+.2f} levels off")
assert (cut == np.floor(exact)).mean() > 0.99, "fractions are not cut off any more"
assert (cut != rounded).mean() > 0.3 and abs(rounded.mean() - exact.mean()) < 0.05, "both ways round alike now"
assert slow > 1.5 * fast, "bytes are not slower any more"
PY
