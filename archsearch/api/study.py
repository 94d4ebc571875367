"""A stored study and everything that may be asked of it; and what `pareto`, `plot` and `report` show, as functions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from archsearch.analysis.front import front_rows
from archsearch.analysis.study_front import StudyFront
from archsearch.analysis.verdicts import verdicts_table
from archsearch.api.analyses import analysis_of, study_front
from archsearch.api.paths import as_path, open_database
from archsearch.api.stored import StoredStudy, counts_text, trial_rows
from archsearch.designs import Design
from archsearch.errors import ArchsearchError, ConfigError, NothingStoredError, OverrideError, UnknownNameError
from archsearch.overrides import Overrides, read_overrides
from archsearch.plots.summaries import check_plot
from archsearch.store.studies import find_study, latest_study, list_studies
from archsearch.table import notebook_block, paragraphs

if TYPE_CHECKING:
    import pandas as pd

    from archsearch.analysis.ablation import Ablation
    from archsearch.analysis.confusion import Confusion
    from archsearch.analysis.history import History
    from archsearch.analysis.importance import Importances
    from archsearch.analysis.marginal import Marginal
    from archsearch.analysis.trust import Trust
    from archsearch.plots.catalog import Figure
    from archsearch.search.config import StudyConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Study(StoredStudy):
    """A stored study, with every analysis, figure and table of it; attributes as `StoredStudy`.

    Plots and the report take a while to import: they are when they are asked for.
    """

    def _repr_html_(self) -> str:
        config, facts = self.info.config, self.info.facts
        said = (
            ("trials", counts_text(self.counts)),
            ("dataset", config.get("dataset")),
            ("objectives", ", ".join(self.objectives)),
            ("proxy", f"{config.get('proxy', {}).get('epochs', '?')} epochs"),
            ("device", self.device_name),
            ("input", f"{facts['input_size']} pixels" if "input_size" in facts else None),
        )
        return notebook_block(
            f"Study {self.name}",
            paragraphs(*(f"{name}: {value}" for name, value in said if value)),
            self.analysis("front")._repr_html_(),
        )

    def analysis(self, name: str, **options: str) -> Any:
        """What an analysis found (`archsearch.api.analyses`), which a notebook shows; None if it was never made.

        Raises UnknownNameError for another name, ConfigError for an option that it has not.
        """
        return analysis_of(self, name, options)

    @cached_property
    def history(self) -> History:
        """How the hypervolume grew over its trials."""
        return cast("History", self.analysis("history"))

    @cached_property
    def importances(self) -> Importances:
        """How much each choice mattered among the networks that it tried; observational."""
        return cast("Importances", self.analysis("importances"))

    @cached_property
    def marginal(self) -> Marginal:
        """The marginal effect of every level of every choice, from a fitted model; observational."""
        return cast("Marginal", self.analysis("marginal"))

    @property
    def ablation(self) -> Ablation | None:
        """The newest ablation that was made from it (`archsearch ablate`); None if there is none."""
        return cast("Ablation | None", self.analysis("ablation"))

    @cached_property
    def confusion(self) -> Confusion | None:
        """Which classes its best retrained network takes for which; None if none was retrained by this version."""
        return cast("Confusion | None", self.analysis("confusion"))

    @property
    def trust(self) -> Trust | None:
        """The newest check of its proxy (`archsearch trust`); None if there is none."""
        return cast("Trust | None", self.analysis("trust"))

    def figure(self, name: str = "front", **size: int) -> Figure:
        """A figure by its name in `archsearch.plots.catalog.PLOTS`; `width` and `height` in pixels.

        Raises UnknownNameError for a name that is none.
        """
        from archsearch.api.plots import result_of
        from archsearch.plots.catalog import PLOTS

        plot = PLOTS[name]
        return plot.figure(result_of(self, plot), **size).update_layout(**size)

    def report(self, out: str | Path | None = None) -> Path:
        """Write its report, by default runs/STUDY/report.html, by the end of its path; returns the path.

        Raises ConfigError for a path with another end than .html, .md or .tex, ArchsearchError if it cannot be written,
        StoreError if the database cannot be read.
        """
        from archsearch.api.report import has_figures, make_report, write_report  # takes a while to import

        path = as_path(out)
        return write_report(make_report(self, figures=has_figures(path)), path)

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial as a row of a DataFrame. Raises ArchsearchError without pandas (extra `notebook`)."""
        return self.to_dataframe("trials")

    def to_dataframe(self, what: str = "trials") -> pd.DataFrame:
        """Its `trials`, complete `networks`, `front`, `variants` or `retrained` networks as a DataFrame.

        Raises UnknownNameError for another name, ArchsearchError without pandas (extra `notebook`).
        """
        if what not in FRAMES:
            raise UnknownNameError("table", what, FRAMES)
        try:
            import pandas as pd
        except ImportError as error:
            raise ArchsearchError(
                f"a DataFrame needs pandas, which cannot be imported: {error}",
                hint="pip install 'archsearch[notebook]'",
            ) from error
        return pd.DataFrame(FRAMES[what](self))


FRAMES: Mapping[str, Callable[[Study], list[dict[str, Any]]]] = {
    "trials": lambda study: trial_rows(study.records),
    "networks": lambda study: front_rows(study.front),
    "front": lambda study: front_rows(study.front, only_front=True),
    "variants": lambda study: verdicts_table(study.verdicts, readings=study.readings).dicts(),
    "retrained": lambda study: [asdict(each) for each in study.retrainings],
}


def open_study(name: str | Path | None = None, *, storage: str | None = None) -> Study:
    """A stored study by its name or its YAML file, or the one that was worked on last.

    Raises ConfigError for an empty name or a file that is not a study's, StoreError if there is no database or no
    study, UnknownNameError for a name that it does not hold.
    """
    if name is not None and not str(name).strip():
        raise ConfigError(
            "the study's name is empty",
            hint="archsearch studies lists the stored ones; without any name the one worked on last is taken",
        )
    if name is not None and str(name).endswith((".yaml", ".yml")):
        from archsearch.search.config import load_study

        name = load_study(name).name
    with closing(open_database(storage, create=False)) as database:
        return Study.read(database, find_study(database, str(name)) if name is not None else latest_study(database))


def opened_study(study: str | Path | Study | None, *, storage: str | None = None) -> Study:
    """The study itself where one is given, else as `open_study`."""
    return study if isinstance(study, Study) else open_study(study, storage=storage)


def open_base(
    study: str | Path | Study | None, *, storage: str | None = None, overrides: Overrides = ()
) -> Study | StudyConfig:
    """A study to make a design from: an opened or stored one, by its name or file, else one that was only written down.

    The study of a design stands for the one that it was made from, which is logged. `overrides` can only change a
    study that was never run.

    Raises UnknownNameError or ConfigError for a name that is neither; StoreError for the database.
    """
    try:
        found = opened_study(study, storage=storage)
    except (UnknownNameError, NothingStoredError) as missing:
        if study is None or isinstance(study, Study):
            raise
        from archsearch.search.config import load_study

        try:
            return load_study(study, overrides)
        except UnknownNameError as unknown:
            # Of the two lists the one that has a name like it, else that of the stored studies.
            raise (unknown if unknown.near else missing) from unknown
    if found.design is not None:
        return open_base(base_name_of(found.design, found.name), storage=storage or found.storage, overrides=overrides)
    if overrides:
        first = next(iter(read_overrides(overrides)))
        raise OverrideError(
            first,
            f"study '{found.name}' is stored: only keys of proxy and latency can be changed",
            hint="for example proxy.epochs=3; what else differs is another study",
        )
    return found


def base_name_of(design: Design, name: str) -> str:
    """The study that a design was made from, which is taken in place of the design's own, `name`; that is logged."""
    logger.warning(
        "study '%s' is a design (%s) made from study '%s': networks and front are those of '%s'",
        name, design.purpose, design.of, design.of,
    )  # fmt: skip
    return design.of


def study_if_stored(name: str, *, storage: str | None) -> Study | None:
    """The stored study of a name; None if there is no database or none of this name. Raises StoreError."""
    try:
        return open_study(name, storage=storage)
    except (UnknownNameError, NothingStoredError):
        return None


def all_studies(*, storage: str | None = None) -> tuple[Study, ...]:
    """Every stored study. Raises StoreError if there is no database."""
    with closing(open_database(storage, create=False)) as database:
        return tuple(Study.read(database, info) for info in list_studies(database))


def stored_studies(storage: str | None) -> tuple[Study, ...]:
    """Every stored study; none if there is no database yet and nobody named one. Raises StoreError."""
    try:
        return all_studies(storage=storage)
    except NothingStoredError:
        if storage is not None:
            raise
        return ()


# A study by its name, as `pareto`, `plot` and `report` show it.


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
    from archsearch.api.plots import write_plot  # draws: who only reads a study may not need it

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
