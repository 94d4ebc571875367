"""A table from names to entries: one for each kind of part that can be added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from archsearch.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to entries of one kind. An unknown name is answered with the nearest known one.

    `listed_by`: the command that lists them, for a kind of many.

    >>> ATTENTION = Registry[type]("attention")
    """

    def __init__(self, kind: str, entries: dict[str, T] | None = None, *, listed_by: str = "") -> None:
        self.kind = kind
        self.listed_by = listed_by
        self._entries: dict[str, T] = dict(entries or {})

    def add(self, name: str, entry: T) -> T:
        """Enter one part. Raises ValueError if the name is taken: two parts never share a name."""
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        """The entry. Raises UnknownNameError with the nearest known name."""
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._entries, listed_by=self.listed_by) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> tuple[str, ...]:
        """Every name, in the order of entry."""
        return tuple(self._entries)
