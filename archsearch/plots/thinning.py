"""Fewer points where a figure would have too many: always the same ones, and the figure says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def thinned(items: Sequence[Item], most: int, keep: Callable[[Item], bool] = lambda _: False) -> list[Item]:
    """All that `keep` wants, and of the rest evenly many in their order, so that there are at most `most` of those."""
    rest = [index for index, item in enumerate(items) if not keep(item)]
    if len(rest) <= most:
        return list(items)
    chosen = {rest[position * len(rest) // most] for position in range(most)}
    return [item for index, item in enumerate(items) if index in chosen or keep(item)]


def thinned_line(drawn: int, of: int, what: str) -> str:
    """What a figure says of it; empty where everything is drawn."""
    return "" if drawn >= of else f"{drawn:,} of {of:,} {what} are drawn"
