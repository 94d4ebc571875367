"""One plot of a stored study as a page, a picture or data."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.output import PAGE_SIZE, PNG_SIZE, check_format, write
from archsearch.api.paths import study_folder
from archsearch.api.plot_data import plot_data
from archsearch.errors import ArchsearchError, ConfigError, NothingStoredError
from archsearch.files import write_atomically
from archsearch.plots.catalog import PLOTS, Plot, PlotData
from archsearch.plots.image import write_png
from archsearch.plots.page import write_page
from archsearch.table import Result, plain

if TYPE_CHECKING:
    from archsearch.api.study import Study

FORMATS = (".html", ".png", ".json")


def plot_summaries() -> dict[str, str]:
    """Every plot by name, with what it shows."""
    return {name: PLOTS[name].summary for name in PLOTS.names()}


def check_plot(name: str) -> None:
    """Raise UnknownNameError, with the nearest one, for a plot that there is not."""
    _ = PLOTS[name]


def write_plot(
    study: Study,
    name: str,
    path: Path | None = None,
    *,
    options: Mapping[str, str] | None = None,
    storage: str | None = None,
    command: str | None = None,
) -> Path:
    """Write one plot of a study; its path's end says as what, by default runs/STUDY/NAME.html.

    A page (.html) has the figure and the data that it shows; .png is the figure alone, .json the data alone; what an
    analysis found can be written as `archsearch.api.output.write` writes it, too.

    `options`: of its analysis.

    Raises UnknownNameError for the plot, ConfigError for another end or option, NothingStoredError where the result was
    never asked for and ArchsearchError where there is nothing to draw, both with the command to type; StoreError if the
    database cannot be read, ArchsearchError if the file cannot be written, or without the extra `png` or a browser.
    """
    plot = PLOTS[name]
    target = path or study_folder(study.name) / f"{name}.html"
    kind = target.suffix.lower()
    data = data_of(study, plot, storage=storage)
    if options:
        if name not in plot.needs:
            raise ConfigError(f"plot {name} has no options")
        data = replace(data, results={**data.results, name: study.analysis(name, **options)})
    info = info_of(study, plot, data)
    if info.empty:
        why = str(info.empty).partition(": `archsearch")[0].rstrip(".")  # the hint has the whole command
        raise ArchsearchError(f"plot {name} of study '{study.name}': {why}", hint=_typed(study, plot))
    if isinstance(info, Result):
        return write(info, target, figure=plot.figure, command=command)
    check_format(target, FORMATS)
    if kind == ".json":
        content = {"plot": name, "study": study.name, **plain(info)}
        write_atomically(target, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    elif kind == ".png":
        width, height = PNG_SIZE
        write_png(plot.figure(info, width=width, height=height), target, width=width, height=height, scale=1.5)
    else:
        _write_page(plot, data, info, target, command)
    return target


def info_of(study: Study, plot: Plot, data: PlotData | None = None) -> Any:
    """What a plot of a stored study is drawn from. Raises NothingStoredError, with the command to type, if it has none.

    `data`: as `data_of` gives it; None: read now, which raises StoreError if the database cannot be read.
    """
    info = plot.info(data_of(study, plot, storage=study.storage) if data is None else data)
    if info is None:
        raise NothingStoredError(
            f"study '{study.name}' has nothing for the plot '{plot.name}' yet",
            hint=_typed(study, plot),
        )
    return info


def _typed(study: Study, plot: Plot) -> str:
    """What to type to get what a plot draws."""
    if plot.of_device:
        return f"make it with: archsearch {plot.command}"
    more = ("--trials", "N") if plot.command is None else ()
    return f"make it with: {shlex.join(['archsearch', plot.command or 'run', '--study', study.name, *more])}"


def data_of(study: Study, plot: Plot, *, storage: str | None = None) -> PlotData:
    """What a plot of a stored study draws from. Raises StoreError if the database cannot be read."""
    data = plot_data(study, storage=storage, everything=False, parts=plot.needs)
    return replace(data, records=study.networks) if plot.of_networks else data


def _write_page(plot: Plot, data: PlotData, info: Any, path: Path, command: str | None) -> None:
    width, height = PAGE_SIZE
    tables, facts = (plot.tables(info), ()) if plot.page is None else plot.page(data, info)
    write_page(
        plot.figure(info, width=width, height=height),
        path,
        title=info.title,
        subtitle=info.subtitle,
        warnings=getattr(info, "warnings", ()),
        tables=tables,
        facts=facts,
        command=command,
    )
