"""Networks as ONNX files: writing them, making their numbers small, and running them in ONNX Runtime.

The packages are in requirements-export.txt; whoever does without ONNX does without them.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

Run = Callable[[np.ndarray], np.ndarray]
"""From photos (B, H, W, 3) uint8 to what a graph gives: logits (B, C, H, W) float32 or masks (B, H, W) uint8."""


class ExportError(ValueError):
    """A checkpoint that cannot be exported as asked; the message says why and what to do."""


def first_line(error: Exception) -> str:
    """What went wrong, of errors of the tracer and of ONNX Runtime, which have no class in common and many lines."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _need_packages() -> None:
    """Raise ExportError where the packages are not installed."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(f"{error}; install what ONNX needs: pip install -r requirements-export.txt") from None


def write_onnx(program: torch.export.ExportedProgram, path: Path, facts: Mapping[str, str], *, output: str) -> None:
    """The program in ONNX's format, weights inside. Raises ExportError where the packages are not installed."""
    _need_packages()
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's and onnxscript's, of each other
        onnx = torch.onnx.export(
            program, dynamo=True, input_names=["image"], output_names=[output], verbose=False, external_data=False
        )
        assert onnx is not None
        onnx.model.metadata_props.update(facts)
        onnx.save(path, external_data=False)


def quantise(path: Path, photos: Sequence[np.ndarray]) -> None:
    """Make weights and maps of an ONNX file 8-bit integers, with the ranges that maps have on photos (H, W, 3) uint8.

    Weights have a scale a channel (Jacob et al. 2018; ONNX Runtime's static quantisation, Q and DQ around operators).
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Photos(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(photos)

        def get_next(self) -> dict[str, np.ndarray] | None:
            photo = next(self.left, None)
            return None if photo is None else {"image": photo[None]}

    facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(path, prepared)
        quantization.quantize_static(
            prepared,
            path,
            Photos(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MaxPool", "Concat", "Resize"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, path)


def _session(path: Path, threads: int) -> Any:
    """ONNX Runtime's session of a file on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may need the cores
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _run_of(session: Any) -> Run:
    return lambda photos: session.run(None, {"image": photos})[0]  # type: ignore[no-any-return]


def run_onnx(path: Path, threads: int = 0) -> Run:
    """The file in ONNX Runtime on the CPU, with so many threads (0: its own choice)."""
    return _run_of(_session(path, threads))


def read_onnx(path: Path, threads: int = 0) -> tuple[Run, tuple[str, ...], int]:
    """``run_onnx``, the names of the classes that the file tells apart, and the image size it was made for.

    Raises ExportError for a file that is not from here, or where the packages are not installed.
    """
    if not path.is_file():
        raise ExportError(f"There is no file {path}; name one that export.py wrote.")
    _need_packages()
    try:
        session = _session(path, threads)
        facts = session.get_modelmeta().custom_metadata_map
        return _run_of(session), tuple(json.loads(facts["classes"])), int(json.loads(facts["image_size"]))
    except Exception as error:
        raise ExportError(f"{path} is no file that export.py wrote ({first_line(error)}).") from None
