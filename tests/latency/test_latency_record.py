"""What is stored of a latency, and how it comes back."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from makers import make_latency

from archsearch.latency.remeasure import better, drifted, is_doubtful
from archsearch.latency.settings import LatencySettings
from archsearch.records import Latency

LATENCY = make_latency(2.0, reference="shufflenet_v2_x1_0", backend="onnxruntime", measure_seconds=5.2)


def test_a_latency_survives_being_stored_as_json_with_its_further_backends() -> None:
    full = replace(
        LATENCY,
        ratio_low=0.49,
        ratio_high=0.51,
        attempts=2,
        state={"cpu_mhz": "3000"},
        study_reference_ms=4.1,
        also=(replace(LATENCY, backend="torch", state={"cpu_mhz": "2999"}),),
    )
    assert Latency.from_dict(json.loads(json.dumps(asdict(full)))) == full


def test_a_latency_of_an_older_version_has_no_interval_and_one_attempt() -> None:
    new = ("ratio_low", "ratio_high", "attempts", "state", "also")
    old = {name: value for name, value in asdict(LATENCY).items() if name not in new}
    latency = Latency.from_dict(old)
    assert latency == LATENCY
    assert (latency.ratio_low, latency.ratio_high, latency.attempts, latency.also) == (None, None, 1, ())


def test_what_a_later_version_stored_is_left_out() -> None:
    assert Latency.from_dict(asdict(LATENCY) | {"of a later version": 1}) == LATENCY


def test_a_latency_can_be_a_member_of_a_set() -> None:
    assert len({LATENCY, replace(LATENCY), replace(LATENCY, p10_ms=3.0)}) == 2


def test_drift_is_the_references_change_since_the_studys_first_measurement() -> None:
    assert LATENCY.drift is None
    assert replace(LATENCY, study_reference_ms=3.2).drift == pytest.approx(0.25)
    assert replace(LATENCY, study_reference_ms=5.0).drift == pytest.approx(-0.2)


def test_a_device_that_became_much_faster_or_slower_has_drifted() -> None:
    settings = LatencySettings(drift_tolerance=0.25)
    answers = {ms: drifted(replace(LATENCY, study_reference_ms=ms), settings) for ms in (3.1, 3.3, 5.2, 5.5)}
    # 4 / 3.1 = 1.29, 4 / 3.3 = 1.21, 4 / 5.2 = 0.77, 4 / 5.5 = 0.73
    assert answers == {3.1: True, 3.3: False, 5.2: False, 5.5: True}
    assert not drifted(LATENCY, settings)


def test_what_drifted_or_did_not_converge_is_measured_again() -> None:
    settings = LatencySettings()
    assert not is_doubtful(LATENCY, settings)
    assert is_doubtful(replace(LATENCY, converged=False), settings)
    assert is_doubtful(replace(LATENCY, study_reference_ms=1.0), settings)


def test_of_two_measurements_the_milliseconds_do_not_decide() -> None:
    settings = LatencySettings()
    steady = replace(LATENCY, study_reference_ms=4.0)
    moved = replace(steady, reference_p10_ms=8.0, p10_ms=1.0)
    open_ended = replace(steady, converged=False, half_split_difference=0.04, p10_ms=1.0)
    closer = replace(open_ended, half_split_difference=0.035)
    for worse, wanted in ((moved, steady), (open_ended, steady), (moved, open_ended), (open_ended, closer)):
        assert better(worse, wanted, settings) is wanted
        assert better(wanted, worse, settings) is wanted
    faster = replace(steady, p10_ms=1.0)
    assert better(steady, faster, settings) is steady
