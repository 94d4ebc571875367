"""What a study's networks are compared with: the published network that they are nearest to, and what differs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.models.families import FAMILIES
from archsearch.models.spec import ChoiceValue
from archsearch.records import Record
from archsearch.text import level_text

_NUMBERED = re.compile(r"([a-z]+)(\d+)\.(.+)")
_BETWEEN = " / "

Change = tuple[str, str, str]  # the choice, its value, the baseline's value


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One network that others are described against: its name for people, and its choices."""

    name: str
    choices: Mapping[str, ChoiceValue]


def baselines_of(records: Sequence[Record]) -> dict[str, Baseline]:
    """For each family the evaluated variant from which its networks differ in the fewest choices, taken together.

    A study of half the width is described against the published network of half the width, not against its family's
    first, from which every one of its networks differs in every width. Without a variant it is the family's base.
    Ties go to the lower trial.
    """
    of_family: dict[str, list[Record]] = {}
    for record in records:
        if record.choices:
            of_family.setdefault(record.family, []).append(record)
    found = {}
    for family, members in of_family.items():
        counts = Counter(choice for record in members for choice in record.choices.items())
        variants = {record.variant: record for record in reversed(members) if record.variant is not None}
        if variants:
            name, nearest = max(
                sorted(variants.items(), key=lambda item: item[1].trial),
                key=lambda item: sum(counts[choice] for choice in item[1].choices.items()),
            )
            found[family] = Baseline(name=name, choices=dict(nearest.choices))
        elif family in FAMILIES:
            found[family] = Baseline(name=f"the base of {family}", choices=FAMILIES[family].base.choices())
    return found


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
