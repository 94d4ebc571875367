"""A network made ready to be timed. The protocol sees nothing else, so it is tested without a network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Runner(Protocol):
    """One network with its input, ready on its device."""

    def __call__(self) -> None:
        """Run once. The device may still be at work when this returns."""

    def synchronize(self) -> None:
        """Return when the device has finished everything that was asked of it."""

    def device_ms(self) -> float | None:
        """Time of the last run by the device's own clock (milliseconds), or None where it has none.

        Asked after `synchronize`. It checks the host clock: a run that the device worked on for longer than the host
        saw was not waited for.
        """

    def ready(self) -> AbstractContextManager[None]:
        """Conditions of the process that the runs need, such as a number of threads; undone on leaving."""


@dataclass(frozen=True, kw_only=True)
class CallRunner:
    """A runner of plain functions, for whatever runs on the host and returns when it is done.

    Attributes:
        call: one run.
        wait: returns when the run is over; nothing to do where `call` itself waits.
        conditions: makes the context of `Runner.ready`.
    """

    call: Callable[[], object]
    wait: Callable[[], None] = lambda: None
    conditions: Callable[[], AbstractContextManager[None]] = nullcontext

    def __call__(self) -> None:
        """Run once."""
        self.call()

    def synchronize(self) -> None:
        """Wait for the run."""
        self.wait()

    def device_ms(self) -> float | None:
        """None: there is no clock but the host's."""
        return None

    def ready(self) -> AbstractContextManager[None]:
        """The context that `conditions` makes."""
        return self.conditions()
