"""In which numbers a network is trained: float32, or bfloat16 where that is faster and float32 where it is not."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import cast

import torch
from torch import Tensor, nn

from archsearch.training.settings import Precision, former_precision

log = logging.getLogger(__name__)

_SLOW_KERNEL = 4  # depthwise kernels from here on have no fast weight gradient in bfloat16


def usual_precision(device: str) -> Precision:
    """What a training uses that says nothing of it: bfloat16 on a GPU that computes it natively, else float32."""
    if torch.device(device).type == "cuda" and _emulates_bf16(device):
        return "fp32"
    return former_precision(device)


def warn_of_emulation(precision: Precision, device: str) -> None:
    """Log a warning where bfloat16 is asked for on a GPU that only emulates it."""
    if precision == "bf16" and torch.device(device).type == "cuda" and _emulates_bf16(device):
        log.warning("the GPU %s only emulates bfloat16: a training in precision fp32 is faster there", device)


@cache
def _emulates_bf16(device: str) -> bool:
    """Whether a GPU has no bfloat16 of its own (T4, V100, RTX 20: before compute capability 8.0); the log says so.

    torch computes it there all the same, but cuDNN convolves it from 8.0 on only, and torch's own convolution is slow.
    """
    if not torch.cuda.is_available():  # a study of a GPU is looked at elsewhere
        return False
    with torch.cuda.device(device):
        emulates = not torch.cuda.is_bf16_supported(including_emulation=False)
        if emulates:
            log.warning("%s has no bfloat16 of its own: trainings are in float32", torch.cuda.get_device_name(device))
    return emulates


def kept_in_float32(model: nn.Module) -> tuple[nn.Conv2d, ...]:
    """The convolutions that a CPU computes in float32 inside bfloat16 autocast, since it trains them faster so.

    Depthwise ones of stride 2, whose gradient for the input is a hundred times slower in bfloat16 (oneDNN 3.13 on
    AVX512), and of kernel 4 and more, whose gradient for the weights has only a generic form, slower in bfloat16.
    """
    return tuple(
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
        and module.groups == module.in_channels > 1
        and (max(module.stride) > 1 or max(module.kernel_size) >= _SLOW_KERNEL)
    )


@contextmanager
def in_float32(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Inside it, these modules of one network take and give float32, autocast or not."""
    for module in modules:
        # on the instance, and gone after the step: who looks at the network otherwise sees plain convolutions
        module.forward = partial(_without_autocast, module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def _without_autocast(module: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return cast(Tensor, type(module).forward(module, x.float()))
