"""Fewer points where a figure would have too many: always the same ones, and the figure says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def thinned(items: Sequence[Item], most: int, keep: Callable[[Item], bool] = lambda _: False) -> list[Item]:
    """Of those that `keep` wants and of the rest evenly many in their order, at most `most` each."""
    chosen: set[int] = set()
    for wanted in (True, False):
        group = [index for index, item in enumerate(items) if keep(item) == wanted]
        count = min(most, len(group))
        chosen |= {group[position * len(group) // count] for position in range(count)}
    return [item for index, item in enumerate(items) if index in chosen]


def thinned_line(drawn: int, of: int, what: str) -> str:
    """What a figure says of it; empty where everything is drawn."""
    return "" if drawn >= of else f"{drawn:,} of {of:,} {what} are drawn"
