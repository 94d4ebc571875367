"""A network made ready to be timed. The protocol sees nothing else, so it is tested without a network."""

from __future__ import annotations

from contextlib import AbstractContextManager
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
