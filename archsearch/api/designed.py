"""Studies of a design: networks and seeds that are listed beforehand, run on the workers and tables of any study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsearch.api.study import Study, study_if_stored
from archsearch.designs import WORDS, Design, DesignPoint
from archsearch.errors import ConfigError
from archsearch.image_rules import RULES_FACT
from archsearch.latency.settings import AUTO
from archsearch.overrides import SectionChanges
from archsearch.records import Record
from archsearch.search.config import StudyConfig, parse_study
from archsearch.search.precision import completed, settled
from archsearch.search.runtime import Runtime
from archsearch.space.search_space import SearchSpace
from archsearch.validation import whole

if TYPE_CHECKING:
    from archsearch.search.plan import RunPlan

MOST_NETWORKS = 100  # of a design, where nobody says otherwise
# A study's latency protocol on a board that is not its own: what was chosen for another device is left to the board.
ON_ANOTHER_BOARD: Mapping[str, Any] = {"backend": AUTO, "also": (), "precision": AUTO, "batch": None}
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

    @property
    def former_rules(self) -> bool:
        """Whether its images are read as an older version read them (`ImageRules.former`)."""
        return self.study is not None and RULES_FACT not in self.study.info.facts

    @property
    def stored(self) -> Study:
        """The stored study. Raises ConfigError if it was never run."""
        if self.study is None:
            raise ConfigError(f"study '{self.name}' is not stored", hint=f"archsearch run --study {self.name}")
        return self.study


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
    known = settled(config, given.info)
    # a design is a study that begins now: it pairs what can be paired, whatever its base does
    proxy = known.proxy.model_copy(update={"initial_weights": config.proxy.initial_weights})
    return DesignBase(config=known.model_copy(update={"proxy": proxy}), space=space, study=given)


def design_config(base: DesignBase, design: Design, changed: SectionChanges) -> StudyConfig:
    """The study that a design is run as: the base's data, proxy and latency, but for the changes.

    Nothing is searched, stopped early or rejected: an effect on what breaks a bound is an effect, too. Its name is
    `STUDY.ablate-DIGEST` (or confirm, trust) of the design, and of the changes if there are any.

    Raises ConfigError that names a wrong key of the changes.
    """
    changes = {"proxy": dict(changed.proxy), "latency": dict(changed.latency)}
    digest = design.digest
    if any(changes.values()):
        text = json.dumps([digest, changes], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    suffix = f".{WORDS[design.purpose]}-{digest}"
    content = base.config.model_dump(mode="json", exclude={"restrict", "fixed", "stopping", "constraints", "design"})
    before = base.config.latency.visits
    visits = changes["latency"].get("visits", before)
    if visits != before and 1 in (visits, before):  # the spread of one visit is not that of several
        del content["latency"]["spread_seconds"]
    for section, values in changes.items():
        content[section] |= values
    content |= {
        "name": base.name[: _LONGEST_NAME - len(suffix)] + suffix,
        "description": f"{design.purpose} of {design.of}",
        "variants": "none",
        "trials": max(1, design.size),
        "design": design,
    }
    return parse_study(content, source=f"the {design.purpose} of study '{base.name}'")


@dataclass(frozen=True, kw_only=True)
class DesignPlan:
    """A design that can be run: an ablation, a confirmation, a check of the proxy.

    Attributes:
        base: the study that it was made from.
        design: its points and seeds.
        plan: the run, on the workers and tables of any study.
        lines: what will be trained, as label and text, for whoever decides whether to.
        notes: what was merged or left out, in sentences.
    """

    base: DesignBase
    design: Design
    plan: RunPlan
    lines: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def run_of(planned: RunPlan | DesignPlan) -> RunPlan:
    """The run of what was planned."""
    return planned.plan if isinstance(planned, DesignPlan) else planned


def point_of(record: Record) -> DesignPoint:
    """The network of a record as a design's point, under the record's label."""
    return DesignPoint(
        name=record.label,
        family=record.family,
        choices=dict(record.choices),
        arch_id=record.arch_id,
        trial=record.trial,
        variant=record.variant,
    )


def check_size(networks: int, seeds: int, *, most: int, fewer: str) -> None:
    """Raise ConfigError for a design of more networks than `most`; `fewer`: how to ask for less."""
    if networks > most:
        raise ConfigError(
            f"{networks} networks with {seeds} seeds each are {networks * seeds} trainings, more than {most} networks",
            hint=f"{fewer}, or allow {networks} as the most (in a terminal: --most {networks})",
        )


def plan_config(
    config: StudyConfig, runtime: Runtime, *, trials: int | None = None, base: DesignBase | None = None
) -> RunPlan:
    """As `archsearch.plan`, for a study that is read already, or a design made from `base`.

    One that is stored keeps the rules by which its images are read; a design has those of its base, and its space.
    """
    from archsearch.search.plan import plan_run  # torch: what is wrong with a design itself is said without it

    stored = study_if_stored(config.name, storage=runtime.storage)
    read_as = stored if base is None else base.study
    return plan_run(
        config,
        runtime,
        trials=whole(trials, "trials"),
        space=None if base is None else base.space,
        former=read_as is not None and RULES_FACT not in read_as.info.facts,
        stored=None if stored is None else stored.info,
        trained=stored is not None and any(record.score is not None for record in stored.records),
        begun=base is not None
        and base.study is not None
        and (base.config.latency.threads, base.config.latency.cores) == (config.latency.threads, config.latency.cores),
    )


def plan_design(
    base: DesignBase, design: Design, runtime: Runtime, *, changes: SectionChanges | None = None
) -> DesignPlan:
    """Check a design against its data and this machine without storing anything; three points are tried.

    `changes`: keys of `proxy` and `latency` with other values than the base's. Raises what `archsearch.api.run.plan`
    raises, StudyChangedError among it where the design is stored with another protocol, or the images are not those of
    the base.
    """
    plan = plan_config(design_config(base, design, changes or SectionChanges()), runtime, base=base)
    if base.study is not None:
        base.study.info.check_images(plan.facts["data_fingerprint"])
    return DesignPlan(base=base, design=design, plan=plan)
