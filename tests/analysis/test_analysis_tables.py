from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from archsearch.analysis.front import front_of
from archsearch.analysis.tables import front_table, verdict_table, write_csv
from archsearch.analysis.verdicts import verdicts_of
from archsearch.errors import ArchsearchError
from archsearch.records import Record, TrialStatus
from archsearch.table import csv_text

Make = Callable[..., Record]


def test_a_row_carries_every_number_with_its_conditions(make_record: Make) -> None:
    (row,) = front_table(front_of([make_record(4, top1=61.5, p10=2.0, choices={"stage2.kernel": 5})]))
    assert (row["trial"], row["variant"], row["on_front"]) == (4, None, True)
    assert (row["top1_percent"], row["error_percent"]) == (61.5, 38.5)
    # the factory's spread: median 1.04 and p90 1.15 times the p10, reference 4 ms
    assert (row["p10_ms"], row["median_ms"], row["p90_ms"]) == (2.0, 2.08, pytest.approx(2.3))
    assert (row["n_runs"], row["ratio_to_reference"], row["epochs"], row["seed"]) == (200, 0.5, 8, 0)
    assert (row["device"], row["backend"], row["batch"], row["threads"]) == ("cpu", "torch", 1, 1)
    assert (row["split"], row["fingerprint"], row["choice.stage2.kernel"]) == ("validation", "f00dfeedbeef", 5)


def test_rows_have_the_same_columns_and_choices_come_last(make_record: Make) -> None:
    records = [make_record(0, choices={"b": 1}), make_record(1, choices={"a": True})]
    first, second = front_table(front_of(records))
    assert list(first) == list(second)
    assert list(first)[-2:] == ["choice.a", "choice.b"]
    assert (first["choice.a"], second["choice.a"]) == (None, True)


def test_only_the_front_on_request(make_record: Make) -> None:
    front = front_of([make_record(0, top1=60, p10=2), make_record(1, top1=50, p10=3)])
    assert [row["trial"] for row in front_table(front)] == [0, 1]
    assert [row["trial"] for row in front_table(front, only_front=True)] == [0]


def test_rows_are_json(make_record: Make) -> None:
    records = [make_record(0, variant="v"), make_record(1, status=TrialStatus.FAILED, top1=None, reason="why")]
    front = front_of(records)
    tables = [front_table(front), verdict_table(verdicts_of(records, front))]
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
