"""The hypervolume over a study, beside the same trials in random order."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from archsearch.analysis.history import History, HistoryStep, ShuffledStep
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.plots import style
from archsearch.text import significant


@dataclass(frozen=True, kw_only=True)
class HypervolumeInfo:
    """What the figure shows; text is plain. `empty`: why there is nothing to draw, or None.

    Attributes:
        steps: after which the hypervolume was another one, and the first and the last.
        band: the same trials in random order: mean, and the middle 95 % of the orders.
    """

    title: str
    subtitle: tuple[str, ...]
    steps: tuple[HistoryStep, ...]
    band: tuple[ShuffledStep, ...]
    empty: str | None

    @property
    def rises(self) -> tuple[HistoryStep, ...]:
        """The trials that made it larger."""
        before = 0.0
        found = []
        for step in self.steps:
            if step.share > before:
                found.append(step)
            before = step.share
        return tuple(found)


def hypervolume_info(history: History, *, study: str) -> HypervolumeInfo:
    """What the history says, with the steps at which nothing changed left out."""
    title = f"Hypervolume over the trials: study {study}"
    if not history.steps:
        why = f"No hypervolume to show: {history.reason or 'no trials'}"
        return HypervolumeInfo(title=title, subtitle=(), steps=(), band=(), empty=why)
    last = len(history.steps) - 1
    steps = tuple(
        step
        for index, step in enumerate(history.steps)
        if index in (0, last) or step.share != history.steps[index - 1].share
    )
    end = history.steps[-1]
    parts = [f"{significant(end.share)} of the box after {end.ended:,} trials"]
    if history.reference_point is not None:
        corner = ", ".join(
            OBJECTIVES[name].show(value) + (" error" if name == "error_percent" else "")
            for name, value in zip(history.objectives, history.reference_point, strict=True)
        )
        parts[0] += f" (box up to {corner})"
    if history.shuffled:
        parts.append(f"band: the same trials in {history.shuffles} random orders, middle 95 %")
    return HypervolumeInfo(title=title, subtitle=("; ".join(parts),), steps=steps, band=history.shuffled, empty=None)


def hypervolume_figure(info: HypervolumeInfo, *, width: int = 1100, height: int = 560) -> go.Figure:
    """The figure: a staircase, a marker at each trial that made it higher."""
    title, top = style.heading(info.title, info.subtitle, (), width=width, height=height)
    grow = style.growth(width)
    figure = go.Figure()
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 92, "r": 24, "t": top, "b": 62},
        showlegend=True,
        legend={"x": 0.99, "y": 0.02, "xanchor": "right", "yanchor": "bottom", "bgcolor": "rgba(255,255,255,0.8)"},
        xaxis=style.axis("Trials that have ended", width=width, tickformat="d", rangemode="tozero"),
        yaxis=style.axis("Hypervolume (share of the box)", width=width),
    )
    if info.empty is not None:
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    low, high = info.steps[0].share, max(step.share for step in info.steps)
    if 0 < low < high:  # the band of the first few trials may reach far down, and would flatten the rest
        figure.update_yaxes(range=[max(low - 0.35 * (high - low), 0.0), high + 0.06 * (high - low)])
    _add_band(figure, info.band, grow)
    figure.add_scatter(
        x=[step.ended for step in info.steps],
        y=[step.share for step in info.steps],
        mode="lines",
        line={"shape": "hv", "color": style.BLUE, "width": 2.4 * grow},
        name="as searched",
        hoverinfo="skip",
    )
    rises = info.rises
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
