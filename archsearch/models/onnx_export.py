"""A module in, an ONNX model out, in memory: what runtimes other than torch are given.

torch has two exporters. The one by TorchScript traces: a third of a second of CPU time for a ShuffleNetV2 x1.0, against
4 s by `torch.export` ("dynamo"), and ONNX Runtime makes the same operators of both. torch calls it deprecated, so it is
used where it is there and works, and the other one everywhere else.
"""

from __future__ import annotations

import copy
import ctypes
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from archsearch.errors import BuildError, first_line

if TYPE_CHECKING:
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

Exporter = Literal["torchscript", "dynamo"]
_TURN = threading.Lock()  # the tracer, what it warns of and standard output are the process's, not the thread's
OPSET = 18  # both exporters write it; grid sampling needs 16
INPUT_NAME, OUTPUT_NAME = "input", "output"

# An exporter runs the network's own forward on stand-ins for tensors; what that cannot bear shows as one of these. A
# torch without the TorchScript exporter refuses its arguments, one without onnxscript cannot import.
_EXPORT_FAILURES = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NotImplementedError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OnnxModel:
    """An exported network, with its weights.

    Attributes:
        data: the serialised ModelProto; one input named `input`, one output named `output`.
        exporter: which of torch's exporters wrote it.
        opset: version of the operator set.
    """

    data: bytes
    exporter: Exporter
    opset: int = OPSET


def export_onnx(
    model: nn.Module, example_input: Tensor, *, exporter: Exporter | None = None, dynamic_batch: bool = False
) -> OnnxModel:
    """The ONNX model of a network in eval mode, for inputs of the shape of `example_input` (N, C, H, W).

    A copy on the CPU is exported, so deformable convolutions are written as a sampling and a 1x1 convolution; `model`
    itself is not changed. A network that decides by the values of its input is exported as it runs on this one.

    Args:
        model: a network with one input and one output.
        example_input: on any device.
        exporter: one of torch's two; None is the faster one that can export this network.
        dynamic_batch: let the model take any number of images N.

    Raises BuildError if the network cannot be exported.
    """
    import torch

    own, example = copy.deepcopy(model).eval().cpu(), example_input.detach().cpu().contiguous()
    failures: list[str] = []
    for name in (exporter,) if exporter is not None else ("torchscript", "dynamo"):
        try:
            with _TURN, torch.no_grad(), warnings.catch_warnings(), _nothing_printed():
                warnings.simplefilter("ignore")
                export = _by_torchscript if name == "torchscript" else _by_dynamo
                data = export(own, example, dynamic_batch)
            return OnnxModel(data=data, exporter=name)
        except _EXPORT_FAILURES as error:
            logger.debug("%s was not exported by %s", type(model).__name__, name, exc_info=True)
            failures.append(f"{name}: {first_line(error)}")
    raise BuildError(
        f"{type(model).__name__} cannot be exported to ONNX: {'; '.join(failures)}",
        hint="the network uses an operator that has no counterpart there, or does not take one tensor and return one",
    )


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Keeps standard output clean of what torch prints there from C++: the whole graph of a network that fails."""
    with suppress(AttributeError, OSError, ValueError):  # closed, or none of this process's own
        sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what C holds back would come out later
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _by_torchscript(model: nn.Module, example: Tensor, dynamic_batch: bool) -> bytes:
    import torch

    file = io.BytesIO()
    torch.onnx.export(
        model, (example,), file, dynamo=False, opset_version=OPSET,  # type: ignore[arg-type]  # a file works, too
        input_names=[INPUT_NAME], output_names=[OUTPUT_NAME],
        dynamic_axes={INPUT_NAME: {0: "batch"}, OUTPUT_NAME: {0: "batch"}} if dynamic_batch else None,
    )  # fmt: skip
    return file.getvalue()


def _by_dynamo(model: nn.Module, example: Tensor, dynamic_batch: bool) -> bytes:
    import torch

    program = torch.onnx.export(
        model, (example,), dynamo=True, opset_version=OPSET, verbose=False,
        input_names=[INPUT_NAME], output_names=[OUTPUT_NAME],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},) if dynamic_batch else None,
    )  # fmt: skip
    if program is None:
        raise RuntimeError("torch returned no program")
    return bytes(program.model_proto.SerializeToString())
