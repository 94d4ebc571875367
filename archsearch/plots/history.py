"""How a study went: its hypervolume, its learning curves, and the curves of a retraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.history import History, LearningCurve, LearningCurves, ShuffledStep
from archsearch.plots import style
from archsearch.plots.ranges import percent_range
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.records import Score
from archsearch.text import capitalised, plural, shorten

MOST_CURVES = 600
_NAMED = 12  # curves with a legend entry of their own, of each kind
_FEW_EPOCHS = 12


def hypervolume_figure(found: History, *, width: int = 1100, height: int = 560) -> go.Figure:
    """The figure: a staircase, a marker at each trial that made it higher."""
    title, top = style.heading(found.title, (*found.sentences, *found.subtitle), (), width=width, height=height)
    grow = style.growth(width)
    figure = go.Figure()
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 92, "r": 24, "t": top, "b": 62},
        showlegend=True,
        legend={"x": 0.99, "y": 0.02, "xanchor": "right", "yanchor": "bottom", "bgcolor": style.VEIL},
        xaxis=style.axis("Trials that have ended", width=width, tickformat="d", rangemode="tozero"),
        yaxis=style.axis("Hypervolume (share of the box)", width=width),
    )
    if found.empty is not None:
        style.draw_nothing(figure, found.empty)
        return figure
    turns, rises = found.turns, found.rises
    low, high = turns[0].share, max(step.share for step in turns)
    if 0 < low < high:  # the band of the first few trials may reach far down, and would flatten the rest
        figure.update_yaxes(range=[max(low - 0.35 * (high - low), 0.0), high + 0.06 * (high - low)])
    _add_band(figure, found.shuffled, grow)
    figure.add_scatter(
        x=[step.ended for step in turns],
        y=[step.share for step in turns],
        mode="lines",
        line={"shape": "hv", "color": style.BLUE, "width": 2.4 * grow},
        name="as searched",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[step.ended for step in rises],
        y=[step.share for step in rises],
        mode="markers",
        marker={"color": style.BLUE, "size": 7 * grow, "line": {"width": 1, "color": "white"}},
        name=f"a trial raised it ({len(rises):,})",
        hovertext=[style.plain(step.label) for step in rises],
        hovertemplate="<b>%{hovertext}</b><br>%{y:.4f} after %{x} trials<extra></extra>",
        customdata=style.trial_data([step.trial for step in rises]),
    )
    return figure


def _add_band(figure: go.Figure, band: tuple[ShuffledStep, ...], grow: float) -> None:
    if not band:
        return
    x = [step.ended for step in band]
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*(step.high for step in band), *(step.low for step in reversed(band))],
        fill="toself",
        fillcolor="rgba(138, 155, 168, 0.25)",
        line={"width": 0},
        mode="lines",
        name="random orders, 95 %",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=x,
        y=[step.mean for step in band],
        mode="lines",
        line={"color": style.QUIET_INK, "width": 1.6 * grow, "dash": "dash"},
        name="random orders, mean",
        hovertemplate="%{y:.4f} after %{x} trials<extra></extra>",
    )


def learning_curves_figure(found: LearningCurves, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: a cross where a rule ended a training, a ring where it spoke in vain."""
    curves = thinned(found.curves, MOST_CURVES, keep=lambda curve: curve.on_front or curve.variant)
    title, top = style.heading(found.title, found.subtitle, (), width=width, height=height)
    grow = style.growth(width)
    figure = go.Figure()
    longest = max((curve.epochs[-1] for curve in curves), default=1)
    whole = {"dtick": 1} if longest <= _FEW_EPOCHS else {}
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 72, "r": 24, "t": top, "b": 62},
        showlegend=True,
        legend={"title": {"text": thinned_line(len(curves), len(found.curves), "curves")}},
        xaxis=style.axis("Epoch", width=width, tickformat="d", **whole),
        yaxis=style.axis(
            _top1_title(found.splits),
            width=width,
            range=list(percent_range([value for curve in curves for value in curve.top1_percent])),
        ),
    )
    if found.empty is not None:
        style.draw_nothing(figure, found.empty)
        return figure
    others = [curve for curve in curves if not curve.on_front and not curve.variant]
    thin = {"color": style.DOTS, "width": 0.9 * grow}
    _add_curves(figure, others, f"other trials ({len(others):,})", thin, opacity=0.5, mode="lines")
    variants = [curve for curve in curves if curve.variant]
    _add_named(figure, variants, "variants", style.VERMILLION, "square", grow)
    front = [curve for curve in curves if curve.on_front and not curve.variant]
    _add_named(figure, front, "front", style.BLUE, "circle", grow)
    _add_marks(figure, curves, grow)
    return figure


def _add_named(
    figure: go.Figure, curves: Sequence[LearningCurve], kind: str, color: str, symbol: str, grow: float
) -> None:
    """Curves that stand out, each with a legend entry if they are few; the dash tells curves of one colour apart."""
    line = {"color": color, "width": 2.4 * grow}
    marker = {"color": color, "symbol": symbol, "size": 6 * grow}
    if len(curves) > _NAMED:
        _add_curves(figure, curves, f"{kind} ({len(curves):,})", line, marker=marker, mode="lines+markers")
        return
    for index, curve in enumerate(curves):
        name = style.plain(shorten(curve.label, 36)) + (" · on the front" if curve.on_front else "")
        dashed = {**line, "dash": style.DASHES[index % len(style.DASHES)]}
        _add_curves(figure, [curve], name, dashed, marker=marker, mode="lines+markers")


def _add_curves(
    figure: go.Figure, curves: Sequence[LearningCurve], name: str, line: dict[str, Any], **look: Any
) -> None:
    """Curves as one line with gaps, so that hundreds of them stay one object."""
    if not curves:
        return
    x: list[int | None] = []
    y: list[float | None] = []
    trials: list[int] = []
    texts: list[str] = []
    for curve in curves:
        x += [*curve.epochs, None]
        y += [*curve.top1_percent, None]
        trials += [curve.trial] * (len(curve.epochs) + 1)
        texts += [style.plain(shorten(curve.label, 48))] * (len(curve.epochs) + 1)
    figure.add_scatter(
        x=x,
        y=y,
        line=line,
        name=name,
        hovertext=texts,
        hovertemplate="%{hovertext}, epoch %{x}: %{y:.2f} %<extra></extra>",
        customdata=style.trial_data(trials),
        **look,
    )


def _add_marks(figure: go.Figure, curves: Sequence[LearningCurve], grow: float) -> None:
    for stopped, symbol, color, name in (
        (True, "x-thin", style.BLACK, "stopped early"),
        (False, "circle-open", style.PURPLE, "the rule spoke, but it went on"),
    ):
        marked = [curve for curve in curves if curve.stop_epoch is not None and curve.stopped == stopped]
        if not marked:
            continue
        places = [_place(curve) for curve in marked]
        figure.add_scatter(
            x=[x for x, _ in places],
            y=[y for _, y in places],
            mode="markers",
            marker={"symbol": symbol, "size": 7 * grow, "color": color, "line": {"width": 1.6, "color": color}},
            name=f"{name} ({len(marked):,})",
            hovertext=[
                "<br>".join([f"<b>{style.plain(curve.label)}</b> {name}", *style.wrap(curve.rule, 430)])
                for curve in marked
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            customdata=style.trial_data([curve.trial for curve in marked]),
        )


def _place(curve: LearningCurve) -> tuple[int, float]:
    """Where the rule spoke: at its epoch, or at the end of what is stored."""
    for epoch, value in zip(curve.epochs, curve.top1_percent, strict=True):
        if epoch == curve.stop_epoch and not curve.stopped:
            return (epoch, value)
    return (curve.epochs[-1], curve.top1_percent[-1])


def _top1_title(splits: Sequence[str]) -> str:
    return f"{capitalised(' and '.join(splits)) or 'Validation'} top-1 (%)"


def retraining_figure(scores: Sequence[Score], *, title: str, width: int = 1100, height: int = 560) -> go.Figure:
    """The curves of a retraining's seeds: loss on the left, top-1 on the right; a seed has one look in both.

    Those without a stored curve are counted in the heading.
    """
    drawn = [score for score in scores if score.curve]
    ends = sorted(score.top1_percent for score in scores)
    parts = [" / ".join(sorted({score.protocol for score in scores}))]
    if scores:
        parts.append(plural(" / ".join(str(count) for count in sorted({score.epochs for score in scores})), "epoch"))
        parts.append(plural(len(scores), "training"))
        parts.append(f"top-1 at the end {' to '.join(dict.fromkeys((f'{ends[0]:.2f}', f'{ends[-1]:.2f}')))} %")
    if len(drawn) < len(scores):
        parts.append(f"{len(scores) - len(drawn)} without a stored curve")
    heading, top = style.heading(title, (" · ".join(part for part in parts if part),), (), width=width, height=height)
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.11)
    figure.update_layout(
        **style.base_layout(width), title=heading, margin={"l": 72, "r": 24, "t": top, "b": 62}, showlegend=True
    )
    longest = max((score.curve[-1].epoch for score in drawn), default=1)
    # Left to itself the axis of a short training has ticks at half epochs, which then read 1, 2, 2, 3, 3.
    whole = {"dtick": 1} if longest <= _FEW_EPOCHS else {}
    figure.update_xaxes(style.axis("Epoch", width=width, tickformat="d", **whole))
    figure.update_yaxes(style.axis("Training loss", width=width), row=1, col=1)
    figure.update_yaxes(style.axis(_top1_title(sorted({score.split for score in scores})), width=width), row=1, col=2)
    if not drawn:
        figure.add_annotation(style.nothing_to_draw(f"No learning curve to show ({len(scores)} trainings)"))
    for index, score in enumerate(drawn):
        line = {
            "color": style.SERIES[index % len(style.SERIES)],
            "dash": style.DASHES[index % len(style.DASHES)],
            "width": 2 * style.growth(width),
        }
        losses, top1s = [each.train_loss for each in score.curve], [each.top1_percent for each in score.curve]
        for column, values in ((1, losses), (2, top1s)):
            figure.add_scatter(
                x=[each.epoch for each in score.curve],
                y=values,
                mode="lines+markers" if len(values) <= _FEW_EPOCHS else "lines",
                line=line,
                marker={"color": line["color"]},
                name=f"seed {score.seed}",
                legendgroup=str(index),
                showlegend=column == 1,
                hovertemplate="epoch %{x}: %{y:.4g}",
                row=1,
                col=column,
            )
    return figure
