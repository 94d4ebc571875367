"""How a study went: its hypervolume, its learning curves, and the curves of a retraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.history import History, LearningCurve, LearningCurves
from archsearch.plots import style
from archsearch.plots.ranges import percent_range
from archsearch.plots.traces import add_line, add_lines, add_points, hover, said, thinned, thinned_line
from archsearch.records import Score
from archsearch.text import plural, shorten, span_text

MOST_CURVES = 600
_NAMED = 12  # curves with a legend entry of their own, of each kind
_FEW_EPOCHS = 12


def hypervolume_figure(found: History, *, width: int = 1100, height: int = 560) -> go.Figure:
    """The figure: a staircase, a marker at each trial that made it higher."""
    grow = style.growth(width)
    figure, _ = style.begin(
        found,
        (*found.sentences, *found.subtitle),
        margin={"l": 92, "r": 24, "t": 0, "b": 62},
        size=(width, height),
        showlegend=True,
        legend={"x": 0.99, "y": 0.02, "xanchor": "right", "yanchor": "bottom", "bgcolor": style.VEIL},
        xaxis=style.axis("Trials that have ended", width=width, tickformat="d", rangemode="tozero"),
        yaxis=style.axis("Hypervolume (share of the box)", width=width),
    )
    if found.empty is not None:
        return figure
    turns, rises = found.turns, found.rises
    low, high = turns[0].share, max(step.share for step in turns)
    if 0 < low < high:  # the band of the first few trials may reach far down, and would flatten the rest
        figure.update_yaxes(range=[max(low - 0.35 * (high - low), 0.0), high + 0.06 * (high - low)])
    band = found.shuffled
    add_line(
        figure,
        [*((step.ended, step.high) for step in band), *((step.ended, step.low) for step in reversed(band))],
        {"width": 0},
        fill="toself",
        fillcolor="rgba(138, 155, 168, 0.25)",
        name="random orders, 95 %",
    )
    add_line(
        figure,
        [(step.ended, step.mean) for step in band],
        {"color": style.QUIET_INK, "width": 1.6 * grow, "dash": "dash"},
        name="random orders, mean",
        hovertemplate="%{y:.4f} after %{x} trials<extra></extra>",
    )
    line = {"shape": "hv", "color": style.BLUE, "width": 2.4 * grow}
    add_line(figure, [(step.ended, step.share) for step in turns], line, name="as searched")
    add_points(
        figure,
        [(step.ended, step.share) for step in rises],
        [style.plain(step.label) for step in rises],
        {"color": style.BLUE, "size": 7 * grow, "line": {"width": 1, "color": "white"}},
        trials=[step.trial for step in rises],
        always=True,
        name=f"a trial raised it ({len(rises):,})",
        hovertemplate="<b>%{hovertext}</b><br>%{y:.4f} after %{x} trials<extra></extra>",
    )
    return figure


def learning_curves_figure(found: LearningCurves, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: a cross where a rule ended a training, a ring where it spoke in vain."""
    curves = thinned(found.curves, MOST_CURVES, keep=lambda curve: curve.on_front or curve.variant)
    grow = style.growth(width)
    top1s = [value for curve in curves for value in curve.top1_percent]
    figure, _ = style.begin(
        found,
        margin={"l": 72, "r": 24, "t": 0, "b": 62},
        size=(width, height),
        showlegend=True,
        legend={"title": {"text": thinned_line(len(curves), len(found.curves), "curves")}},
        xaxis=_epochs([curve.epochs[-1] for curve in curves], width),
        yaxis=style.axis(style.top1_title(found.splits), width=width, range=list(percent_range(top1s))),
    )
    if found.empty is not None:
        return figure
    others = [curve for curve in curves if not curve.on_front and not curve.variant]
    thin = {"color": style.DOTS, "width": 0.9 * grow}
    _add_curves(figure, others, f"other trials ({len(others):,})", thin, opacity=0.5)
    variants = [curve for curve in curves if curve.variant]
    _add_named(figure, variants, "variants", style.VERMILLION, "square", grow)
    front = [curve for curve in curves if curve.on_front and not curve.variant]
    _add_named(figure, front, "front", style.BLUE, "circle", grow)
    for stopped, symbol, color, name in (
        (True, "x-thin", style.BLACK, "stopped early"),
        (False, "circle-open", style.PURPLE, "the rule spoke, but it went on"),
    ):
        marked = [curve for curve in curves if curve.stop_epoch is not None and curve.stopped == stopped]
        add_points(
            figure,
            map(_place, marked),
            [hover(curve.label, *style.wrap(curve.rule), more=f" {name}") for curve in marked],
            {"symbol": symbol, "size": 7 * grow, "color": color, "line": {"width": 1.6, "color": color}},
            trials=[curve.trial for curve in marked],
            name=f"{name} ({len(marked):,})",
        )
    return figure


def _epochs(lasts: Sequence[int], width: int) -> dict[str, Any]:
    """An axis of trainings that end at these epochs; left to itself, a short one's has half epochs: 1, 2, 2, 3, 3."""
    whole = {"dtick": 1} if max(lasts, default=1) <= _FEW_EPOCHS else {}
    return style.axis("Epoch", width=width, tickformat="d", **whole)


def _add_named(
    figure: go.Figure, curves: Sequence[LearningCurve], kind: str, color: str, symbol: str, grow: float
) -> None:
    """Curves that stand out, each with a legend entry if they are few; the dash tells curves of one colour apart."""
    line = {"color": color, "width": 2.4 * grow}
    look = {"marker": {"color": color, "symbol": symbol, "size": 6 * grow}, "mode": "lines+markers"}
    if len(curves) > _NAMED:
        _add_curves(figure, curves, f"{kind} ({len(curves):,})", line, **look)
        return
    for index, curve in enumerate(curves):
        name = style.plain(shorten(curve.label, 36)) + (" · on the front" if curve.on_front else "")
        _add_curves(figure, [curve], name, {**line, "dash": style.DASHES[index % len(style.DASHES)]}, **look)


def _add_curves(
    figure: go.Figure, curves: Sequence[LearningCurve], name: str, line: dict[str, Any], **look: Any
) -> None:
    told = [curve for curve in curves for _ in (*curve.epochs, "the gap behind it")]
    add_lines(
        figure,
        [zip(curve.epochs, curve.top1_percent, strict=True) for curve in curves],
        line,
        name=name,
        **said([style.plain(shorten(curve.label, 48)) for curve in told], [curve.trial for curve in told])
        | {"hovertemplate": "%{hovertext}, epoch %{x}: %{y:.2f} %<extra></extra>"},
        **look,
    )


def _place(curve: LearningCurve) -> tuple[int, float]:
    """Where the rule spoke: at its epoch, or at the end of what is stored."""
    for epoch, value in zip(curve.epochs, curve.top1_percent, strict=True):
        if epoch == curve.stop_epoch and not curve.stopped:
            return (epoch, value)
    return (curve.epochs[-1], curve.top1_percent[-1])


def retraining_figure(scores: Sequence[Score], *, title: str, width: int = 1100, height: int = 560) -> go.Figure:
    """The curves of a retraining's seeds: loss on the left, top-1 on the right; a seed has one look in both.

    Those without a stored curve are counted in the heading.
    """
    drawn = [score for score in scores if score.curve]
    parts = [
        " / ".join(sorted({score.protocol for score in scores})),
        plural(" / ".join(map(str, sorted({score.epochs for score in scores}))), "epoch"),
        plural(len(scores), "training"),
        f"top-1 at the end {span_text([score.top1_percent for score in scores], '.2f')} %",
        f"{len(scores) - len(drawn)} without a stored curve" if len(drawn) < len(scores) else "",
    ]
    heading, top = style.heading(title, (" · ".join(filter(None, parts)),), (), width=width, height=height)
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.11)
    figure.update_layout(
        **style.base_layout(width), title=heading, margin={"l": 72, "r": 24, "t": top, "b": 62}, showlegend=True
    )
    figure.update_xaxes(_epochs([score.curve[-1].epoch for score in drawn], width))
    figure.update_yaxes(style.axis("Training loss", width=width), row=1, col=1)
    figure.update_yaxes(
        style.axis(style.top1_title(sorted({score.split for score in scores})), width=width), row=1, col=2
    )
    if not drawn:
        style.draw_nothing(figure, f"No learning curve to show ({len(scores)} trainings)")
    for index, score in enumerate(drawn):
        line = {
            "color": style.SERIES[index % len(style.SERIES)],
            "dash": style.DASHES[index % len(style.DASHES)],
            "width": 2 * style.growth(width),
        }
        for column, value in ((1, "train_loss"), (2, "top1_percent")):
            add_line(
                figure,
                [(each.epoch, getattr(each, value)) for each in score.curve],
                line,
                mode="lines+markers" if len(score.curve) <= _FEW_EPOCHS else "lines",
                marker={"color": line["color"]},
                name=f"seed {score.seed}",
                legendgroup=str(index),
                showlegend=column == 1,
                hovertemplate="epoch %{x}: %{y:.4g}",
                row=1,
                col=column,
            )
    return figure
