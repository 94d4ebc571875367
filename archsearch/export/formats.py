"""The formats by name: a network and its facts in, the content of one file out, and whether it computes the same.

Files that torch reads are an exported program, which needs no class of ours, and the weights alone.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn

from archsearch.errors import BuildError, first_line
from archsearch.models.model_info import ModelInfo
from archsearch.registry import Registry

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


def _run_program(content: bytes, images: Tensor, _model: nn.Module) -> Tensor:
    """What a saved program gives for images (N, 3, H, W): logits (N, classes)."""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: Tensor = torch.export.load(io.BytesIO(content)).module()(images)
    return made


def _write_state(model: nn.Module, _example: Tensor, info: ModelInfo) -> bytes:
    """The weights as safetensors, with the facts in its header."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return safetensors.torch.save(state, metadata=info.as_text())


def _run_state(content: bytes, images: Tensor, model: nn.Module) -> Tensor:
    """What the network gives for images (N, 3, H, W) with a file's weights; `model` itself keeps its own."""
    own = copy.deepcopy(model).eval().cpu()
    own.load_state_dict(safetensors.torch.load(content))
    with torch.inference_mode():
        made: Tensor = own(images)
    return made


@dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """One format.

    Attributes:
        name: as typed after `--format`.
        suffix: of its files.
        summary: what reads it.
        write: the file's content, from a network in eval mode on the CPU, an example input (N, 3, H, W) and the facts.
        run: the outputs (N, classes) of a file's content for inputs (N, 3, H, W), on the CPU.
    """

    name: str
    suffix: str
    summary: str
    write: Callable[[nn.Module, Tensor, ModelInfo], bytes]
    run: Callable[[bytes, Tensor, nn.Module], Tensor]


def _write_onnx(model: nn.Module, example: Tensor, info: ModelInfo) -> bytes:
    from archsearch.export.onnx_file import write_onnx

    return write_onnx(model, example, info)


def _run_onnx(content: bytes, images: Tensor, _model: nn.Module) -> Tensor:
    from archsearch.export.onnx_file import run_onnx

    return run_onnx(content, images)


FORMATS: Registry[ExportFormat] = Registry(
    "export format",
    {
        entry.name: entry
        for entry in (
            ExportFormat(
                name="onnx", suffix=".onnx", summary="ONNX Runtime and other runtimes", write=_write_onnx, run=_run_onnx
            ),
            ExportFormat(
                name="torch-export",
                suffix=".pt2",
                summary="torch.export.load, without archsearch",
                write=_write_program,
                run=_run_program,
            ),
            ExportFormat(
                name="state-dict",
                suffix=".safetensors",
                summary="safetensors; archsearch.build makes the module",
                write=_write_state,
                run=_run_state,
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
