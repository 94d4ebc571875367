"""Marginal effects: a panel an objective, a row a level, and the word observational above all."""

from __future__ import annotations

import json
from typing import Any

from archsearch.analysis.marginal import LevelEffect, Marginal, MarginalModel
from archsearch.plots.marginal import MOST_ROWS, marginal_figure

MARKUP = "<script>alert(1)</script>"


def level(choice: str, value: Any, effect: float, half: float | None = 1.0) -> LevelEffect:
    return LevelEffect(
        choice=choice,
        level=str(value),
        value=value,
        networks=10,
        effect=effect,
        low=None if half is None else effect - half,
        high=None if half is None else effect + half,
        told_among_all=None if half is None else abs(effect) > half,
    )


def model(objective: str, *effects: LevelEffect, reason: str = "") -> MarginalModel:
    unit = "points" if objective == "error_percent" else "%"
    return MarginalModel(objective=objective, unit=unit, networks=40, r2=0.5, effects=effects, reason=reason)


def marginal(*models: MarginalModel, **changes: Any) -> Marginal:
    return Marginal(
        **{"study": "s", "models": models, "networks": 40, "left_out": 1, "constant": (), "confidence": 0.95, **changes}
    )


ERROR = model("error_percent", level("kernel", 3, -2.0), level("kernel", 5, 2.5), level("pool", True, 0.1))
LATENCY = model("latency_ms", level("pool", True, -30.0), level("kernel", 3, 4.0, None), level("kernel", 5, 0.5))


def test_lower_is_better_and_an_interval_over_zero_tells_nothing() -> None:
    found = marginal(ERROR, LATENCY)
    top1, latency = ("error_percent_effect_points", "latency_ms_effect_percent")
    rows = {(row["choice"], row["level"]): row for row in found.tables()[0].dicts()}
    assert (rows["kernel", "3"][top1], rows["kernel", "3"][f"{top1}_low"]) == (-2.0, -3.0)
    assert rows["kernel", "3"][f"{latency}_low"] is None  # too few networks for an interval
    assert rows["pool", "True"][f"{latency}_high"] == -29.0
    names = {"lower: better": {"3", "True"}, "higher: worse": {"5"}, "inconclusive: may be 0": {"True", "3", "5"}}
    drawn: dict[str, set[str]] = {}
    for trace in marginal_figure(found).data:
        if trace.mode == "markers" and trace.name in names:
            drawn.setdefault(trace.name, set()).update(text.split(",")[0].split()[-1] for text in trace.hovertext)
    assert drawn == names


def test_rows_are_by_choice_and_panels_by_objective() -> None:
    info = marginal(ERROR, LATENCY)
    rows = [row[:3] for row in info.tables()[0].rows]
    assert rows == [("kernel", "3", 10), ("kernel", "5", 10), ("pool", "True", 10)]
    figure = marginal_figure(info)
    titles = [figure.layout.xaxis.title.text, figure.layout.xaxis2.title.text]
    assert titles == [
        "Validation top-1 error against the average network (points)",
        "Latency against the average network (%)",
    ]
    assert len({trace.xaxis for trace in figure.data}) == 2
    assert [text.split(" <")[0] for text in figure.layout.yaxis.ticktext] == ["kernel 3", "kernel 5", "pool True"]


def test_it_says_that_it_is_observational_and_how_well_the_model_predicts() -> None:
    info = marginal(ERROR, LATENCY)
    assert "observational" in info.title
    assert "archsearch ablate" in info.subtitle[0]
    assert "0.50" in info.subtitle[1]
    assert info.sentences[0] == (
        "Validation top-1 error: the levels of kernel differ most, from -2.00 points (3) to +2.50 points (5); 1 of 2 "
        "effects can be told from 0."  # the two kernels are one, and pool's interval holds 0
    )
    noise = model("latency_ms", level("kernel", 3, 1.0), reason="its effects are noise")
    assert marginal(noise).warnings == ("its effects are noise",)


def test_without_effects_the_figure_says_why() -> None:
    assert marginal(reason="3 networks").empty == "No marginal effect to show: 3 networks"


def test_whole_choices_are_drawn_as_far_as_there_is_room() -> None:
    effects = [level(f"choice{number // 7:02}", number, 0.1 * number) for number in range(140)]
    info = marginal(model("latency_ms", *effects))
    assert len(info.rows) == 140
    rows = len(marginal_figure(info).layout.yaxis.ticktext)
    assert rows == MOST_ROWS // 7 * 7  # eight choices of seven levels
    short = marginal_figure(info, height=500)
    assert len(short.layout.yaxis.ticktext) < rows
    left = 140 - len(short.layout.yaxis.ticktext)
    assert f"{left} more rows in the table only" in short.layout.title.text


def test_names_stay_text() -> None:
    found = marginal(model("latency_ms", level(MARKUP, MARKUP, 1.0), reason=MARKUP), study=MARKUP)
    drawn = json.dumps(marginal_figure(found).to_plotly_json(), default=str)
    assert "<script" not in drawn
