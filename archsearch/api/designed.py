"""Studies of a design: networks and seeds that are listed beforehand, run on the workers and tables of any study."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archsearch.api.places import open_database, study_folder
from archsearch.api.study import Study, open_study
from archsearch.data.rules import RULES_FACT
from archsearch.designs import Design, Purpose
from archsearch.errors import ConfigError, NothingStoredError, UnknownNameError
from archsearch.overrides import Overrides, override, read_overrides
from archsearch.search.config import StudyConfig, load_study, parse_study
from archsearch.search.plan import RunPlan, completed, plan_run
from archsearch.search.precision import settled
from archsearch.search.run import Limits, Progress, run_study
from archsearch.space.search_space import SearchSpace

WORDS: Mapping[Purpose, str] = {"ablation": "ablate", "confirm": "confirm", "trust": "trust"}
_LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class DesignBase:
    """What a design is made from: a study's settings and its space, whether it was run or only written down.

    Attributes:
        config, space: the settings, without a design, and the search space.
        study: the stored study; None if it was never run.
    """

    config: StudyConfig
    space: SearchSpace
    study: Study | None = None

    @property
    def name(self) -> str:
        """The study's name."""
        return self.config.name


def base_of(given: Study | StudyConfig) -> DesignBase:
    """A base from a stored study, whose files may be gone, or from one that was never run.

    Raises ConfigError if the stored space is one that this version refuses.
    """
    if isinstance(given, StudyConfig):
        return DesignBase(config=given, space=given.search_space())
    space = SearchSpace.from_dict(given.info.space)
    stored = completed(given.info)
    content = {key: value for key, value in stored.items() if key in StudyConfig.model_fields and key != "design"}
    content |= {"name": given.name, "space": space.name}
    config = parse_study(content, source=f"study '{given.name}' as stored")
    return DesignBase(config=settled(config, given.info), space=space, study=given)


def design_config(
    base: DesignBase,
    design: Design,
    *,
    proxy_changes: Mapping[str, Any] | None = None,
    latency_changes: Mapping[str, Any] | None = None,
) -> StudyConfig:
    """The study that a design is run as: the base's data, proxy and latency, but for the changes.

    Nothing is searched, stopped early or rejected: an effect on what breaks a bound is an effect, too. Its name is
    `STUDY.ablate-DIGEST` (or confirm, trust) of the design, and of the changes if there are any.

    Raises ConfigError that names a wrong key of the changes.
    """
    changes = {"proxy": dict(proxy_changes or {}), "latency": dict(latency_changes or {})}
    digest = design.digest
    if any(changes.values()):
        text = json.dumps([digest, changes], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    suffix = f".{WORDS[design.purpose]}-{digest}"
    content = base.config.model_dump(mode="json", exclude={"restrict", "fixed", "stopping", "constraints", "design"})
    for section, changed in changes.items():
        content[section] |= changed
    content |= {
        "name": base.name[: _LONGEST_NAME - len(suffix)] + suffix,
        "description": f"{design.purpose} of {design.of}",
        "variants": "none",
        "trials": max(1, design.size),
        "design": design,
    }
    return parse_study(content, source=f"the {design.purpose} of study '{base.name}'")


def plan_design(
    base: DesignBase,
    design: Design,
    *,
    proxy_changes: Mapping[str, Any] | None = None,
    latency_changes: Mapping[str, Any] | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    command: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> RunPlan:
    """Check a design against its data and this machine without storing anything; three points are tried.

    `facts` are stored with the study, beside versions and machine. Raises what `archsearch.api.run.plan` raises.
    """
    config = design_config(base, design, proxy_changes=proxy_changes, latency_changes=latency_changes)
    planned = plan_run(
        config,
        workers=workers,
        device=device,
        data_dir=data_dir,
        command=command,
        space=base.space,
        former=base.study is not None and RULES_FACT not in base.study.info.facts,
    )
    return replace(planned, facts={**planned.facts, **(facts or {})})


def run_planned(
    planned: RunPlan,
    *,
    storage: str | None = None,
    data_dir: Path | None = None,
    time_budget_seconds: float | None = None,
    optuna_proxy: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Study:
    """Run what `plan_design` planned; called again it goes on, and more seeds are added to those that it has."""
    database = open_database(storage, create=True)
    folder = study_folder(planned.config.name) / "workers"
    if database.sqlite_file is None:  # machines that share a folder would write into each other's logs
        folder /= socket.gethostname()
    try:
        run_study(
            planned,
            database,
            folder=folder,
            data_dir=data_dir,
            limits=Limits(time_budget_seconds=time_budget_seconds),
            optuna_proxy=optuna_proxy,
            on_progress=on_progress,
        )
    finally:
        database.close()
    return open_study(planned.config.name, storage=storage)


def run_design(
    base: Study | StudyConfig,
    design: Design,
    *,
    proxy_changes: Mapping[str, Any] | None = None,
    latency_changes: Mapping[str, Any] | None = None,
    storage: str | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    command: str | None = None,
    facts: Mapping[str, Any] | None = None,
    time_budget_seconds: float | None = None,
    optuna_proxy: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Study:
    """Evaluate every point of a design with every seed, as a study of its own; what is there already is continued.

    Args:
        base: the study that the design was made from: its data, split, proxy, scale and latency protocol are taken.
        design: see `archsearch.designs`.
        proxy_changes, latency_changes: keys of `proxy` and `latency` with other values than the base's.
        facts: stored with the design's study (`StudyInfo.facts`).
        others: as `archsearch.api.run.run`.

    Returns the design's study: a record for each point and seed, with `Record.point` and its own latency.
    Raises what `archsearch.api.run.run` raises.
    """
    planned = plan_design(
        base_of(base),
        design,
        proxy_changes=proxy_changes,
        latency_changes=latency_changes,
        data_dir=data_dir,
        device=device,
        workers=workers,
        command=command,
        facts=facts,
    )
    return run_planned(
        planned,
        storage=storage,
        data_dir=data_dir,
        time_budget_seconds=time_budget_seconds,
        optuna_proxy=optuna_proxy,
        on_progress=on_progress,
    )


def open_base(name: str | Path | None, *, storage: str | None = None, overrides: Overrides = ()) -> Study | StudyConfig:
    """A study to make a design from: the stored one of this name or file, else one that was only written down.

    The study of a design stands for the one that it was made from. `overrides` can only change a study that was never
    run.

    Raises UnknownNameError or ConfigError for a name that is neither; StoreError for the database.
    """
    try:
        found = open_study(name, storage=storage)
    except (UnknownNameError, NothingStoredError) as missing:
        if name is None:
            raise
        try:
            return load_study(name, overrides)
        except UnknownNameError as unknown:
            # Of the two lists the one that has a name like it, else that of the stored studies.
            better = unknown if "did you mean" in (unknown.hint or "") else missing
            raise better from unknown
    if found.design is not None:
        return open_base(found.design.of, storage=storage, overrides=overrides)
    if overrides:
        first = next(iter(read_overrides(overrides)))
        raise ConfigError(
            f"{override(first)}: study '{found.name}' is stored: only keys of proxy and latency can be changed",
            hint="for example proxy.epochs=3; what else differs is another study",
        )
    return found
