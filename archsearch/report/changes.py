"""What differs between a network and its baseline, in as few words as will do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from archsearch.text import level_text

_NUMBERED = re.compile(r"([a-z]+)(\d+)\.(.+)")
_BETWEEN = " / "

Change = tuple[str, str, str]  # the choice, its value, the baseline's value


def changes_of(choices: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[Change, ...]:
    """The choices that differ, one entry for each choice over all stages that have it.

    `stage2.kernel` 6 and `stage4.kernel` 6 against 3 everywhere become ("kernel", "6 / 3 / 6", "3"): the values of all
    stages in their order, and one value where they are equal.
    """
    groups: dict[str, list[str]] = {}
    for name in base:
        numbered = _NUMBERED.fullmatch(name)
        groups.setdefault(f"{numbered[1]}.{numbered[3]}" if numbered else name, []).append(name)
    found = []
    for title, names in groups.items():
        present = [name for name in names if name in choices]
        if any(choices[name] != base[name] for name in present):
            alone = len(names) == 1
            found.append(
                (
                    names[0] if alone else title.partition(".")[2],
                    _joined([level_text(choices[name]) for name in present]),
                    _joined([level_text(base[name]) for name in present]),
                )
            )
    return tuple(found)


def changes_text(changes: tuple[Change, ...]) -> str:
    """All of them in one line, the baseline's values in brackets."""
    return ", ".join(f"{name} {value} ({base})" for name, value, base in changes)


def _joined(values: list[str]) -> str:
    return values[0] if len(set(values)) == 1 else _BETWEEN.join(values)
