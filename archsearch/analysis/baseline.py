"""What a study's networks are compared with: the published network that they are nearest to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.models.families import FAMILIES
from archsearch.models.spec import ChoiceValue
from archsearch.records import Record


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
        counts: dict[str, Counter[Any]] = {}
        for record in members:
            for name, value in record.choices.items():
                counts.setdefault(name, Counter())[value] += 1
        variants = {record.variant: record for record in reversed(members) if record.variant is not None}
        if variants:
            name, nearest = max(
                sorted(variants.items(), key=lambda item: item[1].trial),
                key=lambda item: sum(counts[choice][value] for choice, value in item[1].choices.items()),
            )
            found[family] = Baseline(name=name, choices=dict(nearest.choices))
        elif family in FAMILIES:
            found[family] = Baseline(name=f"the base of {family}", choices=FAMILIES[family].base.choices())
    return found
