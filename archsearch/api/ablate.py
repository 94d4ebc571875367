"""An ablation: its points and levels, its design from what was asked, and the plan of its run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from archsearch.analysis.recommendation import RECOMMENDED
from archsearch.api.designed import (
    MOST_NETWORKS,
    DesignBase,
    DesignPlan,
    base_of,
    check_size,
    design_config,
    plan_design,
)
from archsearch.api.stored import by_network, trial_number
from archsearch.api.study import Study, open_base
from archsearch.designs import Design, DesignPoint
from archsearch.errors import ArchsearchError, ConfigError, UnknownNameError
from archsearch.models.families import FAMILIES
from archsearch.models.spec import ChoiceValue, Flag, OneOf, Spec
from archsearch.models.variants import VARIANTS, find_variant
from archsearch.overrides import SectionChanges
from archsearch.records import Record, TrialStatus
from archsearch.search.runtime import Runtime
from archsearch.search.variants import AUTO, variant_names
from archsearch.space.search_space import Domain, SearchSpace, key_of, listed, shown
from archsearch.text import plural, some_of
from archsearch.validation import whole

Mode = Literal["one-at-a-time", "leave-one-out", "pairs"]
MODES: tuple[Mode, ...] = ("one-at-a-time", "leave-one-out", "pairs")
Levels = Mapping[str, Sequence[Any]]  # choice, macro or not: its levels


class PointMaker:
    """Makes points of one base, each network once; `notes` say what was left out or merged on the way.

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
                spec = VARIANTS[name].spec.at_scale(scale).normalised(input_size)
                self._variants.setdefault(spec.arch_id, name)
        self._found = {base.arch_id: self.point("base", base, {})}
        self.notes: tuple[str, ...] = ()

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
        name = " + ".join(f"{choice}={shown(level)}" for choice, level in changes.items())
        if all(_is(self.base, choice, level) for choice, level in changes.items()):
            return
        try:
            spec = self.base.with_choices(changes).normalised(self._input_size)
        except ArchsearchError as error:
            self.notes += (f"{name} is left out: {error.message}",)
            return
        known = self._found.get(spec.arch_id)
        if known is None:
            self._found[spec.arch_id] = self.point(name, spec, changes)
        elif not known.changes:
            self.notes += (f"{name} has no effect on the base: it is the same network",)
        elif known.name != name:
            self.notes += (f"{name} is the same network as {known.name}, which stands for both",)


def one_at_a_time(maker: PointMaker, levels: Levels) -> PointMaker:
    """Add each level of each choice; gives the maker."""
    for choice, each in levels.items():
        for level in each:
            maker.add({choice: level})
    return maker


def pairs(maker: PointMaker, levels: Levels) -> PointMaker:
    """Add each level of each choice, and every pair of levels of two different choices; gives the maker."""
    one_at_a_time(maker, levels)
    foreign = {choice: [one for one in each if not _is(maker.base, choice, one)] for choice, each in levels.items()}
    for (first, some), (second, others) in combinations(foreign.items(), 2):
        together = _sets(maker.base, first, some) & _sets(maker.base, second, others)
        if together:
            maker.notes += (f"{first} with {second}: no pairs, because both set {listed(sorted(together))}",)
            continue
        for one in some:
            for other in others:
                maker.add({first: one, second: other})
    return maker


def leave_one_out(maker: PointMaker, baseline: Spec, levels: Levels) -> PointMaker:
    """Add the base with each choice that differs from the baseline put back, one at a time; gives the maker.

    Args:
        baseline: of the same family.
        levels: of the choices to look at, macros included; what they set in the baseline is put back together, and the
            baseline's level is looked for among theirs.
    """
    wanted = baseline.choices()
    for choice, each in levels.items():
        parts = sorted(_sets(maker.base, choice, each))
        if all(key_of(maker.base.choices()[part]) == key_of(wanted[part]) for part in parts):
            continue
        level = next((level for level in each if _is(baseline, choice, level)), None)
        maker.add({part: wanted[part] for part in parts} if level is None else {choice: level})
    return maker


def nearest_baseline(base: Spec, *, scale: Mapping[str, Any], input_size: int) -> Spec:
    """The plain network of the base's family that differs from it least: its own base at the nearest width.

    Strides and pooling are the study's.
    """
    plain = FAMILIES[base.family].base
    width = plain.macros().get("width")
    candidates = [plain.with_choices({"width": level}) for level in (width.levels if width else ())] or [plain]
    own = base.choices()

    def distance(candidate: Spec) -> int:
        return sum(key_of(value) != key_of(own[name]) for name, value in candidate.choices().items())

    return min((each.at_scale(scale).normalised(input_size) for each in candidates), key=distance)


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
    parts = [domain.values for domain in space.domains if macro and _is_part(spec, choice, domain)]
    shared = [each for each in parts[0] if all(key_of(each) in map(key_of, part) for part in parts)] if parts else []
    if shared:
        return tuple(shared)
    if rule is None and macro is None:
        spec.expand(choice, None)  # raises with the nearest name
    allowed = rule if macro is None else macro.allowed
    raise ConfigError(
        f"choice {choice}: the search space '{space.name}' has no levels of it",
        hint=f"give them: '{choice}=A|B', each {allowed}",
    )


def _is_part(spec: Spec, macro: str, domain: Domain) -> bool:
    """Whether a domain is of one of the choices that a macro sets: `stage3.kernel` of `kernel`, not `stem.kernel`."""
    try:
        return domain.name.endswith(f".{macro}") and domain.name in spec.expand(macro, domain.values[0])
    except ConfigError:  # a value that the macro does not take
        return False


def parse_choices(texts: Sequence[str], spec: Spec) -> dict[str, tuple[str, ...] | None]:
    """Choices as typed, `kernel` or `kernel=3|5`, with commas between them; None where no levels are given.

    A comma within levels (`channels=48,96,192`) is theirs. Raises ConfigError for what is no such list.
    """
    names = spec.names()
    parts: list[str] = []
    for text in texts:
        first, *more = text.split(",")
        parts.append(first)
        for piece in more:
            if "=" in parts[-1] and piece.partition("=")[0].strip() not in names:
                parts[-1] += f",{piece}"
            else:
                parts.append(piece)
    found: dict[str, tuple[str, ...] | None] = {}
    for part in parts:
        name, equals, levels = part.strip().partition("=")
        name = name.strip()
        if not name or (equals and not levels.strip()):
            raise ConfigError(f"choices: '{part.strip()}' is none", hint="for example 'kernel,attention=none|se'")
        if name in found:
            raise ConfigError(f"choices: '{name}' is there twice")
        found[name] = tuple(level.strip() for level in levels.split("|")) if equals else None
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


def _is(spec: Spec, choice: str, level: Any) -> bool:
    own = spec.choices()
    return all(key_of(own[name]) == key_of(value) for name, value in spec.expand(choice, level).items())


def _sets(spec: Spec, choice: str, levels: Sequence[Any]) -> set[str]:
    return {part for level in levels for part in spec.expand(choice, level)}


DEFAULT_SEEDS = 5
PROPOSED_SEEDS = 3  # of a design whose size is proposed: the fewest with an interval worth the name
# what --from calls a network that is chosen by a rule
_RULES = {"best": RECOMMENDED, "accuracy": "accuracy", "latency": "latency", "knee": "knee"}


def plan_ablation(
    study: str | Path | Study | None,
    runtime: Runtime,
    *,
    base: str | None = None,
    choices: Sequence[str] = (),
    seeds: int | None = None,
    mode: Mode = "one-at-a-time",
    changes: SectionChanges | None = None,
    most: int | None = None,
) -> DesignPlan:
    """The design of an ablation, checked against its data and this machine; nothing is stored.

    Where neither choices nor `most` are given, it is as large as ends within the study's own time: with no more
    trainings than the study has trials, of its most important choices; the notes say what is left out.

    Args:
        study: a stored study, its name or file, or a shipped study or file that was never run; None: the one worked
            on last.
        base: what is changed: a variant's name, a trial's number, `best` (the recommended network), `accuracy`,
            `latency` or `knee`; None: the first of the study's own variants, or its reference.
        choices: `kernel`, or `kernel=3|5` with levels of one's own, also several with commas; none: every choice of
            the study's space, or of those what the size above leaves.
        seeds: trainings of each network, with the seeds 0 to `seeds` - 1; None: 5, or 3 where the size is proposed.
        mode: one-at-a-time, leave-one-out or pairs.
        changes: keys of `proxy` and `latency` with other values than the study's; of a study that was never run, any.
        most: networks; a larger design is refused; None: 100.

    Raises ConfigError or UnknownNameError for what was asked, and what `archsearch.api.run.plan` raises.
    """
    seeds, most = whole(seeds, "seeds"), whole(most, "most")
    if seeds is not None and seeds < 1:
        raise ConfigError(f"seeds {seeds}: at least 1 is needed")
    if mode not in MODES:
        raise UnknownNameError("mode", mode, MODES)
    changed = changes or SectionChanges()
    opened = open_base(study, storage=runtime.storage, overrides=changed.others)
    made_from = base_of(opened)
    plain = _base_spec(made_from, base)
    levels = _levels(made_from, plain, choices)  # said before the data are read, which takes torch
    input_size = _input_size(made_from, changed, runtime.data_dir)
    made = _points(made_from, plain.normalised(input_size), mode, levels, input_size=input_size)
    points, notes = made.points, made.notes
    proposed = not choices and most is None
    seeds = seeds or (PROPOSED_SEEDS if proposed else DEFAULT_SEEDS)
    most = MOST_NETWORKS if most is None else most
    if proposed:
        points, left_out = _within_study(points, made_from, changed, seeds=seeds)
        notes += left_out
    if len(points) < 2:
        raise ConfigError(
            "nothing to compare: no level differs from the base",
            hint="; ".join(notes[:3]) or "name other choices, or levels: 'kernel=3|5|7'",
        )
    check_size(len(points), seeds, most=most, fewer="name fewer choices")
    design = Design(purpose="ablation", of=made_from.name, points=points, seeds=tuple(range(seeds)), mode=mode)
    planned = plan_design(made_from, as_stored(design, made_from, changed), runtime, changes=changed)
    return replace(planned, lines=_lines(planned), notes=notes)


def as_stored(design: Design, base: DesignBase, changed: SectionChanges) -> Design:
    """The ablation with the points of the stored one that it goes on with, if there is one.

    Which trials of the study have its networks is part of a design's name, and the search may have come to some since.
    """
    networks = [(point.name, point.arch_id) for point in design.points]
    for made in () if base.study is None else base.study.designs("ablation"):
        if made.design is not None and [(point.name, point.arch_id) for point in made.design.points] == networks:
            same = replace(design, points=made.design.points)
            if design_config(base, same, changed).name == made.name:
                return same
    return design


def _within_study(
    points: tuple[DesignPoint, ...], base: DesignBase, changed: SectionChanges, *, seeds: int
) -> tuple[tuple[DesignPoint, ...], tuple[str, ...]]:
    """As many of the points as take no longer than the study's own trials, two at least, and a note of the others.

    Those of its most important choices come first; where that is not known, one level of each choice, then another.
    Raises ConfigError that names a wrong key of the changes.
    """
    trials = base.config.trials if base.study is None else len(trials_by_network(base.study.records))
    whole = Design(purpose="ablation", of=base.name, points=points, seeds=tuple(range(seeds)))
    epochs = design_config(base, whole, changed).proxy.epochs
    fitting = max(2, int(trials * base.config.proxy.epochs / epochs) // seeds)
    if len(points) <= fitting:
        return points, ()
    ranked = () if base.study is None else base.study.importances.choices
    seen: Counter[tuple[str, ...]] = Counter()
    ordered: list[tuple[float, int, DesignPoint]] = []
    for point in points[1:]:
        choices = tuple(point.changes)
        rank = max((ranked.index(each) if each in ranked else len(ranked) for each in choices), default=0)
        ordered.append((float(rank), seen[choices], point))
        seen[choices] += 1
    chosen = {point.arch_id for _, _, point in sorted(ordered, key=lambda each: each[:2])[: fitting - 1]}
    kept = tuple(point for point in points[1:] if point.arch_id in chosen)
    left = [point.name for point in points[1:] if point.arch_id not in chosen]
    named = some_of(left, _NAMED)
    why = "its most important choices" if ranked else "one level of each choice first"
    note = (
        f"{plural((len(kept) + 1) * seeds, 'training')}, because the study has {plural(trials, 'trial')}: {why}; left "
        f"out: {named} (others: name choices; all: allow {len(points)} as the most; in a terminal: --choices "
        "and --most; more seeds leave room for fewer networks, which is another ablation)"
    )
    return (points[0], *kept), (note,)


_NAMED = 6  # points that a note names


def _lines(planned: DesignPlan) -> tuple[tuple[str, str], ...]:
    design, plan = planned.design, planned.plan
    base = design.points[0]
    trial = None if base.trial is None else f"trial {base.trial} of {design.of}"
    return (
        ("base", base.variant or trial or f"network {base.arch_id}"),
        ("mode", f"{design.mode}: {plural(len(design.points), 'network')}, the base included"),
        (
            "trainings",
            f"{design.size} in all: each network with {plural(len(design.seeds), 'seed')}, "
            f"{plural(plan.config.proxy.epochs, 'epoch')} of {plan.train_images:,} images",
        ),
        ("data", f"{plan.config.dataset}, {plan.validation_images:,} validation images"),
    )


def _input_size(base: DesignBase, changed: SectionChanges, data_dir: str | Path | None) -> int:
    """Of the ablation's images. Raises ConfigError that names a wrong key of the changes, and what loading raises."""
    config = design_config(base, Design(purpose="ablation", of=base.name, points=(), seeds=()), changed)
    size = config.proxy.input_size
    if base.study is not None and size == base.config.proxy.input_size:
        return base.study.input_size
    if size is not None:
        return size
    from archsearch.data.catalog import load_dataset

    return load_dataset(
        config.dataset, data_dir=data_dir, rules=config.image_rules(former=base.former_rules)
    ).image_size


def _base_spec(base: DesignBase, which: str | None) -> Spec:
    """The network that is changed. Raises ConfigError or UnknownNameError saying what there is."""
    which = which or _own_variant(base)
    if which in _RULES or trial_number(which) is not None:
        if base.study is None:
            raise ConfigError(
                f"base {which}: study '{base.name}' is not stored, so it has no trials",
                hint="name a variant, such as shufflenet_v2_x0_5",
            )
        rule = _RULES.get(which)
        return base.study.choose("best", rule=rule).spec if rule else base.study.choose(which).spec
    return find_variant(which).spec.at_scale(base.config.scale)


def trials_by_network(records: Sequence[Record]) -> Mapping[str, int]:
    """The first complete trial of each network, by arch_id."""
    complete = by_network(record for record in records if record.status is TrialStatus.COMPLETE)
    return {arch_id: record.trial for arch_id, record in complete.items()}


def _own_variant(base: DesignBase) -> str:
    names = variant_names(base.config, base.space.family) or AUTO.get(base.space.family, ())
    for name in (*names, base.config.reference):
        if find_variant(name).spec.family == base.space.family:
            return name
    raise ConfigError(
        f"study '{base.name}' names no network of its own family '{base.space.family}'",
        hint="name a variant as the base",
    )


def _points(base: DesignBase, spec: Spec, mode: Mode, levels: Levels, *, input_size: int) -> PointMaker:
    records = () if base.study is None else base.study.records
    scale = base.config.scale
    maker = PointMaker(spec, input_size=input_size, scale=scale, trials=trials_by_network(records))
    if mode == "leave-one-out":
        return leave_one_out(maker, nearest_baseline(spec, scale=scale, input_size=input_size), levels)
    return pairs(maker, levels) if mode == "pairs" else one_at_a_time(maker, levels)


def _levels(base: DesignBase, spec: Spec, choices: Sequence[str]) -> Levels:
    """The levels of each choice as typed; without choices those of the space. Raises what `levels_of` raises."""
    asked = parse_choices(choices, spec)
    if not asked:
        if spec.family != base.space.family:
            raise ConfigError(
                f"the base is of the family '{spec.family}', the space of study '{base.name}' of '{base.space.family}'",
                hint="name choices of its own: 'NAME=A|B'",
            )
        asked = {domain.name: None for domain in base.space.domains}
    space = base.space
    if space.family != spec.family:
        space = SearchSpace(name=spec.family, family=spec.family, domains=())
    return {
        choice: typed_levels(spec, choice, texts) if texts else levels_of(space, spec, choice)
        for choice, texts in asked.items()
    }
