"""A network made faster must still be the network: its output is compared before anything is timed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archsearch.errors import MeasurementError
from archsearch.latency.precision import Precision, dtype_of

if TYPE_CHECKING:
    from torch import Tensor

# Of the largest output, against float32. A wrong network is off by the size of the output itself. TF32 convolutions on
# a GPU differ by up to about 1e-3; of the 134 named networks and 40 points of each space, float16 by up to 1.1e-3 and
# bfloat16 by up to 8.6e-3 on a CPU.
TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-2, "tf32": 1e-2, "fp16": 1e-2, "bf16": 5e-2}


def check_same_output(*, expected: Tensor, got: Tensor, what: str, hint: str, precision: Precision = "fp32") -> None:
    """Raise MeasurementError if two outputs differ in shape, or anywhere by more than 1% (bfloat16: 5%) of the largest.

    What lies below the smallest normal number of the precision is no difference: the deepest networks give outputs of
    1e-9 before they are trained, which float16 rounds to zero.

    Args:
        expected: what the caller's network gives, in float32.
        got: what the network gives that is to be timed; NaN agrees with nothing.
        what: what was done to it, the subject of the error's sentence.
        hint: what to do about it.
        precision: that `got` was computed in.
    """
    import torch

    if expected.shape != got.shape:
        raise MeasurementError(f"{what} changed the output's shape {tuple(expected.shape)} to {tuple(got.shape)}")
    largest = float(expected.abs().max())
    difference = float((expected - got.to(expected)).abs().max())
    if not difference <= TOLERANCE[precision] * largest + torch.finfo(dtype_of(precision)).tiny:
        in_numbers = "" if precision == "fp32" else f" in {precision}"
        raise MeasurementError(
            f"{what}{in_numbers} changed the network's output by {difference:g} of {largest:g}", hint=hint
        )
