"""The report of a stored study: everything that is known of it, as a page, as Markdown or as LaTeX."""

from __future__ import annotations

from pathlib import Path

from archsearch.api.analyses import ANALYSES, ablation_result
from archsearch.api.output import REPORT_FORMATS, check_format
from archsearch.api.paths import study_folder
from archsearch.api.stored import StoredStudy
from archsearch.files import write_atomically
from archsearch.report.documents import html_text, latex_text, markdown_text
from archsearch.report.study_sections import Report, ReportData, report_of

_IN_WORDS = ("front", "ablation", "confirmed", "trust", "guidelines", "final", "confusion")


def make_report(study: StoredStudy, *, command: str | None = None, figures: bool = True) -> Report:
    """Put together the report of a study.

    Args:
        command: what was typed, for the report's last line.
        figures: whether what only figures show is worked out, too; Markdown and LaTeX do without.

    Raises StoreError if the database cannot be read.
    """
    results = {name: find(study) for name, find in ANALYSES.items() if figures or name in _IN_WORDS}
    made = [each for each in study.designs("ablation") if each.design is not None and each.design.points]
    data = ReportData(
        results=results,
        records=study.records_with_curves if figures else study.records,
        front=results["front"],
        config=study.info.config,
        facts=study.info.facts,
        reference_point=study.info.reference_point,
        space=study.info.space,
        space_fingerprint=study.info.space_fingerprint,
        ablations=tuple(map(ablation_result, made)),
        command=command,
    )
    return report_of(data)


def has_figures(out: Path | None) -> bool:
    """Whether a report that goes to this path is the page. Raises ConfigError for an end that no report has."""
    if out is not None:
        check_format(out, REPORT_FORMATS)
    return out is None or out.suffix.lower() == ".html"


def write_report(report: Report, out: Path | None = None) -> Path:
    """Write the report; returns its path, whose end says as what. By default it is runs/STUDY/report.html.

    .html is one self-contained page, .md Markdown, .tex the tables of the front and the ablations in LaTeX.

    Raises ConfigError for another end, ArchsearchError if the file cannot be written.
    """
    path = out or study_folder(report.study) / "report.html"
    check_format(path, REPORT_FORMATS)
    texts = {".html": html_text, ".md": markdown_text, ".tex": latex_text}
    write_atomically(path, texts[path.suffix.lower()](report).encode("utf-8"))
    return path
