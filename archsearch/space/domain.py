"""One domain, and the checks that make a set of domains and fixed choices a search space of a family.

Values of choices: how they are compared, written and put in order. `True` is never `1` here, `1.0` always is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from archsearch.errors import ConfigError, UnknownNameError
from archsearch.models.spec import ChoiceValue, Spec


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


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The values that one choice may take.

    Attributes:
        name: a choice of the family, primitive (`stage3.kernel`) or macro (`kernel`: all stages together).
        values: at least two different values, in the order of the YAML file.
        source: the paper, section or figure that the choice comes from.
    """

    name: str
    values: tuple[ChoiceValue, ...]
    source: str = ""

    def value(self, wanted: object) -> ChoiceValue:
        """The domain's own value that equals `wanted` (1 finds 1.0; true never finds 1).

        Raises ConfigError if there is none.
        """
        if is_choice_value(wanted):
            for value in self.values:
                if key_of(value) == key_of(wanted):
                    return value
        raise ConfigError(
            f"choice '{self.name}': {shown(wanted)} is not in its domain", hint=f"allowed: {shown(self.values)}"
        )


def canonical_value(base: Spec, name: str, value: Any, *, where: str) -> ChoiceValue:
    """The value as the family itself keeps it: 1 becomes 1.0 where the family holds a float, "3" becomes 3.

    A list ([48, 96, 192] for `channels`) becomes its text "48,96,192", so that every value can be hashed and stored.
    Raises ConfigError that begins with `where` if the family has no such choice or refuses the value.
    """
    if isinstance(value, list | tuple) and all(is_choice_value(item) for item in value):
        value = ",".join(shown(item) for item in value)
    if not is_choice_value(value):
        raise ConfigError(
            f"{where}: text, a number, true, false or null was expected, got {shown(value)} ({type(value).__name__})"
        )
    sets = _expand(base, name, value, where=where)
    if set(sets) == {name}:
        return sets[name]
    if sets and all(primitive.endswith(f".{name}") for primitive in sets) and len({*map(key_of, sets.values())}) == 1:
        return next(iter(sets.values()))  # a macro that gives every stage the same value
    return _as_number(base, name, value) if isinstance(value, str) else value


def checked_domain(
    base: Spec, name: str, values: Sequence[Any], source: str, *, where: str, key: str | None = None
) -> Domain:
    """A domain whose values the family accepts, all different, in the family's own types.

    Raises ConfigError naming `where`, the key (by default that of a search space's file) and the place in the list.
    """
    key = f"{where}: {key or f'choices.{name}.values'}"
    if not values:
        raise ConfigError(f"{key}: no values", hint="list at least one value, or remove the choice")
    canonical = [canonical_value(base, name, value, where=f"{key}[{index}]") for index, value in enumerate(values)]
    if any(isinstance(value, float) for value in canonical):
        canonical = [float(value) if type(value) is int else value for value in canonical]
    seen: dict[str, int] = {}
    for index, value in enumerate(canonical):
        effect = _effect(base, name, value)
        if effect in seen:
            raise ConfigError(
                f"{key}[{index}]: {shown(values[index])} is the same choice as values[{seen[effect]}], "
                f"{shown(values[seen[effect]])}",
                hint="every value must differ from the others",
            )
        seen[effect] = index
    return Domain(name=name, values=tuple(canonical), source=source)


def checked_parts(
    base: Spec, domains: Sequence[Domain], fixed: Mapping[str, Any], *, where: str
) -> tuple[tuple[Domain, ...], dict[str, ChoiceValue]]:
    """The domains of at least two values, and all fixed choices (a domain of one value is fixed).

    Raises ConfigError naming `where` and the key if the family refuses a name or value, or if two keys set the same
    primitive choice.
    """
    constants = {
        name: canonical_value(base, name, value, where=f"{where}: fixed.{name}") for name, value in fixed.items()
    }
    checked = [checked_domain(base, domain.name, domain.values, domain.source, where=where) for domain in domains]
    reach = {f"fixed.{name}": primitives(base, name, [value]) for name, value in constants.items()}
    for domain in checked:
        if f"choices.{domain.name}" in reach:
            raise ConfigError(f"{where}: choices.{domain.name}: the choice is there twice")
        reach[f"choices.{domain.name}"] = primitives(base, domain.name, domain.values)
    _refuse_overlaps(reach, where=where)
    constants.update({domain.name: domain.values[0] for domain in checked if len(domain.values) == 1})
    base.with_choices(constants)
    return tuple(domain for domain in checked if len(domain.values) > 1), constants


def primitives(base: Spec, name: str, values: Sequence[ChoiceValue]) -> frozenset[str]:
    """Every primitive choice that this choice sets with any of these values."""
    return frozenset(primitive for value in values for primitive in base.expand(name, value))


def _refuse_overlaps(reach: Mapping[str, frozenset[str]], *, where: str) -> None:
    setter: dict[str, str] = {}
    for key, names in reach.items():
        for primitive in sorted(names):
            if primitive in setter:
                raise ConfigError(
                    f"{where}: {key}: sets '{primitive}', which {setter[primitive]} sets too",
                    hint=f"keep one of {listed([setter[primitive], key])}",
                )
            setter[primitive] = key


def _expand(base: Spec, name: str, value: ChoiceValue, *, where: str) -> dict[str, ChoiceValue]:
    """What the choice sets, once the family has accepted it."""
    try:
        base.with_choices({name: value})
        return dict(base.expand(name, value))
    except ConfigError as error:
        if isinstance(error, UnknownNameError):  # the name is wrong, not the value
            where = re.sub(r"\.values\[\d+\]$", "", where)
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error


def _effect(base: Spec, name: str, value: ChoiceValue) -> str:
    """Text that two values share when they set the same primitive choices to the same values."""
    return repr(sorted((primitive, key_of(item)) for primitive, item in base.expand(name, value).items()))


def _as_number(base: Spec, name: str, text: str) -> ChoiceValue:
    """The number that a text stands for, where the family takes it for the same choice; else the text itself."""
    for kind in (int, float):
        try:
            number = kind(text)
            if _effect(base, name, number) == _effect(base, name, text):
                return number
        except (ValueError, ConfigError):
            continue
    return text
