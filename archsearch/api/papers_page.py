"""The comparison with the papers as plain data for JSON, and as the Markdown page `docs/papers.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from archsearch.api.papers_text import (
    computed_text,
    match_text,
    measured_rows,
    note_of,
    plain_text,
    printed_text,
    title_of,
)

if TYPE_CHECKING:
    from archsearch.api.paper_measured import Measured
    from archsearch.api.papers import ComparedPaper, ComparedRow, ComparedTable, ComparedValue, PapersReport

_HEAD = """\
# The papers' printed numbers

Every number that the sources below print about these networks, beside what archsearch computes. The page is the output
of `archsearch papers --markdown`; the printed numbers themselves are data, in `archsearch/papers/data`, one file a
source.

A printed whole count must be **exact**. Any other number was rounded for print, so the computed one **rounds to it** or
**differs**. Multiply-adds are compared in the convention that the source counts in ([counting](counting.md));
`conv_linear_pool` is `conv_linear` with the average pool before the classifier, one for each element that it reads."""


def to_dict(report: PapersReport) -> dict[str, Any]:
    """Plain data: every printed value with its outcome, and where one was computed, the computed number."""
    return {
        "values": sum(report.counts.values()),
        "outcomes": dict(report.counts),
        "not_computed": [{"reason": reason, "values": number} for reason, number in report.reasons.items()],
        "not_met": [
            {
                "paper": each.paper,
                "table": each.table,
                "model": each.model,
                "label": each.number.number.label,
                "printed": each.number.number.printed,
                "unit": each.number.number.unit,
                "computed": each.number.computed,
                "reason": each.reason,
            }
            for each in report.missing
        ],
        "studies": list(report.studies),
        "papers": [_paper_dict(paper) for paper in report.papers],
    }


def _paper_dict(found: ComparedPaper) -> dict[str, Any]:
    paper = found.paper
    return {
        "key": paper.key,
        "title": paper.title,
        "reference": paper.reference,
        "source": paper.source,
        "link": paper.link,
        "tables": [
            {
                "table": table.table.table,
                "caption": table.table.caption,
                "scale": None if table.table.scale is None else table.table.scale.model_dump(),
                "rows": [_row_dict(row) for row in table.rows],
            }
            for table in found.tables
        ],
    }


def _row_dict(found: ComparedRow) -> dict[str, Any]:
    return {
        "model": found.row.model,
        "variant": found.row.variant,
        "values": [_value_dict(value) for value in found.values],
        "measured": [_measured_dict(each) for each in found.measured],
    }


def _value_dict(found: ComparedValue) -> dict[str, Any]:
    return {
        "metric": found.value.metric,
        "value": found.value.value,
        "unit": found.value.unit,
        "conditions": found.value.conditions,
        "outcome": str(found.outcome),
        "reason": found.reason,
        "compared": [
            {
                "label": each.number.label,
                "printed": each.number.printed,
                "unit": each.number.unit,
                "convention": each.number.convention,
                "computed": each.computed,
                "match": str(each.match.outcome),
                "relative_difference": each.match.difference,
                "note": note_of(each),
            }
            for each in found.numbers
            if each.match is not None
        ],
    }


def _measured_dict(found: Measured) -> dict[str, Any]:
    score, latency = found.score, found.latency
    return {
        "study": found.study,
        "trial": found.trial,
        "dataset": found.dataset,
        "input_size": found.input_size,
        "top1_percent": score.top1_percent,
        "split": score.split,
        "epochs": score.epochs,
        "seed": score.seed,
        "protocol": score.protocol,
        "train_images": score.train_images,
        "eval_images": score.eval_images,
        "latency": None
        if latency is None
        else {
            "corrected_ms": latency.corrected_ms,
            "median_ms": latency.median_ms,
            "device": latency.device,
            "backend": latency.backend,
            "batch": latency.batch,
            "threads": latency.threads,
            "precision": latency.precision,
            "n": latency.n,
            "converged": latency.converged,
        },
    }


def markdown(report: PapersReport) -> str:
    """The whole page. It depends on the data, the code and the stored studies alone."""
    return "\n\n".join(_sections(report)) + "\n"


def _sections(report: PapersReport) -> Iterator[str]:
    yield _HEAD
    if report.studies:
        yield f"Measured here: studies {', '.join(report.studies)}."
    else:
        yield "Written where no study was stored, so that nothing measured stands beside the printed accuracies."
    yield "## In short"
    yield _table(("outcome", "printed values"), [*report.counts.items(), ("all", sum(report.counts.values()))], "lr")
    yield "Why values are not computed:"
    yield _table(("values", "reason"), [(number, reason) for reason, number in report.reasons.items()], "rl")
    if report.missing:
        yield "## Counts that are not met"
        yield _table(
            ("paper", "table", "row", "printed", "computed", "why"),
            [
                (
                    each.paper,
                    each.table,
                    each.model,
                    printed_text(each.number.number),
                    computed_text(each.number) if each.number.match else "",
                    each.reason,
                )
                for each in report.missing
            ],
            "lllrrl",
        )
    for paper in report.papers:
        yield f"## {paper.paper.title}"
        link = f" <{paper.paper.link}>." if paper.paper.link else ""
        yield f"{paper.paper.reference}.{link} `--paper {paper.paper.key}`"
        for table in paper.tables:
            yield from _table_sections(table)


def _table_sections(found: ComparedTable) -> Iterator[str]:
    yield f"### {title_of(found.table)}"
    if found.computable:
        compared = [(row, value, each) for row in found.rows for value, each in row.compared()]
        yield _table(
            ("row", "network", "number", "printed", "computed", "convention", "match"),
            [
                (
                    row.row.model,
                    f"`{row.row.variant}`",
                    each.number.label,
                    printed_text(each.number),
                    computed_text(each),
                    each.number.convention or "",
                    match_text(each),
                )
                for row, _, each in compared
            ],
            "lllrrll",
        )
        notes = dict.fromkeys(f"{row.row.model}: {note_of(each)}." for row, _, each in compared if note_of(each))
        if notes:
            yield _bullets(notes)
    measured = [(model, f"`{variant}`", *texts) for model, variant, *texts in measured_rows(found)]
    if measured:
        yield "Measured here:"
        yield _table(("row", "network", "printed", "measured"), measured, "llll")
    yield from _as_printed(found)


def _as_printed(found: ComparedTable) -> Iterator[str]:
    """Every value of a table with its conditions, and why those are not computed that are not."""
    left = {key: column for key, column in found.table.columns.items() if not _all_computed(found, key)}
    if not left:
        return
    own = {row.row.model: row.row.values[0].conditions for row in found.rows}
    shared = {column.conditions for column in found.table.columns.values()}
    with_conditions = not set(own.values()) <= shared
    head = ["row", *(["conditions"] if with_conditions else []), *left]
    lines = []
    for row in found.rows:
        values = {value.column: plain_text(value.value) for value in row.row.values}
        cells = [values.get(key, "") for key in left]
        if any(cells):
            lines.append([row.row.model, *([own[row.row.model]] if with_conditions else []), *cells])
    yield "As printed:" if found.computable else "As printed, nothing of it computed:"
    yield _table(head, lines, "l" * (2 if with_conditions else 1) + "r" * len(left))
    yield _bullets(
        f"`{key}`: {', '.join(filter(None, (column.metric or key, column.unit, column.conditions)))}"
        + (f". Not computed: {'; '.join(reasons)}." if (reasons := _reasons(found, key)) else ".")
        for key, column in left.items()
    )


def _all_computed(found: ComparedTable, column: str) -> bool:
    return all(
        each.match is not None
        for row in found.rows
        for value in row.values
        if value.value.column == column
        for each in value.numbers
    )


def _reasons(found: ComparedTable, column: str) -> list[str]:
    """Why numbers of a column are not computed, with the rows that this is true of unless it is all."""
    rows: dict[str, list[str]] = {}
    for row in found.rows:
        for value in row.values:
            if value.value.column == column:
                for each in value.numbers:
                    if each.match is None:
                        rows.setdefault(each.number.reason, []).append(row.row.model)
    whole = len([row for row in found.rows for value in row.values if value.value.column == column])
    return [
        reason if len(set(models)) == whole else f"{reason} ({', '.join(dict.fromkeys(models))})"
        for reason, models in rows.items()
    ]


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]], sides: str) -> str:
    """A Markdown table; `sides` has l or r for each column."""
    rule = "|".join("---:" if side == "r" else "---" for side in sides)
    lines = [" | ".join(_escaped(str(cell)) for cell in row) for row in (head, *rows)]
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def _escaped(text: str) -> str:
    """Text in which Markdown sees no table, emphasis, HTML or link."""
    return re.sub(r"([|*<\[\]])", r"\\\1", text)
