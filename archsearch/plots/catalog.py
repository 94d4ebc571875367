"""The table of plots: what each shows, how its info is made of records, and how the info is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from archsearch.analysis.front import DEFAULT_OBJECTIVES, front_of
from archsearch.analysis.guideline_report import GuidelinesReport
from archsearch.analysis.verdicts import verdicts_of
from archsearch.plots.curves import CurvesInfo, curves_figure, curves_info
from archsearch.plots.front import FrontInfo, front_info
from archsearch.plots.front_figure import front_figure
from archsearch.plots.guidelines import GuidelinesInfo, guidelines_figure, guidelines_info
from archsearch.records import Record
from archsearch.registry import Registry


@dataclass(frozen=True, kw_only=True)
class PlotData:
    """All that a plot may ask for: the records of one study, what the study says of them, and what was measured of the
    device."""

    records: tuple[Record, ...]
    study: str
    dataset: str | None = None
    objectives: Sequence[str] = DEFAULT_OBJECTIVES
    reference_point: tuple[float, ...] | None = None
    guidelines: GuidelinesReport | None = None


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One plot: a frozen info made of the data, and the figure drawn from the info alone."""

    name: str
    summary: str
    info: Callable[[PlotData], Any]
    figure: Callable[[Any], go.Figure]


def _front(data: PlotData) -> FrontInfo:
    front = front_of(data.records, data.objectives, data.reference_point)
    return front_info(front, verdicts_of(data.records, front), study=data.study, dataset=data.dataset)


def _curves(data: PlotData) -> CurvesInfo:
    trained = [record for record in data.records if record.score is not None]
    return curves_info(
        [record.score for record in trained if record.score is not None],
        title=f"Learning curves: study {data.study}",
        names=[record.label for record in trained],
    )


def _guidelines(data: PlotData) -> GuidelinesInfo:
    return guidelines_info(data.guidelines, study=data.study)


PLOTS: Registry[Plot] = Registry("plot")
for _plot in (
    Plot(
        name="front",
        summary="accuracy against latency, the front and the named variants",
        info=_front,
        figure=front_figure,
    ),
    Plot(
        name="curves",
        summary="training loss and top-1 against the epoch",
        info=_curves,
        figure=curves_figure,
    ),
    Plot(
        name="guidelines",
        summary="the four guideline experiments on this device, beside the printed ones",
        info=_guidelines,
        figure=guidelines_figure,
    ),
):
    PLOTS.add(_plot.name, _plot)
