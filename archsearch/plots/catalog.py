"""The table of plots: what each shows, of which analysis, and how it is drawn."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from archsearch.analysis.study_front import StudyFront
from archsearch.latency.settings import LatencySettings
from archsearch.plots.ablation import ablation_figure
from archsearch.plots.architecture import Architecture, record_architecture
from archsearch.plots.architecture_figure import architecture_figure
from archsearch.plots.confirmed import confirmed_figure
from archsearch.plots.confusion import confusion_figure
from archsearch.plots.final_front import final_figure
from archsearch.plots.front import front_3d_figure, front_figure
from archsearch.plots.guidelines import guidelines_figure
from archsearch.plots.history import hypervolume_figure, learning_curves_figure
from archsearch.plots.importances import importances_figure
from archsearch.plots.latencies import latencies_figure
from archsearch.plots.level_grid import grid_figure
from archsearch.plots.marginal import marginal_figure
from archsearch.plots.parallel import parallel_figure, parallel_of
from archsearch.plots.trust import trust_figure
from archsearch.registry import Registry
from archsearch.table import Result

Figure = go.Figure
"""What every plot draws, for those who only name the type."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One plot: a result, or what is drawn of one, and the figure.

    Attributes:
        figure: takes the result, and `width` and `height` (pixels); in it, the `customdata` of every point that is a
            trial is a sequence whose first item is the trial's number.
        analysis: whose result it is (`archsearch.api.analyses`); "": the plot's own name.
        part: what of that result is drawn.
        command: of archsearch that makes the result; None: `run` does.
        of_device: whether the result is the device's, so that the command takes no study.
        of_search: whether it is of what a search suggested, so that a design has none.
    """

    name: str
    figure: Callable[..., go.Figure]
    analysis: str = ""
    part: Callable[[Any], Result] = lambda found: found
    command: str | None = None
    of_device: bool = False
    of_search: bool = False

    @property
    def of(self) -> str:
        """The analysis whose result it is."""
        return self.analysis or self.name

    def result(self, results: Mapping[str, Any]) -> Result | None:
        """What it draws of results by the name of their analysis; None where that was never asked for."""
        found = results.get(self.of)
        return None if found is None else self.part(found)

    def typed_for_device(self, config: Mapping[str, Any]) -> str:
        """What to type for the result of the device, or the board, that a study of this configuration measures on."""
        usual = LatencySettings().model_dump(include={"target", "backend", "precision", "threads", "cores"})
        asked = {
            key: str(value) for key, value in (config.get("latency") or {}).items() if value != usual.get(key, value)
        }
        return shlex.join(
            ["archsearch", str(self.command), *(word for key in asked for word in (f"--{key}", asked[key]))]
        )


def _architecture(front: StudyFront) -> Architecture:
    """The recommended network beside its family's base."""
    record = front.recommendation.record
    base = None if record is None else front.bases.get(record.family)
    return record_architecture(record, study=front.study, baseline=base)


PLOTS: Registry[Plot] = Registry("plot", listed_by="archsearch plot")
for _plot in (
    Plot(name="front", figure=front_figure),
    Plot(name="front-3d", figure=front_3d_figure, analysis="front"),
    Plot(name="hypervolume", figure=hypervolume_figure, analysis="history"),
    Plot(
        name="parallel",
        figure=parallel_figure,
        analysis="front",
        part=lambda front: parallel_of(front, study=front.study),
    ),
    Plot(name="curves", figure=learning_curves_figure),
    Plot(name="latencies", figure=latencies_figure, analysis="front", part=lambda front: front.canary),
    Plot(name="guidelines", figure=guidelines_figure, command="guidelines", of_device=True),
    Plot(name="ablation", figure=ablation_figure, command="ablate"),
    Plot(name="confirmed", figure=confirmed_figure, command="confirm"),
    Plot(name="trust", figure=trust_figure, command="trust"),
    Plot(name="final", figure=final_figure, command="retrain --trial front"),
    Plot(name="confusion", figure=confusion_figure, command="retrain"),
    Plot(name="importances", figure=importances_figure, of_search=True),
    Plot(name="grid", figure=grid_figure, of_search=True),
    Plot(name="marginal", figure=marginal_figure, of_search=True),
    Plot(name="architecture", figure=architecture_figure, analysis="front", part=_architecture),
):
    PLOTS.add(_plot.name, _plot)
