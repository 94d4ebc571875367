"""What a backend is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from archsearch.errors import ConfigError
from archsearch.latency.precision import Precision
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
