"""One plot of a stored study as a page, a picture or data."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from archsearch.analysis.recommendation import made_with
from archsearch.api.analyses import analysis_of, protocols_of
from archsearch.api.output import write
from archsearch.api.paths import study_folder
from archsearch.api.stored import StoredStudy
from archsearch.designs import WORDS
from archsearch.errors import ArchsearchError, NothingStoredError
from archsearch.plots.catalog import PLOTS, Plot
from archsearch.table import Result


def write_plot(
    study: StoredStudy,
    name: str,
    path: Path | None = None,
    *,
    options: Mapping[str, str] | None = None,
    command: str | None = None,
) -> Path:
    """Write one plot of a study; its path's end says as what, by default runs/STUDY/NAME.html.

    `archsearch.api.output.write` says what each end writes.

    `options`: of its analysis.

    Raises UnknownNameError for the plot, ConfigError for another end or option, NothingStoredError where the result was
    never asked for and ArchsearchError where there is nothing to draw, both with the command to type; StoreError if the
    database cannot be read, ArchsearchError if the file cannot be written, or without the extra `png` or a browser.
    """
    plot = PLOTS[name]
    target = path or study_folder(study.name) / f"{name}.html"
    found = result_of(study, plot, options)
    if found.empty:
        why = found.empty.partition(": `archsearch")[0].rstrip(".")  # the hint has the whole command
        raise ArchsearchError(f"plot {name} of study '{study.name}': {why}", hint=_typed(study, plot, options))
    return write(found, target, figure=plot.figure, command=command)


def result_of(study: StoredStudy, plot: Plot, options: Mapping[str, str] | None = None) -> Result:
    """What a plot of a stored study draws.

    Raises NothingStoredError, with the command to type, if it has none; ConfigError for an option that its analysis has
    not; StoreError if the database cannot be read.
    """
    found = plot.result({plot.of: analysis_of(study, plot.of, options)})
    if found is None:
        asked = "".join(f" with {name}={value}" for name, value in (options or {}).items())
        stored = protocols_of(study) if plot.of == "final" else ()
        others = f", it has protocol={', '.join(stored)}" if stored else " yet"
        raise NothingStoredError(
            f"study '{study.name}' has nothing for the plot '{plot.name}'{asked}{others}",
            hint=_typed(study, plot, options),
        )
    return found


def _typed(study: StoredStudy, plot: Plot, options: Mapping[str, str] | None) -> str:
    """What to type to get what a plot draws.

    The study of a design has no results of a search, and what is made of a design is made of the study behind it.
    """
    if plot.of_device:
        return made_with(plot.typed_for_device(study.info.config))
    design, (_, own, *storage) = study.design, study.named
    if design is not None and (plot.of_search or plot.command == WORDS[design.purpose]):
        there = shlex.join(["archsearch", "plot", plot.name, "--study", design.of, *storage])
        return f"a design has none, look at the study that it was made from: {there}"
    if plot.command is None:
        return made_with(study.made_by)
    of_base = design is not None and plot.command in WORDS.values()
    name = design.of if design is not None and of_base else own
    # the command's options have the names of the analysis's
    more = [word for key, value in (options or {}).items() for word in (f"--{key}", value)]
    return made_with(shlex.join(["archsearch", *plot.command.split(), "--study", name, *storage, *more]))
