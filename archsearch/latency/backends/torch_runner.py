"""The runner of everything that torch runs: eager, compiled, or a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from archsearch.latency.precision import Precision, float32_arithmetic

if TYPE_CHECKING:
    import torch


class TimedRunner:
    """What runs on one device; on a GPU every run is between two CUDA events, on the stream that it runs on."""

    def __init__(self, device: torch.device, stream: torch.cuda.Stream | None = None) -> None:
        """Events on `stream`; None is whatever stream of `device` is the current one at a run."""
        import torch

        self._torch, self._device, self._stream = torch, device, stream
        self._events: tuple[torch.cuda.Event, torch.cuda.Event] | None = None
        if device.type == "cuda":
            start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            self._events = start, end

    def _timed(self, run: Callable[[], object]) -> None:
        assert self._events is not None
        stream = self._stream if self._stream is not None else self._torch.cuda.current_stream(self._device)
        self._events[0].record(stream)
        run()
        self._events[1].record(stream)

    def synchronize(self) -> None:
        """Wait for the GPU; on a CPU a run returns when it is done."""
        if self._events is not None:
            self._torch.cuda.synchronize(self._device)

    def device_ms(self) -> float | None:
        """Time between the CUDA events around the last run (milliseconds); None on a CPU."""
        return None if self._events is None else float(self._events[0].elapsed_time(self._events[1]))


class TorchRunner(TimedRunner):
    """One forward pass a call."""

    def __init__(
        self, run: Callable[[], object], *, device: torch.device, threads: int, precision: Precision = "fp32"
    ) -> None:
        """A runner of `run`, which works on `device` in `precision`; what it needs must stay alive by itself."""
        super().__init__(device)
        self._run = run
        self._threads = threads
        self._precision = precision

    def __call__(self) -> None:
        """One forward pass without autograd."""
        with self._torch.inference_mode():
            if self._events is None:
                self._run()
            else:
                self._timed(self._run)

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
