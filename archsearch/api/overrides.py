"""`--set KEY=VALUE` of commands that take a study as it is, but for its proxy and its latency protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsearch.errors import ConfigError
from archsearch.resources import parse_yaml

_SECTIONS = ("proxy", "latency")


@dataclass(frozen=True, kw_only=True)
class SectionChanges:
    """Keys of a study's `proxy` and `latency` with other values.

    `others`: `key=value` of other keys, which only a study that was never run can take.
    """

    proxy: Mapping[str, Any] = field(default_factory=dict)
    latency: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def section_changes(overrides: Sequence[str]) -> SectionChanges:
    """What was typed after each `--set`. Raises ConfigError for what is no `key=value`."""
    found: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    others: list[str] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        section, _, name = key.strip().partition(".")
        if not equals or not section:
            raise ConfigError(f"--set {override}: expected key=value", hint="for example --set proxy.epochs=3")
        if not name or section not in _SECTIONS:
            others.append(override)
            continue
        found[section][name] = parse_yaml(text, f"--set {override}")
    return SectionChanges(proxy=found["proxy"], latency=found["latency"], others=tuple(others))
