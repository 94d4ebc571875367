"""A search space: every domain of a family's choices, with sampling, identity and narrowing.

The layout of its YAML file is checked by pydantic, what the family allows by SearchSpace. How a study's domains and
fixed choices take the place of a space's own stands here, too, and what differs between two spaces: that works on
`SearchSpace.to_dict()`.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, Self, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archsearch.errors import ArchsearchError, ConfigError, StoreError, UnknownNameError
from archsearch.models.families import FAMILIES
from archsearch.models.spec import ChoiceValue, Spec
from archsearch.resources import find_yaml, read_yaml
from archsearch.text import level_text
from archsearch.validation import explain

_MOST_DRAWS = 500  # random combinations, before a family is taken to refuse every one

# One domain, and the checks that make a set of domains and fixed choices a search space of a family.
#
# Values of choices: how they are compared, written and put in order. `True` is never `1` here, `1.0` always is.


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
        value = level_text(value)
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
    primitive choice; naming `where` if it refuses a value beside the fixed choices, whatever the other domains give.
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
    varied = tuple(domain for domain in checked if len(domain.values) > 1)
    each_value: list[dict[str, ChoiceValue]] = [{domain.name: value} for domain in varied for value in domain.values]
    for kept in [{}, *each_value]:
        try:
            base.with_choices({**constants, **kept})
        except ConfigError as error:
            others = [domain for domain in varied if domain.name not in kept]
            if drawn(base, others, {**constants, **kept}, random.Random("archsearch space")) is None:
                raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error
    return varied, constants


def drawn(
    base: Spec, domains: Sequence[Domain], fixed: Mapping[str, ChoiceValue], generator: random.Random
) -> dict[str, ChoiceValue] | None:
    """A value from each domain, drawn uniformly from the combinations that the family accepts beside the fixed choices.

    None if it refuses the first `_MOST_DRAWS`.
    """
    for _ in range(_MOST_DRAWS):
        suggested = {domain.name: generator.choice(domain.values) for domain in domains}
        try:
            base.with_choices({**fixed, **suggested})
        except ConfigError:
            continue
        return suggested
    return None


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
    """What the choice sets."""
    try:
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


def narrowed(
    base: Spec,
    domains: Sequence[Domain],
    fixed: Mapping[str, ChoiceValue],
    new_domains: Mapping[str, Sequence[Any]],
    new_fixed: Mapping[str, Any],
    scale: Mapping[str, Any],
    *,
    where: str,
) -> tuple[tuple[Domain, ...], dict[str, ChoiceValue]]:
    """Domains and fixed choices after the new ones, and those of a scale, have taken the place of all that they cover.

    A new domain stands where the first that it replaces stood and inherits the sources of all of them. Raises
    ConfigError, beginning with `where`, if an old one is covered in part only, two new ones set the same primitive
    choice, or the family refuses a name or value.
    """
    added = [
        checked_domain(base, name, values, "", where=where, key=f"restrict.{name}")
        for name, values in new_domains.items()
    ]
    reach = {f"restrict.{domain.name}": primitives(base, domain.name, domain.values) for domain in added}
    constants: dict[str, ChoiceValue] = {}
    for section, given in (("scale", scale), ("fixed", new_fixed)):
        for name, value in given.items():
            constants[name] = canonical_value(base, name, value, where=f"{where}: {section}.{name}")
            reach[f"{section}.{name}"] = primitives(base, name, [constants[name]])
    _refuse_overlaps(reach, where=where)

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


class ChoiceFile(BaseModel):
    """One entry under `choices`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    values: list[Any]
    source: str = Field(min_length=1)


class SpaceFile(BaseModel):
    """A whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(min_length=1)
    family: str = Field(min_length=1)
    description: str = ""
    fixed: dict[str, Any] = Field(default_factory=dict)
    choices: dict[str, ChoiceFile] = Field(min_length=1)


def read_space(path: Path) -> SpaceFile:
    """The content of the file. Raises ConfigError naming file and key, what was got and what was expected."""
    try:
        return SpaceFile.model_validate(read_yaml(path))
    except ValidationError as error:
        raise explain(error, source=str(path), model=SpaceFile) from error


_Choices = Mapping[str, ChoiceValue]
_Identity = Callable[[Spec], _Choices]


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The points that a search may visit: one value from each domain, on top of the family's base and `fixed`.

    A suggestion is a dict with one value for each domain. Domains of one value become fixed choices; values take the
    types that the family itself uses; the order of domains and values is kept.

    Attributes:
        name: the space's name, for people.
        family: a name in `archsearch.models.families.FAMILIES`.
        domains: the choices that vary, each with at least two values; no two set the same primitive choice.
        fixed: choices that every point has.
        description: one or two sentences for people.

    Raises ConfigError naming the key (`choices.stage3.kernel.values[2]`), after `where` if that is given (a file), if
    the family refuses a choice or value, a value is there twice, or two keys set the same primitive choice; and naming
    the choice for a value of which the family refuses every combination.
    """

    name: str
    family: str
    domains: tuple[Domain, ...]
    fixed: Mapping[str, ChoiceValue] = field(default_factory=dict, hash=False)
    description: str = field(default="", compare=False)
    where: InitVar[str | None] = None

    def __post_init__(self, where: str | None) -> None:
        prefix = where or f"search space '{self.name}'"
        try:
            base = FAMILIES[self.family].base
        except UnknownNameError as error:
            raise ConfigError(f"{prefix}: family: {error.message}", hint=error.hint) from error
        domains, fixed = checked_parts(base, self.domains, self.fixed, where=prefix)
        object.__setattr__(self, "domains", domains)
        object.__setattr__(self, "fixed", fixed)

    @property
    def base(self) -> Spec:
        """The family's own base, which fixed and suggested choices change together."""
        return FAMILIES[self.family].base

    @property
    def size(self) -> int:
        """How many suggestions there are (different suggestions may build equal networks)."""
        return math.prod(len(domain.values) for domain in self.domains)

    @property
    def fingerprint(self) -> str:
        """12 hex digits of family, domains and fixed choices; order, names, descriptions and sources do not count."""
        return hashlib.sha256(fingerprint_text(self.to_dict()).encode()).hexdigest()[:12]

    def spec(self, suggested: Mapping[str, Any]) -> Spec:
        """The architecture of a suggestion, not normalised.

        Raises ConfigError if a domain has no value, a name is no domain, or a value is outside its domain.
        """
        unknown = [name for name in suggested if name not in {domain.name for domain in self.domains}]
        if unknown:
            raise UnknownNameError("suggested choice", unknown[0], [domain.name for domain in self.domains])
        missing = [domain.name for domain in self.domains if domain.name not in suggested]
        if missing:
            raise ConfigError(
                f"search space '{self.name}': the suggestion has no value for {listed(missing)}",
                hint="a suggestion has one value for each domain",
            )
        chosen = {domain.name: domain.value(suggested[domain.name]) for domain in self.domains}
        # All at once: a choice without effect on the base alone may have one beside a suggested choice.
        return self.base.with_choices({**self.fixed, **chosen})

    def contains(self, suggested: Mapping[str, Any]) -> bool:
        """Whether this is a suggestion of this space: exactly its names, each with a value of its domain."""
        try:
            self.spec(suggested)
        except ConfigError:
            return False
        return True

    def sample(self, seed: int) -> dict[str, ChoiceValue]:
        """A suggestion drawn uniformly from those that the family accepts; the same seed gives the same one.

        Raises ConfigError if the family accepts hardly any.
        """
        found = drawn(self.base, self.domains, self.fixed, random.Random(f"archsearch space {seed}"))
        if found is None:
            raise ConfigError(
                f"search space '{self.name}': {self.family} refuses {_MOST_DRAWS} of {_MOST_DRAWS} random combinations",
                hint="restrict the choices that rule each other out",
            )
        return found

    def suggestion_of(self, spec: Spec, *, input_size: int | None = None) -> dict[str, ChoiceValue] | None:
        """The suggestion that builds the same network as `spec`, or None if no point of this space does.

        Without `input_size` the suggestion's spec must equal `spec` choice by choice; with it (pixels) the two are
        compared normalised, so that choices without effect at that size may differ.
        """
        if spec.family != self.family:
            return None

        def identity(candidate: Spec) -> dict[str, ChoiceValue]:
            return (candidate if input_size is None else candidate.normalised(input_size)).choices()

        wanted, target = spec.choices(), identity(spec)
        found: dict[str, ChoiceValue] = {}
        unmatched: list[Domain] = []
        for domain in self.domains:
            agreeing = [value for value in domain.values if self._agrees(domain.name, value, wanted)]
            found[domain.name] = (agreeing or domain.values)[0]
            if len(agreeing) != 1:
                unmatched.append(domain)
        for domain in unmatched:  # no effect in this network, or equal to one that has none: the nearest value stands
            nearest = [self._distance({**found, domain.name: value}, identity, target) for value in domain.values]
            found[domain.name] = domain.values[nearest.index(min(nearest))]
        return found if self._distance(found, identity, target) == 0 else None

    def restricted(
        self,
        domains: Mapping[str, Sequence[Any]] | None = None,
        fixed: Mapping[str, Any] | None = None,
        scale: Mapping[str, Any] | None = None,
        *,
        where: str | None = None,
    ) -> SearchSpace:
        """This space with other domains, fixed choices and scale, as a study asks: any value that the family allows.

        A new domain or fixed choice takes the place of those whose primitive choices it covers: fixing `kernel`
        removes `stage2.kernel`, `stage3.kernel` and `stage4.kernel`. Raises ConfigError, beginning with `where` (the
        study's file), if one is covered in part only (fixing `stage2.kernel` beside a domain `kernel`), and for
        everything that the space itself refuses.
        """
        prefix = where or f"search space '{self.name}'"
        parts = narrowed(self.base, self.domains, self.fixed, domains or {}, fixed or {}, scale or {}, where=prefix)
        return SearchSpace(
            name=self.name,
            family=self.family,
            domains=parts[0],
            fixed=parts[1],
            description=self.description,
            where=prefix,
        )

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What changed since `other` (an earlier `to_dict()`), one line each; empty if the fingerprints agree.

        >>> space.differences(stored)  # doctest: +SKIP
        ['kernel: values were [3, 5], now [3, 5, 7]']
        """
        return differences(before=other, now=self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: name, family, description, domains (name, values, source) and fixed."""
        return {
            "name": self.name,
            "family": self.family,
            "description": self.description,
            "domains": [
                {"name": domain.name, "values": list(domain.values), "source": domain.source} for domain in self.domains
            ],
            "fixed": dict(self.fixed),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises StoreError if the content is none, ConfigError if the family refuses it."""
        try:
            domains = tuple(
                Domain(name=entry["name"], values=tuple(entry["values"]), source=entry.get("source", ""))
                for entry in content["domains"]
            )
            name, family, fixed = content["name"], content["family"], dict(content["fixed"])
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"not a stored search space: {type(error).__name__}: {error}") from error
        return cls(name=name, family=family, domains=domains, fixed=fixed, description=content.get("description", ""))

    def _agrees(self, name: str, value: ChoiceValue, choices: Mapping[str, ChoiceValue]) -> bool:
        sets = self.base.expand(name, value)
        return all(key_of(choices[primitive]) == key_of(item) for primitive, item in sets.items())

    def _distance(self, suggested: Mapping[str, ChoiceValue], identity: _Identity, target: _Choices) -> int:
        """How many choices of the suggestion's network differ from the target's."""
        try:
            choices = identity(self.spec(suggested))
        except ArchsearchError:  # a combination that the family refuses is no network at all
            return len(target) + 1
        return sum(key_of(choices[name]) != key_of(value) for name, value in target.items())


def load_space(name_or_path: str) -> SearchSpace:
    """The search space of a shipped name (`shufflenet_v2`) or of a user's own YAML file.

    Raises UnknownNameError for a name that is not shipped, ConfigError naming file and key for a wrong file.
    """
    path = find_yaml("search_spaces", name_or_path)
    content = read_space(path)
    return SearchSpace(
        name=content.name,
        family=content.family,
        domains=tuple(
            Domain(name=name, values=tuple(choice.values), source=choice.source)
            for name, choice in content.choices.items()
        ),
        fixed=content.fixed,
        description=content.description,
        where=str(path),
    )
