"""What the tables say of a study's conditions, from records made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from makers import make_record

from archsearch.api.pareto import canary_json, front_json
from archsearch.api.study import Study
from archsearch.cli.tables import canary_line, conditions_line, front_table
from archsearch.noise import Repeat
from archsearch.store.studies import StudyInfo


def study(*, latency: dict[str, Any], facts: dict[str, Any], repeats: tuple[Repeat, ...] = ()) -> Study:
    """Two trials; the reference took 4 ms in the study, and 6 ms beside the second, which was measured twice."""
    first, second = make_record(0, top1=60, p10=3.00), make_record(1, top1=61, p10=3.03)
    assert first.latency is not None and second.latency is not None
    drifted = replace(second.latency, study_reference_ms=4.0, reference_p10_ms=6.0, attempts=2)
    records = (replace(first, latency=replace(first.latency, study_reference_ms=4.0)), replace(second, latency=drifted))
    info = StudyInfo(
        id=1,
        name="study",
        config={"objectives": ["error_percent", "latency_ms"], "dataset": "digits", "latency": latency},
        space={},
        space_fingerprint="0" * 12,
        reference_point=None,
        facts=facts,
        created_at=datetime(2026, 1, 1),
        repeats=repeats,
    )
    return Study(info=info, records=records, counts={"complete": 2})


def test_the_noise_floor_and_the_canary_are_told_beside_the_front() -> None:
    floor = {"relative": 0.018, "measure_seconds": 5.0}
    found = study(latency={"drift_tolerance": 0.25}, facts={"noise_floor": floor})
    assert (
        "reference shufflenet_v2_x0_5, noise floor 1.8 % (measured at the study's start, before anything was trained; "
        "closer latencies are ties)."
    ) in conditions_line(found)
    # 1.5 s for each latency and 5 s for the noise floor, of two trials of 40 s: 8 / 80
    assert canary_line(found) == (
        "canary: the reference's p10 against the study's: +0.0 % to +50.0 %, median +25.0 %; 1 of 2 networks flagged "
        "(0 not converged, 1 drifted beyond 25 %), 1 measured again; 10% of the trials' time went into latency."
    )
    plain = front_json(found)
    assert (plain["noise_floor"], [row["trial"] for row in plain["front"]]) == (0.018, [1])  # 1 % slower is a tie
    assert plain["canary"] == canary_json(found.canary)
    assert (plain["canary"]["drifted_trials"], plain["canary"]["latency_share"]) == ([1], 0.1)


def test_what_the_floor_rests_on_and_how_far_repeated_networks_moved_is_told() -> None:
    protocol = {"tolerance": 0.03, "repeat_every": 8, "drift_tolerance": 0.25, "memory_tolerance": 0.1}
    repeats = tuple(
        Repeat(arch_id=name * 12, first_ms=2.0, second_ms=second_ms, measure_seconds=1.0)
        for name, second_ms in (("a", 2.02), ("b", 1.96), ("c", 2.0))
    )
    assert (
        "noise floor 3.0 % (assumed, the protocol's tolerance: 1 network measured twice so far, 3 are needed; closer "
        "latencies are ties)"
    ) in conditions_line(study(latency=protocol, facts={}, repeats=repeats[:1]))
    found = study(latency=protocol, facts={}, repeats=repeats)
    assert "(from 3 networks measured twice, for 95 % of such pairs; closer latencies are ties)" in conditions_line(
        found
    )
    # 2.02 / 2 is 1.0 % apart, 2 / 1.96 2.0 %, and 2 / 2 nothing
    assert "3 networks measured twice, median 1.0 %, at most 2.0 % apart" in canary_line(found)
    plain = front_json(found)
    assert plain["noise_floor_basis"] == {
        "source": "repeats",
        "repeats": 3,
        "flagged": 0,
        "coverage": 0.95,
        "growth": None,
    }
    assert [row["moved"] for row in plain["canary"]["repeats"]] == pytest.approx([0.01, -0.02, 0.0])


def test_a_study_of_an_older_version_has_no_floor_and_no_drift_rule() -> None:
    found = study(latency={}, facts={})
    assert "noise floor" not in conditions_line(found)
    assert "0 of 2 networks flagged (0 not converged), 1 measured again" in canary_line(found)
    assert [row["trial"] for row in front_json(found)["front"]] == [0, 1]


def test_a_network_whose_latency_is_flagged_has_a_question_mark_in_the_fronts_table() -> None:
    found = study(latency={"drift_tolerance": 0.25}, facts={})
    assert [record.trial for record in found.canary.drifted] == [1]

    def latencies(flagged: frozenset[str]) -> list[str]:
        (column,) = (each for each in front_table(found.front, flagged=flagged).columns if each.header == "latency ms")
        return [str(cell) for cell in column.cells]

    assert [cell.endswith("?") for cell in latencies(frozenset())] == [False, False]
    assert [cell.endswith("?") for cell in latencies(found.canary.flagged)] == [False, True]
