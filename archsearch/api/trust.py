"""Whether a study's proxy can be trusted: some of its networks trained again for longer, and what that says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.analysis.trust import Trust, trust_of
from archsearch.api.places import open_database
from archsearch.api.stored_designs import stored_designs
from archsearch.api.study import Study, open_study
from archsearch.api.trust_points import trust_design
from archsearch.api.trust_predictors import computed_predictors, stored_predictors
from archsearch.designs import Design
from archsearch.errors import ConfigError, NothingStoredError, UnknownNameError
from archsearch.store.studies import find_study

if TYPE_CHECKING:
    from archsearch.search.plan import RunPlan

DEFAULT_NETWORKS = 12
TIMES_LONGER = 5
_FACTS = "trust"  # the key of StudyInfo.facts


@dataclass(frozen=True, kw_only=True)
class TrustPlan:
    """A longer training of some of a study's networks that can be run.

    Attributes:
        study: the searched study.
        design: the networks, the most accurate by proxy first, and the seeds.
        plan: for `archsearch.api.designed.run_planned`; its facts hold what `trust_result` reads back.
        proxy_epochs, long_epochs: of each training.
        seconds_each: what a trial of the study took (median), scaled to the long epochs; None if not known.
    """

    study: Study
    design: Design
    plan: RunPlan
    proxy_epochs: int
    long_epochs: int
    seconds_each: float | None


def plan_trust(
    study: str | Study | None = None,
    *,
    networks: int = DEFAULT_NETWORKS,
    epochs: int | None = None,
    seeds: int = 1,
    latency_changes: Mapping[str, Any] | None = None,
    device: str = "auto",
    workers: int | None = None,
    data_dir: Path | None = None,
    storage: str | None = None,
    command: str | None = None,
    on_network: Callable[[int, int], None] | None = None,
) -> TrustPlan:
    """The design that checks a study's proxy, and the predictors that cost no training; nothing is stored.

    The networks are trained on the same images and scored on the same validation split, with seeds of their own: what
    the proxy's initial weights and order did to a network does not count as agreement.

    Args:
        study: a stored study or its name or file; None: the one worked on last. The study of a design stands for the
            one that it was made from.
        networks: how many, at least 1; fewer if the study has fewer complete ones.
        epochs: of the longer training; None: five times the proxy's.
        seeds: trainings of each network, with the seeds that follow the study's own.
        latency_changes: keys of `latency` with other values: accuracies are what is asked for here.
        device, workers, data_dir, storage, command: as `archsearch.api.run.run` and `plan`.
        on_network: called as the predictors are worked out: networks done, and networks.

    Raises ConfigError for what was asked or a study without a complete network, and what `archsearch.api.run.plan`
    raises.
    """
    from archsearch.api.ablate import seconds_each
    from archsearch.api.designed import base_of, plan_design

    opened = study if isinstance(study, Study) else open_study(study, storage=storage)
    if opened.design is not None:
        opened = open_study(opened.design.of, storage=storage)
    if networks < 1 or seeds < 1:
        raise ConfigError(f"--n {networks}, --seeds {seeds}: at least 1 of each is needed")
    base = base_of(opened)
    proxy_epochs = base.config.proxy.epochs
    long_epochs = TIMES_LONGER * proxy_epochs if epochs is None else epochs
    if long_epochs <= proxy_epochs:
        raise ConfigError(
            f"--epochs {long_epochs}: the proxy itself has {proxy_epochs}", hint=f"for example {5 * proxy_epochs}"
        )
    first = base.config.seed + 1
    design = trust_design(opened.name, opened.records, networks=networks, seeds=range(first, first + seeds))
    planned = plan_design(
        base,
        design,
        proxy_changes={"epochs": long_epochs},
        latency_changes=latency_changes,
        data_dir=data_dir,
        device=device,
        workers=workers,
        command=command,
    )
    known = _stored_facts(planned.config.name, storage)
    if known is None:
        known = {
            "seed": base.config.seed,
            "predictors": computed_predictors(
                design,
                dataset=planned.config.dataset,
                input_size=planned.input_size,
                validation_images=planned.config.proxy.validation_images,
                train_images=planned.config.proxy.train_images,
                seed=base.config.seed,
                data_dir=data_dir,
                on_network=on_network,
            ),
        }
    return TrustPlan(
        study=opened,
        design=design,
        plan=replace(planned, facts={**planned.facts, _FACTS: known}),
        proxy_epochs=proxy_epochs,
        long_epochs=long_epochs,
        seconds_each=seconds_each(base, planned),
    )


def _stored_facts(name: str, storage: str | None) -> Mapping[str, Any] | None:
    """What an earlier run of the same design found; None if there was none."""
    try:
        database = open_database(storage, create=False)
    except NothingStoredError:
        return None
    try:
        facts = find_study(database, name).facts.get(_FACTS)
    except (UnknownNameError, NothingStoredError):
        return None
    finally:
        database.close()
    return facts if isinstance(facts, Mapping) else None


def trust_result(study: Study, *, storage: str | None = None, confidence: float = 0.95) -> Trust | None:
    """What the newest longer training of a searched study's networks says so far; None if there is none.

    Nothing here needs torch: the zero-cost scores were stored when the training was planned.
    Raises StoreError if the database cannot be read.
    """
    made = stored_designs(study, "trust", storage=storage)
    return trust_between(study, made[0], confidence=confidence) if made else None


def trust_between(study: Study, long: Study, *, confidence: float = 0.95) -> Trust:
    """The same from a searched study and the study of a trust design that was made from it."""
    predictors = stored_predictors(study.records)
    facts = long.info.facts.get(_FACTS, {})
    for name, values in facts.get("predictors", {}).items():
        # what the searched study stored itself comes first
        predictors[name] = {**{arch_id: float(value) for arch_id, value in values.items()}, **predictors.get(name, {})}
    return trust_of(study.records, long.records, predictors, confidence=confidence)


def trust_json(study: Study, long: Study, found: Trust) -> dict[str, Any]:
    """A trust result as plain data; what is not known is null."""
    return {
        "study": study.name,
        "trust_study": long.name,
        "counts": dict(long.counts),
        "sentence": found.sentence,
        "best_quarter_sentence": found.best_quarter.sentence,
        **_plain(asdict(found)),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
