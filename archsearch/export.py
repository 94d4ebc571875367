"""Trained networks as files for other runtimes: one file a format, and the check that they compute the same."""

from __future__ import annotations

import copy
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from archsearch.data.pictures import middle_square
from archsearch.errors import BuildError, first_line
from archsearch.image_rules import Interpolation, Preprocessing
from archsearch.models.model_info import ModelInfo
from archsearch.models.onnx_export import INPUT_NAME, export_onnx
from archsearch.registry import Registry

# The formats by name: a network and its facts in, the content of one file out, and whether it computes the same.
#
# Files that torch reads are an exported program, which needs no class of ours, and the weights alone.

Outputs = Callable[[Tensor], Tensor]
"""What gives the outputs (N, classes) of inputs (N, 3, H, W)."""

_METADATA_FILE = "archsearch.json"
_EXPORT_FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def _write_program(model: nn.Module, example: Tensor, info: ModelInfo) -> bytes:
    """A `torch.export` program for any number of images; the facts stand in its file `archsearch.json`.

    Raises BuildError if torch.export cannot follow the network.
    """
    own = copy.deepcopy(model).eval().cpu()
    batch = torch.export.Dim("batch", min=1)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(own, (example,), dynamic_shapes=({0: batch},), strict=False)
            file = io.BytesIO()
            torch.export.save(program, file, extra_files={_METADATA_FILE: json.dumps(info.as_text())})
    except _EXPORT_FAILURES as error:
        raise BuildError(f"{info.name} cannot be exported by torch.export: {first_line(error)}") from error
    return file.getvalue()


def _opened_program(content: bytes, _model: nn.Module) -> Outputs:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.load(io.BytesIO(content)).module()

    def outputs(images: Tensor) -> Tensor:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made: Tensor = program(images)
        return made

    return outputs


def _write_state(model: nn.Module, _example: Tensor, info: ModelInfo) -> bytes:
    """The weights as safetensors, with the facts in its header."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return safetensors.torch.save(state, metadata=info.as_text())


def _opened_state(content: bytes, model: nn.Module) -> Outputs:
    """The network with a file's weights; `model` itself keeps its own."""
    own = copy.deepcopy(model).eval().cpu()
    own.load_state_dict(safetensors.torch.load(content))

    def outputs(images: Tensor) -> Tensor:
        with torch.inference_mode():
            made: Tensor = own(images)
        return made

    return outputs


# ONNX files: any number of images, the facts in their metadata, and int8 by ONNX Runtime's static quantisation.

_PREFIX = "archsearch."
_LOG_ERRORS = 3  # onnxruntime's severity: 0 verbose, 1 info, 2 warning, 3 error
_CALIBRATION_BATCH = 50


def write_onnx(model: nn.Module, example: Tensor, info: ModelInfo) -> bytes:
    """The ONNX model of a network, for any number of images; each fact stands in its metadata as `archsearch.KEY`.

    Raises BuildError if the network cannot be exported.
    """
    return _with_metadata(export_onnx(model, example, dynamic_batch=True).data, info)


def opened_onnx(content: bytes, *, name: str = INPUT_NAME) -> Outputs:
    """ONNX Runtime on the CPU, for images (N, 3, H, W), or for what else the input `name` takes: one output."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = _LOG_ERRORS
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def outputs(inputs: Tensor) -> Tensor:
        (made,) = session.run(None, {name: inputs.contiguous().numpy()})
        return torch.from_numpy(made)

    return outputs


@dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """One format.

    Attributes:
        name: as typed after `--format`.
        suffix: of its files.
        summary: what reads it.
        write: the file's content, from a network in eval mode on the CPU, an example input (N, 3, H, W) and the facts.
        opened: a file's content, ready to be run on the CPU; also given the network.
    """

    name: str
    suffix: str
    summary: str
    write: Callable[[nn.Module, Tensor, ModelInfo], bytes]
    opened: Callable[[bytes, nn.Module], Outputs]


FORMATS: Registry[ExportFormat] = Registry(
    "export format",
    {
        entry.name: entry
        for entry in (
            ExportFormat(
                name="onnx",
                suffix=".onnx",
                summary="ONNX Runtime and other runtimes",
                write=write_onnx,
                opened=lambda content, _model: opened_onnx(content),
            ),
            ExportFormat(
                name="torch-export",
                suffix=".pt2",
                summary="torch.export.load, without archsearch",
                write=_write_program,
                opened=_opened_program,
            ),
            ExportFormat(
                name="state-dict",
                suffix=".safetensors",
                summary="safetensors; archsearch.build makes the module",
                write=_write_state,
                opened=_opened_state,
            ),
        )
    },
)


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Outputs of an exported file against the network's own, on the same images.

    Attributes:
        images: how many were compared.
        largest_difference: of any output, as a share of the largest absolute output of the network.
        same_top1_percent: share of images with the same highest output (percent).
        largest_output: of the network, absolute; 0 where it gives nothing but zeros, so that nothing was compared.
    """

    images: int
    largest_difference: float
    same_top1_percent: float
    largest_output: float


def parity(expected: Tensor, got: Tensor) -> Parity:
    """Compare two sets of logits, both (N, classes). Raises ValueError for other shapes."""
    if expected.shape != got.shape or expected.ndim != 2:
        raise ValueError(f"two sets of logits (N, classes) are needed, got {tuple(expected.shape)}, {tuple(got.shape)}")
    largest = float(expected.abs().max())
    scale = max(largest, 1e-12)
    return Parity(
        images=len(expected),
        largest_difference=float((expected - got).abs().max()) / scale,
        same_top1_percent=float(100.0 * (expected.argmax(1) == got.argmax(1)).double().mean()),
        largest_output=largest,
    )


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


# A picture of any size in: cropping, scaling and normalising as nodes of the ONNX graph.
#
# Pillow's resize (Resample.c, 8 bits a channel) in double precision: weights in fixed point of 22 bits, the
# horizontal pass rounded to 8 bits before the vertical one. Every product and sum is a whole number below 2^53, so
# the pixels are Pillow's.

IMAGE_NAME = "image"
_ONE = float(1 << 22)  # Resample.c: PRECISION_BITS = 32 - 8 - 2
_SUPPORT = {"bicubic": 2.0, "bilinear": 1.0}


class PictureInput(nn.Module):
    """uint8 (H, W, 3), upright RGB, to the network's input, float32 (1, 3, S, S)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, recipe: Preprocessing) -> None:
        super().__init__()
        self._size = recipe.input_size[1]
        self._interpolation: Interpolation = recipe.interpolation
        mean, std = (torch.tensor(each, dtype=torch.float64).view(3, 1, 1) for each in (recipe.mean, recipe.std))
        self.register_buffer("scale", (1.0 / (255.0 * std)).float())  # as `data.batches` computes it
        self.register_buffer("shift", (-mean / std).float())

    def forward(self, image: Tensor) -> Tensor:
        """(H, W, 3) -> (1, 3, S, S)."""
        pixels = image.permute(2, 0, 1).double()
        # Positions by a running sum, so that the exported graph takes any size: 0, 1, 2, ...
        rows = torch.cumsum(torch.ones_like(pixels[0, :, 0]), 0) - 1.0
        columns = torch.cumsum(torch.ones_like(pixels[0, 0, :]), 0) - 1.0
        height, width = rows[-1] + 1.0, columns[-1] + 1.0
        side = torch.minimum(height, width)
        across = _rounded(torch.matmul(pixels, self._weights(columns, width, side, axis=0)))
        down = _rounded(torch.matmul(self._weights(rows, height, side, axis=1), across))
        scaled: Tensor = down.float() * self.scale + self.shift
        return scaled.unsqueeze(0)

    def _weights(self, positions: Tensor, length: Tensor, side: Tensor, *, axis: int) -> Tensor:
        """What each position adds to each output, times 2^22, for the square in the middle.

        (S, length) with the positions along axis 1, (length, S) along axis 0. Not one transposed: ONNX Runtime up to
        1.23 fuses a transpose into the product of matrices, and has no such product in double precision.
        """
        scale = side / self._size
        stretch = torch.clamp(scale, min=1.0)
        support = _SUPPORT[self._interpolation] * stretch
        centres = (length - side) / 2.0 + (torch.arange(self._size, dtype=torch.float64) + 0.5) * scale
        positions, centres = positions.unsqueeze(1 - axis), centres.unsqueeze(axis)
        first = torch.clamp(torch.floor(centres - support + 0.5), min=0.0)
        last = torch.minimum(torch.floor(centres + support + 0.5), length)
        found = self._filter((positions - centres + 0.5) / stretch)
        found = torch.where((positions >= first) & (positions < last), found, torch.zeros_like(found))
        found = found / found.sum(axis, keepdim=True) * _ONE
        return torch.sign(found) * torch.floor(found.abs() + 0.5)

    def _filter(self, distance: Tensor) -> Tensor:
        x = distance.abs()
        if self._interpolation == "bilinear":
            return torch.clamp(1.0 - x, min=0.0)
        a = -0.5
        near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
        far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
        return torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))


def _rounded(sums: Tensor) -> Tensor:
    return torch.clamp(torch.floor((sums + _ONE / 2.0) / _ONE), 0.0, 255.0)


def recipe_input(picture: NDArray[np.uint8], recipe: Preprocessing) -> Tensor:
    """The same by Pillow, as training reads pictures: (H, W, 3) -> (1, 3, S, S)."""
    resampling = Image.Resampling[recipe.interpolation.upper()]
    square = np.array(middle_square(Image.fromarray(picture), recipe.input_size[1], resampling))
    front = PictureInput(recipe)
    pixels = torch.from_numpy(square).permute(2, 0, 1).float()
    return (pixels * front.scale + front.shift).unsqueeze(0)


def run_picture(content: bytes, picture: NDArray[np.uint8]) -> Tensor:
    """What ONNX Runtime gives for an upright RGB picture (H, W, 3): logits (1, classes)."""
    return opened_onnx(content, name=IMAGE_NAME)(torch.from_numpy(picture))


def with_picture_input(content: bytes, recipe: Preprocessing) -> bytes:
    """An ONNX model of `write_onnx` that takes a picture: `image`, uint8 (H, W, 3), upright RGB of any size.

    Its metadata stay as they are.
    """
    import onnx
    from onnx import compose

    network = onnx.load_model_from_string(content)
    opset = next(each.version for each in network.opset_import if each.domain in ("", "ai.onnx"))
    front, example = io.BytesIO(), torch.zeros((8, 9, 3), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            PictureInput(recipe).eval(), (example,), cast(Any, front), dynamo=False, opset_version=opset,
            input_names=[IMAGE_NAME], output_names=["pixels"], dynamic_axes={IMAGE_NAME: {0: "height", 1: "width"}},
        )  # fmt: skip
    first = compose.add_prefix(onnx.load_model_from_string(front.getvalue()), "picture/", rename_inputs=False)
    first.ir_version = network.ir_version
    merged = compose.merge_models(first, network, io_map=[("picture/pixels", INPUT_NAME)])
    onnx.helper.set_model_props(merged, {entry.key: entry.value for entry in network.metadata_props})
    return bytes(merged.SerializeToString())
