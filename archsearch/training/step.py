"""One training step: forward, loss, backward, optimizer. What the loop calls, and the plain way to do it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsearch.training.precision import in_float32, kept_in_float32


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


class StepMaker(Protocol):
    """How a training's step is made, once, when the network and the optimizer are on the device."""

    def __call__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        label_smoothing: float,
        device: str,
        amp: bool,
        class_weights: Tensor | None = None,
    ) -> TrainingStep:
        """The step, see `EagerStep` for the arguments."""
        ...


class EagerStep:
    """Operator by operator, as PyTorch runs it.

    Args:
        model: the network; may be wrapped (compiled, distributed), as long as it is called as the network is.
        optimizer: of its parameters.
        label_smoothing: share of the target spread over all classes.
        device: where all of it lies.
        amp: bfloat16 autocast of the forward pass; bfloat16 has float32's range, so no loss is scaled. On a CPU some
            layers stay in float32 (`kept_in_float32`).
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
        self.class_weights = None if class_weights is None else class_weights.to(device)
        self.autocast = torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=amp)
        self._kept = kept_in_float32(model) if amp and torch.device(device).type == "cpu" else ()
        self.parts = 1

    def __call__(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """As `TrainingStep` says."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.add_gradients(inputs, labels)
        self.optimizer.step()
        return loss

    def add_gradients(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Add the gradients of a batch's mean loss, part by part; gives that loss."""
        whole = inputs.new_zeros(())
        for some, their in zip(inputs.tensor_split(self.parts), labels.tensor_split(self.parts), strict=True):
            with self.autocast, in_float32(self._kept):
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
