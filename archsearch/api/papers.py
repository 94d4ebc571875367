"""The papers' printed numbers beside the computed ones, and beside what has been measured here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archsearch.errors import ConfigError
from archsearch.models.variants import find_variant
from archsearch.papers.match import Match, Outcome, compare
from archsearch.papers.printed import UNITS, Number, Paper, PrintedValue, Row, Table, find_paper, load_papers

if TYPE_CHECKING:
    from archsearch.api.paper_costs import PaperCost
    from archsearch.api.paper_measured import Measured

NOT_COMPUTED = "not computed"
OUTCOMES = (*Outcome, NOT_COMPUTED)


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
        found = {each.match.outcome for each in self.numbers if each.match is not None}
        ranked = (Outcome.DIFFERS, Outcome.ROUNDS, Outcome.EXACT)
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

    table: Table
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
    reason: str


@dataclass(frozen=True, kw_only=True)
class PapersReport:
    """Every printed value of the papers that were asked for, each with exactly one outcome.

    Attributes:
        papers: in the order of their keys.
        studies: names of the stored studies that were looked through.
    """

    papers: tuple[ComparedPaper, ...]
    studies: tuple[str, ...] = ()

    def rows(self) -> Iterator[tuple[Paper, Table, ComparedRow]]:
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
            Missing(paper=paper.key, table=table.table, model=row.row.model, number=number, reason=number.number.reason)
            for paper, table, row in self.rows()
            for value in row.values
            for number in value.numbers
            if number.number.computed_kind and (number.match is None or number.match.outcome == Outcome.DIFFERS)
        )


def compare_papers(
    paper: str | None = None, *, storage: str | None = None, progress: Callable[[str, int, int], None] | None = None
) -> PapersReport:
    """Compare every printed number with what archsearch computes.

    Each network is built and counted once. Where studies have measured it, the measurements stand beside the printed
    numbers; without a database there are none.

    Args:
        paper: the key of one paper; None: all.
        storage: the database of the studies.
        progress: told (variant, how many were counted before it, how many there are) before each network.

    Raises UnknownNameError for an unknown paper, StoreError for a database that cannot be read or that was named and is
    not there.
    """
    from archsearch.api.paper_measured import stored_studies

    papers = load_papers() if paper is None else (find_paper(paper),)
    studies = stored_studies(storage)
    costs = _costs(papers, progress)
    return PapersReport(
        papers=tuple(
            ComparedPaper(
                paper=each,
                tables=tuple(
                    ComparedTable(table=table, rows=tuple(_row(each, table, row, costs, studies) for row in table.rows))
                    for table in each.tables
                ),
            )
            for each in papers
        ),
        studies=tuple(study.name for study in studies),
    )


def _costs(
    papers: tuple[Paper, ...], progress: Callable[[str, int, int], None] | None
) -> Mapping[tuple[str, str], PaperCost]:
    from archsearch.api.paper_costs import paper_cost

    wanted: dict[tuple[str, str], Table] = {}
    for paper in papers:
        for table in paper.tables:
            for row in table.rows:
                if row.variant is not None and _counted(row):
                    wanted.setdefault((row.variant, _scale_key(paper, table)), table)
    costs = {}
    for done, (key, table) in enumerate(wanted.items()):
        if progress is not None:
            progress(key[0], done, len(wanted))
        costs[key] = paper_cost(find_variant(key[0]), table.scale)
    return costs


def _counted(row: Row) -> bool:
    return any(number.computed_kind for value in row.values for number in value.numbers)


def _scale_key(paper: Paper, table: Table) -> str:
    return "" if table.scale is None else f"{paper.key}:{table.table}"


def _row(
    paper: Paper, table: Table, row: Row, costs: Mapping[tuple[str, str], PaperCost], studies: tuple[Any, ...]
) -> ComparedRow:
    from archsearch.api.paper_measured import measured

    cost = None if row.variant is None else costs.get((row.variant, _scale_key(paper, table)))
    where = f"{paper.key}, table {table.table}, row '{row.model}'"
    return ComparedRow(
        row=row,
        values=tuple(
            ComparedValue(value=value, numbers=tuple(_number(number, cost, where) for number in value.numbers))
            for value in row.values
        ),
        measured=measured(find_variant(row.variant), studies) if row.variant is not None and studies else (),
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
