"""Importances: bars with what chance gives, hollow where they are not above it."""

from __future__ import annotations

import json
from typing import Any

from archsearch.analysis.importance import Importance, Importances, Ranking
from archsearch.plots.importances import MOST_CHOICES, importances_figure

MARKUP = "<script>alert(1)</script>"


def ranking(objective: str, method: str, *rows: tuple[str, float, float | None], reason: str = "") -> Ranking:
    return Ranking(
        objective=objective,
        method=method,
        question="of what matters",
        networks=100,
        rows=tuple(Importance(choice=name, share=share, chance=chance, levels=3) for name, share, chance in rows),
        reason=reason,
    )


def importances(*rankings: Ranking, **changes: Any) -> Importances:
    given = {
        "study": "s",
        "rankings": rankings,
        "networks": 100,
        "left_out": 2,
        "constant": ("stem.stride",),
        **changes,
    }
    return Importances(**given)


ERROR = ranking("error_percent", "PED-ANOVA", ("kernel", 0.75, 0.2), ("attention", 0.25, 0.5))
LATENCY = ranking("latency_ms", "PED-ANOVA", ("attention", 0.9, 0.3), ("kernel", 0.1, None))


def test_choices_are_ordered_by_their_largest_share_for_any_objective() -> None:
    info = importances(ERROR, LATENCY)
    assert info.choices == ("attention", "kernel")  # 0.9 for latency, 0.75 for the error
    rows = info.tables()[0].dicts()
    assert [row["choice"] for row in rows] == ["attention", "kernel"]
    assert [row["error_percent_ped_anova_share_percent"] for row in rows] == [25.0, 75.0]
    assert [row["error_percent_ped_anova_chance_percent"] for row in rows] == [50.0, 20.0]
    assert [row["error_percent_ped_anova_told_from_chance"] for row in rows] == [False, True]
    assert [row["latency_ms_ped_anova_told_from_chance"] for row in rows] == [True, None]
    assert info.sentences == (
        "Above chance for validation top-1 error by PED-ANOVA, of 2 choices: kernel (75.0 %).",
        "Above chance for latency by PED-ANOVA, of 2 choices: attention (90.0 %).",
    )
    assert "Observational" in info.subtitle[0]
    assert "100 networks" in info.subtitle[1] and "stem.stride" in info.subtitle[1]


def test_a_bar_is_hollow_exactly_if_its_share_is_not_above_chance() -> None:
    figure = importances_figure(importances(ERROR, LATENCY))
    first, second = (trace for trace in figure.data if trace.type == "bar")
    filled = {
        text.split(":")[0]: color != "white" for text, color in zip(first.hovertext, first.marker.color, strict=True)
    }
    assert filled == {"kernel": True, "attention": False}
    assert "white" not in second.marker.color  # where chance is not known, nothing is held against a bar
    ticks = [list(trace.x) for trace in figure.data if trace.type == "scatter" and trace.x[0] is not None]
    assert ticks == [[20.0, 50.0], [30.0]]


def test_methods_stand_side_by_side_in_one_panel() -> None:
    other = ranking("error_percent", "fANOVA", ("kernel", 0.5, None), ("attention", 0.5, None))
    figure = importances_figure(importances(ERROR, other))
    first, second = (trace for trace in figure.data if trace.type == "bar")
    assert first.xaxis == second.xaxis
    assert all(a != b for a, b in zip(first.y, second.y, strict=True))
    assert first.width + second.width <= 1


def test_reasons_are_said_and_nothing_is_drawn_without_a_table() -> None:
    nothing = ranking("error_percent", "PED-ANOVA", reason="all values are equal")
    info = importances(nothing)
    assert info.empty == "No importance to show: all values are equal"
    reason = importances(reason="3 networks").empty
    assert reason == "No importance to show: 3 networks"
    both = importances(ERROR, ranking("latency_ms", "fANOVA", reason="too few"))
    assert both.empty is None
    assert both.warnings == ("fANOVA for latency: too few",)


def test_of_many_choices_the_most_important_are_drawn() -> None:
    rows = [(f"choice{number}", (number + 1) / 1000, 0.01) for number in range(30)]
    info = importances(ranking("latency_ms", "fANOVA", *rows))
    assert info.choices[0] == "choice29"
    assert len(info.tables()[0].rows) == 30
    assert len(importances_figure(info).layout.yaxis.ticktext) == MOST_CHOICES
    assert f"{30 - MOST_CHOICES} less important choices" in importances_figure(info).layout.title.text


def test_names_stay_text() -> None:
    found = importances(ranking("latency_ms", MARKUP, (MARKUP, 0.5, 0.1)), constant=(MARKUP,), study=MARKUP)
    drawn = json.dumps(importances_figure(found).to_plotly_json(), default=str)
    assert "<script" not in drawn
