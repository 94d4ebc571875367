"""The sections on the front: the figure with its table, what became of the variants, and what a confirmation says."""

from __future__ import annotations

from dataclasses import replace

from archsearch.analysis.conditions import guessing_text
from archsearch.analysis.verdicts import Standing, Verdict
from archsearch.plots.front import FrontInfo
from archsearch.plots.front_page import front_points_table, verdicts_table
from archsearch.report.changes import changes_text
from archsearch.report.data import ReportData
from archsearch.report.drawings import drawing_of, drawn, subtitle_of
from archsearch.report.sections import Drawing, Section
from archsearch.report.study_sections import result_section
from archsearch.table import Column, Table
from archsearch.text import capitalised

_MOST_SENTENCES = 40
_CHOICES = "Choices that differ from the base"


def front_section(data: ReportData, info: FrontInfo) -> Section:
    """The front: figure, table, and what is compared with what."""
    drawing, why = drawing_of("front", data.networks, height_px=620)
    guess = guessing_text(data.front.conditions, int(data.facts.get("num_classes", 0)) or 1)
    sentences = (
        *subtitle_of(info)[1:],  # the first line, the conditions, stands under the page's title
        f"{why}." if why else "",
        f"{capitalised(guess)}." if guess else "",
    )
    if drawing is not None:
        drawing = replace(
            drawing,
            picks_networks=True,
            caption="Click a point, or a trial's number in a table, to see the network, its cost, its learning curve "
            "and the command that retrains it.",
        )
    return Section(
        key="front",
        title="The front",
        sentences=tuple(line for line in sentences if line),
        warnings=info.warnings,
        drawings=(*(() if drawing is None else (drawing,)), *_three_objectives(data)),
        tables=(_compact_front(data, info),) if info.points else (),
    )


def _three_objectives(data: ReportData) -> tuple[Drawing, ...]:
    """The front in space, where a third objective spans it."""
    return drawn(("front-3d",), data.networks)[0] if len(data.front.objectives) > 2 else ()


def _compact_front(data: ReportData, info: FrontInfo) -> Table:
    """The front's table with its choices in short."""
    full = front_points_table(info, study=data.study)
    titles = [column.title for column in full.columns]
    records = {row.record.trial: row.record for row in data.front.members}
    at, of_trial = titles.index(_CHOICES), titles.index("Trial")
    columns = [replace(column, trial=True) if column.title == "Trial" else column for column in full.columns]
    columns[at] = Column(title=f"{_CHOICES} (the base's value)")
    rows = [
        (*row[:at], changes_text(data.changes(records[trial])), *row[at + 1 :])
        for row in full.rows
        if isinstance(trial := row[of_trial], int) and trial in records
    ]
    return replace(full, title="Networks on the front", columns=tuple(columns), rows=tuple(rows))


def variants_section(data: ReportData, info: FrontInfo) -> Section:
    """What became of the published networks."""
    few = len(data.verdicts) <= _MOST_SENTENCES
    return Section(
        key="variants",
        title="The published networks",
        sentences=(verdicts_sentence(data.verdicts),),
        points=tuple(verdict.sentence for verdict in data.verdicts) if few else (),
        tables=(_verdicts(data, info, with_sentences=not few),) if data.verdicts else (),
    )


def _verdicts(data: ReportData, info: FrontInfo, *, with_sentences: bool) -> Table:
    """The verdicts' table; its sentences stand above it unless there are too many."""
    full = replace(verdicts_table(info, data.verdicts), title="Verdicts")
    if with_sentences:
        return full
    kept = [place for place, column in enumerate(full.columns) if column.title != "In a sentence"]
    rows = tuple(tuple(row[place] for place in kept) for row in full.rows)
    return replace(full, columns=tuple(full.columns[place] for place in kept), rows=rows)


def verdicts_sentence(verdicts: tuple[Verdict, ...]) -> str:
    """How many of the variants are on the front, dominated, or without a measurement."""
    if not verdicts:
        return "The study evaluated no published network."
    counts = {standing: sum(verdict.standing is standing for verdict in verdicts) for standing in Standing}
    on_front = counts[Standing.ON_FRONT] + counts[Standing.TIE]
    parts = [f"{on_front} on the front" if on_front else "none on the front"]
    parts += [
        f"{counts[standing]} {standing.value}"
        for standing in (Standing.DOMINATED, Standing.NOT_MEASURED)
        if counts[standing]
    ]
    return f"Of {len(verdicts)} published networks: {', '.join(parts)}."


def confirmation_section(data: ReportData) -> Section:
    """What further seeds and fresh latencies say of the front."""
    confirmed = data.plots.confirmed
    if confirmed is None and data.design is not None:
        return Section(
            key="confirmed",
            title="How sure the front is",
            sentences=(
                f"Each network was evaluated with {len(data.design.seeds)} seeds and the front is that of the means: "
                f"study {data.study} is a design ({data.design.purpose}) made from study {data.design.of}.",
            ),
        )
    return result_section(
        "confirmed",
        "How sure the front is",
        data,
        missing="Not confirmed: each network was trained once, with one seed, and measured once. The best of many "
        "single trials looks better than it is. A confirmation trains the front and its near neighbours again with "
        "more seeds and fresh latencies; each point then has an interval and a probability of being on the front.",
    )
