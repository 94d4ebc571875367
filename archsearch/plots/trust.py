"""The proxy against long training: both accuracies of each network, and how each predictor ranks them."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.analysis.rank_correlation import Correlation
from archsearch.analysis.trust import Trust, TrustGroup, TrustNetwork
from archsearch.plots import style
from archsearch.plots.ranges import PlotArea, percent_range
from archsearch.text import interval_text, shorten

_MOST_LABELS = 60
_MARGIN = {"l": 78, "r": 24, "b": 104}
_GAP, _LEFT = 0.17, 0.56  # shares of the width: between the panels, and of the left one
_GROUPS = {"all": ("circle", style.BLUE), "best quarter": ("diamond-open", style.VERMILLION)}


def trust_figure(found: Trust, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: on the left the accuracies with their ranks, on the right every predictor's tau."""
    lines = () if found.empty else (*found.subtitle, found.sentences[0])
    title, top = style.heading(found.title, lines, found.warnings, width=width, height=height)
    grow = style.growth(width)
    figure = make_subplots(rows=1, cols=2, column_widths=[_LEFT, 1 - _LEFT - _GAP], horizontal_spacing=_GAP)
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={**_MARGIN, "t": top},
        legend={**style.LEGEND_BELOW, "font": {"size": style.SMALL_PX}},
    )
    if found.empty is not None:
        style.draw_nothing(figure, found.empty)
        return figure
    area = ((width - _MARGIN["l"] - _MARGIN["r"]) * _LEFT, float(height - top - _MARGIN["b"]))
    _draw_points(figure, found, area=area, width=width, grow=grow)
    _draw_taus(figure, found, width=width, grow=grow)
    return figure


def _draw_points(figure: go.Figure, found: Trust, *, area: tuple[float, float], width: int, grow: float) -> None:
    spread = [point.long_std_points or 0.0 for point in found.networks]
    xs = [point.proxy_top1_percent for point in found.networks]
    ends = [
        point.long_top1_percent + sign * s for point, s in zip(found.networks, spread, strict=True) for sign in (-1, 1)
    ]
    x_range, y_range = percent_range(xs), percent_range(ends)
    figure.update_xaxes(
        style.axis(f"Top-1 after {found.proxy_epochs} epochs, the proxy (%)", width=width, range=list(x_range)), col=1
    )
    figure.update_yaxes(
        style.axis(f"Top-1 after {found.long_epochs} epochs (%)", width=width, range=list(y_range)), col=1
    )
    if line := style.diagonal(x_range, y_range):
        figure.add_scatter(**line, name="as accurate after both", row=1, col=1)
    for best, symbol, color, name in (
        (False, "circle", style.BLUE, "networks"),
        (True, "diamond", style.VERMILLION, "best quarter by proxy"),
    ):
        points = [point for point in found.networks if point.best_quarter is best]
        if not points:
            continue
        figure.add_scatter(
            x=[point.proxy_top1_percent for point in points],
            y=[point.long_top1_percent for point in points],
            error_y={
                "type": "data",
                "array": [point.long_std_points or 0.0 for point in points],
                "color": color,
                "thickness": 1.4,
                "width": 3,
            },
            mode="markers",
            marker={"symbol": symbol, "size": (10 if best else 8) * grow, "color": color},
            name=f"{name} ({len(points)})",
            hovertext=[_hover(point) for point in points],
            hovertemplate="%{hovertext}<extra></extra>",
            customdata=style.trial_data([point.trial for point in points]),
            row=1,
            col=1,
        )
    if len(found.networks) <= _MOST_LABELS:
        PlotArea(x_range=x_range, y_range=y_range, width_px=area[0], height_px=area[1]).label(
            figure,
            [(point.proxy_top1_percent, point.long_top1_percent) for point in found.networks],
            [f"{point.proxy_rank:g}→{point.long_rank:g}" for point in found.networks],
            segments=[
                (point.proxy_top1_percent, low, point.proxy_top1_percent, high)
                for point, low, high in zip(found.networks, ends[::2], ends[1::2], strict=True)
            ],
            grow=grow,
            leader={"color": style.DOTS, "width": 0.7, "ink": style.QUIET_INK},
            row=1,
            col=1,
        )


def _draw_taus(figure: go.Figure, found: Trust, *, width: int, grow: float) -> None:
    told = [(group, each) for group in found.groups for each in (group.proxy, *group.predictors)]
    rows = {name: row for row, name in enumerate(dict.fromkeys(each.predictor for _, each in told))}
    figure.update_yaxes(
        range=[len(rows) - 0.4, -0.6],
        tickmode="array",
        tickvals=list(rows.values()),
        ticktext=[style.plain(shorten(name, 18)) for name in rows],
        tickfont={"size": round(style.SMALL_PX * grow)},
        showgrid=False,
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
        bars = [each for each in (group.proxy, *group.predictors) if each.tau is not None]
        xs: list[float | None] = []
        ys: list[float | None] = []
        for bar in bars:
            if bar.tau_low is not None and bar.tau_high is not None:
                xs += [bar.tau_low, bar.tau_high, None]
                ys += [rows[bar.predictor] + shift] * 2 + [None]
        look = {"width": 2 * grow, "color": color}
        figure.add_scatter(x=xs, y=ys, mode="lines", line=look, hoverinfo="skip", showlegend=False, row=1, col=2)
        which = "all" if group.name == "all" else f"the {style.plain(group.name)}"
        figure.add_scatter(
            x=[bar.tau for bar in bars],
            y=[rows[bar.predictor] + shift for bar in bars],
            mode="markers",
            marker={"symbol": symbol, "size": 9 * grow, "color": color, "line": {"width": 1.6, "color": color}},
            name=f"tau over {which}, {found.confidence * 100:g} %",
            hovertext=[style.plain(_bar_text(group, bar)) for bar in bars],
            hovertemplate="%{hovertext}<extra></extra>",
            row=1,
            col=2,
        )


def _bar_text(group: TrustGroup, bar: Correlation) -> str:
    tau = interval_text(bar.tau, bar.tau_low, bar.tau_high, decimals=2)
    spearman = "" if bar.spearman is None else f", Spearman {bar.spearman:.2f}"
    return f"{bar.predictor}, {group.name} (n = {bar.n}): tau {tau}{spearman}"


def _hover(network: TrustNetwork) -> str:
    spread = "" if network.long_std_points is None else f" ± {network.long_std_points:.2f}"
    return "<br>".join(
        [
            f"<b>{style.plain(network.label)}</b>",
            f"proxy {network.proxy_top1_percent:.2f} %, rank {network.proxy_rank:g}",
            f"long {network.long_top1_percent:.2f}{spread} % (n = {network.seeds}), rank {network.long_rank:g}",
            f"arch_id {style.plain(network.arch_id)}",
        ]
    )
