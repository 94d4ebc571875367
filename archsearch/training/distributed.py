"""One training on several devices: torchrun starts a process for each, and each takes its part of every batch.

The batches, their order, the learning rates and the seeds are those of one process: a step's gradients are the mean
over all ranks' parts, and batch normalisation takes its statistics over the whole batch. The result is therefore that
of one process but for the order in which sums are rounded, and for dropout: every rank draws the same masks for its own
images.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from archsearch.blocks.conv import BatchNorm
from archsearch.errors import ConfigError, TrainingError
from archsearch.host import torchrun_number
from archsearch.training.step import EagerStep

if TYPE_CHECKING:
    from archsearch.training.loop import Chunk, TrainingBatches

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_TIMEOUT = timedelta(hours=2)  # the first rank scores on the test images while the others wait


@dataclass(frozen=True)
class World:
    """Who trains together: this process is `rank` of `size`, and `local_rank` of `local_size` on its machine.

    `device` is where this process trains, and where the tensors lie that the processes tell each other.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process writes files, prints and scores."""
        return self.rank == 0

    def holding(self, device: Chunk) -> Chunk:
        """What this process enters around its share of a few steps, given what holds its device.

        Of several on one device the first holds it for all. They wait for each other within a step: if each held it, a
        measurement that waits between two of them would have all of them wait for ever.
        """
        return nullcontext if self.local_rank and self.device == "cpu" else device

    def part(self, batch: Tensor) -> Tensor:
        """This rank's images of a batch (N, ...) or its labels (N,): N / size of them."""
        return batch.tensor_split(self.size)[self.rank]

    def mean(self, value: Tensor) -> Tensor:
        """The mean of every rank's value."""
        if self.size == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.size

    def told(self, ask: Callable[[], float]) -> float:
        """What the first rank finds; the others wait for it. An error of the first rank ends them all."""
        if self.size == 1:
            return ask()
        answer = torch.zeros(2, dtype=torch.float64, device=self.device)  # whether there is one, and which
        if self.first:
            try:
                answer.copy_(torch.tensor([1.0, ask()], dtype=answer.dtype))
            finally:
                dist.broadcast(answer, src=0)
        else:
            dist.broadcast(answer, src=0)
        there, found = answer.tolist()
        if not there:
            raise TrainingError("the first process of this training failed", hint="its message says why")
        return float(found)

    def in_turn(self, work: Callable[[], Result]) -> Result:
        """What `work` gives, done by the first rank before the others, who find what it has written."""
        if self.size == 1:
            return work()
        if self.first:
            found = work()
            dist.barrier()
        else:
            dist.barrier()
            found = work()
        dist.barrier()
        return found

    def wait(self) -> None:
        """Wait until every rank has come here."""
        if self.size > 1:
            dist.barrier()


ALONE = World()


@cache
def world_of(device: str) -> World:
    """The processes that torchrun started with this one, joined; a world of one without torchrun.

    Args:
        device: what they train on; "cuda" communicates through NCCL, "cpu" through Gloo.

    With several processes on GPUs, that of this process's place becomes its current one: NCCL's own tensors lie there.

    Raises ConfigError for more processes than this machine has GPUs, and for a WORLD_SIZE that torchrun did not set.
    """
    size = torchrun_number("WORLD_SIZE") or 1
    if size == 1:
        return ALONE
    numbers = {name: torchrun_number(name) for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE")}
    missing = [name for name, number in numbers.items() if number is None]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE is {size}, as if torchrun had started this process, but without {' and '.join(missing)}",
            hint="start it by torchrun, or unset WORLD_SIZE",
        )
    on_gpu = torch.device(device).type == "cuda"
    rank, place, local_size = (number or 0 for number in numbers.values())
    world = World(
        rank=rank,
        size=size,
        local_rank=place,
        local_size=local_size,
        device=f"cuda:{place}" if on_gpu else device,
    )
    if on_gpu and world.local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"{world.local_rank + 1} or more processes on this machine, but {torch.cuda.device_count()} GPUs",
            hint="torchrun --nproc-per-node as many as there are GPUs",
        )
    if on_gpu:  # before anything makes a context: each process would otherwise have one on the first GPU
        torch.cuda.set_device(place)
    if not dist.is_initialized():
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            timeout=_TIMEOUT,
            device_id=torch.device(world.device) if on_gpu else None,
        )
        log.info("process %d of %d has joined", world.rank + 1, world.size)
    return world


class PartsOfBatches:
    """This rank's part of every batch."""

    def __init__(self, batches: TrainingBatches, world: World) -> None:
        self._batches, self._world = batches, world
        self.steps_per_epoch, self.batch_size = batches.steps_per_epoch, batches.batch_size // world.size
        if batches.batch_size % world.size:
            raise ConfigError(
                f"a batch of {batches.batch_size} images cannot be shared equally by {world.size} processes",
                hint=f"a batch_size of {max(1, round(batches.batch_size / world.size)) * world.size}",
            )

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """As the whole batches, of which it takes its part."""
        for inputs, labels in self._batches.epoch(epoch, first_step=first_step):
            yield self._world.part(inputs), self._world.part(labels)


class DistributedStep:
    """A step of all ranks together; the loss that it gives is the whole batch's.

    Raises TrainingError where the device runs out of memory: the other ranks could not follow into smaller parts.
    """

    def __init__(self, step: EagerStep, *, world: World) -> None:
        self.parts = 1
        self._world, self._step = world, step
        step.model = shared(step.model, world)

    def __call__(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """As `TrainingStep` says, of this rank's part of the batch."""
        try:
            return self._world.mean(self._step(inputs, labels, rate))
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"the device {self._step.device} ran out of memory with {len(labels)} images: {error}",
                hint="a smaller batch, or more devices",
            ) from error

    def feed(self, batches: TrainingBatches) -> PartsOfBatches:
        """What the step is fed with."""
        return PartsOfBatches(batches, self._world)


def shared(model: nn.Module, world: World) -> nn.Module:
    """The module to train with: gradients are averaged over the ranks, batch statistics taken over all of them.

    The parameters and buffers are the model's own: its state dict stays what it is. A world of one gives the model.
    """
    if world.size == 1:
        return model
    on_gpu = next(model.parameters()).device.type == "cuda"
    joined = nn.SyncBatchNorm.convert_sync_batchnorm(model) if on_gpu else _with_synced_norms(model)  # type: ignore[no-untyped-call]
    return DistributedDataParallel(joined)


class _Synced(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation with statistics over every rank's images; torch's own does this on GPUs only.

    Every rank must hold as many images. In eval mode it is plain batch normalisation.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """Normalise (N, C, ...) by mean and variance over all but C, of all ranks (Ioffe and Szegedy 2015)."""
        if not self.training:
            return super().forward(input)
        over = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        count = input.numel() // input.shape[1] * dist.get_world_size()
        mean = _mean_of_ranks(input.mean(over))
        centred = input - mean.view(shape)
        variance = _mean_of_ranks(centred.square().mean(over))
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.detach(), share)
                self.running_var.lerp_(variance.detach() * (count / (count - 1)), share)
        scale = (variance + self.eps).rsqrt()
        if not self.affine:
            return centred * scale.view(shape)
        normed: Tensor = centred * (scale * self.weight).view(shape) + self.bias.view(shape)
        return normed


def _mean_of_ranks(value: Tensor) -> Tensor:
    """The mean over the ranks, which gradients flow through."""
    total: Tensor = all_reduce(value)  # type: ignore[no-untyped-call]
    return total / dist.get_world_size()


class _Synced1d(_Synced, nn.BatchNorm1d):
    """Of (N, C) or (N, C, L)."""


class _Synced2d(_Synced, nn.BatchNorm2d):
    """Of (N, C, H, W)."""


_SYNCED: dict[type[nn.Module], type[_Synced]] = {nn.BatchNorm1d: _Synced1d, nn.BatchNorm2d: _Synced2d}


def _with_synced_norms(model: nn.Module) -> nn.Module:
    """The same model; each batch normalisation becomes a synchronised one that holds the same tensors."""
    for module in model.modules():
        if type(module) in _SYNCED:
            module.__class__ = _SYNCED[type(module)]
        elif isinstance(module, BatchNorm):
            raise TrainingError(f"a training on several CPUs cannot share the statistics of {type(module).__name__}")
    return model
