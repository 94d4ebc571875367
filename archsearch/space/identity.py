"""When two search spaces are the same, and what differs when they are not. Works on `SearchSpace.to_dict()`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from archsearch.space.values import key_of, shown


def fingerprint_text(space: Mapping[str, Any]) -> str:
    """Canonical text of family, domains and fixed choices: the order of keys and values does not show in it."""
    return json.dumps(
        {
            "family": space["family"],
            "domains": {entry["name"]: _keys(entry["values"]) for entry in space["domains"]},
            "fixed": {name: key_of(value) for name, value in space["fixed"].items()},
        },
        sort_keys=True,
    )


def differences(*, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line for each choice whose values differ: `kernel: values were [3, 5], now [3, 5, 7]`."""
    lines = []
    if before["family"] != now["family"]:
        lines.append(f"family: was {before['family']}, now {now['family']}")
    old, new = _settings(before), _settings(now)
    for name in [*old, *(name for name in new if name not in old)]:
        line = _line(old.get(name), new.get(name))
        if line:
            lines.append(f"{name}: {line}")
    return lines


def _settings(space: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Each choice with its values; a fixed choice has one."""
    varied = {entry["name"]: list(entry["values"]) for entry in space["domains"]}
    return varied | {name: [value] for name, value in space["fixed"].items()}


def _line(old: list[Any] | None, new: list[Any] | None) -> str | None:
    if old and new and _keys(old) == _keys(new):
        return None
    if old and new and min(len(old), len(new)) > 1:
        return f"values were {shown(old)}, now {shown(new)}"
    return f"was {_said(old)}, now {_said(new)}"


def _said(values: list[Any] | None) -> str:
    if not values:
        return "not set"
    return f"fixed to {shown(values[0])}" if len(values) == 1 else f"chosen from {shown(values)}"


def _keys(values: list[Any]) -> list[str]:
    return sorted(key_of(value) for value in values)
