"""The memory witness: copies timed in every visit, and what becomes of a measurement beside which they were slow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from archsearch.latency import network
from archsearch.latency.network import MemoryWitness, measure_network, memory_witness
from archsearch.latency.remeasure import better, is_doubtful
from archsearch.latency.settings import LatencySettings
from archsearch.records import Latency

SETTINGS = LatencySettings(bursts=4, visits=2, spread_seconds=1.0, remeasure=1)


class Scripted:
    """A witness whose copies take what was said (ms), the same in all samples of one measurement."""

    def __init__(self, measurements: Iterator[float], quiet_ms: float | None) -> None:
        self._left = measurements
        self._now = next(measurements)
        self.quiet_ms = quiet_ms
        self.samples = 0
        self.noted: list[float] = []

    def sample(self) -> list[float]:
        self.samples += 1
        return [self._now, 9.0 * self._now]

    def note(self, memory_ms: float) -> None:
        self.noted.append(memory_ms)
        self._now = next(self._left, self._now)


@pytest.fixture
def measured(world: Any, timed: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def measure(witness: Scripted | None) -> Latency:
        monkeypatch.setattr(network, "memory_witness", lambda _device: witness)
        return measure_network(
            timed("a", lambda _: 2.0),
            timed("x1", lambda _: 1.0),
            reference_name="x1",
            settings=SETTINGS.with_backend("simulated"),
            device="cpu",
            input_size=32,
            lease=world,
            clock=world.clock,
            sleep=world.sleep,
        )

    return measure


def test_the_witness_is_asked_at_both_ends_of_every_visit(measured: Any) -> None:
    witness = Scripted(iter([1.0]), quiet_ms=1.0)
    latency = measured(witness)
    assert witness.samples == 2 * SETTINGS.visits
    # p10 of four times (1, 9): the sorted eight are 1 1 1 1 9 9 9 9, and 10 % of the way is a 1
    assert (latency.memory_ms, witness.noted, latency.attempts) == (1.0, [1.0], 1)
    assert measured(None).memory_ms is None


def test_a_measurement_beside_crowded_memory_is_made_again_and_the_quiet_one_kept(measured: Any) -> None:
    witness = Scripted(iter([1.2, 1.05]), quiet_ms=1.0)
    latency = measured(witness)
    assert (latency.attempts, latency.memory_ms, witness.noted) == (2, 1.05, [1.2, 1.05])
    assert not is_doubtful(latency, SETTINGS, 1.0)
    stays = measured(Scripted(iter([1.2, 1.3]), quiet_ms=1.0))
    assert (stays.attempts, stays.memory_ms) == (2, 1.2)  # neither is better: the first one
    assert is_doubtful(stays, SETTINGS, 1.0) and not is_doubtful(stays, SETTINGS)  # nothing is known of quiet


def test_a_measurement_that_converged_is_kept_before_a_quiet_one_that_did_not(measured: Any) -> None:
    crowded = measured(Scripted(iter([1.5, 1.5]), quiet_ms=1.0))
    unsure = replace(crowded, memory_ms=1.0, converged=False)
    assert better(unsure, crowded, SETTINGS, 1.0) is crowded


def test_until_four_measurements_nothing_is_known_of_quiet() -> None:
    witness = MemoryWitness()
    assert witness.quiet_ms is None
    for memory_ms in (2.0, 1.0, 3.0, 1.0):
        witness.note(memory_ms)
    assert witness.quiet_ms == 1.0  # the lower quartile of 1 1 2 3
    assert all(ms > 0 for ms in witness.sample())


def test_a_process_has_one_witness_and_none_for_a_gpu() -> None:
    assert memory_witness("cpu") is memory_witness("cpu")
    assert memory_witness("cuda:0") is None
