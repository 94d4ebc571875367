"""In which numbers a network is trained: float32 or bfloat16."""

from __future__ import annotations

import logging
from functools import cache

import torch

from archsearch.training.settings import Precision, former_precision

log = logging.getLogger(__name__)


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
