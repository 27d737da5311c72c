"""Networks to ONNX files, in 32 or 8 bits."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from face_parsing.inference.onnx_network import need_packages


def write_onnx(
    program: torch.export.ExportedProgram, path: Path, facts: Mapping[str, str], *, given: str = "image", output: str
) -> None:
    """The program in ONNX's format, weights inside. Raises ExportError where the packages are not installed."""
    need_packages("onnxruntime", "onnxscript")
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's and onnxscript's, of each other
        exported = torch.onnx.export(
            program, dynamo=True, input_names=[given], output_names=[output], verbose=False, external_data=False
        )
    assert exported is not None
    exported.model.metadata_props.update(facts)
    model = exported.model_proto
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]  # each with the paths of the source on this machine
    path.write_bytes(model.SerializeToString())


# Without Relu, maps become bytes, floats and bytes again at each.
QUANTISED = ("Conv", "Relu", "MaxPool", "Concat", "Resize")


def quantise(
    path: Path, samples: Sequence[np.ndarray], *, fixed: Mapping[str, tuple[float, int]] | None = None
) -> None:
    """Make weights and maps of an ONNX file 8-bit integers, with the ranges that maps have on samples of its input.

    A sample has no batch axis. Weights have 7 bits and a scale a channel (Jacob et al. 2018; ONNX Runtime's static
    quantisation, Q and DQ around operators). ``fixed`` are scale and zero point of maps that samples do not decide.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load(path)
    name = model.graph.input[0].name
    facts = {entry.key: entry.value for entry in model.metadata_props}

    class Samples(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.remaining = iter(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            sample = next(self.remaining, None)
            return None if sample is None else {name: sample[None]}

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(path, prepared)
        quantization.quantize_static(
            prepared,
            path,
            Samples(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            # 7 bits: on x86 without VNNI the products of 8 overflow in ONNX Runtime's kernels.
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"TensorQuantOverrides": _overrides(fixed or {})},
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, path)


def _overrides(fixed: Mapping[str, tuple[float, int]]) -> dict[str, list[dict[str, np.ndarray]]]:
    """As ONNX Runtime is told."""
    return {
        name: [{"scale": np.array(scale, dtype=np.float32), "zero_point": np.array(zero, dtype=np.uint8)}]
        for name, (scale, zero) in fixed.items()
    }
