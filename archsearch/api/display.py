"""What a notebook shows of a stored study, and what one may ask of it by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archsearch.records import Record

if TYPE_CHECKING:
    from archsearch.api.study import Study
    from archsearch.plots.catalog import Figure


class Records(tuple[Record, ...]):
    """Records that a notebook shows as a table, and not as pages of text."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from archsearch.analysis.display import table
        from archsearch.api.frames import trial_rows
        from archsearch.table import notebook_block

        columns = ("trial", "status", "label", "top1_percent", "latency_ms", "params", "macs", "arch_id")
        rows = [[row[name] for name in columns] for row in trial_rows(self)]
        return notebook_block(f"{len(self)} trials", table(columns, rows))

    def __repr__(self) -> str:
        return f"<{len(self)} records>"


def study_text(study: Study) -> str:
    """A study in one line."""
    counts = ", ".join(f"{count} {status}" for status, count in study.counts.items()) or "no trial yet"
    return f"<archsearch study '{study.name}': {counts}>"


def study_html(study: Study) -> str:
    """A study in a notebook: what it is of, its front, and what became of the published networks."""
    from archsearch.analysis.display import html_of, table
    from archsearch.table import notebook_block, paragraphs

    config, facts = study.info.config, study.info.facts
    device = facts.get("device", {})
    counts = ", ".join(f"{count} {status}" for status, count in study.counts.items()) or "no trial yet"
    rows: list[Sequence[object]] = [
        ("trials", counts),
        ("dataset", config.get("dataset")),
        ("objectives", ", ".join(study.objectives)),
        ("proxy", f"{config.get('proxy', {}).get('epochs', '?')} epochs"),
        ("device", device.get("gpu") or device.get("cpu")),
        ("input", f"{facts['input_size']} pixels" if "input_size" in facts else None),
    ]
    return notebook_block(
        f"Study {study.name}",
        table(("", ""), rows),
        study.recommendation._repr_html_(),
        html_of(study.front),
        paragraphs(*(verdict.sentence for verdict in study.verdicts)),
    )


def study_part(study: Study, name: str) -> Any:
    """What `archsearch.api.analyses` finds by this name; None where nothing is stored for it."""
    from archsearch.api.analyses import ANALYSES

    return ANALYSES[name](study)


def study_figure(study: Study, name: str, **size: int) -> Figure:
    """One of `archsearch.plots.catalog.PLOTS`, drawn. Raises UnknownNameError for a name that is none."""
    from archsearch.api.plots import info_of
    from archsearch.plots.catalog import PLOTS

    plot = PLOTS[name]
    return plot.figure(info_of(study, plot), **size).update_layout(**size)
