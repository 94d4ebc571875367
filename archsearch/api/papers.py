"""The papers' printed numbers beside the computed ones, and beside what has been measured here.

`compared_table` and `measured_table` lay a printed table out once: for the terminal, and for the page `docs/papers.md`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.api.study import Study, stored_studies
from archsearch.blocks.conv import GlobalAveragePool
from archsearch.cost.architecture import params_of
from archsearch.cost.conventions import macs_as_observed, observe
from archsearch.errors import ConfigError
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.models.variants import VARIANTS, Variant, find_variant
from archsearch.papers.printed import (
    UNITS,
    Agreement,
    Counts,
    Match,
    Number,
    Paper,
    PrintedTable,
    PrintedValue,
    Row,
    Scale,
    compare,
    find_paper,
    key_of,
    load_papers,
    stored_counts,
)
from archsearch.records import Latency, Score, TrialStatus
from archsearch.table import Cell, Column, InNotebooks, Table, json_as, table_of
from archsearch.text import plural

NOT_COMPUTED = "not computed"
OUTCOMES = (*Agreement, NOT_COMPUTED)
_PLURAL = {"rounds to it": "round to the printed number", "differs": "differ"}
_ROW, _NETWORK = Column(title="Row"), Column(title="Network", whole=True)
_SUFFIXES = {"1e6": "M", "MFLOPs": "M", "M": "M", "1e9": "G", "G": "G", "count": ""}
_HEAD = """\
# The papers' printed numbers

Every number that the sources below print about these networks, beside what archsearch computes. The page is the output
of `archsearch papers --markdown`; the printed numbers themselves are data, in `archsearch/papers/data`, one file a
source.

A printed whole count must be **exact**. Any other number was rounded for print, so the computed one **rounds to it** or
**differs**. Multiply-adds are compared in the convention that the source counts in ([counting](counting.md));
`conv_linear_pool` is `conv_linear` with the average pool before the classifier, one for each element that it reads."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One trial or one retraining of a network in a study.

    Attributes:
        study, dataset: where it was measured and on which images.
        trial: its number in the study; None for a retraining.
        score: accuracy with split, epochs, seed and protocol.
        latency: with device, backend, batch and n; None for a retraining.
        input_size: height and width of the images that it saw (pixels).
    """

    study: str
    dataset: str
    trial: int | None
    score: Score
    latency: Latency | None
    input_size: int


@dataclass(frozen=True, kw_only=True)
class PaperCost(Counts):
    """One network under the conditions of one printed table; `key` is of both (`archsearch.papers.printed.key_of`)."""

    choices: Mapping[str, Any]
    key: str


@dataclass(frozen=True, kw_only=True)
class ComparedNumber:
    """A printed number, and the computed one with the result of the comparison, where archsearch computes it."""

    number: Number
    computed: Any = None
    match: Match | None = None


@dataclass(frozen=True, kw_only=True)
class ComparedValue:
    """One printed value; most hold one number."""

    value: PrintedValue
    numbers: tuple[ComparedNumber, ...]

    @property
    def outcome(self) -> str:
        """The least of its numbers' outcomes, or `not computed` if none of them is."""
        found = {each.match.agreement for each in self.numbers if each.match is not None}
        ranked = (Agreement.DIFFERS, Agreement.ROUNDS, Agreement.EXACT)
        return next((outcome for outcome in ranked if outcome in found), NOT_COMPUTED)

    @property
    def reason(self) -> str:
        """Why it is not computed, or why it differs where that is known; else empty."""
        return next((each.number.reason for each in self.numbers if each.number.reason), "")


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """One printed row with what was computed and measured of its network."""

    row: Row
    values: tuple[ComparedValue, ...]
    measured: tuple[Measured, ...] = ()

    def compared(self) -> Iterator[tuple[ComparedValue, ComparedNumber]]:
        """The numbers that were computed, each with the value that it stands in."""
        for value in self.values:
            for number in value.numbers:
                if number.match is not None:
                    yield value, number


@dataclass(frozen=True, kw_only=True)
class ComparedTable:
    """One printed table."""

    table: PrintedTable
    rows: tuple[ComparedRow, ...]

    @property
    def computable(self) -> bool:
        """Whether any number of it is computed."""
        return any(True for row in self.rows for _ in row.compared())


@dataclass(frozen=True, kw_only=True)
class ComparedPaper:
    """One paper."""

    paper: Paper
    tables: tuple[ComparedTable, ...]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A count that is printed and not met: the network is not built here, or its count differs."""

    paper: str
    table: str
    model: str
    number: ComparedNumber


class NotMetJson(TypedDict):
    """A count that is printed and not met."""

    paper: str
    table: str
    model: str
    label: str
    printed: Any
    unit: str
    computed: Any
    reason: str


class NumberJson(TypedDict):
    """A printed number beside the computed one; `relative_difference` is computed minus printed, over printed."""

    label: str
    printed: Any
    unit: str
    convention: str | None
    computed: Any
    match: str
    relative_difference: float | None
    note: str


class ValueJson(TypedDict):
    """One printed value and its outcome: exact, rounds to it, differs or not computed."""

    metric: str
    value: Any
    unit: str
    conditions: str
    outcome: str
    reason: str
    compared: list[NumberJson]


class MeasuredLatencyJson(TypedDict):
    """A latency in short."""

    corrected_ms: float
    median_ms: float
    device: str
    backend: str
    batch: int
    threads: int
    precision: str
    n: int
    converged: bool


class MeasuredJson(TypedDict):
    """What one trial or retraining here has reached."""

    study: str
    trial: int | None
    dataset: str
    input_size: int
    top1_percent: float
    split: str
    epochs: int
    seed: int
    protocol: str
    train_images: int
    eval_images: int
    latency: MeasuredLatencyJson | None


class RowJson(TypedDict):
    """One row of a printed table."""

    model: str
    variant: str | None
    values: list[ValueJson]
    measured: list[MeasuredJson]


class TableJson(TypedDict):
    """One printed table; `scale` says how its networks are built where the variants' own is not meant."""

    table: str
    caption: str
    scale: Scale | None
    rows: list[RowJson]


class PaperJson(TypedDict):
    """One source."""

    key: str
    title: str
    reference: str
    source: str
    link: str
    tables: list[TableJson]


class ReasonJson(TypedDict):
    """Why so many values are not computed."""

    reason: str
    values: int


class PapersJson(TypedDict):
    """Every printed value with its outcome; `outcomes` counts them."""

    values: int
    outcomes: dict[str, int]
    not_computed: list[ReasonJson]
    not_met: list[NotMetJson]
    studies: list[str]
    papers: list[PaperJson]


@dataclass(frozen=True, kw_only=True)
class PapersReport(InNotebooks):
    """Every printed value of the papers that were asked for, each with exactly one outcome: an
    `archsearch.table.Result`.

    Attributes:
        papers: in the order of their keys.
        studies: names of the stored studies that were looked through.
    """

    papers: tuple[ComparedPaper, ...]
    studies: tuple[str, ...] = ()
    subtitle: tuple[str, ...] = ()
    method: str = ""
    warnings: tuple[str, ...] = ()
    empty: str | None = None
    title: str = "Printed numbers beside the computed ones"

    @property
    def sentences(self) -> tuple[str, ...]:
        """How many values have which outcome, why some are not computed, and where networks were measured."""
        outcomes = (f"{number} {_PLURAL.get(outcome, outcome)}" for outcome, number in self.counts.items())
        return (
            f"{plural(sum(self.counts.values()), 'printed value')}: {', '.join(outcomes)}.",
            *(f"Not computed, {number}: {reason}." for reason, number in self.reasons.items()),
            *((f"Measured in: {', '.join(self.studies)}.",) if self.studies else ()),
        )

    def tables(self) -> tuple[Table, ...]:
        """Of each printed table what is computed and what was measured; then what is not met."""
        found = []
        for paper in self.papers:
            for table in paper.tables:
                each = [measured_table(table)]
                if table.computable:
                    each.insert(0, replace(compared_table(table), note="\n".join(notes_of(table))))
                found += [replace(one, title=f"{paper.paper.key}, {one.title}") for one in each]
        return (*found, missing_table(self.missing))

    def rows(self) -> Iterator[tuple[Paper, PrintedTable, ComparedRow]]:
        """Every row with its paper and table."""
        for paper in self.papers:
            for table in paper.tables:
                for row in table.rows:
                    yield paper.paper, table.table, row

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Outcome -> printed values; they add up to all."""
        found = Counter(str(value.outcome) for _, _, row in self.rows() for value in row.values)
        return {str(outcome): found[str(outcome)] for outcome in OUTCOMES}

    @cached_property
    def reasons(self) -> Mapping[str, int]:
        """Why values are not computed -> how many, most first."""
        found = Counter(
            value.reason for _, _, row in self.rows() for value in row.values if value.outcome == NOT_COMPUTED
        )
        return dict(found.most_common())

    @cached_property
    def missing(self) -> tuple[Missing, ...]:
        """The printed counts that are not met, with the reason."""
        return tuple(
            Missing(paper=paper.key, table=table.table, model=row.row.model, number=number)
            for paper, table, row in self.rows()
            for value in row.values
            for number in value.numbers
            if number.number.computed_kind and (number.match is None or number.match.agreement == Agreement.DIFFERS)
        )

    def plain(self) -> PapersJson:
        """Every printed value with its outcome, and where one was computed, the computed number."""
        return {
            "values": sum(self.counts.values()),
            "outcomes": dict(self.counts),
            "not_computed": [{"reason": reason, "values": number} for reason, number in self.reasons.items()],
            "not_met": [
                json_as(NotMetJson, each.number.number, **vars(each), computed=each.number.computed)
                for each in self.missing
            ],
            "studies": list(self.studies),
            "papers": [_paper_dict(paper) for paper in self.papers],
        }


def papers(
    paper: str | None = None,
    *,
    storage: str | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    recount: bool = False,
) -> PapersReport:
    """Compare every printed number with what archsearch computes.

    Networks that are counted already (`archsearch.papers.printed`) are taken as they were. Where studies have measured
    one, the measurements stand beside the printed numbers; without a database there are none.

    Args:
        paper: the key of one paper; None: all.
        storage: the database of the studies.
        on_progress: told (variant, how many were counted before it, how many there are) before each network.
        recount: build and count every network anew, which takes two minutes.

    Raises UnknownNameError for an unknown paper, StoreError for a database that cannot be read or that was named and is
    not there.
    """
    wanted = load_papers() if paper is None else (find_paper(paper),)
    studies = stored_studies(storage)
    counted = _wanted(wanted)
    costs: dict[tuple[str, str], PaperCost] = {}
    for done, (key, table) in enumerate(counted.items()):
        if on_progress is not None:
            on_progress(key[0], done, len(counted))
        costs[key] = paper_cost(find_variant(key[0]), table.scale, recount=recount)
    return PapersReport(
        papers=tuple(
            ComparedPaper(
                paper=each,
                tables=tuple(
                    ComparedTable(table=table, rows=tuple(_row(each, table, row, costs, studies) for row in table.rows))
                    for table in each.tables
                ),
            )
            for each in wanted
        ),
        studies=tuple(study.name for study in studies),
    )


def _wanted(asked: Sequence[Paper]) -> Mapping[tuple[str, str], PrintedTable]:
    """Each network that a table prints counts of, by its variant and the table's scale, with the first such table."""
    wanted: dict[tuple[str, str], PrintedTable] = {}
    for paper in asked:
        for table in paper.tables:
            for row in table.rows:
                numbers = (number for value in row.values for number in value.numbers)
                if row.variant is not None and any(number.computed_kind for number in numbers):
                    wanted.setdefault((row.variant, _scale_key(paper, table)), table)
    return wanted


def recounted(progress: Callable[[str], None]) -> Mapping[str, Counts]:
    """Every named network, and every one of a printed table, counted anew: what `archsearch.papers.printed` holds."""
    found = {}
    tables = ((find_variant(name), table.scale) for (name, _), table in _wanted(load_papers()).items())
    for variant, scale in (*tables, *((VARIANTS[name], None) for name in VARIANTS)):
        progress(variant.name)
        cost = paper_cost(variant, scale, recount=True)
        found[cost.key] = Counts(params=cost.params, macs=cost.macs)
    return found


def _scale_key(paper: Paper, table: PrintedTable) -> str:
    return "" if table.scale is None else f"{paper.key}:{table.table}"


def _row(
    paper: Paper, table: PrintedTable, row: Row, costs: Mapping[tuple[str, str], PaperCost], studies: tuple[Study, ...]
) -> ComparedRow:
    cost = None if row.variant is None else costs.get((row.variant, _scale_key(paper, table)))
    where = f"{paper.key}, table {table.table}, row '{row.model}'"
    return ComparedRow(
        row=row,
        values=tuple(
            ComparedValue(value=value, numbers=tuple(_number(number, cost, where) for number in value.numbers))
            for value in row.values
        ),
        measured=tuple(measured(find_variant(row.variant), studies)) if row.variant is not None and studies else (),
    )


def _number(number: Number, cost: PaperCost | None, where: str) -> ComparedNumber:
    if cost is None or not number.computed_kind:
        return ComparedNumber(number=number)
    if number.kind == "choices":
        unknown = [name for name in number.choices if name not in cost.choices]
        if unknown:
            raise ConfigError(f"{where}: the network has no choice '{unknown[0]}'")
        choices = [cost.choices[name] for name in number.choices]
        return ComparedNumber(number=number, computed=choices, match=compare(number.printed, choices))
    computed = cost.params if number.kind == "params" else cost.macs[str(number.convention)]
    match = compare(number.printed, computed, unit=UNITS[number.unit], decimals=number.decimals)
    return ComparedNumber(number=number, computed=computed, match=match)


def paper_cost(variant: Variant, scale: Scale | None, *, recount: bool = False) -> PaperCost:
    """The counts of a variant, at its own conditions or at a table's. Raises BuildError."""
    at = scale or Scale(input_size=variant.input_size, num_classes=variant.num_classes)
    spec = variant.spec.at_scale(at.choices).normalised(at.input_size)
    sizes = {"input_size": at.input_size, "num_classes": at.num_classes}
    counts = (None if recount else stored_counts(spec.arch_id, **sizes)) or _count(spec, **sizes)
    return PaperCost(**vars(counts), choices=spec.choices(), key=key_of(spec.arch_id, **sizes))


def _count(spec: Spec, *, input_size: int, num_classes: int) -> Counts:
    model = build(spec, num_classes=num_classes, input_size=input_size, seed=0)
    seen = observe(model, input_size)
    macs = macs_as_observed(seen)
    pools = (call for call in seen.calls if isinstance(call.module, GlobalAveragePool))
    macs["conv_linear_pool"] = macs["conv_linear"] + sum(prod(call.input_shape) for call in pools)
    return Counts(params=params_of(model), macs=macs)


def measured(variant: Variant, studies: tuple[Study, ...]) -> Iterator[Measured]:
    """Trials, then retrainings, of the network that a variant is at each study's scale."""
    for study in studies:
        arch_id = study.at_scale(variant).arch_id
        dataset = str(study.info.config["dataset"])
        complete = [record for record in study.records if record.status == TrialStatus.COMPLETE]
        trials = [(each.arch_id, each.trial, each.score, each.latency) for each in complete]
        for own_id, trial, score, latency in (*trials, *((own, None, score, None) for own, score in study.trainings)):
            if own_id == arch_id and score is not None:
                yield Measured(
                    study=study.name,
                    dataset=dataset,
                    trial=trial,
                    score=score,
                    latency=latency,
                    input_size=study.input_size,
                )


def printed_text(number: Number) -> str:
    """A printed number with its unit: 63.4M, 2,278,604, 39.7 %."""
    printed = number.printed
    if number.kind in ("params", "macs") and isinstance(printed, int | float):
        digits = f"{printed:,}" if number.decimals is None else f"{printed:,.{number.decimals}f}"
        return f"{digits}{_SUFFIXES.get(number.unit, number.unit)}"
    return f"{plain_text(printed)}{'' if not number.unit or isinstance(printed, str) else f' {number.unit}'}"


def plain_text(value: Any) -> str:
    """A value as printed, without its unit; lists with slashes, `-` where the paper has none."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain_text(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return " / ".join(plain_text(each) for each in value)
    return str(value)


def computed_text(found: ComparedNumber) -> str:
    """A computed number in full."""
    return f"{found.computed:,}" if isinstance(found.computed, int) else plain_text(found.computed)


def match_text(found: ComparedNumber) -> str:
    """`exact`, `rounds to it`, or `differs by +7.6 %`."""
    match = found.match
    if match is None:
        return "not computed"
    if match.agreement != Agreement.DIFFERS or match.difference is None:
        return str(match.agreement)
    return f"differs by {match.difference:+.1%}".replace("%", " %")


def note_of(found: ComparedNumber) -> str:
    """What is known of a number that differs, or of an unusual way to count it; else empty."""
    differs = found.match is None or found.match.agreement == Agreement.DIFFERS
    return found.number.reason if differs or found.number.kind == "macs" else ""


def title_of(table: PrintedTable) -> str:
    """`Table 8: its caption`, `App.2: its caption`; the caption alone where the source has no numbered tables."""
    if table.table == "-":
        return table.caption
    return f"{'Table ' if table.table[0].isdigit() else ''}{table.table}: {table.caption}"


def _accuracies_and_speeds(row: ComparedRow) -> str:
    return ", ".join(
        f"{each.number.label} {printed_text(each.number)}"
        for value in row.values
        for each in value.numbers
        if each.number.kind in ("accuracy", "speed")
    )


def measured_text(found: Measured) -> str:
    """One measurement in one line, with the conditions that it holds under."""
    score, latency = found.score, found.latency
    text = (
        f"{score.top1_percent:.2f} % top-1 on the {score.split} split of {found.dataset} at "
        f"{found.input_size}x{found.input_size} ({plural(score.epochs, 'epoch')} on {score.train_images:,} images, "
        f"{score.protocol}, seed {score.seed})"
    )
    if latency is not None:
        unsure = "" if latency.converged else ", not converged"
        text += (
            f"; {latency.corrected_ms:.3f} ms for a batch of {latency.batch} ({latency.device}, {latency.backend}, "
            f"threads {latency.threads}, {latency.precision}, n {latency.n}, p10 corrected for drift{unsure})"
        )
    where = "retrained in" if found.trial is None else f"trial {found.trial} of"
    return f"{text}; {where} study {found.study}"


def compared_table(found: ComparedTable) -> Table:
    """The numbers of a printed table that are computed."""
    return table_of(
        title_of(found.table),
        ((row.row, each) for row in found.rows for _, each in row.compared()),
        (_ROW, lambda one: one[0].model),
        (_NETWORK, lambda one: one[0].variant),
        (Column(title="Number"), lambda one: one[1].number.label),
        (Column(title="Printed", decimals=0), lambda one: printed_text(one[1].number)),
        (Column(title="Computed", decimals=0), lambda one: computed_text(one[1])),
        (Column(title="Convention", whole=True), lambda one: one[1].number.convention),
        (Column(title="Match"), lambda one: match_text(one[1])),
    )


def measured_table(found: ComparedTable) -> Table:
    """Each measurement of a network whose accuracy or speed is printed."""
    printed = ((row, text) for row in found.rows if (text := _accuracies_and_speeds(row)))
    return table_of(
        f"{title_of(found.table)}: measured here",
        ((row.row, text, each) for row, text in printed for each in row.measured),
        (_ROW, lambda one: one[0].model),
        (_NETWORK, lambda one: one[0].variant),
        (Column(title="Printed"), lambda one: one[1]),
        (Column(title="Measured"), lambda one: measured_text(one[2])),
    )


def missing_table(found: Sequence[Missing]) -> Table:
    """Printed counts that are not met, and why."""
    return table_of(
        "Printed counts that are not met",
        found,
        Column(title="Paper"),
        Column(title="Table"),
        (_ROW, lambda each: each.model),
        (Column(title="Printed", decimals=0), lambda each: printed_text(each.number.number)),
        (Column(title="Computed", decimals=0), lambda each: computed_text(each.number) if each.number.match else None),
        (Column(title="Why"), lambda each: each.number.number.reason),
    )


def notes_of(found: ComparedTable) -> tuple[str, ...]:
    """What is known of the numbers of a table that differ or are counted in an unusual way, each once."""
    notes = (f"{row.row.model}: {note_of(each)}" for row in found.rows for _, each in row.compared() if note_of(each))
    return tuple(dict.fromkeys(notes))


def _paper_dict(found: ComparedPaper) -> PaperJson:
    tables = [json_as(TableJson, each.table, rows=[_row_dict(row) for row in each.rows]) for each in found.tables]
    return json_as(PaperJson, found.paper, tables=tables)


def _row_dict(found: ComparedRow) -> RowJson:
    values, measured_here = map(_value_dict, found.values), map(_measured_dict, found.measured)
    return json_as(RowJson, found.row, values=list(values), measured=list(measured_here))


def _value_dict(found: ComparedValue) -> ValueJson:
    compared = [
        json_as(
            NumberJson,
            each.number,
            computed=each.computed,
            match=str(each.match.agreement),
            relative_difference=each.match.difference,
            note=note_of(each),
        )
        for each in found.numbers
        if each.match is not None
    ]
    return json_as(ValueJson, found.value, outcome=str(found.outcome), reason=found.reason, compared=compared)


def _measured_dict(found: Measured) -> MeasuredJson:
    latency = None if found.latency is None else json_as(MeasuredLatencyJson, found.latency)
    return json_as(MeasuredJson, found.score, **{**vars(found), "latency": latency})


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
    total = (*report.counts.items(), ("all", sum(report.counts.values())))
    yield _markdown(_plain_table(("outcome", "printed values"), total, numbers=("printed values",)))
    yield "Why values are not computed:"
    reasons = ((number, reason) for reason, number in report.reasons.items())
    yield _markdown(_plain_table(("values", "reason"), reasons, numbers=("values",)))
    if report.missing:
        yield "## Counts that are not met"
        yield _markdown(missing_table(report.missing))
    for paper in report.papers:
        yield f"## {paper.paper.title}"
        link = f" <{paper.paper.link}>." if paper.paper.link else ""
        yield f"{paper.paper.reference}.{link} `--paper {paper.paper.key}`"
        for table in paper.tables:
            yield from _table_sections(table)


def _table_sections(found: ComparedTable) -> Iterator[str]:
    yield f"### {title_of(found.table)}"
    if found.computable:
        yield _markdown(compared_table(found))
        notes = notes_of(found)
        if notes:
            yield _bullets(f"{note}." for note in notes)
    measured_here = measured_table(found)
    if measured_here.rows:
        yield "Measured here:"
        yield _markdown(measured_here)
    yield from _as_printed(found)


def _as_printed(found: ComparedTable) -> Iterator[str]:
    """Every value of a table with its conditions, and why those are not computed that are not."""
    left = {key: reasons for key in found.table.columns if (reasons := _reasons(found, key))}
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
    yield _markdown(_plain_table(head, lines, numbers=left))
    columns = ((key, found.table.columns[key], reasons) for key, reasons in left.items())
    yield _bullets(
        f"`{key}`: {', '.join(filter(None, (column.metric or key, column.unit, column.conditions)))}. "
        f"Not computed: {'; '.join(reasons)}."
        for key, column, reasons in columns
    )


def _reasons(found: ComparedTable, column: str) -> list[str]:
    """Why numbers of a column are not computed, with the rows that this is true of unless it is all."""
    values = [(row.row.model, value) for row in found.rows for value in row.values if value.value.column == column]
    rows: dict[str, list[str]] = {}
    for model, value in values:
        for each in value.numbers:
            if each.match is None:
                rows.setdefault(each.number.reason, []).append(model)
    whole = len(values)
    return [
        reason if len(set(models)) == whole else f"{reason} ({', '.join(dict.fromkeys(models))})"
        for reason, models in rows.items()
    ]


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _plain_table(head: Iterable[str], rows: Iterable[Iterable[Cell]], *, numbers: Iterable[str]) -> Table:
    right = set(numbers)
    columns = (Column(title=name, decimals=0 if name in right else None) for name in head)
    return Table(title="", columns=tuple(columns), rows=tuple(tuple(row) for row in rows))


def _markdown(table: Table) -> str:
    """A table of the page: headings in small letters, networks as code, and less escaped than `Table.markdown` does."""
    rule = "|".join("---:" if column.numeric else "---" for column in table.columns)
    rows = [[column.title[0].lower() + column.title[1:] for column in table.columns]]
    for row in table.rows:
        cells = zip(("" if value is None else str(value) for value in row), table.columns, strict=True)
        rows.append([f"`{cell}`" if column is _NETWORK else cell for cell, column in cells])
    lines = [" | ".join(map(_escaped, row)) for row in rows]
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def _escaped(text: str) -> str:
    """Text in which Markdown sees no table, emphasis, HTML or link."""
    return re.sub(r"([|*<\[\]])", r"\\\1", text)
