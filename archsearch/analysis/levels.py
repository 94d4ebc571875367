"""The networks of a search with their points in the search space, for what is worked out over all of them at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.analysis.objectives import complete_values, is_complete
from archsearch.records import Record
from archsearch.text import first_of, level_text, plural


@dataclass(frozen=True, kw_only=True, eq=False)
class Networks:
    """The complete networks of a search space, each once.

    Attributes:
        arch_ids: of each network.
        points: the value of every choice, as the search space names them, of the network's first record.
        values: (n, m) objectives, averaged over the records of a network.
        levels: the values of each choice that occur, in order: numbers by size, text by the alphabet after "none".
        varying, constant: choices with more than one value, and those with one.
        left_out: complete records that are not of the search space, lack a choice, or hold a value that is not finite.
    """

    arch_ids: tuple[str, ...]
    points: tuple[Mapping[str, Any], ...]
    values: NDArray[np.float64]
    levels: Mapping[str, tuple[Any, ...]]
    varying: tuple[str, ...]
    constant: tuple[str, ...]
    left_out: int

    def lacking(self, what: str, least: int) -> str:
        """Why there are no `what` of them; empty if there are so many, and a choice varied."""
        if len(self.arch_ids) < least:
            return f"{len(self.arch_ids)} complete networks of the search space; {what} need at least {least}"
        return "" if self.varying else "every choice had one value in all networks"


OBSERVATIONAL = "observational: the search chose the networks, so this shows where differences went along with a choice"


def counts_text(networks: int, left_out: int, constant: Sequence[str]) -> str:
    """How many networks something was worked out from, how many were left out, and which choices never varied."""
    text = f"{plural(networks, 'network')} of the search space"
    if left_out:
        text += f"; {left_out:,} outside of it left out"
    if constant:
        text += f"; never varied: {first_of(constant, 6)}"
    return text


def networks_of(records: Sequence[Record], objectives: Sequence[str]) -> Networks:
    """The networks of these records. Raises UnknownNameError for an unknown objective."""
    complete = [record for record in records if is_complete(record)]
    kinds = Counter(tuple(record.suggested) for record in complete if record.suggested)
    names = kinds.most_common(1)[0][0] if kinds else ()
    known = set(names)
    usable, values = complete_values(
        (record for record in complete if known and set(record.suggested) == known), objectives
    )
    index: dict[str, int] = {}
    rows = np.array([index.setdefault(record.arch_id, len(index)) for record in usable], dtype=np.int64)
    first = {record.arch_id: record for record in reversed(usable)}
    means = np.zeros((len(index), values.shape[1]))
    np.add.at(means, rows, values)
    means /= np.bincount(rows, minlength=len(index))[:, None] if index else 1.0
    points = tuple(first[arch_id].suggested for arch_id in index)
    levels = {
        name: tuple(sorted({level_text(each[name]): each[name] for each in reversed(points)}.values(), key=_place))
        for name in names
    }
    return Networks(
        arch_ids=tuple(index),
        points=points,
        values=means,
        levels=levels,
        varying=tuple(name for name in names if len(levels[name]) > 1),
        constant=tuple(name for name in names if len(levels[name]) == 1),
        left_out=len(complete) - len(usable),
    )


def _place(value: Any) -> tuple[int, float, str]:
    if isinstance(value, bool):
        return (1, float(value), "")
    if isinstance(value, int | float):
        return (2, float(value), "")
    text = level_text(value)
    return (0, 0.0, "") if text in ("none", "null") else (3, 0.0, text)
