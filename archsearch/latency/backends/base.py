"""What a backend is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from archsearch.errors import ConfigError, MeasurementError
from archsearch.latency.precision import Precision, dtype_of
from archsearch.latency.runner import Runner

if TYPE_CHECKING:
    from torch import Tensor, nn


Open = Callable[[], Runner]
"""Makes an exported network ready to be timed, each time anew: nothing that a run reads or writes is shared.

The network has run at least once when it returns. Raises what `Export` raises.
"""


class Export(Protocol):
    """Bring a network into the form that a backend runs."""

    def __call__(self, model: nn.Module, example_input: Tensor, *, threads: int, precision: Precision = "fp32") -> Open:
        """What opens a private copy of `model` on `example_input` (N, 3, H, W), on the input's device.

        Model and input come in float32; the copies are in `precision`, one of the backend's on this device.
        The caller's model is not changed, and what becomes of it later changes nothing of the copy.
        Raises RuntimeError (of torch, out of memory included) if it cannot run, MeasurementError if it would not
        compute the same.
        """


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One way of running a network.

    Attributes:
        name: its name in a study and in every latency record.
        summary: one line for `--help` and the docs.
        precisions: for each torch device type that it runs on, the precisions that it takes there.
        export: see `Export`; libraries are imported inside.
        version: the version that belongs into the fingerprint.
    """

    name: str
    summary: str
    precisions: Mapping[str, tuple[Precision, ...]]
    export: Export
    version: Callable[[], str]

    def prepare(
        self, model: nn.Module, example_input: Tensor, *, threads: int, precision: Precision = "fp32"
    ) -> Runner:
        """A network exported and opened once; as `Export`."""
        return self.export(model, example_input, threads=threads, precision=precision)()

    @property
    def devices(self) -> tuple[str, ...]:
        """Torch device types that it runs on."""
        return tuple(self.precisions)

    def check(self, device: str, precision: Precision, *, hint: str = "") -> None:
        """Raise ConfigError unless it runs on this torch device ("cpu", "cuda:0") in this precision.

        `hint` takes the place of the devices that it runs on.
        """
        kind = device.partition(":")[0]
        if kind not in self.devices:
            raise ConfigError(
                f"the latency backend '{self.name}' does not run on '{device}'",
                hint=hint or f"it runs on {', '.join(self.devices)}",
            )
        if precision not in self.precisions[kind]:
            raise ConfigError(
                f"the latency backend '{self.name}' does not run in {precision} on '{device}'",
                hint=f"precisions of it there: {', '.join(self.precisions[kind])}",
            )


# A network made faster must still be the network: its output is compared before anything is timed.

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
