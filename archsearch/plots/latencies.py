"""Latency distributions in the order of the trials, and below them what the reference's own time did meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.canary import Canary, latency_of
from archsearch.plots import style
from archsearch.plots.ranges import log_axis, positive_range, wants_log
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.records import Latency, Record
from archsearch.text import percent_text, shorten, significant

MOST_NETWORKS = 1500
_P10 = {"symbol": "circle", "size": 4.5, "color": style.BLUE}
_MEDIAN = {"symbol": "line-ew", "size": 6, "line": {"width": 1.4, "color": style.BLACK}}
_DOUBT = {"symbol": "x-thin", "size": 10, "line": {"width": 2.2, "color": style.VERMILLION}}
_CANARY = {"symbol": "circle", "size": 4.5, "color": style.GREEN}
_Network = tuple[Record, Latency, tuple[str, ...]]  # with its doubts


def latencies_figure(found: Canary, *, width: int = 1100, height: int = 720) -> go.Figure:
    """The figure: p10 to p90 of each network above, the reference's p10 below; doubtful ones are crossed out."""
    usable = [(record, latency_of(record), found.doubts(record)) for record in found.finite]
    networks = thinned(usable, MOST_NETWORKS, keep=lambda network: bool(network[2]))
    title, top = style.heading(found.title, (*found.subtitle, *found.sentences), (), width=width, height=height)
    grow = style.growth(width)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09, row_heights=[0.62, 0.38])
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 78, "r": 24, "t": top, "b": 62},
        showlegend=True,
        legend={"x": 1.01, "y": 1, "title": {"text": thinned_line(len(networks), len(usable), "networks")}},
    )
    if found.empty is not None:
        style.draw_nothing(figure, found.empty)
        return figure
    last = max(record.trial for record, _, _ in networks)
    figure.update_xaxes(style.axis("", width=width, range=[-0.5 - 0.01 * last, last * 1.01 + 0.5], tickformat="d"))
    figure.update_xaxes(title={"text": "Trial", "standoff": 12}, row=2, col=1)
    ends = [value for _, latency, _ in networks for value in (latency.p10_ms, latency.p90_ms)]
    log = wants_log(ends)
    scale = log_axis(*positive_range(ends, log=True)) if log else {}
    suffix = ", log scale" if log else ""
    figure.update_yaxes(style.axis(f"Latency of a batch (ms{suffix})", width=width, **scale), row=1, col=1)
    figure.update_yaxes(style.axis("Reference's p10 (ms)", width=width), row=2, col=1)
    _add_distributions(figure, networks, grow)
    _add_reference(figure, found, networks, grow)
    return figure


def _add_distributions(figure: go.Figure, networks: Sequence[_Network], grow: float) -> None:
    figure.add_scatter(
        x=[x for record, _, _ in networks for x in (record.trial, record.trial, None)],
        y=[y for _, latency, _ in networks for y in (latency.p10_ms, latency.p90_ms, None)],
        mode="lines",
        line={"color": style.SKY, "width": 2 * grow},
        opacity=0.75,
        name="p10 to p90",
        hoverinfo="skip",
        row=1,
        col=1,
    )
    p10s = [latency.p10_ms for _, latency, _ in networks]
    _add_points(figure, networks, "median", [latency.median_ms for _, latency, _ in networks], 1, _MEDIAN, grow)
    _add_points(figure, networks, "p10", p10s, 1, _P10, grow, full=True)
    if doubtful := [network for network in networks if network[2]]:
        p10s = [latency.p10_ms for _, latency, _ in doubtful]
        _add_points(figure, doubtful, "doubtful", p10s, 1, _DOUBT, grow, full=True)


def _add_points(
    figure: go.Figure,
    networks: Sequence[_Network],
    name: str,
    values: Sequence[float],
    row: int,
    marker: dict[str, Any],
    grow: float,
    *,
    full: bool = False,
    **more: Any,
) -> None:
    trials = [record.trial for record, _, _ in networks]
    figure.add_scatter(
        x=trials,
        y=list(values),
        mode="markers",
        marker={**marker, "size": marker["size"] * grow},
        name=name,
        hovertext=[_hover(*network) for network in networks] if full else None,
        hovertemplate="%{hovertext}<extra></extra>" if full else f"trial %{{x}}: {name} %{{y:.4g}} ms<extra></extra>",
        customdata=style.trial_data(trials),
        row=row,
        col=1,
        **more,
    )


def _add_reference(figure: go.Figure, found: Canary, networks: Sequence[_Network], grow: float) -> None:
    """The reference in every trial, its value at the study's start, and how far it may go from it undoubted."""
    name = f"reference: {style.plain(shorten(' / '.join(found.reference), 26))}"
    values = [latency.reference_p10_ms for _, latency, _ in networks]
    _add_points(figure, networks, name, values, 2, _CANARY, grow)
    start = found.start_ms
    if start is not None:
        figure.add_hline(y=start, line={"color": style.QUIET_INK, "width": 1.2, "dash": "dash"}, row=2, col=1)
        if found.drift_tolerance is not None:
            low, high = ((1 + sign * found.drift_tolerance) * start for sign in (-1, 1))
            figure.add_hrect(
                y0=low, y1=high, fillcolor=style.GREEN, opacity=0.08, line_width=0, layer="below", row=2, col=1
            )
            allowed = percent_text(100.0 * found.drift_tolerance)
            figure.add_annotation(
                x=0,
                xref="x domain",
                xanchor="left",
                y=high,
                yref="y2",
                yanchor="top",
                text=f"start {significant(start)} ms; shaded: within {allowed}",
                showarrow=False,
                font={"size": round(style.SMALL_PX * grow), "color": style.QUIET_INK},
            )
    if doubtful := [network for network in networks if network[2]]:
        values = [latency.reference_p10_ms for _, latency, _ in doubtful]
        _add_points(figure, doubtful, "doubtful", values, 2, _DOUBT, grow, full=True, showlegend=False)


def _hover(record: Record, latency: Latency, doubts: Sequence[str]) -> str:
    return "<br>".join(
        [
            f"<b>{style.plain(record.label)}</b>",
            f"p10 {significant(latency.p10_ms)}, median {significant(latency.median_ms)}, "
            f"p90 {significant(latency.p90_ms)} ms (n = {latency.n:,}); "
            f"corrected {significant(latency.corrected_ms)} ms",
            f"reference {significant(latency.reference_p10_ms)} ms"
            + ("" if latency.drift is None else f", drift {100 * latency.drift:+.1f} %"),
            *(style.plain(doubt) for doubt in doubts),
        ]
    )
