"""Values of choices: how they are compared, written and put in order. `True` is never `1` here, `1.0` always is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TypeGuard

from archsearch.models.spec import ChoiceValue


def is_choice_value(value: object) -> TypeGuard[ChoiceValue]:
    """Whether this is text, a number, true, false or null."""
    return value is None or isinstance(value, str | int | float | bool)


def key_of(value: ChoiceValue) -> str:
    """JSON text that two values share exactly when they are the same value: true differs from 1, and 1 equals 1.0.

    >>> key_of(True), key_of(1), key_of(1.0), key_of("1")
    ('true', '1', '1', '"1"')
    """
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole and isinstance(value, float) else value)


def shown(value: object) -> str:
    """A value as YAML writes it: `true`, `none`, `0.5`."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(item) for item in value)}]"
    return json.dumps(value, default=str)


def listed(names: Iterable[str]) -> str:
    """Names in a sentence: `'a', 'b' and 'c'`."""
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
