"""What a backend is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from archsearch.latency.runner import Runner

if TYPE_CHECKING:
    from torch import Tensor, nn


class Prepare(Protocol):
    """Make a network ready to be timed."""

    def __call__(self, model: nn.Module, example_input: Tensor, *, threads: int) -> Runner:
        """A runner of a private copy of `model` on `example_input` (N, 3, H, W), on the input's device.

        The caller's model is not changed. The network has run at least once when this returns.
        Raises RuntimeError (of torch, out of memory included) if it cannot run, MeasurementError if it would not
        compute the same.
        """


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One way of running a network.

    Attributes:
        name: its name in a study and in every latency record.
        summary: one line for `--help` and the docs.
        devices: torch device types that it runs on.
        prepare: see `Prepare`; libraries are imported inside.
        version: the version that belongs into the fingerprint.
    """

    name: str
    summary: str
    devices: tuple[str, ...]
    prepare: Prepare
    version: Callable[[], str]
