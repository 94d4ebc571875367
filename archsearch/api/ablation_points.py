"""The networks of an ablation: which levels of which choices stand against the base. Nothing here imports torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from archsearch.designs import DesignPoint
from archsearch.errors import ArchsearchError, ConfigError
from archsearch.models.choice import Flag, OneOf
from archsearch.models.families import FAMILIES
from archsearch.models.spec import ChoiceValue, Spec
from archsearch.models.variants import VARIANTS
from archsearch.space.search_space import SearchSpace
from archsearch.space.values import key_of, listed, shown

Mode = Literal["one-at-a-time", "leave-one-out", "pairs"]
MODES: tuple[Mode, ...] = ("one-at-a-time", "leave-one-out", "pairs")
Levels = Mapping[str, Sequence[Any]]  # choice, macro or not: its levels


@dataclass(frozen=True, kw_only=True)
class AblationPoints:
    """Points against a base, which is the first, and what was left out or merged on the way, in sentences."""

    points: tuple[DesignPoint, ...]
    notes: tuple[str, ...]


class PointMaker:
    """Makes points of one base, each network once.

    Args:
        base: the network, normalised at the study's image size.
        input_size: of the study's images (pixels).
        scale: the study's strides and pooling, which published variants have here, too.
        trials: trial number of the studied study, by arch_id.
    """

    def __init__(self, base: Spec, *, input_size: int, scale: Mapping[str, Any], trials: Mapping[str, int]) -> None:
        self.base = base
        self._input_size = input_size
        self._trials = trials
        self._variants: dict[str, str] = {}
        for name in VARIANTS:
            if VARIANTS[name].spec.family == base.family:
                spec = VARIANTS[name].at_scale(scale).normalised(input_size)
                self._variants.setdefault(spec.arch_id, name)
        self._found = {base.arch_id: self.point("base", base, {})}
        self.notes: list[str] = []

    @property
    def points(self) -> tuple[DesignPoint, ...]:
        """The base, then every other network in the order of its coming."""
        return tuple(self._found.values())

    def point(self, name: str, spec: Spec, changes: Mapping[str, Any]) -> DesignPoint:
        """A point of a normalised specification."""
        return DesignPoint(
            name=name,
            family=spec.family,
            choices=spec.choices(),
            arch_id=spec.arch_id,
            changes=dict(changes),
            trial=self._trials.get(spec.arch_id),
            variant=self._variants.get(spec.arch_id),
        )

    def add(self, changes: Mapping[str, Any]) -> None:
        """Add the base with these changes, unless it is a network that is there already or cannot be made."""
        name = name_of(changes)
        if all(self.is_own(choice, level) for choice, level in changes.items()):
            return
        try:
            spec = self.base.with_choices(changes).normalised(self._input_size)
        except ArchsearchError as error:
            self.notes.append(f"{name} is left out: {error.message}")
            return
        known = self._found.get(spec.arch_id)
        if known is None:
            self._found[spec.arch_id] = self.point(name, spec, changes)
        elif not known.changes:
            self.notes.append(f"{name} has no effect on the base: it is the same network")
        elif known.name != name:
            self.notes.append(f"{name} is the same network as {known.name}, which stands for both")

    def is_own(self, choice: str, level: Any) -> bool:
        """Whether the base has this level itself."""
        own = self.base.choices()
        return all(key_of(own[name]) == key_of(value) for name, value in self.base.expand(choice, level).items())


def name_of(changes: Mapping[str, Any]) -> str:
    """What a point is called: kernel=5, or kernel=5 + residual=true."""
    return " + ".join(f"{choice}={shown(level)}" for choice, level in changes.items())


def one_at_a_time(maker: PointMaker, levels: Levels) -> AblationPoints:
    """The base with each level of each choice."""
    for choice, each in levels.items():
        for level in each:
            maker.add({choice: level})
    return AblationPoints(points=maker.points, notes=tuple(maker.notes))


def pairs(maker: PointMaker, levels: Levels) -> AblationPoints:
    """The base with each level of each choice, and with every pair of levels of two different choices."""
    one_at_a_time(maker, levels)
    foreign = {choice: [level for level in each if not maker.is_own(choice, level)] for choice, each in levels.items()}
    for (first, some), (second, others) in combinations(foreign.items(), 2):
        together = _sets(maker.base, first, some) & _sets(maker.base, second, others)
        if together:
            maker.notes.append(f"{first} with {second}: no pairs, because both set {listed(sorted(together))}")
            continue
        for one in some:
            for other in others:
                maker.add({first: one, second: other})
    return AblationPoints(points=maker.points, notes=tuple(maker.notes))


def leave_one_out(
    maker: PointMaker, baseline: Spec, choices: Sequence[str], levels_of: Callable[[str], Sequence[Any]]
) -> AblationPoints:
    """The base with each choice that differs from the baseline put back, one at a time.

    Args:
        maker: of the base.
        baseline: of the same family.
        choices: those to look at, macros included; what they set in the baseline is put back together.
        levels_of: gives the levels of a choice, among which the baseline's is looked for.
    """
    wanted = baseline.choices()
    for choice in choices:
        levels = list(levels_of(choice))
        parts = sorted(_sets(maker.base, choice, levels))
        if all(key_of(maker.base.choices()[part]) == key_of(wanted[part]) for part in parts):
            continue
        level = next((level for level in levels if _is(baseline, choice, level)), None)
        maker.add({part: wanted[part] for part in parts} if level is None else {choice: level})
    return AblationPoints(points=maker.points, notes=tuple(maker.notes))


def nearest_baseline(base: Spec, *, scale: Mapping[str, Any], input_size: int) -> Spec:
    """The plain network of the base's family that differs from it least: its own base at the nearest width.

    Strides and pooling are the study's.
    """
    plain = FAMILIES[base.family].base
    width = plain.macros().get("width")
    candidates = [plain.with_choices({"width": level}) for level in (width.levels if width else ())] or [plain]
    known = plain.rules()
    at_scale = {name: value for name, value in scale.items() if name in known}
    own = base.choices()

    def distance(candidate: Spec) -> int:
        return sum(key_of(value) != key_of(own[name]) for name, value in candidate.choices().items())

    return min((each.with_choices(at_scale).normalised(input_size) for each in candidates), key=distance)


def levels_of(space: SearchSpace, spec: Spec, choice: str) -> tuple[ChoiceValue, ...]:
    """The levels of a choice: those of the search space, else all of those that the family names.

    A macro that sets what several choices of the space set one by one (`kernel` for `stageN.kernel`) has the levels
    that they share. Raises UnknownNameError for no choice of the family, ConfigError where levels must be given.
    """
    for domain in space.domains:
        if domain.name == choice:
            return domain.values
    rule, macro = spec.rules().get(choice), spec.macros().get(choice)
    if isinstance(rule, OneOf):
        return rule.names
    if isinstance(rule, Flag):
        return (False, True)
    if macro is not None and macro.levels:
        return macro.levels
    parts = [domain.values for domain in space.domains if domain.name.endswith(f".{choice}")] if macro else []
    shared = [value for value in parts[0] if all(_has(values, value) for values in parts)] if parts else []
    if shared:
        return tuple(shared)
    if rule is None and macro is None:
        spec.expand(choice, None)  # raises with the nearest name
    allowed = rule if macro is None else macro.allowed
    raise ConfigError(
        f"--choices {choice}: the search space '{space.name}' has no levels of it",
        hint=f"give them: --choices '{choice}=A|B', each {allowed}",
    )


def parse_choices(texts: Sequence[str], spec: Spec) -> dict[str, tuple[str, ...] | None]:
    """Choices as typed, `kernel` or `kernel=3|5`, with commas between them; None where no levels are given.

    A comma within levels (`channels=48,96,192`) is theirs. Raises ConfigError for what is no such list.
    """
    names = {*spec.rules(), *spec.macros()}
    parts: list[str] = []
    for text in texts:
        fresh = True
        for piece in text.split(","):
            inside = not fresh and "=" in parts[-1] and piece.partition("=")[0].strip() not in names
            if inside:
                parts[-1] += f",{piece}"
            else:
                parts.append(piece)
            fresh = False
    found: dict[str, tuple[str, ...] | None] = {}
    for part in parts:
        name, equals, levels = part.strip().partition("=")
        name = name.strip()
        if not name or (equals and not levels.strip()):
            raise ConfigError(f"--choices: '{part.strip()}' is no choice", hint="for example kernel,attention=none|se")
        if name in found:
            raise ConfigError(f"--choices: '{name}' is there twice")
        found[name] = tuple(level.strip() for level in re.split(r"\|", levels)) if equals else None
    return found


def typed_levels(spec: Spec, choice: str, texts: Sequence[str]) -> tuple[ChoiceValue, ...]:
    """Levels as typed, in the family's own types. Raises ConfigError or UnknownNameError for one that is none."""
    found = []
    for text in texts:
        values = list(spec.expand(choice, text).values())
        alike = choice in spec.rules() or (
            all(part.endswith(f".{choice}") for part in spec.expand(choice, text))
            and len({key_of(value) for value in values}) == 1
        )
        found.append(values[0] if alike else text)
    return tuple(found)


def _has(values: Sequence[ChoiceValue], wanted: ChoiceValue) -> bool:
    return any(key_of(value) == key_of(wanted) for value in values)


def _is(spec: Spec, choice: str, level: Any) -> bool:
    own = spec.choices()
    return all(key_of(own[name]) == key_of(value) for name, value in spec.expand(choice, level).items())


def _sets(spec: Spec, choice: str, levels: Sequence[Any]) -> set[str]:
    return {part for level in levels for part in spec.expand(choice, level)}
