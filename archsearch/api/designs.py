"""`ablate`, `confirm` and `trust` as functions: networks and seeds are chosen, trained and told of in one call."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

from archsearch.analysis.ablation import Ablation
from archsearch.analysis.confirmed import Confirmed
from archsearch.analysis.trust import Trust
from archsearch.api.ablate import Mode, plan_ablation
from archsearch.api.analyses import ablation_result, check_spread, trust_between
from archsearch.api.confirm import DEFAULT_SEEDS, confirm_result, plan_confirm
from archsearch.api.designed import MOST_NETWORKS
from archsearch.api.run import run_plan
from archsearch.api.study import Study
from archsearch.api.trust import DEFAULT_NETWORKS, plan_trust
from archsearch.errors import ConfigError, shown
from archsearch.overrides import Overrides, section_changes
from archsearch.search.runtime import CallbackList, Callbacks, Runtime

logger = logging.getLogger(__name__)


class MachineOptions(TypedDict, total=False):
    """Where a design is run: `archsearch.Runtime` says what each is."""

    storage: str | None
    data_dir: str | Path | None
    device: str
    workers: int | None


class RunOptions(MachineOptions, total=False):
    """Where and how long a design is run. Without `storage` that of an opened study is taken."""

    time_budget_seconds: float | None


def _runtime(study: str | Path | Study | None, callbacks: Callbacks, options: RunOptions) -> Runtime:
    found = Runtime(callbacks=CallbackList(callbacks), **options)
    return replace(found, storage=study.storage) if isinstance(study, Study) and found.storage is None else found


def ablate(
    study: str | Path | Study | None = None,
    *,
    base: str | int | None = None,
    choices: str | Sequence[str] = (),
    seeds: int | None = None,
    mode: Mode = "one-at-a-time",
    spread: str = "own",
    overrides: Overrides = (),
    most: int | None = None,
    callbacks: Callbacks = (),
    **options: Unpack[RunOptions],
) -> Ablation:
    """Change one network choice by choice; what each change does to accuracy, latency and size.

    Called again it continues, with the same choices and more seeds it adds them. What was merged or left out is logged
    as a warning.

    Args:
        study, base, choices, seeds, mode, most: see `archsearch.api.ablate.plan_ablation`.
        spread: own: each effect's interval from its own differences; pooled: from one spread of all networks.
        overrides: keys of `proxy` and `latency` with other values, `{"proxy.epochs": 3}`; of a study that was never
            run, any.
        callbacks: who is told, as of `archsearch.run`.
        options: see `RunOptions`.

    Raises what `archsearch.run` raises.
    """
    check_spread(spread)
    if isinstance(choices, Mapping):  # its names alone would be read
        raise ConfigError(
            f"choices {shown(choices)}: levels stand behind a name as text",
            hint="for example ['kernel=3|5', 'residual']",
        )
    planned = plan_ablation(
        study,
        runtime := _runtime(study, callbacks, options),
        base=None if base is None else str(base),
        choices=[choices] if isinstance(choices, str) else list(choices),
        seeds=seeds,
        mode=mode,
        changes=section_changes(overrides),
        most=most,
    )
    for note in planned.notes:
        logger.warning("%s", note)
    return ablation_result(run_plan(planned, runtime), spread=spread)


def confirm(
    study: str | Path | Study | None = None,
    *,
    top: int | None = None,
    seeds: int = DEFAULT_SEEDS,
    fresh_images: bool = False,
    target: str | None = None,
    most: int = MOST_NETWORKS,
    callbacks: Callbacks = (),
    **options: Unpack[RunOptions],
) -> Confirmed:
    """Evaluate a study's front and its near neighbours again: intervals, and how probably each is on the front.

    Called again it continues, with more seeds it adds them. `open_study(NAME).recommendation` follows it.

    Args:
        study, top, seeds, fresh_images, target, most: see `archsearch.api.confirm.plan_confirm`.
        callbacks: who is told, as of `archsearch.run`.
        options: see `RunOptions`.

    Raises what `archsearch.run` raises.
    """
    runtime = _runtime(study, callbacks, options)
    planned = plan_confirm(study, runtime, top=top, seeds=seeds, fresh_images=fresh_images, target=target, most=most)
    return confirm_result(planned.base.stored, run_plan(planned, runtime))


def trust(
    study: str | Path | Study | None = None,
    *,
    networks: int = DEFAULT_NETWORKS,
    epochs: int | None = None,
    seeds: int = 1,
    overrides: Overrides = (),
    callbacks: Callbacks = (),
    **options: Unpack[RunOptions],
) -> Trust:
    """Train some of a study's networks for longer; whether the proxy ranks them as that does.

    Called again it continues, with more seeds it adds them.

    Args:
        study, networks, epochs, seeds: see `archsearch.api.trust.plan_trust`.
        overrides: keys of `latency` with other values.
        callbacks: who is told, as of `archsearch.run`.
        options: see `RunOptions`.

    Raises what `archsearch.run` raises.
    """
    runtime = _runtime(study, callbacks, options)
    changes = section_changes(overrides)
    planned = plan_trust(study, runtime, networks=networks, epochs=epochs, seeds=seeds, changes=changes)
    return trust_between(planned.base.stored, run_plan(planned, runtime))
