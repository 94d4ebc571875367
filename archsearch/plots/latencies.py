"""Latency distributions in the order of the trials, and below them what the reference's own time did meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.canary import Canary
from archsearch.analysis.objectives import latency_of
from archsearch.plots import style
from archsearch.plots.ranges import AxisScale
from archsearch.plots.traces import add_lines, add_points, hover, thinned, thinned_line
from archsearch.records import Latency, Record
from archsearch.text import number_text, percent_text, shorten, significant

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
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09, row_heights=[0.62, 0.38])
    style.begin(
        found,
        (*found.subtitle, *found.sentences),
        figure,
        margin={"l": 78, "r": 24, "t": 0, "b": 62},
        size=(width, height),
        showlegend=True,
        legend={"x": 1.01, "y": 1, "title": {"text": thinned_line(len(networks), len(usable), "networks")}},
    )
    if found.empty is not None:
        return figure
    last = max(record.trial for record, _, _ in networks)
    figure.update_xaxes(style.axis("", width=width, range=[-0.5 - 0.01 * last, last * 1.01 + 0.5], tickformat="d"))
    figure.update_xaxes(title={"text": "Trial", "standoff": 12}, row=2, col=1)
    scale = AxisScale.of([value for _, latency, _ in networks for value in (latency.p10_ms, latency.p90_ms)])
    suffix, ticks = (", log scale", scale.layout()) if scale.log else ("", {})
    figure.update_yaxes(style.axis(f"Latency of a batch (ms{suffix})", width=width, **ticks), row=1, col=1)
    figure.update_yaxes(style.axis("Reference's p10 (ms)", width=width), row=2, col=1)
    grow = style.growth(width)
    add_lines(
        figure,
        [((record.trial, latency.p10_ms), (record.trial, latency.p90_ms)) for record, latency, _ in networks],
        {"color": style.SKY, "width": 2 * grow},
        opacity=0.75,
        name="p10 to p90",
        row=1,
        col=1,
    )
    _add_values(figure, networks, "median", "median_ms", 1, _MEDIAN, grow)
    _add_values(figure, networks, "p10", "p10_ms", 1, _P10, grow, full=True)
    doubtful = [network for network in networks if network[2]]
    _add_values(figure, doubtful, "doubtful", "p10_ms", 1, _DOUBT, grow, full=True)
    _add_reference(figure, found, networks, grow)
    _add_values(figure, doubtful, "doubtful", "reference_p10_ms", 2, _DOUBT, grow, full=True, showlegend=False)
    return figure


def _add_values(
    figure: go.Figure,
    networks: Sequence[_Network],
    name: str,
    value: str,
    row: int,
    marker: dict[str, Any],
    grow: float,
    *,
    full: bool = False,
    **more: Any,
) -> None:
    """A number of each network, by its name in Latency; `full`: with all that is known of it where it is pointed at."""
    short: dict[str, Any] = {} if full else {"hovertemplate": f"trial %{{x}}: {name} %{{y:.4g}} ms<extra></extra>"}
    add_points(
        figure,
        [(record.trial, getattr(latency, value)) for record, latency, _ in networks],
        [_hover(*network) for network in networks] if full else None,
        {**marker, "size": marker["size"] * grow},
        trials=[record.trial for record, _, _ in networks],
        name=name,
        row=row,
        col=1,
        **short,
        **more,
    )


def _add_reference(figure: go.Figure, found: Canary, networks: Sequence[_Network], grow: float) -> None:
    """The reference in every trial, its value at the study's start, and how far it may go from it undoubted."""
    name = f"reference: {style.plain(shorten(' / '.join(found.reference), 26))}"
    _add_values(figure, networks, name, "reference_p10_ms", 2, _CANARY, grow)
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


def _hover(record: Record, latency: Latency, doubts: Sequence[str]) -> str:
    return hover(
        record.label,
        f"p10 {significant(latency.p10_ms)}, median {significant(latency.median_ms)}, "
        f"p90 {significant(latency.p90_ms)} ms (n = {latency.n:,}); corrected {significant(latency.corrected_ms)} ms",
        f"reference {significant(latency.reference_p10_ms)} ms"
        + ("" if latency.drift is None else f", drift {number_text(100 * latency.drift, decimals=1, signed=True)} %"),
        *(style.plain(doubt) for doubt in doubts),
    )
