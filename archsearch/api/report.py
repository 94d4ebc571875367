"""The report of a stored study: everything that is known of it, as a page, as Markdown or as LaTeX."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from archsearch.analysis.ablation import Ablation
from archsearch.api.analyses import ANALYSES, ablation_result
from archsearch.api.paths import study_folder
from archsearch.api.stored import StoredStudy
from archsearch.files import write_atomically
from archsearch.report.data import ReportData
from archsearch.report.html import html_text
from archsearch.report.latex import latex_text
from archsearch.report.markdown import markdown_text
from archsearch.report.sections import Report
from archsearch.report.study_sections import report_of
from archsearch.store.database import safe_url

FILE = "report.html"
_IN_WORDS = ("front", "confirmed", "trust", "guidelines", "final", "confusion")


def make_report(
    study: StoredStudy, *, storage: str | None = None, command: str | None = None, figures: bool = True
) -> Report:
    """Put together the report of a study.

    Args:
        study: as it was read.
        storage: the database's URL, which the report's commands name; None: the default.
        command: what was typed, for the report's last line.
        figures: whether what only figures show is worked out, too; Markdown and LaTeX do without.

    Raises StoreError if the database cannot be read.
    """
    parts = None if figures else _IN_WORDS
    return report_of(report_data(study, storage=storage, command=command, parts=parts))


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


def report_data(
    study: StoredStudy, *, storage: str | None = None, command: str | None = None, parts: Collection[str] | None = None
) -> ReportData:
    """Everything that the report of a study says, gathered.

    Args:
        parts: what of `ANALYSES` is worked out; None: all.

    Raises StoreError if the database cannot be read.
    """
    results = {name: find(study) for name, find in ANALYSES.items() if parts is None or name in parts}
    return ReportData(
        results=results,
        records=study.records_with_curves if parts is None else study.records,
        front=results["front"],
        config=study.info.config,
        facts=study.info.facts,
        reference_point=study.info.reference_point,
        space_fingerprint=study.info.space_fingerprint,
        storage=None if storage is None else safe_url(storage),
        ablations=_ablations(study),
        command=command,
    )


def _ablations(study: StoredStudy) -> tuple[Ablation, ...]:
    """Those that were made from a study, newest first; of a study that is one, itself."""
    own = study.design is not None and study.design.purpose == "ablation"
    return tuple(
        ablation_result(made)
        for made in ((study,) if own else study.designs("ablation"))
        if made.design is not None and made.design.points
    )
