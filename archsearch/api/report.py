"""The report of a stored study: everything that is known of it, as a page, as Markdown or as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsearch.analysis.ablation import ablation_of
from archsearch.api.guidelines_stored import stored_guidelines
from archsearch.api.places import study_folder
from archsearch.api.plot_data import plot_data
from archsearch.api.stored_designs import stored_designs
from archsearch.api.study import Study, open_study, retrainings
from archsearch.designs import Design
from archsearch.errors import ConfigError
from archsearch.files import write_atomically
from archsearch.models.families import FAMILIES
from archsearch.report.build import report_of
from archsearch.report.data import ReportData, Retrained, StoredAblation
from archsearch.report.html import html_text
from archsearch.report.latex import latex_text
from archsearch.report.markdown import markdown_text
from archsearch.report.sections import Report
from archsearch.space.search_space import SearchSpace

FILE = "report.html"


def make_report(study: str | None = None, *, storage: str | None = None, command: str | None = None) -> Report:
    """Put together the report of a stored study.

    Args:
        study: its name; None: the one worked on last.
        storage: the database's URL; None: the default.
        command: what was typed, for the report's last line.

    Raises ConfigError, StoreError, UnknownNameError.
    """
    opened = open_study(study, storage=storage)
    return report_of(report_data(opened, storage=storage, command=command))


def write_report(report: Report, out: Path | None = None) -> Path:
    """Write the report as one self-contained page, by default runs/STUDY/report.html; returns its path.

    Raises ArchsearchError if the file cannot be written.
    """
    path = out or study_folder(report.study) / FILE
    write_atomically(path, html_text(report).encode("utf-8"))
    return path


def report_markdown(report: Report) -> str:
    """The report as Markdown: what a README or an appendix takes of it."""
    return markdown_text(report)


def report_latex(report: Report) -> str:
    """The front and the ablations as LaTeX tables."""
    return latex_text(report)


def report_data(study: Study, *, storage: str | None = None, command: str | None = None) -> ReportData:
    """Everything that the report of a study says, gathered. Raises StoreError if the database cannot be read."""
    plots = plot_data(study, storage=storage)
    missing: list[tuple[str, str]] = []
    if plots.guidelines is None:
        try:
            found = stored_guidelines(str(study.info.facts.get("device_fingerprint", "")))
            plots = replace(plots, guidelines=found)
        except ConfigError as error:
            missing.append(("Guidelines", str(error)))
    return ReportData(
        plots=plots,
        front=study.front,
        verdicts=study.verdicts,
        config=study.info.config,
        facts=study.info.facts,
        reference_point=study.info.reference_point,
        space_fingerprint=study.info.space_fingerprint,
        storage=None if storage is None else without_password(storage),
        ablations=tuple(
            StoredAblation(
                study=made.name,
                design=made.design,
                ablation=ablation_of(made.records, made.design, base_levels=_base_levels(study, made.design)),
            )
            for made in stored_designs(study, "ablation", storage=storage)
            if made.design is not None and made.design.points
        ),
        trainings=tuple(Retrained(**vars(each)) for each in retrainings(study)),
        missing=tuple(missing),
        command=command,
    )


def without_password(storage: str) -> str:
    """A database's URL that can be shown to anyone."""
    return re.sub(r"://([^:/@]+):.*@", r"://\1:***@", storage)


def _base_levels(study: Study, design: Design) -> Mapping[str, Any] | None:
    """The base of an ablation as the search space names it; None if it is no point of the space."""
    base = design.points[0]
    if base.family not in FAMILIES:
        return None
    try:
        space = SearchSpace.from_dict(study.info.space)
        return space.suggestion_of(FAMILIES[base.family].base.with_choices(base.choices))
    except ConfigError:  # a space or a network of another version: the points' own choices tell
        return None
