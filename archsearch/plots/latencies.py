"""Latency distributions in the order of the trials, and below them what the reference's own time did meanwhile."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.canary import Canary, has_drifted
from archsearch.plots import style
from archsearch.plots.ranges import log_axis, positive_range, wants_log
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.records import Latency, Record
from archsearch.text import percent_text, significant

MOST_NETWORKS = 1500


@dataclass(frozen=True, kw_only=True)
class MeasuredLatency:
    """One measured network. `doubts`: why its latency may be wrong; empty if nothing speaks against it."""

    trial: int
    label: str
    arch_id: str
    p10_ms: float
    median_ms: float
    p90_ms: float
    corrected_ms: float
    n_runs: int
    reference_p10_ms: float
    drift: float | None
    device: str
    doubts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LatenciesInfo:
    """What the figure shows; text is plain. `empty`: why there is nothing to draw, or None.

    Attributes:
        networks: by trial; trials with an equal network share the first one's measurement.
        start_ms: the reference's p10 that the study fixed at its start; None if it has none, or several.
        drift_tolerance: from which drift on the study doubts a measurement, as a share; None if it has no such rule.
        y_log: whether the axis of latencies is logarithmic.
    """

    title: str
    subtitle: tuple[str, ...]
    networks: tuple[MeasuredLatency, ...]
    reference: str
    start_ms: float | None
    drift_tolerance: float | None
    y_log: bool
    empty: str | None


def latencies_info(records: Sequence[Record], canary: Canary | None, *, study: str) -> LatenciesInfo:
    """The latencies of these records.

    Args:
        records: of any status; those without a latency are left out.
        canary: of the same study; None if its drift tolerance is not known.
        study: its name.
    """
    first: dict[str, tuple[Record, Latency]] = {}
    for record in records:
        if record.latency is not None:
            first.setdefault(record.arch_id, (record, record.latency))
    tolerance = None if canary is None else canary.drift_tolerance
    crowded = set() if canary is None else {record.arch_id for record in canary.crowded}
    found = [_measured(record, latency, tolerance, crowded) for record, latency in first.values()]
    usable = [each for each in found if all(math.isfinite(v) for v in (each.p10_ms, each.median_ms, each.p90_ms))]
    networks = thinned(usable, MOST_NETWORKS, keep=lambda each: bool(each.doubts))
    latencies = [latency for _, latency in first.values()]
    starts = {latency.study_reference_ms for latency in latencies}
    start = next(iter(starts)) if len(starts) == 1 else None
    return LatenciesInfo(
        title=f"Latencies as measured: study {study}",
        subtitle=tuple(
            line
            for line in (_counts(found, len(networks)), " · ".join([*_conditions(latencies), *_drift(found)]))
            if line
        ),
        networks=tuple(networks),
        reference=" / ".join(sorted({latency.reference for latency in latencies})),
        start_ms=start,
        drift_tolerance=tolerance,
        y_log=wants_log([value for each in networks for value in (each.p10_ms, each.p90_ms)]),
        empty=None if networks else f"No latency to show ({len(records):,} trials)",
    )


def _measured(record: Record, latency: Latency, tolerance: float | None, crowded: Collection[str]) -> MeasuredLatency:
    doubts = []
    if not latency.converged:
        doubts.append("not converged")
    if has_drifted(latency, tolerance) and tolerance is not None:
        doubts.append(f"drifted by more than {percent_text(100.0 * tolerance)}")
    if record.arch_id in crowded:
        doubts.append("the memory was crowded")
    return MeasuredLatency(
        trial=record.trial,
        label=record.label,
        arch_id=record.arch_id,
        p10_ms=latency.p10_ms,
        median_ms=latency.median_ms,
        p90_ms=latency.p90_ms,
        corrected_ms=latency.corrected_ms,
        n_runs=latency.n,
        reference_p10_ms=latency.reference_p10_ms,
        drift=latency.drift,
        device=latency.device,
        doubts=tuple(doubts),
    )


def _counts(found: Sequence[MeasuredLatency], drawn: int) -> str:
    if not found:
        return ""
    doubtful = sum(bool(each.doubts) for each in found)
    parts = [f"{len(found):,} networks measured", f"{doubtful:,} doubtful", thinned_line(drawn, len(found), "networks")]
    return "; ".join(part for part in parts if part)


def _conditions(latencies: Sequence[Latency]) -> list[str]:
    parts = [
        " / ".join(sorted({latency.device for latency in latencies})),
        " / ".join(sorted({latency.backend for latency in latencies})),
        " / ".join(sorted({latency.precision for latency in latencies})),
    ]
    devices = len({latency.fingerprint for latency in latencies})
    if devices > 1:
        parts.append(f"{devices} fingerprints of devices: not comparable with each other")
    return [part for part in parts if part]


def _drift(found: Sequence[MeasuredLatency]) -> list[str]:
    drifts = [each.drift for each in found if each.drift is not None]
    if not drifts:
        return []
    return [f"the reference's p10 was {100 * min(drifts):+.1f} % to {100 * max(drifts):+.1f} % off its start"]


def latencies_figure(info: LatenciesInfo, *, width: int = 1100, height: int = 720) -> go.Figure:
    """The figure: p10 to p90 of each network above, the reference's p10 below; doubtful ones are crossed out."""
    title, top = style.heading(info.title, info.subtitle, (), width=width, height=height)
    grow = style.growth(width)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09, row_heights=[0.62, 0.38])
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 78, "r": 24, "t": top, "b": 62},
        showlegend=True,
        legend={"x": 1.01, "y": 1},
    )
    if info.empty is not None:
        style.draw_nothing(figure, info.empty)
        return figure
    last = max(each.trial for each in info.networks)
    figure.update_xaxes(style.axis("", width=width, range=[-0.5 - 0.01 * last, last * 1.01 + 0.5], tickformat="d"))
    figure.update_xaxes(title={"text": "Trial", "standoff": 12}, row=2, col=1)
    ends = [value for each in info.networks for value in (each.p10_ms, each.p90_ms)]
    scale = log_axis(*positive_range(ends, log=True)) if info.y_log else {}
    suffix = ", log scale" if info.y_log else ""
    figure.update_yaxes(style.axis(f"Latency of a batch (ms{suffix})", width=width, **scale), row=1, col=1)
    figure.update_yaxes(style.axis("Reference's p10 (ms)", width=width), row=2, col=1)
    _add_distributions(figure, info.networks, grow)
    _add_reference(figure, info, grow)
    return figure


def _add_distributions(figure: go.Figure, networks: Sequence[MeasuredLatency], grow: float) -> None:
    figure.add_scatter(
        x=[x for each in networks for x in (each.trial, each.trial, None)],
        y=[y for each in networks for y in (each.p10_ms, each.p90_ms, None)],
        mode="lines",
        line={"color": style.SKY, "width": 2 * grow},
        opacity=0.75,
        name="p10 to p90",
        hoverinfo="skip",
        row=1,
        col=1,
    )
    _add_points(figure, networks, "median", [each.median_ms for each in networks], 1, _MEDIAN, grow)
    _add_points(figure, networks, "p10", [each.p10_ms for each in networks], 1, _P10, grow, full=True)
    doubtful = [each for each in networks if each.doubts]
    if doubtful:
        _add_points(figure, doubtful, "doubtful", [each.p10_ms for each in doubtful], 1, _DOUBT, grow, full=True)


_P10 = {"symbol": "circle", "size": 4.5, "color": style.BLUE}
_MEDIAN = {"symbol": "line-ew", "size": 6, "line": {"width": 1.4, "color": style.BLACK}}
_DOUBT = {"symbol": "x-thin", "size": 10, "line": {"width": 2.2, "color": style.VERMILLION}}
_CANARY = {"symbol": "circle", "size": 4.5, "color": style.GREEN}


def _add_points(
    figure: go.Figure,
    networks: Sequence[MeasuredLatency],
    name: str,
    values: Sequence[float],
    row: int,
    marker: dict[str, Any],
    grow: float,
    *,
    full: bool = False,
    **more: Any,
) -> None:
    figure.add_scatter(
        x=[each.trial for each in networks],
        y=list(values),
        mode="markers",
        marker={**marker, "size": marker["size"] * grow},
        name=name,
        hovertext=[_hover(each) for each in networks] if full else None,
        hovertemplate="%{hovertext}<extra></extra>" if full else f"trial %{{x}}: {name} %{{y:.4g}} ms<extra></extra>",
        customdata=style.trial_data([each.trial for each in networks]),
        row=row,
        col=1,
        **more,
    )


def _add_reference(figure: go.Figure, info: LatenciesInfo, grow: float) -> None:
    """The reference in every trial, its value at the study's start, and how far it may go from it undoubted."""
    name = f"reference: {style.plain(style.shorten(info.reference, 26))}"
    networks = info.networks
    _add_points(figure, networks, name, [each.reference_p10_ms for each in networks], 2, _CANARY, grow)
    if info.start_ms is not None:
        figure.add_hline(y=info.start_ms, line={"color": style.QUIET_INK, "width": 1.2, "dash": "dash"}, row=2, col=1)
        if info.drift_tolerance is not None:
            low, high = ((1 + sign * info.drift_tolerance) * info.start_ms for sign in (-1, 1))
            figure.add_hrect(
                y0=low, y1=high, fillcolor=style.GREEN, opacity=0.08, line_width=0, layer="below", row=2, col=1
            )
            allowed = percent_text(100.0 * info.drift_tolerance)
            figure.add_annotation(
                x=0,
                xref="x domain",
                xanchor="left",
                y=high,
                yref="y2",
                yanchor="top",
                text=f"start {significant(info.start_ms)} ms; shaded: within {allowed}",
                showarrow=False,
                font={"size": round(style.SMALL_PX * grow), "color": style.QUIET_INK},
            )
    doubtful = [each for each in networks if each.doubts]
    if doubtful:
        values = [each.reference_p10_ms for each in doubtful]
        _add_points(figure, doubtful, "doubtful", values, 2, _DOUBT, grow, full=True, showlegend=False)


def _hover(each: MeasuredLatency) -> str:
    lines = [
        f"<b>{style.plain(each.label)}</b>",
        f"p10 {significant(each.p10_ms)}, median {significant(each.median_ms)}, p90 {significant(each.p90_ms)} ms "
        f"(n = {each.n_runs:,}); corrected {significant(each.corrected_ms)} ms",
        f"reference {significant(each.reference_p10_ms)} ms"
        + ("" if each.drift is None else f", drift {100 * each.drift:+.1f} %"),
        *(style.plain(doubt) for doubt in each.doubts),
    ]
    return "<br>".join(lines)
