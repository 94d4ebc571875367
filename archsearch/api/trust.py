"""Whether a study's proxy can be trusted: some of its networks trained again for longer, and what that says."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from archsearch.analysis.objectives import is_complete
from archsearch.analysis.recommendation import made_with
from archsearch.api.designed import DesignPlan, base_of, plan_design, point_of
from archsearch.api.stored import by_network
from archsearch.api.study import Study, base_name_of, open_study, opened_study, study_if_stored
from archsearch.designs import Design
from archsearch.errors import ConfigError, OverrideError
from archsearch.overrides import SectionChanges
from archsearch.records import Record
from archsearch.search.runtime import Runtime
from archsearch.store.studies import TRUST_FACTS
from archsearch.text import plural
from archsearch.validation import whole

logger = logging.getLogger(__name__)

DEFAULT_NETWORKS = 12
TIMES_LONGER = 5


def plan_trust(
    study: str | Path | Study | None,
    runtime: Runtime,
    *,
    networks: int = DEFAULT_NETWORKS,
    epochs: int | None = None,
    seeds: int = 1,
    changes: SectionChanges | None = None,
) -> DesignPlan:
    """The design that checks a study's proxy, and the predictors that cost no training; nothing is stored.

    The networks are trained on the same images and scored on the same validation split, with seeds of their own: what
    the proxy's initial weights and order did to a network does not count as agreement.

    Args:
        study: a stored study or its name or file; None: the one worked on last. The study of a design stands for the
            one that it was made from.
        runtime: where and how it is to be run; its callbacks are told as the predictors are worked out.
        networks: how many, at least 1; fewer if the study has fewer complete ones.
        epochs: of the longer training; None: five times the proxy's.
        seeds: trainings of each network, with the seeds that follow the study's own.
        changes: keys of `latency` with other values: accuracies are what is asked for here.

    Raises ConfigError for what was asked or a study without a complete network, and what `archsearch.api.run.plan`
    raises.
    """
    networks, seeds, epochs = whole(networks, "networks"), whole(seeds, "seeds"), whole(epochs, "epochs")
    changed = changes or SectionChanges()
    if changed.proxy or changed.others:
        raise OverrideError(
            changed.first,
            "the longer training is the proxy with more epochs, and nothing else",
            hint="keys of latency can be changed, and the number of epochs (in a terminal: --epochs)",
        )
    opened = opened_study(study, storage=runtime.storage)
    if opened.design is not None:
        opened = open_study(base_name_of(opened.design, opened.name), storage=runtime.storage)
    if networks < 1 or seeds < 1:
        raise ConfigError(f"{networks} networks, {seeds} seeds: at least 1 of each is needed")
    if not ranked_networks(opened.records):
        raise ConfigError(
            f"study '{opened.name}' has no complete trial to train for longer", hint=made_with(opened.made_by)
        )
    base = base_of(opened)
    proxy_epochs = base.config.proxy.epochs
    long_epochs = TIMES_LONGER * proxy_epochs if epochs is None else epochs
    if long_epochs <= proxy_epochs:
        raise ConfigError(
            f"epochs {long_epochs}: the proxy itself has {proxy_epochs}",
            hint=f"for example {TIMES_LONGER * proxy_epochs}",
        )
    first = base.config.seed + 1
    design = trust_design(opened.name, opened.records, networks=networks, seeds=range(first, first + seeds))
    longer = SectionChanges(proxy={"epochs": long_epochs}, latency=changed.latency)
    planned = plan_design(base, design, runtime, changes=longer)
    plan = planned.plan
    earlier = study_if_stored(plan.config.name, storage=runtime.storage)  # a run of the same design
    known = None if earlier is None else earlier.info.facts.get(TRUST_FACTS)
    if known is None:
        known = {"seed": base.config.seed, "predictors": computed_predictors(planned, runtime)}
    less = "" if len(design.points) >= networks else f" (the study has no more; {networks} were asked for)"
    return replace(
        planned,
        plan=replace(plan, facts={**plan.facts, TRUST_FACTS: known}),
        lines=(
            ("networks", f"{len(design.points)} of study {opened.name}{less}"),
            (
                "trainings",
                f"{design.size} in all: {plural(long_epochs, 'epoch')} instead of {proxy_epochs}, "
                f"{plural(seeds, 'seed')} each, on the same {plan.train_images:,} images",
            ),
            ("data", f"{plan.config.dataset}, the same {plan.validation_images:,} validation images"),
        ),
    )


def ranked_networks(records: Sequence[Record]) -> tuple[Record, ...]:
    """The first complete record of each network, the most accurate first; ties by trial."""
    usable = [record for record in records if is_complete(record) and math.isfinite(record.error_percent)]
    first = by_network(sorted(usable, key=lambda record: record.trial))
    return tuple(sorted(first.values(), key=lambda record: (record.error_percent, record.trial)))


def chosen_networks(records: Sequence[Record], networks: int) -> tuple[Record, ...]:
    """A spread of a study's complete networks, the most accurate first.

    Half of them (rounded up) come from the best quarter by proxy accuracy, the others from the rest, each half at
    equal distances of rank from its first to its last. A published network takes the place that is nearest to its
    rank, so that all of them are in unless one half has more of them than places. A half that has too few networks
    leaves its places to the other. The same records always give the same networks.
    """
    ranked = ranked_networks(records)
    quarter = math.ceil(len(ranked) / 4)
    top, rest = ranked[:quarter], ranked[quarter:]
    networks = min(networks, len(ranked))
    from_top = min(len(top), math.ceil(networks / 2))
    from_rest = min(len(rest), networks - from_top)
    from_top = networks - from_rest
    return (*_spread(top, from_top), *_spread(rest, from_rest))


def _spread(ranked: Sequence[Record], places: int) -> tuple[Record, ...]:
    """So many of these, published ones first, at places that are equally far apart in rank."""
    if places <= 0:
        return ()
    if places >= len(ranked):
        return tuple(ranked)
    wanted = [(len(ranked) - 1) * place / max(places - 1, 1) for place in range(places)]
    chosen: list[int] = []
    published = [index for index, record in enumerate(ranked) if record.variant is not None]
    while published and wanted:
        # the nearest pair of a place and a network; ties to the better rank
        _, index, place = min((abs(index - place), index, place) for index in published for place in wanted)
        chosen.append(index)
        published.remove(index)
        wanted.remove(place)
    left = [index for index, record in enumerate(ranked) if record.variant is None]
    for place in wanted:
        if left:
            nearest = min(left, key=lambda index: (abs(index - place), index))
            chosen.append(nearest)
            left.remove(nearest)
    return tuple(ranked[index] for index in sorted(chosen))


def trust_design(of: str, records: Sequence[Record], *, networks: int, seeds: Sequence[int]) -> Design:
    """The design that trains the chosen networks again."""
    chosen = chosen_networks(records, networks)
    return Design(purpose="trust", of=of, points=tuple(map(point_of, chosen)), seeds=tuple(seeds))


def computed_predictors(planned: DesignPlan, runtime: Runtime) -> dict[str, dict[str, float]]:
    """synflow, jacob_cov and memory_bytes of every network of a design, on the CPU, from fresh weights.

    jacob_cov sees the first images of the study's training subset, which is in an order that keeps the classes' shares.
    The weights are drawn with the base study's own seed. A value that is not finite is left out.

    Raises what loading the data or building a network raises.
    """
    from archsearch.cost.memory import memory_access
    from archsearch.cost.zero_cost import JACOB_COV_IMAGES, jacob_cov, synflow
    from archsearch.data.catalog import load_dataset
    from archsearch.data.images import channel_statistics
    from archsearch.models.families import build
    from archsearch.search.variants import design_specs
    from archsearch.training.trainer import device_batches

    design = planned.design
    input_size, seed = planned.plan.input_size, planned.base.config.seed
    loaded = load_dataset(planned.plan.config.dataset, data_dir=runtime.data_dir, rules=planned.plan.image_rules)
    train, _ = loaded.split(**planned.plan.config.proxy.split, image_size=input_size)
    mean, std = channel_statistics(train)
    first = train.subset(range(min(JACOB_COV_IMAGES, len(train))))
    batches = device_batches(first, device="cpu", input_size=input_size, mean=mean, std=std)
    images, _ = next(batches.evaluation(JACOB_COV_IMAGES))
    found: dict[str, dict[str, float]] = {"synflow": {}, "jacob_cov": {}, "memory_bytes": {}}
    for index, spec in enumerate(design_specs(design, input_size=input_size)):
        model = build(spec, num_classes=loaded.num_classes, input_size=input_size, seed=seed)
        values = {
            "synflow": synflow(model, input_size=input_size),
            "jacob_cov": jacob_cov(model, images) if len(images) > 1 else math.nan,
            "memory_bytes": float(memory_access(model, input_size).total_bytes),
        }
        for name, value in values.items():
            if math.isfinite(value):
                found[name][spec.arch_id] = value
            else:
                logger.warning("%s of %s is %s: left out", name, design.points[index].name, value)
        runtime.callbacks.predictors(index + 1, len(design.points))
    return found
