"""The forest of an ablation: one row a level, better and worse told by colour and sign, inconclusive ones hollow."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from archsearch.analysis.ablation import Ablation, AblationRow, Effect, Finding, Interaction
from archsearch.designs import Design, DesignPoint
from archsearch.plots.ablation import ablation_figure
from archsearch.plots.forest import ForestCell, axis_range

MARKUP = "<script>alert(1)</script>"


def effect(estimate: float, half: float | None = 1.0, finding: Finding = Finding.UNTOLD, n: int = 5) -> Effect:
    """An effect whose corrected interval is twice as wide as its own."""
    if half is None:
        return Effect(quantity="top1", unit="points", estimate=estimate, n=n, note="one pair")
    return Effect(
        quantity="top1",
        unit="points",
        estimate=estimate,
        low=estimate - 2 * half,
        high=estimate + 2 * half,
        alone_low=estimate - half,
        alone_high=estimate + half,
        n=n,
        finding=finding,
    )


def row(choice: str, level: str, top1: Effect, latency: Effect) -> AblationRow:
    count = Effect(quantity="params", unit="", estimate=1000.0, exact=True)
    return AblationRow(
        point=DesignPoint(name=f"{choice}={level}", family="f", choices={}, arch_id=f"{choice}{level}"),
        choice=choice,
        label=f"{choice} {level} instead of 3",
        top1=top1,
        latency=latency,
        latency_ms=latency,
        params=count,
        macs=count,
        mean_top1_percent=50.0,
        mean_latency_ms=2.0,
        answer="",
        sentence=f"{choice} {level} says so",
    )


def ablation(rows: list[AblationRow], **changes: Any) -> Ablation:
    base = DesignPoint(name="base", family="f", choices={}, arch_id="0", variant="x0_5")
    facts: dict[str, Any] = {
        "design": Design(
            purpose="ablation",
            of="s",
            points=(base, *(each.point for each in rows)),
            seeds=(0, 1, 2, 3, 4),
            mode="one-at-a-time",
        ),
        "rows": tuple(rows),
        "interactions": (),
        "confidence": 0.95,
        "comparisons": len(rows),
        "correction": "Bonferroni",
        "base_top1_percent": 50.25,
        "base_latency_ms": 2.5,
        "base_n": 5,
        "missing": (),
        "pending": 0,
        "sentences": (),
        "design_study": "s.ablate-000000",
        "method": "",
        "warnings": (),
    }
    return Ablation(**{**facts, **changes})


BETTER = row("kernel", "5", effect(3.0, 1.0, Finding.BETTER), effect(10.0, 2.0, Finding.WORSE))
UNTOLD = row("attention", "se", effect(0.5), effect(1.0))
OTHER = row("kernel", "7", effect(-4.0, 1.0, Finding.WORSE), effect(-9.0, 2.0, Finding.BETTER))


def by_name(found: Ablation) -> dict[str, list[Any]]:
    """Marker traces by what the legend calls them."""
    named: dict[str, list[Any]] = {}
    for trace in ablation_figure(found).data:
        if trace.mode == "markers":
            named.setdefault(trace.name, []).append(trace)
    return named


def labels_of(found: Ablation, **size: int) -> list[str]:
    return list(ablation_figure(found, **size).layout.yaxis.ticktext)


def test_levels_of_one_choice_stand_together_below_the_base() -> None:
    found = ablation([BETTER, UNTOLD, OTHER])
    base, *rows = labels_of(found)
    assert base.startswith("base: x0_5")
    assert [label.partition(" instead")[0] for label in rows] == ["kernel 5", "kernel 7", "attention se"]
    assert all("n 5" in label for label in rows)
    assert "x0_5, top-1 50.25 %, 2.50 ms (n = 5)" in found.subtitle[1]


def test_the_tables_hold_effects_costs_and_answers() -> None:
    effects, costs, alone = ablation([BETTER]).tables()
    (row,) = effects.dicts()
    assert (row["change"], row["n"], row["top1_points"]) == ("kernel=5", 5, 3.0)
    assert (row["top1_points_low"], row["top1_points_high"]) == (1.0, 5.0)
    assert effects.columns[2].show(effects.rows[0][2]) == "+3.00 (+1.00 to +5.00)"
    (cost,) = costs.dicts()
    assert (cost["top1_percent"], cost["latency_ms"], cost["added_params"]) == (50.0, 2.0, 1000.0)
    assert cost["arch_id"] == "kernel5"
    assert (alone.dicts()[0]["top1_points_low"], alone.dicts()[0]["top1_points_high"]) == (2.0, 4.0)


def test_better_worse_and_untold_differ_in_colour_and_in_sign() -> None:
    traces = by_name(ablation([BETTER, UNTOLD, OTHER]))
    looks = {name: (found[0].marker.symbol, found[0].marker.color) for name, found in traces.items()}
    assert len({symbol for symbol, _ in looks.values()}) == len(looks)
    assert len({color for _, color in looks.values()}) == len(looks)
    assert looks["inconclusive"][0].endswith("-open")
    assert [list(trace.x) for trace in traces["better"]] == [[3.0], [-9.0]]  # left panel, right panel
    assert [list(trace.x) for trace in traces["worse"]] == [[-4.0], [10.0]]
    assert [list(trace.x) for trace in traces["base"]] == [[0.0], [0.0]]


def test_the_corrected_interval_is_thin_and_the_uncorrected_thick() -> None:
    figure = ablation_figure(ablation([BETTER]))
    lines = {
        trace.line.width: list(trace.x)[:2]
        for trace in figure.data
        if trace.mode == "lines" and trace.xaxis == "x" and trace.x[0] is not None
    }
    thin, thick = min(lines), max(lines)
    assert lines[thin] == [1.0, 5.0]
    assert lines[thick] == [2.0, 4.0]
    names = [trace.name for trace in figure.data if trace.name]
    assert any("all 1 together (Bonferroni)" in name for name in names)


def with_an_interaction() -> Ablation:
    found = Interaction(
        point=BETTER.point,
        first=BETTER.point,
        second=UNTOLD.point,
        label="kernel 5 with attention se",
        top1=effect(0.2),
        latency=effect(0.3),
        sentence="they add up",
    )
    return ablation([BETTER, UNTOLD], interactions=(found,))


def test_interactions_follow_the_rows() -> None:
    together = with_an_interaction()
    assert "interaction: kernel 5 with attention se" in labels_of(together)[-1]
    assert [table.title for table in together.tables()][2] == "Two together, beyond their sum"


def test_the_legend_says_that_interactions_are_corrected_by_themselves() -> None:
    names = [trace.name for trace in ablation_figure(with_an_interaction()).data if trace.name]
    # one interaction, in accuracy and in latency
    assert "95 % of all 2 together, interactions of all 2 (Bonferroni)" in names


def test_a_row_without_an_interval_or_without_a_pair_is_said_so_by_its_n() -> None:
    missing = row("stem", "x", effect(math.nan, None, n=0), effect(math.nan, None, n=0))
    single = row("stem", "y", effect(1.0, None, n=1), effect(2.0, None, n=1))
    found = ablation([single, missing])
    labels = labels_of(found)
    assert "n 1" in labels[1] and "n 0" in labels[2]
    assert [list(trace.x) for trace in by_name(found)["inconclusive"]] == [[1.0], [2.0]]
    assert ablation([missing]).empty == "No pair of trials is complete yet"
    assert ablation([]).empty == "No level to compare with the base in this ablation"


def test_one_enormous_interval_does_not_hide_the_others() -> None:
    small = [
        ForestCell(estimate=x, low=x - 1, high=x + 1, alone_low=x - 0.5, alone_high=x + 0.5) for x in (0.0, 1.0, 2.0)
    ]
    wild = ForestCell(estimate=1.0, low=-500.0, high=500.0, alone_low=-80.0, alone_high=80.0)
    low, high = axis_range([*small, wild])
    assert low > -30 and high < 30
    assert low <= -1 and high >= 3  # all of the others is seen


def test_thirty_rows_fit_and_more_are_said_to_be_in_the_table() -> None:
    rows = [row(f"choice{number // 5}", str(number), effect(0.1 * number), effect(1.0)) for number in range(30)]
    assert len(labels_of(ablation(rows), width=1000, height=600)) == 31  # and the base
    many = ablation_figure(ablation(rows * 4))
    assert len(many.layout.yaxis.ticktext) == 81
    assert "40 more rows in the table only" in many.layout.title.text


@pytest.mark.parametrize("height", [None, 600])
def test_names_stay_text(height: int | None) -> None:
    made = ablation([row(MARKUP, MARKUP, effect(1.0), effect(2.0))], warnings=(MARKUP,))
    drawn = json.dumps(ablation_figure(made, height=height).to_plotly_json(), default=str)
    assert "<script" not in drawn and "&lt;script" in drawn
