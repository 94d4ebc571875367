"""Keys of a study with other values: typed as `--set KEY=VALUE`, or given from Python as a mapping."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsearch.errors import ConfigError, OverrideError
from archsearch.resources import parse_yaml

Overrides = Mapping[str, Any] | Sequence[str]
"""`{"proxy.epochs": 3}`, or texts as on a command line, `["proxy.epochs=3"]`, whose values are read as YAML."""

_SECTIONS = ("proxy", "latency")


def read_overrides(given: Overrides) -> dict[str, Any]:
    """Values by dotted key, in the order given; of a key given twice the last. Raises OverrideError."""
    if isinstance(given, Mapping):
        return {str(key): _own(value) for key, value in given.items()}
    found: dict[str, Any] = {}
    for text in [given] if isinstance(given, str) else given:
        if not isinstance(text, str):
            raise OverrideError(f"{text!r:.80}", "expected key=value", hint="for example proxy.epochs=3")
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise OverrideError(text, "expected key=value", hint="for example proxy.epochs=3")
        found.pop(key, None)
        try:
            found[key] = parse_yaml(value, key)
        except ConfigError as error:
            raise OverrideError(key, error.message.removeprefix(f"{key}: "), hint=error.hint) from error
    return found


def _own(value: Any) -> Any:
    """A copy in which what is numpy's (numbers, truth values, arrays) is Python's own, in lists and mappings, too."""
    if isinstance(value, Mapping):
        return {key: _own(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_own(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else copy.deepcopy(value)


@dataclass(frozen=True, kw_only=True)
class SectionChanges:
    """Keys of a study's `proxy` and `latency` with other values.

    `others`: other keys, which only a study that was never run can take.
    """

    proxy: Mapping[str, Any] = field(default_factory=dict)
    latency: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> str:
        """The first changed key that is none of `latency`, as it was given. Raises StopIteration without one."""
        return next(iter((*(f"proxy.{key}" for key in self.proxy), *self.others)))


def section_changes(overrides: Overrides) -> SectionChanges:
    """The overrides by section. Raises OverrideError for what is none."""
    found: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    others: dict[str, Any] = {}
    for key, value in read_overrides(overrides).items():
        section, _, name = key.partition(".")
        if name and section in _SECTIONS:
            found[section][name] = value
        else:
            others[key] = value
    return SectionChanges(proxy=found["proxy"], latency=found["latency"], others=others)
