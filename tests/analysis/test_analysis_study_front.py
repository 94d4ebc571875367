"""What a study's front says in words, tables, rows and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from makers import make_front, make_record

from archsearch.analysis.front import front_of, front_rows
from archsearch.analysis.means import means_of
from archsearch.analysis.study_front import StudyFront
from archsearch.analysis.verdicts import verdicts_of, verdicts_table
from archsearch.api.analyses import study_front
from archsearch.api.output import result_json, write_csv
from archsearch.api.study import Study
from archsearch.errors import ArchsearchError
from archsearch.noise import Repeat
from archsearch.records import Record, TrialStatus
from archsearch.store.studies import StudyInfo
from archsearch.table import csv_text

Make = Callable[..., Record]


def test_a_designs_means_are_comparable_where_the_first_seed_of_a_network_failed(make_record: Make) -> None:
    trials = [("a", 20), ("a", 21), ("a", 22), ("b", 21), ("b", 22)]  # b's seed 20 failed
    records = [
        replace(make_record(trial, arch_id=12 * point, seed=seed), point=point)
        for trial, (point, seed) in enumerate(trials)
    ]
    assert front_of(means_of(records)).warnings == ()
    (warning,) = front_of(means_of(records[2:4])).warnings  # one training each
    assert warning == "accuracies are not comparable: 2 values of seed (21, 22)"


def test_a_network_with_two_names_is_one_network_of_the_front(make_record: Make) -> None:
    named = [make_record(trial, variant=name, arch_id="a" * 12) for trial, name in enumerate(("x", "x_authors"))]
    found = make_front([*named, make_record(2, top1=40.0)])
    assert found.members_table().title == "The front: 1 of 2 networks"
    assert str(found.members_table()).count("x_authors") == 1
    assert any(line.startswith("3 trials (3 complete); 1 on the front;") for line in found.subtitle)
    assert found.recommendation.reason == "It is the whole front: it beats every other of 2 complete networks."


def test_a_row_carries_every_number_with_its_conditions(make_record: Make) -> None:
    (row,) = front_rows(front_of([make_record(4, top1=61.5, p10=2.0, choices={"stage2.kernel": 5})]))
    assert (row["trial"], row["variant"], row["on_front"]) == (4, None, True)
    assert (row["top1_percent"], row["error_percent"]) == (61.5, 38.5)
    # the factory's spread: median 1.04 and p90 1.15 times the p10, reference 4 ms
    assert (row["p10_ms"], row["median_ms"], row["p90_ms"]) == (2.0, 2.08, pytest.approx(2.3))
    assert (row["n_runs"], row["ratio_to_reference"], row["epochs"], row["seed"]) == (200, 0.5, 8, 0)
    assert (row["device"], row["backend"], row["batch"], row["threads"]) == ("cpu", "torch", 1, 1)
    assert (row["split"], row["fingerprint"], row["choice.stage2.kernel"]) == ("validation", "f00dfeedbeef", 5)


def test_rows_have_the_same_columns_and_choices_come_last(make_record: Make) -> None:
    records = [make_record(0, choices={"b": 1}), make_record(1, choices={"a": True})]
    first, second = front_rows(front_of(records))
    assert list(first) == list(second)
    assert list(first)[-2:] == ["choice.a", "choice.b"]
    assert (first["choice.a"], second["choice.a"]) == (None, True)


def test_only_the_front_on_request(make_record: Make) -> None:
    front = front_of([make_record(0, top1=60, p10=2), make_record(1, top1=50, p10=3)])
    assert [row["trial"] for row in front_rows(front)] == [0, 1]
    assert [row["trial"] for row in front_rows(front, only_front=True)] == [0]


def test_rows_are_json(make_record: Make) -> None:
    records = [make_record(0, variant="v"), make_record(1, status=TrialStatus.FAILED, top1=None, reason="why")]
    front = front_of(records)
    tables = [front_rows(front), verdicts_table(verdicts_of(records, front)).dicts()]
    assert json.loads(json.dumps(tables)) == tables


def test_csv_reads_back_with_quotes_commas_and_line_breaks(tmp_path: Path) -> None:
    rows = [{"name": 'a "b", c\nd', "n": 1}, {"name": None, "more": 2.5}]
    path = tmp_path / "deep" / "front.csv"
    write_csv(rows, path)
    with path.open(newline="", encoding="utf-8") as file:
        back = list(csv.DictReader(file))
    assert back == [{"name": 'a "b", c\nd', "n": "1", "more": ""}, {"name": "", "n": "", "more": "2.5"}]
    assert [item.name for item in path.parent.iterdir()] == ["front.csv"]


def test_csv_of_no_rows_is_one_empty_header() -> None:
    assert csv_text([]) == "\n"


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArchsearchError, match="cannot be written"):
        write_csv([{"a": 1}], tmp_path / "file" / "front.csv")


def of_study(*, latency: dict[str, Any], facts: dict[str, Any], repeats: tuple[Repeat, ...] = ()) -> StudyFront:
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
    return study_front(Study(info=info, records=records))


def test_the_noise_floor_and_the_canary_are_told_beside_the_front() -> None:
    floor = {"relative": 0.018, "measure_seconds": 5.0}
    found = of_study(latency={"drift_tolerance": 0.25}, facts={"noise_floor": floor})
    assert (
        "reference shufflenet_v2_x0_5 · noise floor 1.8 %: closer latencies are ties (measured at the study's start, "
        "before anything was trained)"
    ) in found.subtitle[1]
    # 1.5 s for each latency and 5 s for the noise floor, of two trials of 40 s: 8 / 80
    assert (
        "Device drift: +0 % to +50 % (corrected); 1 of 2 latencies flagged (1 drifted beyond 25 %); 10 % of the "
        "time was spent measuring."
    ) in found.sentences
    plain = result_json(found)
    assert (plain["noise_floor"], [row["trial"] for row in plain["front"]]) == (0.018, [1])  # 1 % slower is a tie
    assert (plain["canary"]["drifted_trials"], plain["canary"]["latency_share"]) == ([1], 0.1)


def test_what_the_floor_rests_on_and_how_far_repeated_networks_moved_is_told() -> None:
    protocol = {"tolerance": 0.03, "repeat_every": 8, "drift_tolerance": 0.25, "memory_tolerance": 0.1}
    repeats = tuple(
        Repeat(arch_id=name * 12, first_ms=2.0, second_ms=second_ms, measure_seconds=1.0)
        for name, second_ms in (("a", 2.02), ("b", 1.96), ("c", 2.0))
    )
    assert (
        "noise floor 3.0 %: closer latencies are ties (assumed, the protocol's tolerance: 1 network measured twice so "
        "far, 3 are needed)"
    ) in of_study(latency=protocol, facts={}, repeats=repeats[:1]).subtitle[1]
    found = of_study(latency=protocol, facts={}, repeats=repeats)
    assert "(from 3 networks measured twice, for 95 % of such pairs)" in found.subtitle[1]
    # 2.02 / 2 is 1.0 % apart, 2 / 1.96 2.0 %, and 2 / 2 nothing
    assert ("Between the two: median, largest (%)", "1.0, 2.0", None) in found.canary.table().rows
    plain = result_json(found)
    assert plain["noise_floor_basis"] == {
        "source": "repeats",
        "repeats": 3,
        "flagged": 0,
        "coverage": 0.95,
        "growth": None,
    }
    assert [row["moved"] for row in plain["canary"]["repeats"]] == pytest.approx([0.01, -0.02, 0.0])


def test_a_study_of_an_older_version_has_no_floor_and_no_drift_rule() -> None:
    found = of_study(latency={}, facts={})
    assert "noise floor" not in found.subtitle[1]
    assert "no latency is flagged" in found.canary.sentence
    assert [row["trial"] for row in result_json(found)["front"]] == [0, 1]


def test_a_latency_in_doubt_has_a_question_mark_in_the_fronts_table_and_the_recommended_network_a_star() -> None:
    found = of_study(latency={"drift_tolerance": 0.25}, facts={})
    assert [record.trial for record in found.canary.drifted] == [1]
    table = found.members_table()
    shown = [[column.show(cell) for column, cell in zip(table.columns, row, strict=True)] for row in table.rows]
    names = [column.name for column in table.columns]
    assert [row[names.index("latency_ms")] for row in shown] == ["3.000", "3.030?"]
    assert [row[names.index("network")].endswith(" *") for row in shown] == [True, False]


def test_the_answer_is_the_recommendation_the_verdicts_and_one_line_of_quality() -> None:
    found = of_study(latency={"drift_tolerance": 0.25}, facts={})
    answer = found.answer(published=False)
    chosen = found.recommendation
    assert answer.sentences[:2] == (chosen.sentence, chosen.reason)
    assert answer.sentences[-1] == found.canary.sentence
    assert [table.title for table in answer.tables()] == ["The front: 2 of 2 networks"]
    assert len(answer.subtitle) == 1
    assert "Published networks" in [table.title for table in found.answer(published=True).tables()]
    # no legend but of marks that occur: every operator of these networks is counted
    note = found.members_table().note
    in_doubt = "?: latency in doubt (not converged, flagged, or measured beside other work)"
    assert note.startswith(f"*: recommended; {in_doubt}. Latency: 10th percentile")
    assert "+:" not in note


def test_where_all_images_are_right_no_difference_of_0_points_is_said_to_be_chance() -> None:
    # sqrt(1 x 0 / 20) = 0: that is no margin, but says that 20 images show no spread
    every: dict[str, Any] = {"top1": 100.0, "eval_images": 20}
    records = [make_record(0, p10=2.0, params=5, **every), make_record(1, p10=3.0, params=3, variant="old", **every)]
    front = make_front(
        records, objectives=("error_percent", "latency_ms", "params"), reference_point=(90.0, 30.0, 10.0)
    )
    assert "validation split (20 images)" in front.subtitle[0]
    assert "with the same accuracy" in front.recommendation.sentence
