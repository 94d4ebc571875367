"""A network made faster must still be the network: its output is compared before anything is timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsearch.errors import MeasurementError

if TYPE_CHECKING:
    from torch import Tensor

# Of the largest output. A wrong network is off by the size of the output itself; TF32 convolutions on a GPU differ by
# up to about 1e-3.
TOLERANCE = 1e-2


def check_same_output(*, expected: Tensor, got: Tensor, what: str, hint: str) -> None:
    """Raise MeasurementError if two outputs differ in shape, or anywhere by more than 1% of the largest value.

    Args:
        expected: what the caller's network gives.
        got: what the network gives that is to be timed; NaN agrees with nothing.
        what: what was done to it, the subject of the error's sentence.
        hint: what to do about it.
    """
    if expected.shape != got.shape:
        raise MeasurementError(f"{what} changed the output's shape {tuple(expected.shape)} to {tuple(got.shape)}")
    largest = float(expected.abs().max())
    difference = float((expected - got.to(expected.device)).abs().max())
    if not difference <= TOLERANCE * largest:
        raise MeasurementError(f"{what} changed the network's output by {difference:g} of {largest:g}", hint=hint)
