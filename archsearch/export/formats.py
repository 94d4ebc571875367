"""The formats by name: a network and its facts in, the content of one file out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsearch.export.metadata import ExportMetadata
from archsearch.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn


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
    write: Callable[[nn.Module, Tensor, ExportMetadata], bytes]
    run: Callable[[bytes, Tensor, nn.Module], Tensor]


def _write_onnx(model: nn.Module, example: Tensor, metadata: ExportMetadata) -> bytes:
    from archsearch.export.onnx_file import write_onnx

    return write_onnx(model, example, metadata)


def _run_onnx(content: bytes, images: Tensor, _model: nn.Module) -> Tensor:
    from archsearch.export.onnx_file import run_onnx

    return run_onnx(content, images)


def _write_program(model: nn.Module, example: Tensor, metadata: ExportMetadata) -> bytes:
    from archsearch.export.torch_files import write_program

    return write_program(model, example, metadata)


def _run_program(content: bytes, images: Tensor, _model: nn.Module) -> Tensor:
    from archsearch.export.torch_files import run_program

    return run_program(content, images)


def _write_state(model: nn.Module, _example: Tensor, metadata: ExportMetadata) -> bytes:
    from archsearch.export.torch_files import write_state

    return write_state(model, metadata)


def _run_state(content: bytes, images: Tensor, model: nn.Module) -> Tensor:
    from archsearch.export.torch_files import run_state

    return run_state(content, images, model)


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
