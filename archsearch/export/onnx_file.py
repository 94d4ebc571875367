"""ONNX files: any number of images, the facts in their metadata, and int8 by ONNX Runtime's static quantisation."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.errors import BuildError, first_line
from archsearch.models.model_info import ModelInfo
from archsearch.models.onnx_export import INPUT_NAME, export_onnx

_PREFIX = "archsearch."
_LOG_ERRORS = 3  # onnxruntime's severity: 0 verbose, 1 info, 2 warning, 3 error
_CALIBRATION_BATCH = 50


def write_onnx(model: nn.Module, example: Tensor, info: ModelInfo) -> bytes:
    """The ONNX model of a network, for any number of images; each fact stands in its metadata as `archsearch.KEY`.

    Raises BuildError if the network cannot be exported.
    """
    return _with_metadata(export_onnx(model, example, dynamic_batch=True).data, info)


def run_onnx(content: bytes, inputs: Tensor, *, name: str = INPUT_NAME) -> Tensor:
    """What ONNX Runtime gives on the CPU for images (N, 3, H, W), or what else the input `name` takes: one output."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = _LOG_ERRORS
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (made,) = session.run(None, {name: inputs.contiguous().numpy()})
    return torch.from_numpy(made)


def quantized(content: bytes, calibration: Tensor) -> bytes:
    """The same network with int8 weights and activations where ONNX Runtime has kernels for it (QDQ form).

    Static quantisation (Jacob et al., arXiv 1712.05877): a scale for each output channel of a weight, and one for each
    activation, from its range over the calibration images (ONNX Runtime's min-max method).

    Args:
        content: an ONNX model of `write_onnx`.
        calibration: normalised images (N, 3, H, W) of the training split.

    Raises BuildError if the model cannot be quantised.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[Tensor] = iter(calibration.split(_CALIBRATION_BATCH))  # type: ignore[no-untyped-call]

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT_NAME: batch.contiguous().numpy()}

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "int8.onnx"))
        plain.write_bytes(content)
        try:
            quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(small),
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
            )
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise BuildError(f"ONNX Runtime cannot quantise this network: {first_line(error)}") from error
        return _copied_metadata(small.read_bytes(), content)


def read_metadata(content: bytes) -> dict[str, str]:
    """The facts of an exported file, as text by key."""
    import onnx

    entries = onnx.load_model_from_string(content).metadata_props
    return {entry.key.removeprefix(_PREFIX): entry.value for entry in entries if entry.key.startswith(_PREFIX)}


def _with_metadata(content: bytes, info: ModelInfo) -> bytes:
    import onnx

    model = onnx.load_model_from_string(content)
    known = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, known | {f"{_PREFIX}{key}": value for key, value in info.as_text().items()})
    return bytes(model.SerializeToString())


def _copied_metadata(content: bytes, source: bytes) -> bytes:
    import onnx

    model, original = onnx.load_model_from_string(content), onnx.load_model_from_string(source)
    known = {entry.key: entry.value for entry in (*model.metadata_props, *original.metadata_props)}
    onnx.helper.set_model_props(model, known)
    return bytes(model.SerializeToString())
