"""What a stopping rule would have saved in a stored study, and what it would have cost."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.analysis.objectives import is_complete, objective_values
from archsearch.api.stored import by_network
from archsearch.api.study import Study, opened_study
from archsearch.errors import ArchsearchError, ConfigError, NothingStoredError, OverrideError
from archsearch.noise import NoiseFloor
from archsearch.overrides import Overrides, read_overrides
from archsearch.records import Record, TrialStatus, known_fields
from archsearch.search.stopping.base import Curve, Decision, StoppingSettings
from archsearch.search.stopping.replay import Replay, RuleCalibration, calibration
from archsearch.search.stopping.replay import replay as replay_rule
from archsearch.search.stopping.rules import STOPPING, make_rule
from archsearch.store.database import storage_options
from archsearch.store.partial_trainings import load_decisions
from archsearch.store.trials import load_records
from archsearch.table import Column, InNotebooks, Table, json_as, table_of
from archsearch.text import first_of, plural
from archsearch.validation import explain, whole

LISTED = 12  # trials that a sentence names


@dataclass(frozen=True, kw_only=True)
class PolicyReplay:
    """One policy with the settings that it ran under, and what became of the study."""

    settings: StoppingSettings
    replay: Replay


class CalibrationJson(TypedDict):
    """How the predictions of a rule held: trials that it would have stopped, and those of them that it was wrong on."""

    expected_below_share: float | None
    spared: list[int]
    below: list[int]
    below_share: float | None
    on_front: list[int]
    predictions: int
    predictions_below: int
    predictions_below_share: float | None


class PolicyJson(TypedDict):
    """One policy: its settings, and what it saved and lost."""

    policy: str
    settings: dict[str, Any]
    epochs_full: int
    epochs_trained: int
    epochs_saved_share: float
    hypervolume_full: float
    hypervolume_kept: float
    hypervolume_lost_share: float
    stopped: list[int]
    promoted: list[int]
    true_front: list[int]
    false_stops: list[int]
    calibration: CalibrationJson


class ReplayJson(TypedDict):
    """A study under one or more stopping rules."""

    study: str
    trials: int
    epochs: int
    objectives: list[str]
    reference_point: list[float]
    noise_floor: float
    workers: int
    stopped_by_study: list[int]
    own_calibration: CalibrationJson | None
    policies: list[PolicyJson]


@dataclass(frozen=True, kw_only=True)
class StudyReplay(InNotebooks):
    """A stored study under one or more stopping rules: a `archsearch.table.Result`.

    Attributes:
        curves: of the complete trials, each network once.
        labels: a variant's name or `trial N`, by trial.
        published: trials of published networks, which no rule stops.
        stopped_by_study: trials that the study stopped itself: they have no whole curve and are in no replay.
        own: how the predictions of the study's own rule held; None if it has none.
        policies: in the order asked for.
    """

    study: str
    epochs: int
    objectives: tuple[str, ...]
    reference_point: tuple[float, ...]
    noise_floor: NoiseFloor
    workers: int
    curves: tuple[Curve, ...]
    labels: dict[int, str]
    published: frozenset[int]
    stopped_by_study: tuple[int, ...]
    own: RuleCalibration | None
    own_settings: StoppingSettings
    policies: tuple[PolicyReplay, ...]
    subtitle: tuple[str, ...] = ()
    method: str = (
        "Hypervolume of the networks that ran to the end, below the study's reference point; of front: those of the "
        "true front that were stopped. Published networks never are."
    )
    empty: str | None = None

    @property
    def title(self) -> str:
        """Of which study, and how much of it."""
        whole, epochs = plural(len(self.curves), "whole curve"), plural(self.epochs, "epoch")
        return f"Stopping rules on '{self.study}': {whole} of {epochs}"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What each policy was set to, what it stopped of the front, and how its predictions held."""
        found = []
        for each in self.policies:
            if each.settings.policy == "none":
                continue
            keys = ", ".join(f"{key} {value}" for key, value in each.settings.protocol().items() if key != "policy")
            text = f"{each.settings.policy} ({keys})"
            if each.replay.false_stops:
                names = [self.labels.get(trial, f"trial {trial}") for trial in each.replay.false_stops]
                text += f"; stopped of the front: {first_of(names, LISTED)}"
            if not each.replay.stopped:
                text += f"; it stopped nothing: {self._why_nothing(each)}"
            if each.replay.calibration.predictions:
                text += f"; {_calibration_text(each.replay.calibration, each.settings)}"
            found.append(f"{text}.")
        if self.own is not None and self.own_settings.policy == "predicted":
            own = _calibration_text(self.own, self.own_settings)
            found.append(f"The study's own rule ({self.own_settings.policy}): {own}.")
        return tuple(found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Whether the curves are a choice of their own."""
        if not self.stopped_by_study:
            return ()
        return (
            f"the study stopped {plural(len(self.stopped_by_study), 'trial')} itself; only its complete curves are "
            "replayed, which are those that its rule found promising",
        )

    def tables(self) -> tuple[Table, ...]:
        """What each policy saves and loses."""
        saved = Column(title="Saved", key="saved_percent", unit="%", decimals=1)
        of_front = Column(title="Of front", whole=True)
        lost = Column(title="Lost", key="hypervolume_lost_percent", unit="%", decimals=2)
        found = table_of(
            "",
            ((each.settings.policy, each.replay) for each in self.policies),
            (Column(title="Policy", whole=True), lambda one: one[0]),
            (Column(title="Epochs", decimals=0), lambda one: one[1].epochs_trained),
            (saved, lambda one: 100.0 * one[1].epochs_saved_share),
            (Column(title="Hypervolume", decimals=2), lambda one: one[1].hypervolume_kept),
            (lost, lambda one: 100.0 * one[1].hypervolume_lost_share),
            (Column(title="Stopped", decimals=0), lambda one: len(one[1].stopped)),
            (of_front, lambda one: f"{len(one[1].false_stops)} of {len(one[1].true_front)}"),
            (Column(title="Promoted", decimals=0), lambda one: len(one[1].promoted)),
        )
        return (found,)

    def plain(self) -> ReplayJson:
        """Shares are fractions (0.4 is 40 %), trials stand by their numbers."""
        return json_as(
            ReplayJson,
            self,
            trials=len(self.curves),
            noise_floor=self.noise_floor.relative,
            own_calibration=None if self.own is None else _calibration_json(self.own, self.own_settings),
            policies=[
                json_as(
                    PolicyJson,
                    each.replay,
                    policy=each.settings.policy,
                    settings=each.settings.protocol(),
                    calibration=_calibration_json(each.replay.calibration, each.settings),
                )
                for each in self.policies
            ],
        )

    def _why_nothing(self, found: PolicyReplay) -> str:
        """What kept a rule from stopping anything: trainings that always run to their end, and how many are left."""
        settings, always, first = found.settings, [], 0
        if settings.min_epochs >= self.epochs:
            return f"min_epochs leaves none of the {plural(self.epochs, 'epoch')} to decide after"
        if self.published:
            always.append(f"published networks ({len(self.published)} of {len(self.curves)})")
        if settings.policy == "predicted":
            first = settings.first_full
            always.append(f"the first {plural(first, 'training')} (first_full)")
        left = sum(curve.trial not in self.published for curve in self.curves[first:])
        text = f"{' and '.join(always)} always run to their end; " if always else ""
        if not left:
            return f"{text}in a study with more trials there are some that can be stopped"
        if settings.policy == "predicted" and not found.replay.calibration.predictions:
            return f"{text}the curves are too few to predict anything with a quantile of {settings.quantile}"
        return f"{text}of the {left} left none fell behind far enough"


def _calibration_text(found: RuleCalibration, settings: StoppingSettings) -> str:
    spared = len(found.spared)
    if not spared:
        return "no trial that it would have stopped ran to the end, so its predictions are not checked"
    return (
        f"{plural(spared, 'trial')} that it would have stopped ran to the end all the same: {len(found.below)} ended "
        f"below the optimistic prediction ({100.0 * settings.quantile:g} % expected), {len(found.on_front)} on the "
        "front"
    )


def replay(
    study: str | Path | Study | None = None,
    *,
    policy: str | None = None,
    overrides: Overrides = (),
    workers: int = 1,
    storage: str | None = None,
) -> StudyReplay:
    """Run a stopping rule over the whole curves of a stored study.

    The published networks of a study are never stopped: each has its verdict.

    Args:
        study: a stored study, its name or YAML file; None: the one worked on last.
        policy: one name of STOPPING; None: all of them.
        overrides: other values for keys of the stopping settings, `{"quantile": 0.05}`, on top of the study's own.
        workers: trainings at the same time, at least 1.
        storage: the database's URL.

    Raises ConfigError or UnknownNameError for the settings, StoreError for the database, ArchsearchError for a study
    without a whole curve, whose proxies have one epoch, or with an objective that is known only when a training ends.
    """
    if policy is not None:
        STOPPING[policy]  # raises with the nearest name
    if (workers := whole(workers, "workers")) < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    opened = opened_study(study, storage=storage)
    own_settings = opened.settings("stopping", StoppingSettings)
    changes = read_overrides(overrides)
    settings = [
        stopping_settings(own_settings, changes, policy=name) for name in ([policy] if policy else STOPPING.names())
    ]
    _check_read(settings, changes)
    if "balanced_error_percent" in opened.objectives:
        raise ArchsearchError(
            f"study '{opened.name}' has the objective balanced_error_percent, which is known only when a training "
            "ends: no rule can stop by it"
        )
    records, decisions = stored_trainings(opened)
    found = whole_records(opened, records)
    curves = curves_of(opened, found)
    if curves[0].epochs == 1:
        raise ArchsearchError(f"the proxies of study '{opened.name}' have 1 epoch: there is nothing to stop")
    spare = frozenset(record.trial for record in found if record.variant is not None)
    corner = reference_corner(opened)
    noise_floor = opened.info.noise_floor
    return StudyReplay(
        study=opened.name,
        epochs=curves[0].epochs,
        objectives=opened.objectives,
        reference_point=corner,
        noise_floor=noise_floor,
        workers=workers,
        curves=curves,
        labels={record.trial: record.label for record in found},
        published=spare,
        stopped_by_study=tuple(record.trial for record in records if record.status is TrialStatus.STOPPED),
        own=calibration(decisions, curves, noise_floor=noise_floor) if decisions else None,
        own_settings=own_settings,
        policies=tuple(
            PolicyReplay(
                settings=each,
                replay=replay_rule(
                    curves,
                    make_rule(each, seed=int(opened.info.config["seed"]), noise_floor=noise_floor),
                    reference_point=corner,
                    noise_floor=noise_floor,
                    workers=workers,
                    spare=spare,
                ),
            )
            for each in settings
        ),
    )


def stopping_settings(base: StoppingSettings, overrides: Overrides, *, policy: str) -> StoppingSettings:
    """The settings of one policy: the base, changed by each override (`stopping.` may stand before its key).

    Raises ConfigError naming the key, what was got and what is allowed.
    """
    changes = {key.removeprefix("stopping."): value for key, value in read_overrides(overrides).items()}
    if "policy" in changes:
        raise OverrideError(
            "policy", "the policy is an argument of its own", hint="give it as the policy (in a terminal: --policy)"
        )
    try:
        return StoppingSettings.model_validate(base.model_dump() | {"policy": policy} | changes)
    except ValidationError as error:
        raise explain(error, source="stopping", model=StoppingSettings, overrides=changes) from error


def _check_read(policies: Sequence[StoppingSettings], changes: Mapping[str, Any]) -> None:
    """Raise OverrideError for a key that none of the policies reads: it would change nothing."""
    read = list(dict.fromkeys(key for each in policies for key in each.read_keys))
    for key in changes:
        if key.removeprefix("stopping.") not in read:
            names = " and ".join(each.policy for each in policies if each.read_keys) or policies[0].policy
            raise OverrideError(
                key, f"no replay of {names} reads it", hint=f"keys that it reads: {', '.join(read) or 'none'}"
            )


def stored_trainings(study: Study) -> tuple[tuple[Record, ...], dict[int, tuple[Decision, ...]]]:
    """The records of an opened study with their learning curves, and what its own stopping rule said of each trial."""
    with study.reopened() as database:
        records = load_records(database, study.info.id, with_curves=True)
        said = load_decisions(database, study.info.id)
    return records, {
        trial: tuple(Decision(**known_fields(Decision, facts)) for facts in each)
        for trial, each in said.items()
        if each
    }


def whole_records(study: Study, records: Sequence[Record]) -> tuple[Record, ...]:
    """The complete records with a curve of every epoch of the study's proxy, each network once.

    Raises NothingStoredError if there is none.
    """
    epochs = int(study.info.config["proxy"]["epochs"])
    first = by_network(
        record
        for record in records
        if is_complete(record) and record.score and len(record.score.curve) == record.score.epochs == epochs
    )
    if not first:
        raise NothingStoredError(
            f"study '{study.name}' has no complete trial with its learning curve",
            hint=f"{shlex.join(['archsearch', 'studies', *storage_options(study.storage)])} lists all",
        )
    return tuple(first.values())


def curves_of(study: Study, records: Sequence[Record]) -> tuple[Curve, ...]:
    """Complete records as curves: error and loss of each epoch, and the study's other objectives in their order."""
    values = objective_values(records, study.objectives)
    points = [record.score.curve if record.score else () for record in records]
    return tuple(
        Curve(
            trial=record.trial,
            errors=tuple(100.0 - point.top1_percent for point in curve),
            epochs=len(curve),
            known=tuple(known),
            losses=tuple(point.train_loss for point in curve),
        )
        for record, curve, known in zip(records, points, values[:, 1:].tolist(), strict=True)
    )


def reference_corner(study: Study) -> tuple[float, ...]:
    """The study's fixed reference point, in the order of its objectives. Raises NothingStoredError without one."""
    if study.reference_corner is None:
        raise NothingStoredError(f"study '{study.name}' has no reference point yet", hint="it has no latency yet")
    return study.reference_corner


def _calibration_json(found: RuleCalibration, settings: StoppingSettings) -> CalibrationJson:
    expected = settings.quantile if settings.policy == "predicted" else None
    return json_as(CalibrationJson, found, expected_below_share=expected)
