"""The learning curves of a study: all of them thin, the front and the variants strong, early stops marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.ranges import percent_range
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.records import EarlyStop, Record, TrialStatus

MOST_CURVES = 600
_NAMED = 12  # curves with a legend entry of their own, of each kind
_FEW_EPOCHS = 12


@dataclass(frozen=True, kw_only=True)
class StudyCurve:
    """One training: top-1 (percent) after each epoch, the first of which is 1.

    Attributes:
        stopped: whether a stopping rule ended it; `rule` says what a rule said of it, whether or not it was followed.
        stop_epoch: the epoch after which the rule spoke; None if it never did.
    """

    trial: int
    label: str
    epochs: tuple[int, ...]
    top1_percent: tuple[float, ...]
    on_front: bool
    variant: bool
    stopped: bool
    rule: str = ""
    stop_epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class StudyCurvesInfo:
    """What the figure shows; text is plain. `empty`: why there is nothing to draw, or None."""

    title: str
    subtitle: tuple[str, ...]
    curves: tuple[StudyCurve, ...]
    y_title: str
    y_range_percent: tuple[float, float]
    empty: str | None


def study_curves_info(records: Sequence[Record], front: Sequence[int], *, study: str) -> StudyCurvesInfo:
    """The curves of these records.

    Args:
        records: of any status; those that were not trained, or whose curve is not at hand, are counted and not drawn.
        front: numbers of the trials on the front.
        study: its name.
    """
    members = set(front)
    trained = [record for record in records if record.score is not None and record.status is not TrialStatus.REPLAY]
    all_curves = [curve for record in trained if (curve := _curve(record, record.trial in members)) is not None]
    curves = thinned(all_curves, MOST_CURVES, keep=lambda curve: curve.on_front or curve.variant)
    stopped = [record for record in trained if record.status is TrialStatus.STOPPED]
    spared = sum(bool(record.early_stop and not record.early_stop.stopped) for record in trained)
    failed = sum(record.status is TrialStatus.FAILED for record in records)
    scores = [record.score for record in trained if record.score is not None]
    epochs = " / ".join(f"{count}" for count in sorted(_schedules(trained)))
    counts = [
        f"{len(trained):,} training{'' if len(trained) == 1 else 's'}" + (f" of {epochs} epochs" if epochs else ""),
        f"{len(stopped):,} stopped early" if stopped else "none stopped early",
        f"{spared:,} spared though the rule spoke" if spared else "",
        f"{failed:,} failed without a score" if failed else "",
        f"{len(trained) - len(all_curves):,} without a stored curve" if len(all_curves) < len(trained) else "",
        thinned_line(len(curves), len(all_curves), "curves"),
    ]
    splits = sorted({score.split for score in scores})
    return StudyCurvesInfo(
        title=f"Learning curves: study {study}",
        subtitle=("; ".join(part for part in counts if part),) if trained else (),
        curves=tuple(curves),
        y_title=f"{' and '.join(splits).capitalize() or 'Validation'} top-1 (%)",
        y_range_percent=percent_range([value for curve in curves for value in curve.top1_percent]),
        empty=None if curves else f"No learning curve to show ({len(trained)} trainings)",
    )


def _curve(record: Record, on_front: bool) -> StudyCurve | None:
    points = [] if record.score is None else [each for each in record.score.curve if math.isfinite(each.top1_percent)]
    if not points:
        return None
    said = record.early_stop
    stopped = record.status is TrialStatus.STOPPED
    return StudyCurve(
        trial=record.trial,
        label=record.label,
        epochs=tuple(each.epoch for each in points),
        top1_percent=tuple(each.top1_percent for each in points),
        on_front=on_front,
        variant=record.variant is not None,
        stopped=stopped,
        rule=_rule_text(said) if said is not None else (record.reason or "") if stopped else "",
        stop_epoch=said.epoch if said is not None else points[-1].epoch if stopped else None,
    )


def _schedules(trained: Sequence[Record]) -> set[int]:
    """Epochs of the whole schedules; a training that was stopped has fewer."""
    whole = [record for record in trained if record.status is not TrialStatus.STOPPED]
    return {record.score.epochs for record in whole if record.score is not None and record.score.curve}


def _rule_text(said: EarlyStop) -> str:
    text = f"rule {said.policy} after epoch {said.epoch} of {said.of_epochs}, at {said.error_percent:.2f} % error"
    if said.expected_error_percent is not None:
        text += f": expected {said.expected_error_percent:.2f} % at the end"
        if said.optimistic_error_percent is not None:
            text += f", at best {said.optimistic_error_percent:.2f} %"
    return text if said.stopped else f"{text}; it went on: {said.exempt or 'the rule was not followed'}"


def study_curves_figure(info: StudyCurvesInfo, *, width: int = 1100, height: int = 620) -> go.Figure:
    """The figure: a cross where a rule ended a training, a ring where it spoke in vain."""
    title, top = style.heading(info.title, info.subtitle, (), width=width, height=height)
    grow = style.growth(width)
    figure = go.Figure()
    longest = max((curve.epochs[-1] for curve in info.curves), default=1)
    whole = {"dtick": 1} if longest <= _FEW_EPOCHS else {}
    figure.update_layout(
        **style.base_layout(width),
        title=title,
        margin={"l": 72, "r": 24, "t": top, "b": 62},
        showlegend=True,
        xaxis=style.axis("Epoch", width=width, tickformat="d", **whole),
        yaxis=style.axis(info.y_title, width=width, range=list(info.y_range_percent)),
    )
    if info.empty is not None:
        figure.add_annotation(style.nothing_to_draw(info.empty))
        return figure
    others = [curve for curve in info.curves if not curve.on_front and not curve.variant]
    thin = {"color": style.DOTS, "width": 0.9 * grow}
    _add(figure, others, f"other trials ({len(others):,})", thin, opacity=0.5, mode="lines")
    variants = [curve for curve in info.curves if curve.variant]
    _add_named(figure, variants, "variants", style.VERMILLION, "square", grow)
    front = [curve for curve in info.curves if curve.on_front and not curve.variant]
    _add_named(figure, front, "front", style.BLUE, "circle", grow)
    _add_marks(figure, info.curves, grow)
    return figure


def _add_named(
    figure: go.Figure, curves: Sequence[StudyCurve], kind: str, color: str, symbol: str, grow: float
) -> None:
    """Curves that stand out, each with a legend entry if they are few; the dash tells curves of one colour apart."""
    line = {"color": color, "width": 2.4 * grow}
    marker = {"color": color, "symbol": symbol, "size": 6 * grow}
    if len(curves) > _NAMED:
        _add(figure, curves, f"{kind} ({len(curves):,})", line, marker=marker, mode="lines+markers")
        return
    for index, curve in enumerate(curves):
        name = style.plain(style.shorten(curve.label, 36)) + (" · on the front" if curve.on_front else "")
        dashed = {**line, "dash": style.DASHES[index % len(style.DASHES)]}
        _add(figure, [curve], name, dashed, marker=marker, mode="lines+markers")


def _add(figure: go.Figure, curves: Sequence[StudyCurve], name: str, line: dict[str, Any], **look: Any) -> None:
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
        texts += [style.plain(style.shorten(curve.label, 48))] * (len(curve.epochs) + 1)
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


def _add_marks(figure: go.Figure, curves: Sequence[StudyCurve], grow: float) -> None:
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


def _place(curve: StudyCurve) -> tuple[int, float]:
    """Where the rule spoke: at its epoch, or at the end of what is stored."""
    for epoch, value in zip(curve.epochs, curve.top1_percent, strict=True):
        if epoch == curve.stop_epoch and not curve.stopped:
            return (epoch, value)
    return (curve.epochs[-1], curve.top1_percent[-1])
