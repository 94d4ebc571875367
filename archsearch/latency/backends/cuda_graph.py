"""A CUDA graph: every kernel of a forward pass recorded once, and launched by one call.

At small batches a GPU waits for the CPU to launch kernels, and eager latency counts launches. A replay costs one
launch, so what remains is the kernels' own time, as in a deployment that captures or compiles. Captured as in
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs: warm-up on a side stream, then capture.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from archsearch.errors import MeasurementError
from archsearch.latency.backends.agreement import check_same_output
from archsearch.latency.backends.base import Backend, Open
from archsearch.latency.backends.torch_backend import fast_form, plain_output, torch_version
from archsearch.latency.backends.torch_runner import TorchRunner
from archsearch.latency.precision import PRECISIONS, Precision, float32_arithmetic
from archsearch.latency.runner import Runner

if TYPE_CHECKING:
    from torch import Tensor, nn

_WARMUP_RUNS = 3  # libraries choose kernels and allocate workspaces, which no capture allows


class CapturedForward:
    """A forward pass as a CUDA graph, with everything that its kernels read and write."""

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        """Capture `model(inputs)`. Raises MeasurementError if it does more than launch kernels on its stream."""
        import torch

        self._model, self._inputs = model, inputs
        with torch.inference_mode():
            side = torch.cuda.Stream(inputs.device)  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream(inputs.device))
            with torch.cuda.stream(side):
                for _ in range(_WARMUP_RUNS):
                    model(inputs)
            torch.cuda.current_stream(inputs.device).wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph):
                    output = model(inputs)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise MeasurementError(
                    f"{type(model).__name__} cannot be captured in a CUDA graph: {str(error).strip()}",
                    hint="its forward waits for the GPU or copies to it; measure it with the backend 'torch'",
                ) from error
        self._graph, self.output = graph, output

    def replay(self) -> None:
        """Launch every kernel again on the current stream; `output` holds the result once they are done."""
        self._graph.replay()


def _export(model: nn.Module, example_input: Tensor, *, threads: int, precision: Precision = "fp32") -> Open:
    fast, inputs = fast_form(model, example_input, precision)
    expected = plain_output(model, example_input)

    def opened() -> Runner:
        import torch

        with torch.cuda.device(inputs.device), float32_arithmetic(precision, inputs.device):  # a replay has its kernels
            captured = CapturedForward(copy.deepcopy(fast), inputs.clone())
        runner = TorchRunner(captured.replay, device=inputs.device, threads=threads, precision=precision)
        with runner.ready(), torch.inference_mode():
            captured.output.zero_()  # what is compared below, a replay has computed
            runner()
            runner.synchronize()
            check_same_output(
                expected=expected,
                got=captured.output,
                what="capturing the folded network in a CUDA graph",
                hint="measure it with the backend 'torch-eager'",
                precision=precision,
            )
        return runner

    return opened


CUDA_GRAPH = Backend(
    name="cuda-graph",
    summary="PyTorch, folded and channels_last, captured once in a CUDA graph and replayed",
    precisions={"cuda": PRECISIONS},
    export=_export,
    version=torch_version,
)
