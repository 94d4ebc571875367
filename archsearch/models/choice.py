"""What a choice of a specification may be, and how a value written by a person becomes one of exact type."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

ChoiceValue = str | int | float | bool | None


class Rule(ABC):
    """The values that one choice may take. `str(rule)` tells a person which."""

    @abstractmethod
    def read(self, value: object) -> ChoiceValue:
        """The value in its exact type, also from text as typed on a command line. Raises ValueError if not allowed."""


@dataclass(frozen=True)
class OneOf(Rule):
    """One of some names. Where `none` is among them, None means it too (YAML's `null`)."""

    names: tuple[str, ...]

    def read(self, value: object) -> str:
        """The name."""
        name = "none" if value is None else value
        if not isinstance(name, str) or name.strip() not in self.names:
            raise ValueError(value)
        return name.strip()

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


@dataclass(frozen=True)
class Word(Rule):
    """One word that matches `pattern`: a name of something whose list is known elsewhere, `known`."""

    pattern: str
    known: str

    def read(self, value: object) -> str:
        """The word."""
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value.strip()):
            raise ValueError(value)
        return value.strip()

    def __str__(self) -> str:
        return self.known


@dataclass(frozen=True)
class Whole(Rule):
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    def read(self, value: object) -> int:
        """The number as int."""
        if isinstance(value, bool) or not isinstance(value, str | Real):
            raise ValueError(value)
        number = int(value) if isinstance(value, str) else int(float(value))
        if not isinstance(value, str) and number != value:
            raise ValueError(value)
        if not self.low <= number <= self.high:
            raise ValueError(value)
        return number

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Decimal(Rule):
    """A number from `low` to `high`, both included."""

    low: float
    high: float

    def read(self, value: object) -> float:
        """The number as float."""
        if isinstance(value, bool) or not isinstance(value, str | Real):
            raise ValueError(value)
        number = float(value)
        if not math.isfinite(number) or not self.low <= number <= self.high:
            raise ValueError(value)
        return number

    def __str__(self) -> str:
        return f"a number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Flag(Rule):
    """True or false."""

    def read(self, value: object) -> bool:
        """The flag as bool."""
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        raise ValueError(value)

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Macro:
    """A name that sets several choices at once.

    Attributes:
        expand: from a value as a person writes it to the primitive choices that it sets. Raises ValueError for a value
            that is not allowed.
        allowed: the values that it takes, for a person.
        levels: the same values one by one, where they are few.
    """

    expand: Callable[[object], Mapping[str, object]]
    allowed: str
    levels: tuple[ChoiceValue, ...] = ()


def choice(rule: Rule, default: ChoiceValue) -> Any:
    """A dataclass field that is a primitive choice."""
    return field(default=default, metadata={"rule": rule})


def numbered(prefix: str, first: int, default: tuple[Any, ...]) -> Any:
    """A dataclass field of groups named `prefix` and a number counted from `first`: stage2, stage3, ..."""
    return field(default=default, metadata={"prefix": prefix, "first": first})
