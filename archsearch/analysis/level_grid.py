"""Accuracy, latency and costs by the levels of two choices, over the networks of a search.

A cell is the mean over the networks that have both levels, whatever else they have, with Student's t interval of that
mean. Without two choices named, those are taken that go along with most of the first objectives' variance: the share
between their levels, corrected for their number (epsilon squared of one-way analysis of variance, Kelley 1935, "An
unbiased correlation ratio measure").

Observational, as all that speaks of a search's own networks: `archsearch ablate` measures what a choice does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from archsearch.analysis.front import DEFAULT_OBJECTIVES
from archsearch.analysis.intervals import CONFIDENCE, Floats, mean_interval
from archsearch.analysis.levels import OBSERVATIONAL, Networks, counts_text, networks_of
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.records import Record
from archsearch.table import Column, InNotebooks, Interval, Table, table_of
from archsearch.text import capitalised, level_text, plural

MIN_NETWORKS = 10
_LEAST = 3  # networks of a cell that has intervals, and that a sentence may name


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """The networks that have one level of each choice.

    Attributes:
        levels: of the two choices, as YAML writes them.
        values: by objective, the mean with its interval, which fewer than three networks do not have.
    """

    levels: tuple[str, str]
    networks: int
    values: Mapping[str, Interval]


@dataclass(frozen=True, kw_only=True)
class LevelGrid(InNotebooks):
    """The objectives by the levels of two choices: a `archsearch.table.Result`.

    Attributes:
        study: its name; "" if it has no trial.
        choices: the two, as the search space names them; empty where there are none.
        named: whether somebody asked for these two.
        cells: those that have a network, by the levels of the first choice, then of the second.
        levels: of each choice, in order.
        networks, left_out, constant: as `archsearch.analysis.levels` counts them.
    """

    study: str
    choices: tuple[str, ...]
    named: bool
    objectives: tuple[str, ...]
    cells: tuple[GridCell, ...]
    levels: tuple[tuple[str, ...], ...]
    networks: int
    left_out: int
    constant: tuple[str, ...]
    empty: str | None
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Which choices, of which study."""
        return f"{' and '.join(self.choices) or 'Two choices'} (observational): study {self.study}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """What may not be concluded, and from how many networks."""
        return (capitalised(OBSERVATIONAL), counts_text(self.networks, self.left_out, self.constant))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Of each objective its lowest cell, of those with enough networks."""
        found = []
        cells = [cell for cell in self.cells if cell.networks >= _LEAST]
        for name in self.objectives if cells else ():
            best = min(cells, key=lambda cell: _mean(cell, name))
            level, other = (f"{choice} {level}" for choice, level in zip(self.choices, best.levels, strict=True))
            shown = OBJECTIVES[name].show(_mean(best, name))
            found.append(
                f"{OBJECTIVES[name].short} is lowest with {level} and {other}: {shown} on average over "
                f"{plural(best.networks, 'network')}, of {plural(len(cells), 'cell')} with {_LEAST} or more."
            )
        return tuple(found)

    @property
    def method(self) -> str:
        """What a cell is, and how the choices were chosen."""
        chosen = "" if self.named else " The two choices are those whose levels go along with most of the variance."
        return (
            f"A cell is the mean over the networks that have both levels, with a {100 * CONFIDENCE:g} % interval of "
            f"that mean (Student's t) from {_LEAST} networks on; what else they have differs from cell to cell.{chosen}"
        )

    def tables(self) -> tuple[Table, ...]:
        """A row for each cell."""
        first, second = self.choices or ("First choice", "Second choice")
        return (
            table_of(
                "Means by level",
                self.cells,
                (Column(title=first, key="first", whole=True), lambda cell: cell.levels[0]),
                (Column(title=second, key="second", whole=True), lambda cell: cell.levels[1]),
                Column(title="Networks", decimals=0),
                *(
                    (
                        Column(title=OBJECTIVES[name].title, key=name, decimals=0 if name in ("params", "macs") else 3),
                        lambda cell, name=name: cell.values[name],
                    )
                    for name in self.objectives
                ),
            ),
        )


def level_grid(
    records: Sequence[Record], objectives: Sequence[str] = DEFAULT_OBJECTIVES, *, choices: Sequence[str] = ()
) -> LevelGrid:
    """The objectives of these records by the levels of two choices.

    Args:
        records: of one study, of any status; complete ones with a point of the search space are used.
        choices: two names of the search space; none: those that go along with most.

    Raises UnknownNameError for an objective or a choice that there is not, ConfigError for another number of choices.
    """
    if choices and not len(choices) == len(set(choices)) == 2:
        raise ConfigError(f"choices: two different ones are needed, got {', '.join(choices)}")
    found = networks_of(records, objectives)
    for name in choices if found.levels else ():
        if name not in found.levels:
            raise UnknownNameError("choice", name, list(found.levels))
    count, empty, chosen = len(found.arch_ids), None, tuple(choices)
    if count < MIN_NETWORKS:
        empty = f"No cell to show: {count} complete networks of the search space; {MIN_NETWORKS} are needed"
    elif not choices and len(found.varying) < 2:
        empty = "No cell to show: fewer than two choices varied"
    else:
        chosen = chosen or _most_telling(found)
    return LevelGrid(
        study=records[0].study if records else "",
        choices=chosen,
        named=bool(choices),
        objectives=tuple(objectives),
        cells=() if empty else _cells(found, chosen, objectives),
        levels=() if empty else tuple(tuple(level_text(each) for each in found.levels[name]) for name in chosen),
        networks=count,
        left_out=found.left_out,
        constant=found.constant,
        empty=empty,
    )


def _mean(cell: GridCell, objective: str) -> float:
    value = cell.values[objective].value
    assert value is not None  # a cell has a network
    return value


def _texts(found: Networks, choice: str) -> list[str]:
    return [level_text(point[choice]) for point in found.points]


def _most_telling(found: Networks) -> tuple[str, ...]:
    """For each objective in turn the choice that goes along with most of it and was not taken yet; two in all."""
    chosen: list[str] = []
    for column in (*range(found.values.shape[1]), 0):
        if len(chosen) < 2:
            rest = [name for name in found.varying if name not in chosen]
            chosen.append(max(rest, key=lambda name: _share(found.values[:, column], _texts(found, name))))
    return tuple(chosen)


def _share(values: Floats, levels: Sequence[str]) -> float:
    """Epsilon squared: the share of the variance that lies between the levels, less what chance gives."""
    names, index = np.unique(levels, return_inverse=True)
    means = np.bincount(index, weights=values) / np.bincount(index)
    within, total = float(((values - means[index]) ** 2).sum()), float(((values - values.mean()) ** 2).sum())
    freedom = len(values) - len(names)
    return 1.0 - within / total * (len(values) - 1) / freedom if total > 0.0 and freedom > 0 else 0.0


def _cells(found: Networks, choices: Sequence[str], objectives: Sequence[str]) -> tuple[GridCell, ...]:
    first, second = (np.array(_texts(found, name)) for name in choices)
    cells = []
    for one in map(level_text, found.levels[choices[0]]):
        for other in map(level_text, found.levels[choices[1]]):
            values = found.values[(first == one) & (second == other)]
            if len(values):
                means = [mean_interval(column) for column in values.T]
                few = len(values) < _LEAST
                cells.append(
                    GridCell(
                        levels=(one, other),
                        networks=len(values),
                        values={
                            name: Interval(each.mean, None, None) if few else Interval(each.mean, each.low, each.high)
                            for name, each in zip(objectives, means, strict=True)
                        },
                    )
                )
    return tuple(cells)
