"""Learning curves of several trainings: training loss and top-1 against the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.plots import style
from archsearch.records import Score

_FEW_EPOCHS = 12


@dataclass(frozen=True, kw_only=True)
class DrawnCurve:
    """One training: (epoch, training loss) and (epoch, top-1 percent), epochs from 1."""

    name: str
    losses: tuple[tuple[int, float], ...]
    top1_percent: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class CurvesInfo:
    """What the figure of learning curves shows; text is plain. `empty`: why there is nothing to draw, or None."""

    title: str
    subtitle: tuple[str, ...]
    curves: tuple[DrawnCurve, ...]
    y_title: str
    empty: str | None


def curves_info(scores: Sequence[Score], *, title: str, names: Sequence[str] | None = None) -> CurvesInfo:
    """The curves of these trainings.

    Args:
        scores: those without a curve are counted in the subtitle and not drawn.
        title: of the figure.
        names: of the curves, one for each score; by default their seeds.

    Raises ValueError if `names` does not fit `scores`.
    """
    named = list(names) if names is not None else [f"seed {score.seed}" for score in scores]
    if len(named) != len(scores):
        raise ValueError(f"{len(named)} names for {len(scores)} scores")
    curves = tuple(
        DrawnCurve(
            name=name,
            losses=tuple((epoch.epoch, epoch.train_loss) for epoch in score.curve),
            top1_percent=tuple((epoch.epoch, epoch.top1_percent) for epoch in score.curve),
        )
        for name, score in zip(named, scores, strict=True)
        if score.curve
    )
    splits = sorted({score.split for score in scores})
    ends = sorted(score.top1_percent for score in scores)
    parts = [" / ".join(sorted({score.protocol for score in scores}))]
    if scores:
        epochs = " / ".join(str(count) for count in sorted({score.epochs for score in scores}))
        parts.append(f"{epochs} epoch{'' if epochs == '1' else 's'}")
        parts.append(f"{len(scores)} training{'' if len(scores) == 1 else 's'}")
        spread = f"{ends[0]:.2f}" if len(ends) == 1 else f"{ends[0]:.2f} to {ends[-1]:.2f}"
        parts.append(f"top-1 at the end {spread} %")
    if len(curves) < len(scores):
        parts.append(f"{len(scores) - len(curves)} without a stored curve")
    return CurvesInfo(
        title=title,
        subtitle=(" · ".join(part for part in parts if part),),
        curves=curves,
        y_title=f"{' and '.join(splits).capitalize() or 'Validation'} top-1 (%)",
        empty=None if curves else f"No learning curve to show ({len(scores)} trainings)",
    )


def curves_figure(info: CurvesInfo, *, width: int = 1100, height: int = 560) -> go.Figure:
    """The figure, loss on the left and top-1 on the right; a curve has one colour and one dash in both."""
    title, top = style.heading(info.title, info.subtitle, (), width=width, height=height)
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.11)
    figure.update_layout(
        **style.base_layout(width), title=title, margin={"l": 72, "r": 24, "t": top, "b": 62}, showlegend=True
    )
    longest = max((curve.losses[-1][0] for curve in info.curves), default=1)
    # Left to itself the axis of a short training has ticks at half epochs, which then read 1, 2, 2, 3, 3.
    whole = {"dtick": 1} if longest <= _FEW_EPOCHS else {}
    figure.update_xaxes(style.axis("Epoch", width=width, tickformat="d", **whole))
    figure.update_yaxes(style.axis("Training loss", width=width), row=1, col=1)
    figure.update_yaxes(style.axis(info.y_title, width=width), row=1, col=2)
    if info.empty is not None:
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    for index, curve in enumerate(info.curves):
        line = {
            "color": style.SERIES[index % len(style.SERIES)],
            "dash": style.DASHES[index % len(style.DASHES)],
            "width": 2 * style.growth(width),
        }
        name = style.plain(style.shorten(curve.name, 40))
        for column, points in ((1, curve.losses), (2, curve.top1_percent)):
            figure.add_scatter(
                x=[epoch for epoch, _ in points],
                y=[value for _, value in points],
                mode="lines+markers" if len(points) <= _FEW_EPOCHS else "lines",
                line=line,
                marker={"color": line["color"]},
                name=name,
                legendgroup=str(index),
                showlegend=column == 1,
                hovertemplate="epoch %{x}: %{y:.4g}",
                row=1,
                col=column,
            )
    return figure
