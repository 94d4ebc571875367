"""Draws a TrustInfo with plotly."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.plots import style
from archsearch.plots.forest import LEAST_WIDTH_PX
from archsearch.plots.labels import place_labels
from archsearch.plots.ranges import percent_range
from archsearch.plots.trust import TrustBar, TrustInfo, TrustPoint

_MOST_LABELS = 60
_MARGIN = {"l": 78, "r": 24, "b": 104}
_GAP, _LEFT = 0.17, 0.56  # shares of the width: between the panels, and of the left one
_GROUPS = {"all": ("circle", style.BLUE), "best quarter": ("diamond-open", style.VERMILLION)}


def trust_figure(info: TrustInfo, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: on the left the accuracies with their ranks, on the right every predictor's tau."""
    title, top = style.heading(info.title, info.subtitle, info.warnings, width=width, height=height)
    grow = style.growth(width)
    figure = make_subplots(rows=1, cols=2, column_widths=[_LEFT, 1 - _LEFT - _GAP], horizontal_spacing=_GAP)
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={**_MARGIN, "t": top},
        legend={
            "orientation": "h",
            "x": 0.01,
            "xref": "container",
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "font": {"size": style.SMALL_PX},
        },
        meta={"least_width": LEAST_WIDTH_PX},
    )
    if info.empty is not None:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    area = ((width - _MARGIN["l"] - _MARGIN["r"]) * _LEFT, float(height - top - _MARGIN["b"]))
    _draw_points(figure, info, area=area, width=width, grow=grow)
    _draw_taus(figure, info, width=width, grow=grow)
    return figure


def _draw_points(figure: go.Figure, info: TrustInfo, *, area: tuple[float, float], width: int, grow: float) -> None:
    spread = [point.long_std_points or 0.0 for point in info.points]
    xs = [point.proxy_top1_percent for point in info.points]
    ends = [
        point.long_top1_percent + sign * s for point, s in zip(info.points, spread, strict=True) for sign in (-1, 1)
    ]
    x_range, y_range = percent_range(xs), percent_range(ends)
    figure.update_xaxes(
        style.axis(f"Top-1 after {info.proxy_epochs} epochs, the proxy (%)", width=width, range=list(x_range)), col=1
    )
    figure.update_yaxes(
        style.axis(f"Top-1 after {info.long_epochs} epochs (%)", width=width, range=list(y_range)), col=1
    )
    low, high = max(x_range[0], y_range[0]), min(x_range[1], y_range[1])
    if low < high:
        figure.add_scatter(
            x=[low, high],
            y=[low, high],
            mode="lines",
            line={"color": style.QUIET_INK, "width": 1.2, "dash": "dot"},
            name="as accurate after both",
            hoverinfo="skip",
            row=1,
            col=1,
        )
    for best, symbol, color, name in (
        (False, "circle", style.BLUE, "networks"),
        (True, "diamond", style.VERMILLION, "best quarter by proxy"),
    ):
        points = [point for point in info.points if point.best_quarter is best]
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
    if len(info.points) <= _MOST_LABELS:
        _label_ranks(figure, info.points, x_range, y_range, area=area, grow=grow)


def _label_ranks(
    figure: go.Figure,
    points: Sequence[TrustPoint],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    *,
    area: tuple[float, float],
    grow: float,
) -> None:
    """Beside each point its rank by the proxy and its rank by the long training."""
    across, down = area
    anchors = [
        (
            (point.proxy_top1_percent - x_range[0]) / (x_range[1] - x_range[0]) * across,
            (y_range[1] - point.long_top1_percent) / (y_range[1] - y_range[0]) * down,
        )
        for point in points
    ]
    scale = down / (y_range[1] - y_range[0])
    half = [scale * (point.long_std_points or 0.0) for point in points]
    texts = [f"{point.proxy_rank:g}→{point.long_rank:g}" for point in points]
    font = round(11 * grow)
    places = place_labels(
        anchors,
        texts,
        markers=anchors,
        dots=(),
        segments=[(x, y - h, x, y + h) for (x, y), h in zip(anchors, half, strict=True)],
        width_px=across,
        height_px=down,
        font_px=font,
        grow=grow,
    )
    for point, text, place in zip(points, texts, places, strict=True):
        figure.add_annotation(
            x=point.proxy_top1_percent,
            y=point.long_top1_percent,
            text=text,
            ax=place.right_px,
            ay=place.down_px,
            showarrow=True,
            arrowhead=0,
            arrowwidth=0.7,
            arrowcolor=style.DOTS,
            standoff=5,
            borderpad=0,
            font={"size": font, "color": style.QUIET_INK},
            row=1,
            col=1,
        )


def _draw_taus(figure: go.Figure, info: TrustInfo, *, width: int, grow: float) -> None:
    rows = {predictor: row for row, predictor in enumerate(info.predictors)}
    figure.update_yaxes(
        range=[len(rows) - 0.4, -0.6],
        tickmode="array",
        tickvals=list(rows.values()),
        ticktext=[style.plain(style.shorten(name, 18)) for name in rows],
        tickfont={"size": round(style.SMALL_PX * grow)},
        showgrid=False,
        zeroline=False,
        col=2,
    )
    figure.update_xaxes(
        style.axis("Kendall tau with the long training", width=width, range=[-1.05, 1.05], dtick=0.5), col=2
    )
    figure.add_vline(x=0, line={"color": style.INK, "width": 1}, row=1, col=2, exclude_empty_subplots=False)
    groups = list(dict.fromkeys(bar.group for bar in info.bars))
    for number, group in enumerate(groups):
        symbol, color = _GROUPS.get(group, ("square", style.GREEN))
        shift = (number - (len(groups) - 1) / 2) * 0.34
        bars = [bar for bar in info.bars if bar.group == group and bar.tau is not None]
        xs: list[float | None] = []
        ys: list[float | None] = []
        for bar in bars:
            if bar.low is not None and bar.high is not None:
                xs += [bar.low, bar.high, None]
                ys += [rows[bar.predictor] + shift] * 2 + [None]
        look = {"width": 2 * grow, "color": color}
        figure.add_scatter(x=xs, y=ys, mode="lines", line=look, hoverinfo="skip", showlegend=False, row=1, col=2)
        figure.add_scatter(
            x=[bar.tau for bar in bars],
            y=[rows[bar.predictor] + shift for bar in bars],
            mode="markers",
            marker={"symbol": symbol, "size": 9 * grow, "color": color, "line": {"width": 1.6, "color": color}},
            name=f"tau over {'all' if group == 'all' else f'the {style.plain(group)}'}, {info.confidence_percent:g} %",
            hovertext=[style.plain(_bar_text(bar)) for bar in bars],
            hovertemplate="%{hovertext}<extra></extra>",
            row=1,
            col=2,
        )


def _bar_text(bar: TrustBar) -> str:
    ends = "" if bar.low is None or bar.high is None else f" ({bar.low:.2f} to {bar.high:.2f})"
    spearman = "" if bar.spearman is None else f", Spearman {bar.spearman:.2f}"
    return f"{bar.predictor}, {bar.group} (n = {bar.n}): tau {bar.tau:.2f}{ends}{spearman}"


def _hover(point: TrustPoint) -> str:
    spread = "" if point.long_std_points is None else f" ± {point.long_std_points:.2f}"
    return "<br>".join(
        [
            f"<b>{style.plain(point.label)}</b>",
            f"proxy {point.proxy_top1_percent:.2f} %, rank {point.proxy_rank:g}",
            f"long {point.long_top1_percent:.2f}{spread} % (n = {point.seeds}), rank {point.long_rank:g}",
            f"arch_id {style.plain(point.arch_id)}",
        ]
    )
