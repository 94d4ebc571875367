"""One training step: forward, loss, backward, optimizer. What the loop calls, and the plain way to do it.

What a training does when its device runs out of memory: the same steps, each in smaller parts.

Training steps through torch.compile: minutes to prepare, then faster; for long trainings only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from archsearch.errors import TrainingError, TrainingMemoryError, first_line
from archsearch.training.conv_forms import Forms, computed_as, float32_forms, small_map_forms

# A moving average of a network's weights, which is scored and kept in the place of the last step's.


class Averaged:
    """An exponential moving average of weights and of the statistics of batch normalisation.

    After step n (from 1) the average moves towards the network by max(1 / n, 1 / `steps`): it is the plain mean of the
    steps so far, until there are `steps` of them, and then one with that many steps of memory (a decay of
    1 - 1 / steps). Statistics are averaged like weights, so they are of the steps that the averaged weights are of.
    Whole numbers (how many batches a normalisation saw) are copied.

    Unlike `torch.optim.swa_utils.AveragedModel` it keeps its count on the host, so that no step waits for the device.

    Args:
        model: the network, which stays as it is; the average begins as a copy.
        steps: length of the memory in steps, at least 1.

    Attributes:
        model: the average, a network of its own.
        count: steps taken in so far.
    """

    def __init__(self, model: nn.Module, *, steps: int) -> None:
        self.model = copy.deepcopy(model)
        self.count = 0
        self._steps = max(1, steps)
        pairs = [
            (average.detach(), value.detach())
            for average, value in zip(_tensors(self.model), _tensors(model), strict=True)
        ]
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network as it is now."""
        self.count += 1
        weight = max(1.0 / self.count, 1.0 / self._steps)
        move = get_ema_multi_avg_fn(1.0 - weight)  # type: ignore[no-untyped-call]
        move([average for average, _ in self._floats], [value for _, value in self._floats], self.count)
        for average, value in self._others:
            average.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The average and its count. The tensors are its own: write them down at once, or copy them."""
        return {"count": self.count, "model": self.model.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.count = int(state["count"])


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


class TrainingStep(Protocol):
    """Changes the weights by one batch. A step that raises OutOfMemoryError is tried again with more `parts`.

    Attributes:
        parts: in how many parts a batch is taken, one after the other; their gradients add up to the batch's. The
            loop sets it when the device runs out of memory, between two steps. Before the first step, and whenever
            `parts` was set, the optimizer's tensors may have been replaced by others of the same values.
    """

    parts: int

    def __call__(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """One step at learning rate `rate`; gives the batch's mean loss, detached, on the device.

        The loss's value must stay what it is when the next step is taken: the loop reads it later.

        Args:
            inputs: float (N, 3, H, W) on the device.
            labels: int64 (N,) on the device.
            rate: learning rate of every parameter group.
        """
        ...


class EagerStep:
    """Operator by operator, as PyTorch runs it; on a CPU some convolutions in other forms (`conv_forms`).

    Args:
        model: the network; another way of calling it (compiled, distributed) may take its place in `model`.
        optimizer: of its parameters.
        label_smoothing: share of the target spread over all classes.
        device: where all of it lies.
        amp: bfloat16 autocast of the forward pass; bfloat16 has float32's range, so no loss is scaled.
        class_weights: of each class's images in the loss, float32 (classes,), with mean 1 over the images; None: all 1.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        label_smoothing: float,
        device: str,
        amp: bool,
        class_weights: Tensor | None = None,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.label_smoothing = label_smoothing
        self.device, self.amp = torch.device(device), amp
        self.class_weights = None if class_weights is None else class_weights.to(device)
        self.autocast = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=amp)
        self.forms: Forms = {}
        if self.device.type == "cpu":
            self.forms = float32_forms(model) if amp else small_map_forms(model)
        self.parts = 1

    def __call__(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """As `TrainingStep` says."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.add_gradients(inputs, labels)
        self.optimizer.step()
        return loss

    @torch.enable_grad()  # a notebook may have turned them off
    def add_gradients(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Add the gradients of a batch's mean loss, part by part; gives that loss."""
        whole = inputs.new_zeros(())
        for some, their in zip(inputs.tensor_split(self.parts), labels.tensor_split(self.parts), strict=True):
            with self.autocast, computed_as(self.forms):
                logits = self.model(some)
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            if self.class_weights is None:
                loss = F.cross_entropy(logits, their, label_smoothing=self.label_smoothing)
                loss = loss * (len(their) / len(labels))
            else:  # torch's own mean would divide by the weights of this batch, whatever classes it has
                loss = F.cross_entropy(
                    logits, their, self.class_weights, label_smoothing=self.label_smoothing, reduction="sum"
                ) / len(labels)
            loss.backward()  # type: ignore[no-untyped-call]
            whole += loss.detach()
        return whole


StepMaker = Callable[[EagerStep], TrainingStep]
"""How a training takes its steps, told of the eager one, once, when the network and the optimizer are on the device."""


def eagerly(step: EagerStep) -> TrainingStep:
    """Operator by operator."""
    return step


LEAST_IMAGES = 2
"""Images that a part of a training step must have: batch normalisation takes its statistics over one."""


class Snapshot:
    """Weights, buffers, momentum and averages as they are now, copied to main memory, to begin an epoch anew from.

    A step that ends for want of memory leaves the weights as they were, but the statistics of the normalisations that
    it passed have moved, and how many it passed depends on the device. So an epoch begins anew as a whole.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, averaged: Averaged | None = None) -> None:
        self._model, self._optimizer, self._averaged = model, optimizer, averaged
        self._weights = _copied(model.state_dict())
        self._momentum = _copied(optimizer.state_dict())
        self._averages: dict[str, Any] = {} if averaged is None else _copied(averaged.state_dict())

    def restore(self) -> None:
        """Put them back. The gradients of the step that failed are dropped, and memory that is held in reserve, too."""
        self._optimizer.zero_grad(set_to_none=True)
        self._model.load_state_dict(self._weights)
        self._optimizer.load_state_dict(_copied(self._momentum))  # on a CPU the optimizer keeps the tensors it is given
        if self._averaged is not None:
            self._averaged.load_state_dict(self._averages)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def more_parts(parts: int, *, images: int, least: int, device: str) -> int:
    """Twice as many parts of `images`. Raises TrainingMemoryError if one would then have fewer than `least`."""
    if images // (2 * parts) < least:
        raise TrainingMemoryError(
            f"the device {device} ran out of memory, even with {-(-images // parts)} of {images} images at once",
            hint="a smaller network or input size, or a device with more memory",
        )
    return 2 * parts


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_copied(entry) for entry in value]
    return value


class CompiledStep:
    """An eager step with forward and backward compiled. The network itself stays plain: it is scored and kept.

    The same weights come out up to rounding, since the compiler joins operations. Raises TrainingError at the first
    step if the network cannot be compiled here.
    """

    def __init__(self, step: EagerStep) -> None:
        self.parts = 1
        self._step = step
        step.model = cast(nn.Module, torch.compile(step.model))
        if not step.amp:
            step.forms = {}  # the compiler chooses its own

    def __call__(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """As `TrainingStep` says."""
        self._step.parts = self.parts
        try:
            return self._step(inputs, labels, rate)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise TrainingError(
                f"torch.compile cannot compile this network here: {type(error).__name__}: {first_line(error)}",
                hint="it needs a C++ compiler (on a GPU also Triton); or train without it",
            ) from error
