from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import pytest
from torch import Tensor, nn

from archsearch.latency import network
from archsearch.latency.backends import BACKENDS, Backend
from archsearch.latency.backends.base import Open

MS = 1_000_000


class Timed(nn.Module):
    """A network of which only the time of a run is known: `run_ms(k)` for its k-th run (milliseconds)."""

    def __init__(self, name: str, run_ms: Callable[[int], float]) -> None:
        super().__init__()
        self.name = name
        self.run_ms = run_ms


@dataclass
class Simulation:
    """A clock that moves only when a network runs or the process sleeps, a lease, and backends that run `Timed`.

    The backend "simulated" runs a network in its own time, "simulated-slow" in ten times it.
    """

    now: int = 0
    held: bool = False
    visits: int = 0
    prepared: list[tuple[str, str]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    def clock(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert not self.held, "the device must be free while the process sleeps"
        self.now += round(seconds * 1e9)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        self.held, self.visits = True, self.visits + 1
        yield
        self.held = False

    def shared(self) -> AbstractContextManager[None]:
        return nullcontext()

    def backend(self, name: str, factor: float) -> Backend:
        def export(model: nn.Module, example_input: Tensor, *, threads: int, precision: str = "fp32") -> Open:
            assert isinstance(model, Timed)
            self.prepared.append((name, model.name))
            return partial(_TimedRunner, self, model, factor)

        return Backend(name=name, summary="", precisions={"cpu": ("fp32",)}, export=export, version=lambda: "1")


class _TimedRunner:
    def __init__(self, world: Simulation, model: Timed, factor: float) -> None:
        self.world, self.model, self.factor, self.count = world, model, factor, 0

    def __call__(self) -> None:
        assert self.world.held, "a network ran without the lease"
        self.world.runs.append(self.model.name)
        self.world.now += round(self.model.run_ms(self.count) * self.factor * MS)
        self.count += 1

    def synchronize(self) -> None:
        return

    def device_ms(self) -> float | None:
        return None

    def ready(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Simulation:
    simulation = Simulation()
    for name, factor in (("simulated", 1.0), ("simulated-slow", 10.0)):
        monkeypatch.setitem(BACKENDS._entries, name, simulation.backend(name, factor))
    monkeypatch.setattr(network, "memory_witness", lambda _device: None)  # its copies would be real
    return simulation


@pytest.fixture
def timed() -> type[Timed]:
    return Timed
