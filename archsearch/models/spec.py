"""The frozen specification of a network: every choice of its family, by a dotted name. Nothing here imports torch.

A family's specification is a frozen dataclass of choices (`choice`), groups of choices (other ChoiceGroups) and
numbered groups (`numbered`). Names follow from the fields: `stem.kernel`, `stage3.units`. What a network is called,
stored and compared by is derived here, once for all families.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from numbers import Real
from typing import Any, ClassVar, NoReturn, Self, cast

from archsearch.errors import ConfigError, UnknownNameError, shown
from archsearch.resources import parse_json

# What a choice of a specification may be, and how a value written by a person becomes one of exact type.

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


__all__ = ["ChoiceGroup", "ChoiceValue", "Spec"]


@dataclass(frozen=True, kw_only=True)
class ChoiceGroup:
    """Choices that belong together. Each is stored in its exact type, so that equal choices have equal JSON."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            if "rule" in entry.metadata:
                _put(self, entry.name, _read(entry.name, entry.metadata["rule"], getattr(self, entry.name)))


class Spec(ChoiceGroup, ABC):
    """One network of one family: immutable, hashable, and equal to every other spec of the same choices.

    Subclasses are frozen dataclasses whose every choice has a default, set `family`, and may add macros and normalise
    choices without effect.
    """

    family: ClassVar[str]

    @classmethod
    @abstractmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """The family's own names for several choices at once, beside those that set every numbered group."""

    @abstractmethod
    def normalised(self, input_size: int) -> Self:
        """The same network with every choice that has no effect at this input size (pixels) set to its default.

        Choices without effect at any input size are normalised when a spec is made; this adds the rest.
        """

    def choices(self) -> dict[str, ChoiceValue]:
        """Every primitive choice by its dotted name."""
        return {name: value for name, _, value in _leaves(self, "")}

    @classmethod
    def rules(cls) -> dict[str, Rule]:
        """What each primitive choice may be, by its dotted name."""
        return {name: rule for name, rule, _ in _leaves(cls(), "")}

    @classmethod
    def macros(cls) -> dict[str, Macro]:
        """Every macro by its name: those of numbered groups (`kernel` for each `stageN.kernel`), then own ones."""
        return {**_group_macros(cls()), **cls.own_macros()}

    @classmethod
    def names(cls) -> frozenset[str]:
        """Every name of a choice, primitive or macro."""
        return frozenset({*cls.rules(), *cls.macros()})

    @classmethod
    def expand(cls, name: str, value: object) -> dict[str, ChoiceValue]:
        """The primitive choices that one choice sets: itself, or what the macro of this name stands for.

        Raises UnknownNameError for a name that is neither, ConfigError for a value that it does not take.
        """
        rules = cls.rules()
        if name in rules:
            return {name: _read(name, rules[name], value)}
        macros = cls.macros()
        if name not in macros:
            raise UnknownNameError(  # YAML names may be numbers
                "choice", str(name), rules, listed_by=f"archsearch describe {cls.family}", beside=tuple(macros)
            )
        macro = macros[name]
        try:
            parts = macro.expand(value)
            return {part: rules[part].read(each) for part, each in parts.items()}
        except (ValueError, OverflowError):
            _refuse(name, value, macro.allowed)

    def with_choices(self, changes: Mapping[str, Any]) -> Self:
        """This network with some choices changed, all at once. Values may be text, as typed on a command line.

        Where two names set the same choice, the one that sets fewer wins, in whatever order they come: `kernel=5`
        with `stage3.kernel=3` is 5, 3, 5.

        Raises UnknownNameError for an unknown name, ConfigError for a value that is not allowed and for two equally
        wide names that contradict each other.
        """
        expanded = {name: self.expand(name, value) for name, value in changes.items()}
        merged: dict[str, ChoiceValue] = {}
        setter: dict[str, str] = {}
        for name, parts in sorted(expanded.items(), key=lambda item: -len(item[1])):
            for part, value in parts.items():
                rival = setter.get(part)
                if rival and len(expanded[rival]) == len(parts) and merged[part] != value:
                    raise ConfigError(
                        f"choices '{rival}' and '{name}' set '{part}' to {merged[part]!r} and {value!r}",
                        hint="give one of them",
                    )
                merged[part], setter[part] = value, name
        return cast(Self, _rebuilt(self, "", merged))

    def at_scale(self, scale: Mapping[str, Any]) -> Self:
        """This network with a study's strides and pooling, as far as its family has them.

        A study's scale is written for the family that it searches: an outside network has no such stem, or a stem of
        its own, and keeps it.
        """
        known = self.names()
        return self.with_choices({name: value for name, value in scale.items() if name in known})

    def canonical_json(self) -> str:
        """The family and every choice, keys sorted, without spaces: equal networks have equal texts."""
        content = {"family": self.family, **self.choices()}
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_canonical_json(cls, text: str) -> Self:
        """The spec that `canonical_json` wrote. Raises ConfigError if the text is another family's or not complete."""
        content = read_json(text)
        family = content.pop("family", None)
        if family != cls.family:
            raise ConfigError(f"architecture JSON: family '{cls.family}' was expected, got {family!r}")
        missing = sorted(cls.rules().keys() - content.keys())
        if missing:
            raise ConfigError(
                f"architecture JSON: choices are missing: {', '.join(missing)}",
                hint="it was written by another version of archsearch",
            )
        return cls().with_choices(content)

    @property
    def arch_id(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()[:12]


def read_json(text: str) -> dict[str, Any]:
    """The object in an architecture's JSON. Raises ConfigError if there is none."""
    content = parse_json(text, "architecture JSON")
    if not isinstance(content, dict):
        raise ConfigError(f"architecture JSON: an object was expected, got {type(content).__name__}")
    return content


def _read(name: str, rule: Rule, value: object) -> ChoiceValue:
    try:
        return rule.read(value)
    except (ValueError, OverflowError):
        _refuse(name, value, str(rule))


def _refuse(name: str, value: object, allowed: str) -> NoReturn:
    raise ConfigError(f"choice '{name}' cannot be {shown(value)}", hint=f"allowed: {allowed}") from None


def _put(group: ChoiceGroup, name: str, value: object) -> None:
    """Sets a field of a frozen dataclass while it is being made."""
    object.__setattr__(group, name, value)


def _leaves(group: ChoiceGroup, prefix: str) -> Iterator[tuple[str, Rule, ChoiceValue]]:
    for entry in fields(group):
        value = getattr(group, entry.name)
        if "rule" in entry.metadata:
            yield f"{prefix}{entry.name}", entry.metadata["rule"], value
        else:
            for name, inner in _inner(entry, value):
                yield from _leaves(inner, f"{prefix}{name}.")


def _inner(entry: Field[Any], value: Any) -> list[tuple[str, ChoiceGroup]]:
    """The groups in one field, each with its name."""
    if isinstance(value, tuple):
        prefix, first = entry.metadata["prefix"], entry.metadata["first"]
        return [(f"{prefix}{number}", group) for number, group in enumerate(value, start=first)]
    return [(entry.name, value)]


def _rebuilt(group: ChoiceGroup, prefix: str, changes: Mapping[str, ChoiceValue]) -> ChoiceGroup:
    updates: dict[str, Any] = {}
    for entry in fields(group):
        value = getattr(group, entry.name)
        if "rule" in entry.metadata:
            updates[entry.name] = changes.get(f"{prefix}{entry.name}", value)
        else:
            groups = [_rebuilt(inner, f"{prefix}{name}.", changes) for name, inner in _inner(entry, value)]
            updates[entry.name] = tuple(groups) if isinstance(value, tuple) else groups[0]
    return replace(group, **updates)


def _group_macros(spec: ChoiceGroup) -> dict[str, Macro]:
    """For each choice of a numbered group, the macro that sets it in every group."""
    found: dict[str, Macro] = {}
    for entry in fields(spec):
        if "prefix" not in entry.metadata:
            continue
        groups = _inner(entry, getattr(spec, entry.name))
        names = [name for name, _ in groups]
        for leaf, rule, _ in _leaves(groups[0][1], ""):
            found[leaf] = _every(leaf, names, rule)
    return found


def _every(leaf: str, groups: list[str], rule: Rule) -> Macro:
    def expand(value: object) -> dict[str, object]:
        values = value.split(",") if isinstance(value, str) and "," in value else value
        if not isinstance(values, list | tuple):
            values = [values] * len(groups)
        if len(values) != len(groups):
            raise ValueError(value)
        return {f"{group}.{leaf}": each for group, each in zip(groups, values, strict=True)}

    return Macro(expand, f"{rule}; one value, or {len(groups)} separated by commas ({', '.join(groups)})")


# How a network drawn for ImageNet takes the small images of CIFAR. No torch here.

FORMS = ("auto", "imagenet", "small_input")
SMALL_INPUT = 64  # pixels: CIFAR and Tiny ImageNet, but no crop of ImageNet


def resolved_form(form: str, input_size: int) -> str:
    """`imagenet` or `small_input`: what `auto` means at this input size (pixels)."""
    if form != "auto":
        return form
    return "small_input" if input_size <= SMALL_INPUT else "imagenet"
