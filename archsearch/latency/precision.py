"""In which numbers a network is run when its latency is measured. Importing this imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Precision = Literal["fp32", "tf32", "fp16", "bf16"]
"""float32; float32 whose products a GPU rounds to TF32 first; weights and maps in float16, or in bfloat16."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_TYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}  # attributes of torch


def dtype_of(precision: Precision) -> torch.dtype:
    """The type of weights, input and maps."""
    import torch

    dtype: torch.dtype = getattr(torch, _TYPES[precision])
    return dtype


def cast(model: nn.Module, example_input: Tensor, precision: Precision) -> tuple[nn.Module, Tensor]:
    """The network and its input in the type of a precision; the network itself is changed."""
    dtype = dtype_of(precision)
    return model.to(dtype), example_input.to(dtype)


@contextmanager
def float32_arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """Inside it, torch's float32 convolutions and products on a GPU are IEEE for `fp32`, TF32 for `tf32`.

    By default torch takes TF32 for convolutions alone. A CPU, and the other precisions, are left as they are.
    https://docs.pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices
    """
    import torch

    if device.type != "cuda" or precision not in ("fp32", "tf32"):
        yield
        return
    # Convolutions: `fp32_precision` came with torch 2.9, and the flag before it is to go. Products: this function is
    # neither old nor new, and torch.compile refuses products that were set by `fp32_precision` alone (pytorch issue
    # 166387).
    conv: Any = getattr(torch.backends.cudnn, "conv", None)
    holder, name = (torch.backends.cudnn, "allow_tf32") if conv is None else (conv, "fp32_precision")
    value: Any = precision == "tf32" if conv is None else "tf32" if precision == "tf32" else "ieee"
    convolutions, products = getattr(holder, name), torch.get_float32_matmul_precision()
    try:
        setattr(holder, name, value)
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        yield
    finally:
        setattr(holder, name, convolutions)
        torch.set_float32_matmul_precision(products)
