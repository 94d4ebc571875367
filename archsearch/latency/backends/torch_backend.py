"""PyTorch in eager mode: as the user writes it, and with what costs nothing to do before deployment.

Folding and channels_last cut 10 to 35% of an eager ShuffleNetV2 on CPU; neither changes the result.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from archsearch.errors import MeasurementError
from archsearch.latency.backends.base import Backend
from archsearch.latency.runner import Runner

if TYPE_CHECKING:
    from torch import Tensor, nn

# A wrong fold is off by the size of the output itself; TF32 convolutions on a GPU differ by up to about 1e-3.
_FOLD_TOLERANCE = 1e-2


class TorchRunner:
    """A network in eval mode on its input. On a GPU every run is also timed by CUDA events."""

    def __init__(self, model: nn.Module, example_input: Tensor, *, threads: int) -> None:
        import torch

        self._torch = torch
        self._model = model
        self._input = example_input
        self._threads = threads
        self._device = example_input.device
        self._cuda = self._device.type == "cuda"
        if self._cuda:
            self._start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            self._end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def __call__(self) -> None:
        """One forward pass without autograd."""
        with self._torch.inference_mode():
            if self._cuda:
                stream = self._torch.cuda.current_stream(self._device)
                self._start.record(stream)
                self._model(self._input)
                self._end.record(stream)
            else:
                self._model(self._input)

    def synchronize(self) -> None:
        """Wait for the GPU; on a CPU a forward pass returns when it is done."""
        if self._cuda:
            self._torch.cuda.synchronize(self._device)

    def device_ms(self) -> float | None:
        """Time between the CUDA events around the last run (milliseconds); None on a CPU."""
        return float(self._start.elapsed_time(self._end)) if self._cuda else None

    @contextmanager
    def ready(self) -> Iterator[None]:
        """The number of CPU threads, and the current GPU; both as before on leaving."""
        threads_before = self._torch.get_num_threads()
        with ExitStack() as stack:
            if self._cuda:
                stack.enter_context(self._torch.cuda.device(self._device))
            try:
                if threads_before != self._threads:
                    self._torch.set_num_threads(self._threads)
                yield
            finally:
                if self._torch.get_num_threads() != threads_before:
                    self._torch.set_num_threads(threads_before)


def _prepare_folded(model: nn.Module, example_input: Tensor, *, threads: int) -> Runner:
    import torch

    from archsearch.latency.backends.fold import folded

    inputs = example_input.contiguous(memory_format=torch.channels_last)
    fast = folded(model).to(inputs.device).to(memory_format=torch.channels_last)
    plain = copy.deepcopy(model).eval().to(inputs.device)
    runner = TorchRunner(fast, inputs, threads=threads)
    with runner.ready(), torch.inference_mode():
        _check_same(expected=plain(example_input), got=fast(inputs))
    return runner


def _prepare_eager(model: nn.Module, example_input: Tensor, *, threads: int) -> Runner:
    runner = TorchRunner(copy.deepcopy(model).eval().to(example_input.device), example_input, threads=threads)
    with runner.ready():
        runner()
        runner.synchronize()
    return runner


def _check_same(*, expected: Tensor, got: Tensor) -> None:
    largest = float(expected.abs().max())
    difference = float((expected - got).abs().max())
    if not difference <= _FOLD_TOLERANCE * largest:
        raise MeasurementError(
            f"folding batch normalisation changed the network's output by {difference:g} of {largest:g}",
            hint="a convolution of this network does more than convolve; measure it with the backend 'torch-eager'",
        )


def _torch_version() -> str:
    return version("torch")


TORCH = Backend(
    name="torch",
    summary="PyTorch eager, batch normalisation folded into convolutions, channels_last",
    devices=("cpu", "cuda"),
    prepare=_prepare_folded,
    version=_torch_version,
)
TORCH_EAGER = Backend(
    name="torch-eager",
    summary="PyTorch eager, the module as it is",
    devices=("cpu", "cuda"),
    prepare=_prepare_eager,
    version=_torch_version,
)
