"""The runner of everything that torch runs: eager, compiled, or a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from archsearch.latency.precision import Precision, float32_arithmetic

if TYPE_CHECKING:
    import torch


class CudaTimer:
    """Two CUDA events around a run, on the stream that it runs on."""

    def __init__(self, device: torch.device, stream: torch.cuda.Stream | None = None) -> None:
        """Events on `stream`; None is whatever stream of `device` is the current one at a run."""
        import torch

        self._torch, self._device, self._stream = torch, device, stream
        self._start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def around(self, run: Callable[[], object]) -> None:
        """Run it between the two events."""
        stream = self._stream if self._stream is not None else self._torch.cuda.current_stream(self._device)
        self._start.record(stream)
        run()
        self._end.record(stream)

    def ms(self) -> float:
        """Time between the events of the last run (milliseconds); the device must have finished it."""
        return float(self._start.elapsed_time(self._end))


class TorchRunner:
    """One forward pass a call. On a GPU every run is also timed by CUDA events."""

    def __init__(
        self, run: Callable[[], object], *, device: torch.device, threads: int, precision: Precision = "fp32"
    ) -> None:
        """A runner of `run`, which works on `device` in `precision`; what it needs must stay alive by itself."""
        import torch

        self._torch = torch
        self._run = run
        self._threads = threads
        self._precision = precision
        self._device = device
        self._timer = CudaTimer(device) if device.type == "cuda" else None

    def __call__(self) -> None:
        """One forward pass without autograd."""
        with self._torch.inference_mode():
            if self._timer is not None:
                self._timer.around(self._run)
            else:
                self._run()

    def synchronize(self) -> None:
        """Wait for the GPU; on a CPU a forward pass returns when it is done."""
        if self._timer is not None:
            self._torch.cuda.synchronize(self._device)

    def device_ms(self) -> float | None:
        """Time between the CUDA events around the last run (milliseconds); None on a CPU."""
        return self._timer.ms() if self._timer is not None else None

    @contextmanager
    def ready(self) -> Iterator[None]:
        """The number of CPU threads, the current GPU and its float32 arithmetic; all as before on leaving."""
        threads_before = self._torch.get_num_threads()
        with ExitStack() as stack:
            if self._device.type == "cuda":
                stack.enter_context(self._torch.cuda.device(self._device))
                stack.enter_context(float32_arithmetic(self._precision, self._device))
            try:
                if threads_before != self._threads:
                    self._torch.set_num_threads(self._threads)
                yield
            finally:
                if self._torch.get_num_threads() != threads_before:
                    self._torch.set_num_threads(threads_before)
