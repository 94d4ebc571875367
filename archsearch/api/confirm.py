"""A front re-evaluated: which networks are evaluated once more, and what came out."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsearch.analysis.confirmed import Confirmed
from archsearch.analysis.front import MEASURED_OBJECTIVE, Front, FrontRow
from archsearch.analysis.intervals import NORMAL_95, share_error_points
from archsearch.analysis.objectives import ERRORS
from archsearch.analysis.recommendation import made_with
from archsearch.api.designed import (
    MOST_NETWORKS,
    ON_ANOTHER_BOARD,
    DesignPlan,
    base_of,
    check_size,
    plan_design,
    point_of,
)
from archsearch.api.stored import by_network
from archsearch.api.study import Study, open_base
from archsearch.designs import FRESH_IMAGES, Design
from archsearch.errors import ArchsearchError, ConfigError
from archsearch.latency.settings import LOCAL
from archsearch.overrides import SectionChanges
from archsearch.search.config import MOST_SEEDS, StudyConfig
from archsearch.search.runtime import Runtime
from archsearch.text import plural
from archsearch.validation import whole

DEFAULT_SEEDS = 3
USUAL_NETWORKS = 12  # of the front and its neighbours together, where nobody says otherwise
_NEAR = 3.0  # standard errors: what misses the front by more is no neighbour of it unless asked for


def plan_confirm(
    study: str | Path | Study | None,
    runtime: Runtime,
    *,
    top: int | None = None,
    seeds: int = DEFAULT_SEEDS,
    fresh_images: bool = False,
    target: str | None = None,
    most: int = MOST_NETWORKS,
) -> DesignPlan:
    """The front of a stored study and its near neighbours, to be evaluated again; nothing is stored.

    Args:
        study: a stored study; None: the one worked on last.
        top: how many networks beside the front's; None: so many that there are `USUAL_NETWORKS` in all, of those
            that miss the front by less than three standard errors.
        seeds: trainings of each network, all with seeds that no training of a search has.
        fresh_images: validate on images that the search did not, so that luck with those counts no more.
        target: where they are measured, in place of the study's own; by ONNX Runtime in float32 where it is a board,
            with the study's batch and cores where it is one of the study's, else with one image on all cores.
        most: networks; a larger design is refused.

    Raises ConfigError for what was asked, ArchsearchError for a study without a front, and what
    `archsearch.api.run.plan` raises.
    """
    seeds, top, most = whole(seeds, "seeds"), whole(top, "top"), whole(most, "most")
    if seeds < 1:
        raise ConfigError(f"seeds {seeds}: at least 1 is needed")
    if top is not None and top < 0:
        raise ConfigError(f"top {top}: 0 or more is needed")
    opened = open_base(study, storage=runtime.storage)
    if isinstance(opened, StudyConfig):
        raise ConfigError(
            f"study '{opened.name}' is not stored: it has no front yet",
            hint=shlex.join(["archsearch", "run", "--study", str(study)]),
        )
    front = opened.front
    members = by_network(row.record for row in front.members)
    if not members:
        raise ArchsearchError(f"study '{opened.name}' has no complete network yet", hint=made_with(opened.made_by))
    near = near_front(front, top=max(0, USUAL_NETWORKS - len(members)) if top is None else top, any_far=top is not None)
    records = by_network([*members.values(), *(row.record for row in near)]).values()
    check_size(len(records), seeds, most=most, fewer="ask for fewer (top 0: the front alone)")
    first = int(opened.info.config["seed"]) + MOST_SEEDS
    design = Design(
        purpose="confirm",
        of=opened.name,
        points=tuple(map(point_of, records)),
        seeds=tuple(range(first, first + seeds)),
        mode=FRESH_IMAGES if fresh_images else "",
    )
    measured_on: dict[str, Any] = {} if target is None else {"target": target, "also_targets": [], "pool": []}
    base = base_of(opened)
    latency = base.config.latency
    if target not in (None, LOCAL):
        measured_on |= ON_ANOTHER_BOARD
        if target in latency.every_target:
            measured_on["batch"] = latency.batch
    if latency.cores != "all" and (target == LOCAL or target not in (None, *latency.every_target)):
        measured_on["cores"] = "all"  # they are chosen for the study's own boards
    others = {"fresh_images": not base.config.proxy.fresh_images}
    changes = SectionChanges(proxy=others if fresh_images else {}, latency=measured_on)
    planned = plan_design(base, design, runtime, changes=changes)
    images, beside = planned.plan.train_images, len(records) - len(members)
    return replace(
        planned,
        lines=(
            ("networks", f"{len(records)}: {len(members)} of the front of study {opened.name}, {beside} near it"),
            (
                "trainings",
                f"{design.size} in all: each network with {plural(seeds, 'seed')} "
                f"({', '.join(map(str, design.seeds))}), {plural(planned.plan.config.proxy.epochs, 'epoch')} of "
                f"{images:,} images",
            ),
        ),
    )


def confirm_result(study: Study, made: Study) -> Confirmed:
    """What a stored confirmation of a study's front found so far. Raises ConfigError if `made` is none."""
    if made.design is None or made.design.purpose != "confirm":
        raise ConfigError(
            f"study '{made.name}' confirms no front", hint=shlex.join(["archsearch", "confirm", *study.named])
        )
    return study.confirmed_by(made, made.design)


def near_front(front: Front, *, top: int, any_far: bool = False) -> tuple[FrontRow, ...]:
    """The networks off the front that miss it by least, measured in their own uncertainty.

    What a row misses the front by is the least number t such that, moved by t of its standard errors in every
    objective, it would be dominated no more. The standard error of an error rate is binomial over the validation
    images; that of a latency is half the study's noise floor, or what its interval says where there is none. Sizes
    have none.

    Args:
        top: at most so many.
        any_far: also those that miss it by three standard errors or more.
    """
    members = [row.values for row in front.members]
    known = {row.record.arch_id for row in front.members}
    found: list[tuple[float, FrontRow]] = []
    for row in front.rows:
        if row.on_front or row.record.arch_id in known:
            continue
        known.add(row.record.arch_id)
        miss = missed_by(row.values, members, standard_errors(front, row))
        if any_far or miss < _NEAR:
            found.append((miss, row))
    found.sort(key=lambda each: (each[0], each[1].record.trial))
    return tuple(row for _, row in found[:top])


def standard_errors(front: Front, row: FrontRow) -> tuple[float, ...]:
    """How uncertain each objective of one record is, in its own unit; 0 where it is exact."""
    found = []
    for name, value in zip(front.objectives, row.values, strict=True):
        if name in ERRORS:
            found.append(share_error_points(value, max(row.score.eval_images, 1)) or 0.0)
        elif name == MEASURED_OBJECTIVE:
            found.append(_latency_error(front, row, value))
        else:
            found.append(0.0)
    return tuple(found)


def missed_by(values: Sequence[float], members: Sequence[Sequence[float]], errors: Sequence[float]) -> float:
    """The least t such that no member dominates `values` - t * `errors`; infinite if there is none."""

    def steps(value: float, other: float, error: float) -> float:
        if value <= other:
            return 0.0
        return (value - other) / error if error > 0.0 else math.inf

    return max(
        (min(steps(*each) for each in zip(values, member, errors, strict=True)) for member in members), default=0.0
    )


def _latency_error(front: Front, row: FrontRow, value: float) -> float:
    latency = row.latency
    if front.noise_floor.ties:
        return (float(front.noise_floor.upper(value)) - value) / 2.0
    if latency.ratio_low is None or latency.ratio_high is None or latency.ratio_to_reference <= 0.0:
        return 0.0
    return value * (latency.ratio_high - latency.ratio_low) / latency.ratio_to_reference / (2.0 * NORMAL_95)
