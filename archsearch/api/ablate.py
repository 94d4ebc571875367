"""An ablation: its design from what was asked, and the plan of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsearch.analysis.select import RECOMMENDED
from archsearch.api.ablation_points import (
    MODES,
    AblationPoints,
    Mode,
    PointMaker,
    leave_one_out,
    levels_of,
    nearest_baseline,
    one_at_a_time,
    pairs,
    parse_choices,
    typed_levels,
)
from archsearch.api.designed import DesignBase, DesignPlan, base_of, open_base, plan_design
from archsearch.api.study import Study
from archsearch.designs import Design
from archsearch.errors import ConfigError
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.models.variants import find_variant
from archsearch.overrides import SectionChanges
from archsearch.records import Record, TrialStatus
from archsearch.search.runtime import Runtime
from archsearch.search.variants import AUTO
from archsearch.space.search_space import SearchSpace
from archsearch.text import plural

DEFAULT_SEEDS = 5
MOST_NETWORKS = 100
# what --from calls a network that is chosen by a rule
_RULES = {"best": RECOMMENDED, "accuracy": "accuracy", "latency": "latency", "knee": "knee"}


def plan_ablation(
    study: str | Study | None,
    runtime: Runtime,
    *,
    base: str | None = None,
    choices: Sequence[str] = (),
    seeds: int = DEFAULT_SEEDS,
    mode: Mode = "one-at-a-time",
    changes: SectionChanges | None = None,
    most: int = MOST_NETWORKS,
) -> DesignPlan:
    """The design of an ablation, checked against its data and this machine; nothing is stored.

    Args:
        study: a stored study, its name or file, or a shipped study or file that was never run; None: the one worked
            on last.
        runtime: where and how it is to be run.
        base: what is changed: a variant's name, a trial's number, `best` (the recommended network), `accuracy`,
            `latency` or `knee`; None: the first of the study's own variants, or its reference.
        choices: `kernel`, or `kernel=3|5` with levels of one's own, also several with commas; none: every choice of
            the study's space.
        seeds: trainings of each network, with the seeds 0 to `seeds` - 1.
        mode: one-at-a-time, leave-one-out or pairs.
        changes: keys of `proxy` and `latency` with other values than the study's; of a study that was never run, any.
        most: networks; a larger design is refused.

    Raises ConfigError or UnknownNameError for what was asked, and what `archsearch.api.run.plan` raises.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds}: at least 1 is needed")
    if mode not in MODES:
        raise ConfigError(f"--mode {mode}: unknown", hint=f"one of {', '.join(MODES)}")
    changed = changes or SectionChanges()
    opened = study if isinstance(study, Study) else open_base(study, storage=runtime.storage, overrides=changed.others)
    made_from = base_of(opened)
    spec, input_size = base_network(made_from, base, data_dir=runtime.data_dir)
    points = _points(made_from, spec, mode, choices, input_size=input_size)
    if len(points.points) < 2:
        raise ConfigError(
            "nothing to compare: no level differs from the base",
            hint="; ".join(points.notes[:3]) or "name other choices, or levels: --choices 'kernel=3|5|7'",
        )
    if len(points.points) > most:
        raise ConfigError(
            f"{len(points.points)} networks with {seeds} seeds each are {len(points.points) * seeds} trainings, more "
            f"than {most} networks",
            hint=f"name fewer choices (--choices a,b), or allow it: --most {len(points.points)}",
        )
    design = Design(purpose="ablation", of=made_from.name, points=points.points, seeds=tuple(range(seeds)), mode=mode)
    planned = plan_design(made_from, design, runtime, changes=changed)
    return replace(planned, lines=_lines(planned), notes=points.notes)


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


def base_network(base: DesignBase, which: str | None, *, data_dir: Path | None = None) -> tuple[Spec, int]:
    """The network that is changed, normalised, and the study's image size (pixels).

    Raises ConfigError or UnknownNameError saying what there is.
    """
    if base.study is not None:
        input_size = base.study.input_size
    elif base.config.proxy.input_size is not None:
        input_size = base.config.proxy.input_size
    else:
        from archsearch.data.catalog import load_dataset

        input_size = load_dataset(base.config.dataset, data_dir=data_dir).image_size
    which = which or _own_variant(base)
    if which in _RULES or which.isdigit():
        if base.study is None:
            raise ConfigError(
                f"--from {which}: study '{base.name}' is not stored, so it has no trials",
                hint="name a variant: --from shufflenet_v2_x0_5",
            )
        if which.isdigit():
            return base.study.choose(which).spec, input_size
        record = base.study.select(_RULES[which])
        return FAMILIES[record.family].base.with_choices(record.choices).normalised(input_size), input_size
    return find_variant(which).at_scale(base.config.scale).normalised(input_size), input_size


def trials_by_network(records: Sequence[Record]) -> Mapping[str, int]:
    """The first complete trial of each network, by arch_id."""
    found: dict[str, int] = {}
    for record in records:
        if record.status is TrialStatus.COMPLETE:
            found.setdefault(record.arch_id, record.trial)
    return found


def _own_variant(base: DesignBase) -> str:
    listed = base.config.variants
    names = AUTO.get(base.space.family, ()) if listed in ("auto", "none") else tuple(listed)
    names = tuple(name for name in names if name != "auto")
    for name in (*names, base.config.reference):
        if find_variant(name).spec.family == base.space.family:
            return name
    raise ConfigError(
        f"study '{base.name}' names no network of its own family '{base.space.family}'",
        hint="say what is changed: --from VARIANT",
    )


def _points(base: DesignBase, spec: Spec, mode: Mode, choices: Sequence[str], *, input_size: int) -> AblationPoints:
    records = () if base.study is None else base.study.records
    scale = base.config.scale
    maker = PointMaker(spec, input_size=input_size, scale=scale, trials=trials_by_network(records))
    asked = parse_choices(choices, spec)
    if not asked:
        if spec.family != base.space.family:
            raise ConfigError(
                f"the base is of the family '{spec.family}', the space of study '{base.name}' of '{base.space.family}'",
                hint="name choices of its own: --choices 'NAME=A|B'",
            )
        asked = {domain.name: None for domain in base.space.domains}
    space = base.space

    def levels(choice: str) -> tuple[Any, ...]:
        texts = asked.get(choice)
        return typed_levels(spec, choice, texts) if texts else _levels(space, spec, choice)

    if mode == "leave-one-out":
        baseline = nearest_baseline(spec, scale=scale, input_size=input_size)
        return leave_one_out(maker, baseline, list(asked), levels)
    found = {choice: levels(choice) for choice in asked}
    return pairs(maker, found) if mode == "pairs" else one_at_a_time(maker, found)


def _levels(space: SearchSpace, spec: Spec, choice: str) -> tuple[Any, ...]:
    if space.family == spec.family:
        return levels_of(space, spec, choice)
    return levels_of(SearchSpace(name=spec.family, family=spec.family, domains=()), spec, choice)
