"""The proxy against long training: both accuracies of each network, and how each predictor ranks them."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.rank_correlation import Correlation
from archsearch.analysis.trust import Trust, TrustGroup, TrustNetwork
from archsearch.plots import style
from archsearch.plots.ranges import AxisScale, PlotArea, percent_range
from archsearch.plots.traces import Place, add_diagonal, add_lines, add_points, hover
from archsearch.text import interval_text, plural, shorten

_MOST_LABELS = 60
_GAP, _LEFT = 0.17, 0.56  # shares of the width: between the panels, and of the left one
_GROUPS = {"all": ("circle", style.BLUE), "best quarter": ("diamond-open", style.VERMILLION)}


def trust_figure(found: Trust, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: on the left the accuracies with their ranks, on the right every predictor's tau."""
    lines = () if found.empty else (*found.subtitle, found.sentences[0])
    figure = make_subplots(rows=1, cols=2, column_widths=[_LEFT, 1 - _LEFT - _GAP], horizontal_spacing=_GAP)
    legend = style.SMALL_LEGEND_BELOW
    _, (across, down) = style.begin(found, lines, figure, size=(width, height), margin=style.MARGIN, legend=legend)
    if found.empty is None:
        _draw_points(figure, found, area=(across * _LEFT, down), width=width)
        _draw_taus(figure, found, width=width)
    return figure


def _draw_points(figure: go.Figure, found: Trust, *, area: Place, width: int) -> None:
    grow = style.growth(width)
    places = [(point.proxy_top1_percent, point.long_top1_percent) for point in found.networks]
    spread = [point.long_std_points or 0.0 for point in found.networks]
    ends = [top1 + sign * s for (_, top1), s in zip(places, spread, strict=True) for sign in (-1, 1)]
    x, y = AxisScale(*percent_range([proxy for proxy, _ in places])), AxisScale(*percent_range(ends))
    proxy_title = f"Top-1 after {plural(found.proxy_epochs, 'epoch')}, the proxy (%)"
    figure.update_xaxes(style.axis(proxy_title, width=width, **x.layout()), col=1)
    figure.update_yaxes(style.axis(f"Top-1 after {found.long_epochs} epochs (%)", width=width, **y.layout()), col=1)
    add_diagonal(figure, x, y, name="as accurate after both", row=1, col=1)
    for best, symbol, color, name in (
        (False, "circle", style.BLUE, "networks"),
        (True, "diamond", style.VERMILLION, "best quarter by proxy"),
    ):
        points = [point for point in found.networks if point.best_quarter is best]
        add_points(
            figure,
            [(point.proxy_top1_percent, point.long_top1_percent) for point in points],
            [_hover(point) for point in points],
            {"symbol": symbol, "size": (10 if best else 8) * grow, "color": color},
            trials=[point.trial for point in points],
            error_y={
                "type": "data",
                "array": [point.long_std_points or 0.0 for point in points],
                "color": color,
                "thickness": 1.4,
                "width": 3,
            },
            name=f"{name} ({len(points)})",
            row=1,
            col=1,
        )
    if len(found.networks) <= _MOST_LABELS:
        PlotArea(x=x, y=y, room=area).label(
            figure,
            places,
            [f"{point.proxy_rank:g}→{point.long_rank:g}" for point in found.networks],
            segments=[(x, low, x, high) for (x, _), low, high in zip(places, ends[::2], ends[1::2], strict=True)],
            grow=grow,
            leader=style.THIN_LEADER,
            row=1,
            col=1,
        )


def _draw_taus(figure: go.Figure, found: Trust, *, width: int) -> None:
    grow = style.growth(width)
    names = dict.fromkeys(each.predictor for group in found.groups for each in (group.proxy, *group.predictors))
    rows = {name: row for row, name in enumerate(names)}
    figure.update_yaxes(
        range=[len(rows) - 0.4, -0.6],
        **style.levels([style.plain(shorten(name, 18)) for name in rows]),
        tickfont={"size": round(style.SMALL_PX * grow)},
        zeroline=False,
        col=2,
    )
    figure.update_xaxes(
        style.axis("Kendall tau with the long training", width=width, range=[-1.05, 1.05], dtick=0.5), col=2
    )
    figure.add_vline(x=0, line={"color": style.INK, "width": 1}, row=1, col=2, exclude_empty_subplots=False)
    for number, group in enumerate(found.groups):
        symbol, color = _GROUPS.get(group.name, ("square", style.GREEN))
        shift = (number - (len(found.groups) - 1) / 2) * 0.34
        told = [each for each in (group.proxy, *group.predictors) if each.tau is not None]
        intervals = [
            ((each.tau_low, rows[each.predictor] + shift), (each.tau_high, rows[each.predictor] + shift))
            for each in told
            if each.tau_low is not None and each.tau_high is not None
        ]
        add_lines(figure, intervals, {"width": 2 * grow, "color": color}, always=True, row=1, col=2)
        which = "all" if group.name == "all" else f"the {style.plain(group.name)}"
        add_points(
            figure,
            [(each.tau, rows[each.predictor] + shift) for each in told if each.tau is not None],
            [style.plain(_bar_text(group, each)) for each in told],
            {"symbol": symbol, "size": 9 * grow, "color": color, "line": {"width": 1.6, "color": color}},
            always=True,
            name=f"tau over {which}, {found.confidence * 100:g} %",
            row=1,
            col=2,
        )


def _bar_text(group: TrustGroup, bar: Correlation) -> str:
    tau = interval_text(bar.tau, bar.tau_low, bar.tau_high, decimals=2)
    spearman = "" if bar.spearman is None else f", Spearman {bar.spearman:.2f}"
    return f"{bar.predictor}, {group.name} (n = {bar.n}): tau {tau}{spearman}"


def _hover(network: TrustNetwork) -> str:
    spread = "" if network.long_std_points is None else f" ± {network.long_std_points:.2f}"
    return hover(
        network.label,
        f"proxy {network.proxy_top1_percent:.2f} %, rank {network.proxy_rank:g}",
        f"long {network.long_top1_percent:.2f}{spread} % (n = {network.seeds}), rank {network.long_rank:g}",
        f"arch_id {style.plain(network.arch_id)}",
    )
