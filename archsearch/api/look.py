"""Stored studies, looked at by their names: what `pareto`, `plot` and `report` show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from archsearch.analysis.study_front import StudyFront
from archsearch.api.analyses import study_front
from archsearch.api.paths import as_path
from archsearch.api.plots import write_plot
from archsearch.api.study import Study, opened_study
from archsearch.plots.summaries import check_plot


def pareto(study: str | Path | Study | None = None, *, storage: str | None = None) -> StudyFront:
    """The accuracy-latency front of a study, and what became of each published network.

    Args:
        study: a stored study, its name or YAML file; None: the one worked on last.
        storage: the database of a study that is named.

    Raises StoreError, UnknownNameError.
    """
    return study_front(opened_study(study, storage=storage))


def plot(
    name: str,
    study: str | Path | Study | None = None,
    *,
    out: str | Path | None = None,
    options: Mapping[str, str] | None = None,
    storage: str | None = None,
) -> Path:
    """Write one plot of a study as a page, a picture or data; returns the path. `Study.figure` draws it in a notebook.

    Args:
        name: in `archsearch.plots.catalog.PLOTS`.
        study, storage: as `pareto`.
        out: the file, whose end says what it is (`archsearch.api.output.write`); None: runs/STUDY/NAME.html.
        options: of the plot's analysis.

    Raises as `pareto`, and as `archsearch.api.plots.write_plot`.
    """
    check_plot(name)  # before a study is looked for
    return write_plot(opened_study(study, storage=storage), name, as_path(out), options=options)


def report(
    study: str | Path | Study | None = None, *, out: str | Path | None = None, storage: str | None = None
) -> Path:
    """Write the report of a study, by default as one page that needs nothing else; returns the path.

    Args:
        study, storage: as `pareto`.
        out: the file, whose end says what it is (`archsearch.api.report.write_report`); None: runs/STUDY/report.html.

    Raises as `pareto`; ConfigError for another end, ArchsearchError if it cannot be written.
    """
    return opened_study(study, storage=storage).report(out)
