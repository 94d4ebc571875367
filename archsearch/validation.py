"""Pydantic's findings in our words: one sentence that names the file, the key, what was got and what to do.

Also whole numbers and seconds among the arguments of a function, of which pydantic hears nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from operator import index
from typing import Any, SupportsIndex, get_args, overload

from pydantic import BaseModel, ValidationError

from archsearch.errors import ConfigError, OverrideError, nearest, shortened, shown
from archsearch.files import NAME, NAME_WORDS
from archsearch.text import plural

_PATTERNS = {NAME: NAME_WORDS}


@overload
def whole(value: SupportsIndex, name: str) -> int: ...
@overload
def whole(value: SupportsIndex | None, name: str) -> int | None: ...
def whole(value: SupportsIndex | None, name: str) -> int | None:
    """The argument of this name as an int, also of numpy's whole numbers; None stays. Raises ConfigError for others."""
    try:
        return None if value is None else index(value)
    except TypeError:
        raise ConfigError(f"{name} {shown(value)}: must be a whole number") from None


def check_seconds(value: float | None, name: str) -> None:
    """Raise ConfigError for an argument of this name that is no number of seconds, 0 or more; None passes."""
    if value is not None and not (isinstance(value, Real) and value >= 0.0):
        raise ConfigError(f"{name} {shown(value)}: must be a number of seconds, 0 or more")


# Of a key that takes one of several types pydantic also names the type that it tried: no key that a person wrote.
_TYPE_TRIED = re.compile(r".*\[.*|(constrained-)?(str|int|float|bool)")


def _length(what: str) -> Callable[[Mapping[str, Any]], str]:
    def said(facts: Mapping[str, Any]) -> str:
        if "min_length" in facts:
            return f"of at least {plural(facts['min_length'], what)}"
        return f"of at most {plural(facts['max_length'], what)}"

    return said


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


# What a value must be, by the type of a finding and its facts.
_MUST_BE: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), lambda _: "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _: "a number"),
    "finite_number": lambda _: "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda _: "true or false"),
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode", "invalid_key"), lambda _: "text"),
    "string_pattern_mismatch": lambda facts: _PATTERNS.get(facts["pattern"], f"text like {facts['pattern']}"),
    **dict.fromkeys(("string_too_short", "string_too_long"), _length("character")),
    **dict.fromkeys(("too_short", "too_long"), _length("value")),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"), lambda _: "a list"),
    **dict.fromkeys(
        ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"),
        lambda _: "keys with values",
    ),
    **dict.fromkeys(("literal_error", "enum"), lambda facts: facts["expected"]),
    "none_required": lambda _: "nothing (null)",
    "greater_than": lambda facts: f"above {_number(facts['gt'])}",
    "greater_than_equal": lambda facts: f"at least {_number(facts['ge'])}",
    "less_than": lambda facts: f"below {_number(facts['lt'])}",
    "less_than_equal": lambda facts: f"at most {_number(facts['le'])}",
}


def must_be(findings: Sequence[Any]) -> str:
    """What pydantic says of one value, as `must be at least 1`; of a type that is not in the table in its own words."""
    if findings[0]["type"] == "value_error":  # one of our own
        return str(findings[0]["msg"]).removeprefix("Value error, ")
    said = [
        words(finding.get("ctx", {})) if (words := _MUST_BE.get(finding["type"])) else str(finding["msg"])
        for finding in findings
    ]
    return f"must be {' or '.join(dict.fromkeys(said))}"


def explain(
    error: ValidationError, *, source: str, model: type[BaseModel], overrides: Iterable[str] = ()
) -> ConfigError:
    """A ConfigError for the first wrong key, an OverrideError if one of the overrides is that key.

    The count of other wrong keys stands in the hint.
    """
    by_key: dict[tuple[str | int, ...], list[Any]] = {}
    for finding in error.errors(include_url=False):
        location = finding["loc"]
        unknown = location[-1:] if finding["type"] == "extra_forbidden" else ()  # as it was written, whatever it is
        by_key.setdefault(_key(location[: len(location) - len(unknown)]) + unknown, []).append(finding)
    # Of a list that might have been a word, what is wrong in it says more.
    keys = [key for key in by_key if not any(len(each) > len(key) and each[: len(key)] == key for each in by_key)]
    path = keys[0]
    first, dotted = by_key[path][0], ".".join(map(str, path))
    key = shortened(dotted, 200)
    hint = None
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = nearest(str(path[-1]), sorted(known))
        above = "".join(f"{part}." for part in path[:-1])
        hint = f"did you mean '{above}{near}'?" if near else f"known keys: {', '.join(sorted(known))}"
        message, what = f"unknown key '{key}'", "unknown key"
    elif first["type"] == "missing":
        message = what = f"the key '{key}' is missing"
    else:
        what = f"{must_be(by_key[path])}, got {shown(first['input'])}"
        message = f"{key}: {what}" if key else what
        if first["type"] == "literal_error" and isinstance(first["input"], str):
            near = nearest(first["input"], re.findall(r"'([^']*)'", first["ctx"]["expected"]))
            hint = f"did you mean '{near}'?" if near else None
    if len(keys) > 1:
        more = f"and {plural(len(keys) - 1, 'more wrong key')}"
        hint = f"{hint}; {more}" if hint else more
    for each in overrides:
        if not path or f"{dotted}.".startswith(f"{each}.") or f"{each}.".startswith(f"{dotted}."):
            return OverrideError(key if path else "", what, hint=hint)
    return ConfigError(f"{source}: {message}", hint=hint)


def _key(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The key that a person wrote, of a finding's location."""
    while location and _TYPE_TRIED.fullmatch(str(location[-1])):
        location = location[:-1]
    return tuple(part for part in location if "[" not in str(part))


def _keys_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    found: Any = model
    for part in location:
        if _is_model(found):
            field = found.model_fields.get(str(part))
            found = None if field is None else field.annotation
        else:  # a mapping's values
            found = next(iter(get_args(found)[1:]), None)
    return list(found.model_fields) if _is_model(found) else []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
