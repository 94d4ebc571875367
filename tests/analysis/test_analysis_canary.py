from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from archsearch.analysis.canary import canary_of
from archsearch.analysis.conditions import condition_warnings, conditions_of
from archsearch.analysis.front import front_of, front_rows, further_backends, latency_by
from archsearch.records import Record, TrialStatus

Make = Callable[..., Record]


def changed(record: Record, **facts: Any) -> Record:
    """The record with other facts of its latency."""
    assert record.latency is not None
    return replace(record, latency=replace(record.latency, **facts))


@pytest.fixture
def records(make_record: Make) -> list[Record]:
    """Trials of a study whose reference took 4 ms: with it so, 5 % faster, 50 % slower, unconverged, a replay."""
    return [
        changed(make_record(0), study_reference_ms=4.0),
        changed(make_record(1), study_reference_ms=4.0, reference_p10_ms=3.8),
        changed(make_record(2), study_reference_ms=4.0, reference_p10_ms=6.0, attempts=2),
        changed(make_record(3), study_reference_ms=4.0, converged=False, attempts=2, measure_seconds=3.5),
        changed(make_record(4, arch_id=f"{2:012x}", status=TrialStatus.REPLAY), study_reference_ms=4.0, attempts=2),
    ]


def test_the_canary_tells_drift_flags_and_what_measuring_cost(records: list[Record]) -> None:
    found = canary_of(records, drift_tolerance=0.25, floor_seconds=12.0)
    assert (found.drift_min, found.drift_median, found.drift_max) == (
        pytest.approx(3.8 / 4 - 1),
        0.0,  # of -5 %, 0, 0, +50 %
        pytest.approx(0.5),
    )
    assert [record.trial for record in found.drifted] == [2]
    assert [record.trial for record in found.unconverged] == [3]
    assert (found.networks, len(found.flagged), found.measured_again) == (4, 2, 2)  # the replay is trial 2's network
    assert found.reference == ("shufflenet_v2_x0_5",)
    # 1.5 s each for three, 3.5 s for one, 12 s for the noise floor; five trials of 40 s
    assert (found.latency_seconds, found.trial_seconds) == (20.0, 200.0)
    assert found.latency_share == pytest.approx(0.1)


def test_a_network_that_a_design_measures_anew_with_each_seed_takes_its_time_each_time(make_record: Make) -> None:
    seeds = [changed(make_record(trial, arch_id=f"{1:012x}", seed=trial), p10_ms=1.0 + trial) for trial in range(3)]
    found = canary_of(seeds, drift_tolerance=None)
    assert (found.networks, found.latency_seconds) == (1, 4.5)


@pytest.mark.parametrize("cut_off_seconds", [None, 20.0])  # by Ctrl-C; by a rule that promoted it later
def test_measuring_has_its_share_of_the_trials_whose_time_is_known(
    cut_off_seconds: float | None, make_record: Make
) -> None:
    went_on = changed(make_record(1), measure_seconds=2.0)  # of which 1.5 s in the trial before
    cut_off = make_record(0, arch_id=went_on.arch_id, status=TrialStatus.INTERRUPTED, top1=None)
    running = make_record(2, status=TrialStatus.RUNNING, top1=None)
    records = [replace(cut_off, seconds=cut_off_seconds), went_on, replace(running, seconds=None)]
    found = canary_of(records, drift_tolerance=None)
    # 2 s of what has ended: of 40 s, or of 60 s; with the two others it would be 5 s
    assert (found.latency_seconds, found.trial_seconds) == (2.0, 40.0 + (cut_off_seconds or 0.0))
    assert found.networks == 2


def test_a_doubtful_latency_of_a_trial_that_was_cut_off_does_not_count_once_its_network_was_measured_again(
    make_record: Make,
) -> None:
    cut_off = changed(make_record(0, status=TrialStatus.INTERRUPTED, top1=None), converged=False)
    again = changed(make_record(2, arch_id=cut_off.arch_id), attempts=2)
    found = canary_of([cut_off, make_record(1), again], drift_tolerance=None)
    assert [record.trial for record in found.measured] == [1, 2]
    assert (found.flagged, found.measured_again) == (frozenset(), 1)
    alone = canary_of([cut_off, make_record(1)], drift_tolerance=None)
    assert [record.trial for record in alone.measured] == [0, 1]
    assert alone.flagged == {cut_off.arch_id}


def test_a_study_without_a_drift_rule_flags_no_drift(records: list[Record]) -> None:
    found = canary_of(records, drift_tolerance=None)
    assert (found.drifted, len(found.flagged)) == ((), 1)


def test_a_study_without_measurements_has_no_canary(make_record: Make) -> None:
    found = canary_of([replace(make_record(0, p10=None), seconds=None)], drift_tolerance=0.25)
    assert (found.networks, found.drift_median, found.latency_share, found.reference) == (0, None, None, ())


def test_latencies_by_further_backends_stand_beside_and_never_on_the_front(make_record: Make) -> None:
    plain, measured = make_record(0, p10=2.0), make_record(1, p10=3.0)
    assert measured.latency is not None
    beside = replace(measured.latency, backend="torch-eager", p10_ms=9.0, median_ms=9.5, fingerprint="0" * 12)
    both = changed(measured, also=(beside,))
    front = front_of([plain, both], reference_point=(90, 30))
    assert front.warnings == () and front.conditions.backend == ("torch",)
    first, second = front_rows(front)
    assert list(first) == list(second)
    assert (first["also.torch-eager.p10_ms"], second["also.torch-eager.p10_ms"]) == (None, 9.0)
    assert (second["also.torch-eager.median_ms"], second["latency_ms"]) == (9.5, 3.0)
    assert further_backends([plain, both]) == ("torch-eager",)
    assert latency_by(both, "torch-eager") == beside and latency_by(plain, "torch-eager") is None


def test_further_backends_of_different_fingerprints_are_named_too(make_record: Make) -> None:
    records = []
    for trial, fingerprint in enumerate(("a" * 12, "b" * 12)):
        record = make_record(trial)
        assert record.latency is not None
        records.append(changed(record, also=(replace(record.latency, backend="torch", fingerprint=fingerprint),)))
    (warning,) = condition_warnings(records, conditions_of(records))
    assert warning == ("latencies by torch are not comparable: 2 values of fingerprint (aaaaaaaaaaaa, bbbbbbbbbbbb)")


class CountedId(str):
    """An `arch_id` that counts how often it is compared with others."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedId.compared += 1
        return str(self) == str(other)

    __hash__ = str.__hash__


def test_of_many_networks_beside_crowded_memory_none_is_compared_with_all_of_them(make_record: Make) -> None:
    # the copy takes 1 ms beside half of the networks, and 2 ms beside the others
    records = [make_record(trial, arch_id=CountedId(trial), memory_ms=1.0 + trial % 2) for trial in range(100)]
    found = canary_of(records, drift_tolerance=None, memory_tolerance=0.1)
    CountedId.compared = 0
    assert sum("the memory was crowded" in found.doubts(record) for record in records) == len(found.crowded) == 50
    assert CountedId.compared < 200  # of 100 networks each with all that are crowded it were 3,775
