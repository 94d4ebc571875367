"""Several networks, several backends and several attempts, on a simulated clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archsearch.errors import MeasurementError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.network import measure_network, measure_networks, prepare_reference
from archsearch.latency.settings import LatencySettings


@pytest.fixture
def settings(world) -> LatencySettings:
    return LatencySettings(backend="simulated", spread_seconds=1, budget_seconds=4)


@pytest.fixture
def at(world):
    """What every measurement here has in common."""
    return {"device": "cpu", "input_size": 32, "lease": world, "clock": world.clock, "sleep": world.sleep}


def constant(ms: float):
    return lambda _: ms


def test_networks_of_a_group_are_measured_in_the_same_visits_and_told_in_their_order(world, timed, settings, at):
    models = [timed(name, constant(ms)) for name, ms in (("a", 1.0), ("b", 4.0), ("c", 2.0))]
    reference = timed("r", constant(2.0))
    latencies = measure_networks(models, reference, settings=settings, reference_name="ref", **at)
    assert [latency.ratio_to_reference for latency in latencies] == pytest.approx([0.5, 2.0, 1.0])
    assert {latency.reference for latency in latencies} == {"ref"}
    assert world.visits == 5
    assert world.prepared == [("simulated", name) for name in ("r", "a", "b", "c")]


def test_no_networks_are_no_measurement(world, timed, settings, at):
    assert measure_networks([], timed("r", constant(1)), settings=settings, reference_name="r", **at) == ()
    assert world.visits == 0


def test_a_further_backend_has_a_group_and_a_reference_of_its_own(world, timed, settings, at):
    settings = settings.model_copy(update={"also": ("simulated-slow",)})
    reference = prepare_reference(
        timed("r", constant(2.0)), name="r", settings=settings, device="cpu", input_size=32, lease=world
    )
    models = [timed("a", constant(1.0)), timed("b", constant(3.0))]
    latencies = measure_networks(models, reference, settings=settings, study_reference_ms=2.0, **at)
    assert [latency.backend for latency in latencies] == ["simulated"] * 2
    further = [latency.also[0] for latency in latencies]
    assert [latency.backend for latency in further] == ["simulated-slow"] * 2
    assert [latency.p10_ms for latency in further] == pytest.approx([10.0, 30.0])
    assert [latency.reference_p10_ms for latency in further] == pytest.approx([20.0, 20.0])
    assert [latency.ratio_to_reference for latency in further] == pytest.approx([0.5, 1.5])
    assert latencies[0].fingerprint != further[0].fingerprint
    # The study's reference belongs to the backend that is its objective.
    assert [(latency.study_reference_ms, latency.also[0].study_reference_ms) for latency in latencies] == [
        (2.0, None)
    ] * 2


def test_a_reference_without_a_further_backend_is_refused(world, timed, settings, at):
    reference = prepare_reference(
        timed("r", constant(2.0)), name="r", settings=settings, device="cpu", input_size=32, lease=world
    )
    wanted = settings.model_copy(update={"also": ("simulated-slow",)})
    with pytest.raises(MeasurementError, match=r"simulated-slow.*"):
        measure_network(timed("a", constant(1)), reference, settings=wanted, **at)


def test_a_steady_network_is_measured_once(world, timed, settings, at):
    latency = measure_network(
        timed("a", constant(1)),
        timed("r", constant(1.2)),
        settings=settings,
        reference_name="r",
        study_reference_ms=1.0,
        **at,
    )
    # The reference takes 20% longer than at the study's start: within the tolerance of 25%, and the ratio corrects it.
    assert latency.drift == pytest.approx(0.2)
    assert latency.corrected_ms == pytest.approx(1 / 1.2)
    assert (latency.attempts, world.visits) == (1, 5)


def test_a_drifted_measurement_is_made_again_and_the_undrifted_one_kept(world, timed, settings, at):
    # Everything is 1.5 times slower in the first five visits.
    def episode(ms):
        return lambda _: ms * (1.5 if world.visits <= 5 else 1.0)

    latency = measure_network(
        timed("a", episode(3.0)),
        timed("r", episode(1.0)),
        settings=settings,
        reference_name="r",
        study_reference_ms=1.0,
        **at,
    )
    assert (latency.attempts, world.visits) == (2, 10)
    assert latency.drift == pytest.approx(0.0)
    assert latency.p10_ms == pytest.approx(3.0)


def test_a_drift_that_stays_is_kept_and_told_after_the_last_attempt(world, timed, settings, at):
    settings = settings.model_copy(update={"remeasure": 2})
    latency = measure_network(
        timed("a", constant(3.0)),
        timed("r", constant(1.5)),
        settings=settings,
        reference_name="r",
        study_reference_ms=1.0,
        **at,
    )
    assert (latency.attempts, world.visits) == (3, 15)
    assert latency.drift == pytest.approx(0.5)
    assert latency.corrected_ms == pytest.approx(2.0)


def test_only_the_network_that_did_not_converge_is_measured_again(world, timed, settings, at):
    def disturbed(k):  # slower with each run as long as the budget of the first attempt lasts
        return 1 + 0.01 * k if world.now < 6e9 else 1.0

    models = [timed("steady", constant(2.0)), timed("disturbed", disturbed)]
    steady, again = measure_networks(
        models, timed("r", constant(1.0)), settings=settings, reference_name="r", names=("steady", "disturbed"), **at
    )
    assert (steady.attempts, steady.converged) == (1, True)
    assert again.attempts == 2
    tail = world.runs[-60:]
    assert "disturbed" in tail
    assert "steady" not in tail


def test_without_further_attempts_each_network_is_measured_once(world, timed, settings, at):
    settings = settings.model_copy(update={"remeasure": 0})
    latency = measure_network(
        timed("a", lambda k: 1 + 0.01 * k), timed("r", constant(1.0)), settings=settings, reference_name="r", **at
    )
    assert not latency.converged
    assert latency.attempts == 1


def test_names_of_a_group_tell_which_network_could_not_run(world, timed, settings, at, monkeypatch):
    backend = BACKENDS["simulated"]

    def export(model, example_input, *, threads, precision):
        if model.name == "b":
            raise RuntimeError("out of memory")
        return backend.export(model, example_input, threads=threads, precision=precision)

    monkeypatch.setitem(BACKENDS._entries, "simulated", replace(backend, export=export))
    models = [timed("a", constant(1)), timed("b", constant(1))]
    with pytest.raises(MeasurementError, match=r"the network 'second' could not be run.*out of memory"):
        measure_networks(
            models, timed("r", constant(1)), settings=settings, reference_name="r", names=("first", "second"), **at
        )
    with pytest.raises(ValueError, match="2 networks have 1 names"):
        measure_networks(models, timed("r", constant(1)), settings=settings, reference_name="r", names=("one",), **at)
