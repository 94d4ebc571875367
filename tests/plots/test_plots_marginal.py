"""Marginal effects: a panel an objective, a row a level, and the word observational above all."""

from __future__ import annotations

import json
from typing import Any

from archsearch.analysis.marginal import LevelEffect, Marginal, MarginalModel
from archsearch.plots.marginal import MOST_ROWS, marginal_figure, marginal_info

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
    )


def model(objective: str, *effects: LevelEffect, reason: str = "") -> MarginalModel:
    unit = "points" if objective == "error_percent" else "%"
    return MarginalModel(objective=objective, unit=unit, networks=40, r2=0.5, effects=effects, reason=reason)


def marginal(*models: MarginalModel, **changes: Any) -> Marginal:
    return Marginal(**{"models": models, "networks": 40, "left_out": 1, "constant": (), "confidence": 0.95, **changes})


ERROR = model("error_percent", level("kernel", 3, -2.0), level("kernel", 5, 2.5), level("pool", True, 0.1))
LATENCY = model("latency_ms", level("pool", True, -30.0), level("kernel", 3, 4.0, None), level("kernel", 5, 0.5))


def test_lower_is_better_and_an_interval_over_zero_tells_nothing() -> None:
    info = marginal_info(marginal(ERROR, LATENCY), study="s")
    found = {(mark.objective, mark.choice, mark.level): mark.effect for mark in info.marks}
    assert found["error_percent", "kernel", "3"].finding == "better"
    assert found["error_percent", "kernel", "5"].finding == "worse"
    assert found["error_percent", "pool", "True"].finding == "cannot be told"
    assert found["latency_ms", "kernel", "3"].finding == "cannot be told"  # too few networks for an interval
    assert found["latency_ms", "kernel", "3"].alone_low is None
    assert found["latency_ms", "pool", "True"].alone_high == -29.0


def test_rows_are_by_choice_and_panels_by_objective() -> None:
    info = marginal_info(marginal(ERROR, LATENCY), study="s")
    assert info.rows == (("kernel", "3", 10), ("kernel", "5", 10), ("pool", "True", 10))
    assert [objective for objective, _ in info.panels] == ["error_percent", "latency_ms"]
    assert info.panels[0][1].endswith("(points)") and info.panels[1][1].endswith("(%)")
    figure = marginal_figure(info)
    assert len({trace.xaxis for trace in figure.data}) == 2
    assert [text.split(" <")[0] for text in figure.layout.yaxis.ticktext] == ["kernel 3", "kernel 5", "pool True"]


def test_it_says_that_it_is_observational_and_how_well_the_model_predicts() -> None:
    info = marginal_info(marginal(ERROR, LATENCY), study="s")
    assert "observational" in info.title
    assert "archsearch ablate" in info.subtitle[0]
    assert "0.50" in info.subtitle[1]
    noise = model("latency_ms", level("kernel", 3, 1.0), reason="its effects are noise")
    assert marginal_info(marginal(noise), study="s").warnings == ("its effects are noise",)


def test_without_effects_the_figure_says_why() -> None:
    assert marginal_info(marginal(reason="3 networks"), study="s").empty == "No marginal effect to show: 3 networks"
    assert (marginal_info(None, study="s").empty or "").startswith("No marginal effects")


def test_whole_choices_are_drawn_as_far_as_there_is_room() -> None:
    effects = [level(f"choice{number // 7:02}", number, 0.1 * number) for number in range(140)]
    info = marginal_info(marginal(model("latency_ms", *effects)), study="s")
    assert len(info.rows) == MOST_ROWS // 7 * 7  # eight choices of seven levels
    assert info.hidden == 140 - len(info.rows)
    assert len(info.marks) == 140
    short = marginal_figure(info, height=500)
    assert len(short.layout.yaxis.ticktext) < len(info.rows)
    left = 140 - len(short.layout.yaxis.ticktext)
    assert f"{left} more rows in the table only" in short.layout.title.text


def test_names_stay_text() -> None:
    found = marginal(model("latency_ms", level(MARKUP, MARKUP, 1.0), reason=MARKUP))
    drawn = json.dumps(marginal_figure(marginal_info(found, study=MARKUP)).to_plotly_json(), default=str)
    assert "<script" not in drawn
