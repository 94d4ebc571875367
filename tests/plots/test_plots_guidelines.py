"""The four panels: what stands where, filled and hollow."""

from __future__ import annotations

import json

import pytest
from makers import make_latency

from archsearch.analysis.guidelines import (
    PRINTED_DEVICES,
    Experiment,
    ExperimentColumn,
    ExperimentRow,
    GuidelinesReport,
    PrintedSpeed,
    table_report,
)
from archsearch.models.guideline_spec import printed_network
from archsearch.plots.catalog import PLOTS
from archsearch.plots.guidelines import guidelines_figure
from archsearch.records import Latency

RATIOS = {"1:1": 1.0, "1:2": 1.1, "1:6": 1.5, "1:12": 2.0}
MARKUP = "<script>alert(1)</script>"


def latency(ratio: float) -> Latency:
    return make_latency(ratio, ratio_to_reference=ratio, ratio_low=ratio - 0.02, ratio_high=ratio + 0.04, n=60)


def make_report(tables: int = 1) -> GuidelinesReport:
    """So many copies of a small table 1 whose rows have 16 x 16 channels, printed at 10, 8, 6 and 5 a second."""
    rows = []
    for label, speed in (("1:1", 10.0), ("1:2", 8.0), ("1:6", 6.0), ("1:12", 5.0)):
        network = printed_network("1", f"c1:c2={label} (16,16) x1")
        printed = {
            device: PrintedSpeed(network=network, speed=speed, step=1.0, unit="images/s") for device in PRINTED_DEVICES
        }
        rows.append(ExperimentRow(label=label, network=network, printed=printed))
    column = ExperimentColumn(table="1", scale=1, scale_text="x1", rows=tuple(rows))
    experiment = Experiment(table="1", columns=(column,))
    found = table_report(experiment, [[latency(RATIOS[row.label]) for row in rows]])
    return GuidelinesReport(
        device="cpu",
        device_name=MARKUP,
        backend="torch",
        batch=1,
        threads=1,
        fingerprint="0123456789ab",
        facts={"cpu": MARKUP},
        printed_column="arm",
        quick=False,
        measured=("2026-11-22",),
        experiments=(found,) * tables,
        sample=None,
    )


def test_ours_is_filled_with_its_interval_and_the_papers_is_hollow() -> None:
    figure = guidelines_figure(make_report())
    by_name = {trace.name: trace for trace in figure.data}
    ours = by_name["this device, 95 % interval"]
    assert list(ours.y) == pytest.approx([1.1, 1.5, 2.0])
    assert list(ours.error_y.array) == pytest.approx([0.04] * 3)
    assert list(ours.error_y.arrayminus) == pytest.approx([0.02] * 3)
    assert "open" not in ours.marker.symbol
    assert [list(level) for level in ours.x] == [["1:2", "1:6", "1:12"], ["x1"] * 3]
    for name, trace in by_name.items():
        if name.startswith("paper"):
            assert trace.marker.symbol.endswith("-open")
            assert trace.error_y.array is None
            assert list(trace.y) == pytest.approx([10 / 8, 10 / 6, 10 / 5])  # printed speeds, equal multiply-adds


@pytest.mark.parametrize("tables", [1, 2, 3, 4])
def test_there_is_a_panel_for_each_table_and_one_legend(tables: int) -> None:
    figure = guidelines_figure(make_report(tables))
    assert len(figure.data) == 3 * tables
    assert sum(trace.showlegend for trace in figure.data) == 3
    assert len({trace.xaxis for trace in figure.data}) == tables


def test_a_report_in_the_catalog_is_drawn_and_its_text_stays_text() -> None:
    plot = PLOTS["guidelines"]
    info = plot.result({"guidelines": make_report()})
    assert info.empty is None
    assert info == plot.result({"guidelines": make_report()})
    assert "<script" not in json.dumps(plot.figure(info).to_plotly_json()["layout"], default=str)
