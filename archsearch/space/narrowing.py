"""How a study's domains and fixed choices take the place of a search space's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from archsearch.errors import ConfigError
from archsearch.models.spec import ChoiceValue, Spec
from archsearch.space.domain import Domain, canonical_value, checked_domain, primitives
from archsearch.space.values import listed


def narrowed(
    base: Spec,
    domains: Sequence[Domain],
    fixed: Mapping[str, ChoiceValue],
    new_domains: Mapping[str, Sequence[Any]],
    new_fixed: Mapping[str, Any],
    *,
    where: str,
) -> tuple[tuple[Domain, ...], dict[str, ChoiceValue]]:
    """Domains and fixed choices after the new ones have taken the place of all those that they cover.

    A new domain stands where the first that it replaces stood and inherits the sources of all of them. Raises
    ConfigError, beginning with `where`, if an old one is covered in part only or the family refuses a name or value.
    """
    added = [
        checked_domain(base, name, values, "", where=where, key=f"restrict.{name}")
        for name, values in new_domains.items()
    ]
    constants = {
        name: canonical_value(base, name, value, where=f"{where}: fixed.{name}") for name, value in new_fixed.items()
    }
    reach = {f"restrict.{domain.name}": primitives(base, domain.name, domain.values) for domain in added}
    reach |= {f"fixed.{name}": primitives(base, name, [value]) for name, value in constants.items()}

    kept: list[Domain] = []
    waiting = {domain.name: domain for domain in added}
    sources: dict[str, list[str]] = {domain.name: [] for domain in added}
    for old in domains:
        touching = _touching(primitives(base, old.name, old.values), f"choices.{old.name}", reach, where=where)
        if not touching:
            kept.append(old)
        for name in [key.removeprefix("restrict.") for key in touching if key.startswith("restrict.")]:
            sources[name].append(old.source)
            if name in waiting:
                kept.append(waiting.pop(name))
    kept.extend(waiting.values())
    constants = {
        name: value
        for name, value in fixed.items()
        if not _touching(primitives(base, name, [value]), f"fixed.{name}", reach, where=where)
    } | constants
    result = tuple(
        Domain(name=domain.name, values=domain.values, source=_joined(sources[domain.name]))
        if domain.name in sources
        else domain
        for domain in kept
    )
    return result, constants


def _touching(old: frozenset[str], old_key: str, reach: Mapping[str, frozenset[str]], *, where: str) -> tuple[str, ...]:
    """The new keys that set what the old one set: none, or together all of it."""
    touching = tuple(key for key, names in reach.items() if names & old)
    left = old.difference(*(reach[key] for key in touching))
    if touching and left:
        raise ConfigError(
            f"{where}: {touching[0]}: the search space has '{old_key}', which also sets {listed(sorted(left))}",
            hint=f"set '{old_key.partition('.')[2]}' instead, or each of the choices that it sets",
        )
    return touching


def _joined(sources: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(source for source in sources if source))
