"""Training steps as a CUDA graph: every kernel of a step recorded once a training, and launched by one call.

A small network's step is several hundred kernels of a few microseconds each, and in eager mode the GPU waits for the
CPU to launch them. The whole step is captured, augmentation, forward, loss, backward and optimizer, as in
https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture: warm-up on a side stream, then capture.
What changes from step to step lies in tensors that the graph reads: which images and crops, the labels, the rate.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from archsearch.data.batches import DeviceBatches
from archsearch.errors import first_line
from archsearch.training.step import EagerStep

log = logging.getLogger(__name__)

Work = Callable[[], None]
Recorder = Callable[[Work], Work]
"""Runs work some times to warm up, records it once more, and gives what does it again."""

_WARMUP_RUNS = 3  # libraries choose kernels and allocate workspaces, which no capture allows


class BrokenCaptureError(RuntimeError):
    """A capture failed in its middle and could not be closed: torch's state of this process is in doubt."""


class GraphStep:
    """An eager step, replayed; what cannot be captured is trained eagerly, and the log says why.

    After a BrokenCaptureError, too, and `broken_capture` says so from then on: a process that trains one network after
    another should be replaced by a new one before the next.

    The same steps come out: warm-up leaves no trace in weights, statistics, momentum or random numbers. Captured anew
    when the optimizer's tensors were replaced; a training whose batches are taken in parts is eager from then on.

    Args:
        step: what is recorded. Its optimizer is fused, so that it takes its learning rate from the device.
        record: how work is recorded; None: in a CUDA graph on the step's device.
    """

    def __init__(self, step: EagerStep, *, record: Recorder | None = None) -> None:
        # a cast that was cached while recording would be of the weights at that time
        step.autocast = torch.autocast(step.device.type, dtype=torch.bfloat16, enabled=step.amp, cache_enabled=False)
        self._eager = step
        self._model, self._optimizer, self._device = step.model, step.optimizer, step.device
        self._record = record or CudaRecorder(self._device)
        self._render: Callable[[Tensor], Tensor] = _as_they_are
        self._captured: _Captured | None = None
        self.parts = 1
        self.eager_because: str | None = None
        """Why the steps are taken eagerly; None while they are replayed."""

    def feed(self, batches: DeviceBatches) -> PlannedBatches | DeviceBatches:
        """The batches to call this step with instead: their images are gathered and augmented inside the step.

        A set that is not on the device is gathered outside of it, and its batches stay what they are.
        """
        if not batches.resident:
            return batches
        self._render = batches.rendered
        return PlannedBatches(batches)

    def __call__(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """As `TrainingStep` says; `inputs` are those of `feed`, if it was called."""
        if self.parts != 1 and self.eager_because is None:
            self._give_up("the device has not the memory for whole batches")
        if self.eager_because is None and (self._captured is None or not self._captured.fits(inputs, self._buffers())):
            self._capture(inputs, labels)
        if self._captured is None:
            self._eager.parts = self.parts
            return self._eager(self._render(inputs), labels, rate)
        for group in self._optimizer.param_groups:
            group["lr"] = rate  # for whoever asks; the graph reads its own
        return self._captured.replay(inputs, labels, rate)

    def _give_up(self, reason: str) -> None:
        self.eager_because, self._captured = reason, None
        log.info("training steps are taken without a CUDA graph: %s", reason)

    def _buffers(self) -> tuple[Tensor, ...]:
        """The optimizer's tensors, in the order of the parameters."""
        return tuple(
            value
            for group in self._optimizer.param_groups
            for parameter in group["params"]
            for value in self._optimizer.state[parameter].values()
            if isinstance(value, Tensor)
        )

    def _capture(self, inputs: Tensor, labels: Tensor) -> None:
        """Record a step; on any failure everything is as it was, and the steps are eager from now on."""
        self._captured = None
        self._begin_momentum()
        tensors = (*self._model.parameters(), *self._model.buffers(), *self._buffers())
        before = [tensor.detach().clone() for tensor in tensors]
        random = _random_state(self._device)
        rates = [group["lr"] for group in self._optimizer.param_groups]
        reason = None
        try:
            self._captured = self._recorded(inputs, labels)
        except RuntimeError as error:  # an operator that cannot be captured, or no memory to capture in
            if isinstance(error, BrokenCaptureError):
                _BROKEN.append(str(error))
            reason = f"{type(error).__name__}: {first_line(error)}"
        finally:
            for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
        if reason is not None:  # out here, where the error no longer holds what was allocated
            self._optimizer.zero_grad(set_to_none=True)
            gc.collect()
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            self._give_up(reason)
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
        _set_random_state(self._device, random)

    def _begin_momentum(self) -> None:
        """Momentum of zero, which the first step adds its gradients to: they are what it begins with otherwise."""
        for group in self._optimizer.param_groups:
            if group.get("momentum", 0):
                for parameter in group["params"]:
                    state = self._optimizer.state[parameter]
                    if state.get("momentum_buffer") is None:
                        state["momentum_buffer"] = torch.zeros_like(parameter)

    def _recorded(self, inputs: Tensor, labels: Tensor) -> _Captured:
        plan, targets = inputs.clone(), labels.clone()
        rate = torch.zeros((), device=self._device)
        loss = torch.zeros((), device=self._device)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

        def work() -> None:
            self._optimizer.zero_grad(set_to_none=True)
            loss.copy_(self._eager.add_gradients(self._render(plan), targets))
            self._optimizer.step()

        return _Captured(self._record(work), plan, targets, rate, loss, self._buffers())


_BROKEN: list[str] = []


def broken_capture() -> str | None:
    """Why captures of this process are in doubt; None while every one of them could be closed."""
    return _BROKEN[0] if _BROKEN else None


class _Captured:
    """A recorded step with the tensors that it reads and writes."""

    def __init__(
        self, again: Work, plan: Tensor, labels: Tensor, rate: Tensor, loss: Tensor, buffers: tuple[Tensor, ...]
    ) -> None:
        self._again, self._plan, self._labels, self._rate, self._loss = again, plan, labels, rate, loss
        self._buffers = buffers

    def fits(self, inputs: Tensor, buffers: tuple[Tensor, ...]) -> bool:
        """Whether it takes such inputs, and works on these tensors of the optimizer."""
        same = len(buffers) == len(self._buffers) and all(a is b for a, b in zip(buffers, self._buffers, strict=True))
        return same and inputs.shape == self._plan.shape and inputs.dtype == self._plan.dtype

    def replay(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        self._plan.copy_(inputs, non_blocking=True)
        self._labels.copy_(labels, non_blocking=True)
        self._rate.fill_(rate)
        self._again()
        return self._loss.clone()


class CudaRecorder:
    """Records work in a CUDA graph of one device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, work: Work) -> Work:
        """As `Recorder` says. Raises RuntimeError if the work does more than launch kernels.

        Raises BrokenCaptureError where the capture could not be closed: torch then leaves its allocator recording into
        the graph's pool and, in some versions, its generator expecting a replay.
        """
        # torch does not leave the stream of a capture that cannot be closed; the outer context does
        with torch.cuda.device(self._device), torch.cuda.stream(torch.cuda.current_stream(self._device)):
            side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(side):
                for _ in range(_WARMUP_RUNS):
                    work()
            torch.cuda.current_stream(self._device).wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            failed: RuntimeError | None = None
            try:
                # torch's own stream for captures is, in a whole process, of the GPU of the first one;
                # other threads of a worker talk to the database, not to the device
                with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                    try:
                        work()
                    except RuntimeError as error:
                        failed = error
                        raise
            except RuntimeError as error:
                if error is failed:  # the capture was closed all the same
                    raise
                raise BrokenCaptureError(str(failed or error)) from error
        return graph.replay


class PlannedBatches:
    """Batches that say which images are seen how, and leave the rest to `DeviceBatches.rendered`."""

    def __init__(self, batches: DeviceBatches) -> None:
        self._batches = batches

    @property
    def steps_per_epoch(self) -> int:
        """As of the batches."""
        return self._batches.steps_per_epoch

    @property
    def batch_size(self) -> int:
        """As of the batches."""
        return self._batches.batch_size

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Plans, int64 (rows, B), and labels (B,)."""
        return self._batches.plans(epoch, first_step=first_step)


def _as_they_are(inputs: Tensor) -> Tensor:
    return inputs


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
