#!/usr/bin/env bash
# Guess:     calibrate_method=CalibrationMethod.Entropy of ONNX Runtime's quantize_static leaves out outliers: it chooses
#            the range that loses the least information.
# Behaviour: it chooses the whole range, as MinMax does, to the last bit, even with an outlier 100 times as large as all
#            else. Its histogram has 128 bins and is searched for ranges of at least 128 bins, so there is one choice.
#            The calibrator itself, made with num_bins=2048, does leave the outlier out.
# Matters:   whoever tries entropy, sees no difference and concludes that outliers do no harm has tried nothing.
# Versions:  onnxruntime 1.31.1, onnx 1.23.2, numpy 2.4.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$folder/packages" \
    onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
PYTHONPATH="$folder/packages" python3 - <<'PYTHON'
import logging

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, quantize_static
from onnxruntime.quantization.calibrate import create_calibrator

logging.disable(logging.WARNING)
shape = [1, 4, 32, 32]
OUTLIER = 400.0


class Samples(CalibrationDataReader):
    """Values of about -4 to 4, and one that is 100 times as large."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.left = [rng.normal(size=shape).astype(np.float32) for _ in range(4)]
        self.left[0][0, 0, 0, 0] = OUTLIER

    def get_next(self):
        return {"x": self.left.pop()} if self.left else None


weight = np.random.default_rng(1).normal(size=(4, 4, 1, 1)).astype(np.float32)
ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)] for name in "xy"]
graph = helper.make_graph(
    [helper.make_node("Conv", ["x", "w"], ["y"])], "one", *ends, [numpy_helper.from_array(weight, "w")]
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "float.onnx")


def scales(method):
    """Of the convolution's input and output, as quantised."""
    quantize_static("float.onnx", "int8.onnx", Samples(), calibrate_method=method)
    constants = {value.name: value for value in onnx.load("int8.onnx").graph.initializer}
    return [float(numpy_helper.to_array(constants[f"{name}_scale"])) for name in "xy"]


def largest_kept(**options):
    """Of the input's values, by the entropy calibrator itself."""
    calibrator = create_calibrator("float.onnx", calibrate_method=CalibrationMethod.Entropy, extra_options=options)
    calibrator.collect_data(Samples())
    return float(np.max(calibrator.compute_data().data["x"].range_value[1]))


plain, entropy = scales(CalibrationMethod.MinMax), scales(CalibrationMethod.Entropy)
default, finer = largest_kept(), largest_kept(num_bins=2048)
print("scales by MinMax:", plain)
print("scales by Entropy:", entropy)
print(f"the largest value kept of {OUTLIER}: {default} by default, {finer} with num_bins=2048")
as_seen = plain == entropy and default == OUTLIER and finer < OUTLIER / 4
print("as on 2026-11-30" if as_seen else "CHANGED since 2026-11-30")
raise SystemExit(not as_seen)
PYTHON
