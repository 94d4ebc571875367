"""The table of plots: what each shows, how its info is made of records, and how the info is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from archsearch.analysis.baseline import Baseline
from archsearch.analysis.canary import Canary
from archsearch.analysis.front import DEFAULT_OBJECTIVES, Front, front_of
from archsearch.analysis.history import hypervolume_history
from archsearch.analysis.verdicts import verdicts_of
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.plots.ablation import ablation_figure
from archsearch.plots.architecture import Architecture, record_architecture
from archsearch.plots.architecture_figure import architecture_figure
from archsearch.plots.bounds import Bound
from archsearch.plots.confirmed import confirmed_figure
from archsearch.plots.confusion import confusion_figure
from archsearch.plots.front import FrontInfo, front_info
from archsearch.plots.front_3d import front_3d_figure, front_3d_info
from archsearch.plots.front_figure import front_figure
from archsearch.plots.front_page import Facts, front_page
from archsearch.plots.front_tables import front_tables
from archsearch.plots.guidelines import guidelines_figure
from archsearch.plots.hypervolume import HypervolumeInfo, hypervolume_figure, hypervolume_info
from archsearch.plots.importances import importances_figure
from archsearch.plots.info_tables import info_tables
from archsearch.plots.latencies import latencies_figure, latencies_info
from archsearch.plots.level_grid import grid_figure
from archsearch.plots.marginal import marginal_figure
from archsearch.plots.parallel import parallel_info
from archsearch.plots.parallel_figure import parallel_figure
from archsearch.plots.printed import PrintedTop1
from archsearch.plots.study_curves import StudyCurvesInfo, study_curves_figure, study_curves_info
from archsearch.plots.trust import trust_figure
from archsearch.records import Record, StudyBatch
from archsearch.registry import Registry
from archsearch.table import Table

if TYPE_CHECKING:
    from archsearch.analysis.confirmed import Confirmed


Figure = go.Figure
"""What every plot draws, for those who only name the type."""


@dataclass(frozen=True, kw_only=True)
class PlotData:
    """All that a plot may ask for: the records of one study, what the study says of them, and what was found out since.

    Attributes:
        records: of every status; with curves where learning curves shall be drawn.
        dataset, device_name: as the study has them, named beside the conditions.
        noise_floor: difference of two latencies from which on they differ.
        latency_batch: the batch of the study's latencies, and whether widths differ in it.
        constraints: the study's upper bounds.
        canary: what the reference, measured beside every network, tells of the latencies.
        bases: by family the network that its others are described against (`archsearch.analysis.baseline`).
        recommended: trial of the network to take (`archsearch.analysis.recommendation`).
        readings: variant: which of several readings of its source it is.
        printed: accuracies that papers print for this dataset.
        results: what was found out since, by the name of the analysis (`archsearch.api.analyses`): of the designs that
            were made from this study the newest of each; None, or nothing, for what nobody asked for.
    """

    records: tuple[Record, ...]
    study: str
    dataset: str | None = None
    objectives: Sequence[str] = DEFAULT_OBJECTIVES
    reference_point: tuple[float, ...] | None = None
    device_name: str | None = None
    noise_floor: NoiseFloor = NO_FLOOR
    latency_batch: StudyBatch | None = None
    constraints: tuple[Bound, ...] = ()
    canary: Canary | None = None
    bases: Mapping[str, Baseline] = field(default_factory=dict)
    recommended: int | None = None
    readings: Mapping[str, str] = field(default_factory=dict)
    printed: tuple[PrintedTop1, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)

    @property
    def confirmed(self) -> Confirmed | None:
        """The newest confirmation of the study's front."""
        return self.results.get("confirmed")


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One plot: a frozen info made of the data, and the figure drawn from the info alone.

    Attributes:
        info: an `archsearch.table.Result`, or what has `title`, `subtitle` (lines) and `empty` (why there is nothing to
            draw, or None); None where the result was never asked for.
        figure: takes the info, and `width` and `height` (pixels); in it, the `customdata` of every point that is a
            trial is a sequence whose first item is the trial's number.
        tables: the data that the figure shows, made from the info.
        page: the tables and conditions (name and value) of a page that has this plot alone; None: `tables`, and none.
        of_networks: whether it draws networks: of a study with a design each once, with the means over its seeds.
        needs: the analyses, or `records` with their curves, without which there is nothing to draw.
        command: of archsearch that makes the result; None: `run` does.
        of_device: whether the result is the device's, so that the command takes no study.
    """

    name: str
    summary: str
    info: Callable[[PlotData], Any]
    figure: Callable[..., go.Figure]
    tables: Callable[[Any], tuple[Table, ...]] = info_tables
    page: Callable[[PlotData, Any], tuple[tuple[Table, ...], Facts]] | None = None
    of_networks: bool = False
    needs: tuple[str, ...] = ()
    command: str | None = None
    of_device: bool = False


def _front_of(data: PlotData) -> Front:
    return front_of(
        data.records,
        data.objectives,
        data.reference_point,
        noise_floor=data.noise_floor,
        latency_batch=data.latency_batch,
    )


def _front(data: PlotData) -> FrontInfo:
    front = _front_of(data)
    return front_info(
        front,
        verdicts_of(data.records, front),
        study=data.study,
        dataset=data.dataset,
        device_name=data.device_name,
        bases=data.bases,
        recommended=data.recommended,
        readings=data.readings,
        bounds=data.constraints,
        printed=data.printed,
        confirmed=data.confirmed,
    )


def _front_page(data: PlotData, info: FrontInfo) -> tuple[tuple[Table, ...], Facts]:
    front = _front_of(data)
    return front_page(info, front, verdicts_of(data.records, front), study=data.study, canary=data.canary)


def _curves(data: PlotData) -> StudyCurvesInfo:
    members = [row.record.trial for row in _front_of(data).members]
    return study_curves_info(data.records, members, study=data.study)


def _hypervolume(data: PlotData) -> HypervolumeInfo:
    history = data.results.get("history") or hypervolume_history(
        data.records, data.objectives, data.reference_point, noise_floor=data.noise_floor
    )
    return hypervolume_info(history, study=data.study)


def _architecture(data: PlotData) -> Architecture:
    """The recommended network beside its family's base."""
    record = next((each for each in data.records if each.trial == data.recommended), None)
    return record_architecture(
        record, study=data.study, baseline=None if record is None else data.bases.get(record.family)
    )


def _of_result(name: str, summary: str, figure: Callable[..., go.Figure], **more: Any) -> Plot:
    """The plot of an analysis of the same name, whose figure draws its `archsearch.table.Result`."""
    return Plot(
        name=name,
        summary=summary,
        info=lambda data: data.results.get(name),
        figure=figure,
        tables=lambda found: found.tables(),
        needs=(name,),
        **more,
    )


PLOTS: Registry[Plot] = Registry("plot")
for _plot in (
    Plot(
        name="front",
        summary="accuracy against latency, the front and the named variants",
        info=_front,
        figure=front_figure,
        tables=front_tables,
        page=_front_page,
        of_networks=True,
        needs=("confirmed",),
    ),
    Plot(
        name="front-3d",
        summary="the front with parameters or the third objective as depth",
        info=lambda data: front_3d_info(_front(data)),
        figure=front_3d_figure,
        tables=front_tables,
        of_networks=True,
    ),
    Plot(
        name="hypervolume",
        summary="how the hypervolume grew, beside the same trials in random order",
        info=_hypervolume,
        figure=hypervolume_figure,
    ),
    Plot(
        name="parallel",
        summary="every network as a line through its choices and objectives",
        info=lambda data: parallel_info(_front_of(data), study=data.study),
        figure=parallel_figure,
        of_networks=True,
    ),
    Plot(
        name="curves",
        summary="top-1 against the epoch of every training, with early stops",
        info=_curves,
        figure=study_curves_figure,
        needs=("records",),
    ),
    Plot(
        name="latencies",
        summary="p10, median and p90 of each network in order, and the reference's drift",
        info=lambda data: latencies_info(data.records, data.canary, study=data.study),
        figure=latencies_figure,
    ),
    _of_result(
        "guidelines",
        "the four guideline experiments on this device, beside the printed ones",
        guidelines_figure,
        command="guidelines",
        of_device=True,
    ),
    _of_result(
        "ablation",
        "what every level of every choice changes against the base, with intervals",
        ablation_figure,
        command="ablate",
    ),
    _of_result(
        "confirmed",
        "the front evaluated again: intervals, and how probably each network is on it",
        confirmed_figure,
        command="confirm",
    ),
    _of_result(
        "trust", "the proxy against long training, beside predictors that train nothing", trust_figure, command="trust"
    ),
    _of_result(
        "confusion",
        "which classes a retrained network takes for which, on the test split",
        confusion_figure,
        command="retrain",
    ),
    _of_result(
        "importances",
        "how much each choice mattered among the networks of the search (observational)",
        importances_figure,
    ),
    _of_result("grid", "accuracy and latency by the levels of two choices (observational)", grid_figure),
    _of_result("marginal", "what each level goes along with in a fitted model (observational)", marginal_figure),
    Plot(
        name="architecture",
        summary="the recommended network: its parts, and what differs from the study's base",
        info=_architecture,
        figure=architecture_figure,
        tables=lambda found: found.tables(),
        of_networks=True,
    ),
):
    PLOTS.add(_plot.name, _plot)
