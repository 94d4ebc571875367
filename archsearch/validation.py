"""Pydantic's findings in one sentence that names the file, the key, what was got and what to do."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from archsearch.errors import ConfigError, shortened, shown


def explain(error: ValidationError, *, source: str, model: type[BaseModel]) -> ConfigError:
    """A ConfigError for the first finding; the count of others stands in the hint."""
    findings = error.errors(include_url=False)
    first = findings[0]
    # Of a key that takes one of several types pydantic also names the type that it tried: no key that a person wrote.
    key = shortened(".".join(str(part) for part in first["loc"] if "[" not in str(part)), 200)
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, first["loc"][:-1])
        near = get_close_matches(str(first["loc"][-1])[:200], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
        message = f"{source}: unknown key '{key}'"
    elif first["type"] == "missing":
        message, hint = f"{source}: the key '{key}' is missing", None
    else:
        text = first["msg"].removeprefix("Value error, ")
        message, hint = f"{source}: {key}: {text[:1].lower()}{text[1:]}, got {shown(first['input'])}", None
    if len(findings) > 1:
        more = f"and {len(findings) - 1} more wrong key{'s' if len(findings) > 2 else ''}"
        hint = f"{hint}; {more}" if hint else more
    return ConfigError(message, hint=hint)


def _keys_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = None if field is None else field.annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
