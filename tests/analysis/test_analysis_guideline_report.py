"""Reports of the experiments: from latencies made by hand, and what the rule says of the printed speeds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from makers import make_latency

from archsearch.analysis.guidelines import (
    CHAINS,
    Experiment,
    ExperimentColumn,
    ExperimentRow,
    GuidelineOutcome,
    PrintedSpeed,
    Speed,
    TableReport,
    Trend,
    table_report,
)
from archsearch.errors import MeasurementError
from archsearch.models.guideline_spec import printed_network
from archsearch.records import Latency

BEST = make_latency(
    2.0, median_ms=2.5, p90_ms=3.0, ratio_to_reference=1.0, ratio_low=0.99, ratio_high=1.01, reference="1:1 x1",
    backend="onnxruntime", input_size=56,
)  # fmt: skip
# Table 1 of the paper, ARM column: channels, and images/s at x1 and x4.
ROWS = (
    ("1:1", "32,32", 76.2, 5.3),
    ("1:2", "22,44", 72.9, 5.1),
    ("1:6", "13,78", 69.1, 4.6),
    ("1:12", "9,108", 57.6, 4.4),
)


def latency(ratio: float, *, half: float = 0.01, p10: float = 2.0) -> Latency:
    return replace(BEST, ratio_to_reference=ratio, ratio_low=ratio - half, ratio_high=ratio + half, p10_ms=p10 * ratio)


def experiment() -> Experiment:
    columns = []
    for times, speed in ((1, 2), (4, 3)):
        rows = []
        for each in ROWS:
            network = printed_network("1", f"c1:c2={each[0]} ({each[1]}) x{times}")
            printed = PrintedSpeed(network=network, speed=float(each[speed]), step=0.1, unit="images/s")
            rows.append(ExperimentRow(label=each[0], network=network, printed={"gpu": printed, "arm": printed}))
        columns.append(ExperimentColumn(table="1", scale=times, scale_text=f"x{times}", rows=tuple(rows)))
    return Experiment(table="1", columns=tuple(columns))


def report(*wide: float) -> TableReport:
    """At x1 all rows rise; the ratios at x4 are given; the best row takes 1.5 times as long there."""
    narrow = [latency(ratio) for ratio in (1.0, 1.1, 1.3, 1.6)]
    return table_report(experiment(), [narrow, [latency(ratio, p10=3.0) for ratio in wide]])


def test_a_report_has_a_verdict_for_each_column_and_for_the_device() -> None:
    found = report(1.0, 1.2, 1.4, 1.8)
    assert found.verdict is GuidelineOutcome.HOLDS
    assert found.columns[0].trends == {"the ratio": Trend.RISES}
    row = found.columns[0].rows[1]
    # 32 x 32 = 1024 against 22 x 44 = 968 multiply-adds a pixel
    assert row.compared is not None
    assert row.compared.cost == pytest.approx(1.1 * 1024 / 968)
    assert row.runs_per_second == pytest.approx(400.0)  # 1000 ms / 2.5 ms
    assert found.columns[0].rows[0].compared is None
    assert found.sentence == "G1 holds on this device: x1 holds (noise floor 1.0 %), x4 holds (noise floor 1.0 %)"
    assert next(found.evidence()).startswith("along the ratio")


def test_a_faster_row_is_the_evidence_against() -> None:
    found = report(1.0, 0.8, 1.4, 1.8)  # 0.8 x 1024 / 968 = 0.846; its ends 0.836 and 0.857
    assert found.verdict is GuidelineOutcome.FAILS
    row = found.columns[1].rows[1].compared
    assert row is not None
    assert row.speed is Speed.FASTER
    assert list(found.evidence())[:2] == [
        "x4, 1:2: faster (0.846, 95 % interval 0.836 to 0.857)",
        "along the ratio, time for a multiply-add: x1 rises with every row, x4 does not rise with every row",
    ]


def test_printed_speeds_stand_beside_with_their_own_cost() -> None:
    row = report(1.0, 1.2, 1.4, 1.8).columns[0].rows[1]
    # 76.2 / 72.9 x 1024 / 968 = 1.1057
    assert row.printed["arm"].cost == pytest.approx(1.1057, abs=1e-4)
    assert (row.printed["arm"].speed, row.printed["arm"].channels) == (72.9, "22, 44")


def test_growth_is_that_of_the_best_row() -> None:
    found = report(1.0, 1.2, 1.4, 1.8).growth  # 2 ms and 3 ms for 16 times the multiply-adds
    assert found is not None
    assert (found.times_macs, found.times_time) == (pytest.approx(16.0), pytest.approx(1.5))
    assert found.launch_bound


def test_a_latency_without_an_interval_is_refused() -> None:
    wrong = [[replace(BEST, ratio_low=None)] * 4] * 2
    with pytest.raises(MeasurementError, match="'1:1' has no interval"):
        table_report(experiment(), wrong)


def test_every_chain_names_rows_of_the_printed_tables() -> None:
    labels = {label for chains in CHAINS.values() for names in chains.values() for label in names}
    assert {"1:12", "g=8", "4 in series", "4 in parallel"} <= labels
