"""The adapter: an archsearch study as an Optuna study, so that Optuna's own tools can read it.

| archsearch trial            | Optuna trial                                                              |
|-----------------------------|---------------------------------------------------------------------------|
| complete, or a replay       | COMPLETE with its values                                                  |
| stopped early               | COMPLETE but infeasible (`early_stop`), with the error that was expected  |
|                             | of it: the sampler learns from it, and it is never in `best_trials`       |
| rejected by a constraint    | COMPLETE but infeasible (`trial.set_constraint`), with the worst values:  |
|                             | never in `best_trials`, and the sampler learns to stay away               |
| failed, interrupted         | FAIL                                                                      |
| a variant outside the space | FAIL: its record is complete in archsearch's own tables, but Optuna's     |
|                             | samplers cannot live with a complete trial that lacks their parameters    |

Constraints are written twice: by name, as Optuna 5 has them, and as the list that Optuna had before, the only form that
optuna-dashboard 0.21 knows: its plots draw infeasible trials apart, but its list of best trials looks at values alone.
The values are therefore such that few are not dominated. A trial that `predicted` stopped is told with the final error
that was expected of it: the front dominates that, but for ties in latency. One rejected untrained has the error
of guessing, and, where it was not measured, the latency of the reference point. What can still look good by values (the
fastest of the trials that `mo_asha` stopped, one rejected by its second latency after its training, a small one where
`params` is an objective) does so because it is: other values would be untrue, and GP learns from them.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import wraps
from itertools import pairwise
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.samplers import PartialFixedSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from archsearch.errors import ConfigError, StoreError
from archsearch.records import Record, TrialStatus
from archsearch.search.config import StudyConfig
from archsearch.search.outcome import outcome_of, rejecting, told_excess, values_of
from archsearch.search.samplers import check_left, make_sampler
from archsearch.search.samplers.points import Points
from archsearch.search.storage import close_storage, optuna_storage, storage_lost
from archsearch.space.search_space import Domain, SearchSpace
from archsearch.store.claims import is_suggesting, mark_told, recover_trials, untold_trials
from archsearch.store.database import Database, foreign_study
from archsearch.store.retry import retry
from archsearch.store.studies import find_study
from archsearch.store.trials import load_record, trial_numbers
from archsearch.store.workers import living_workers
from archsearch.text import plural

optuna.logging.set_verbosity(optuna.logging.WARNING)
_OLD_CONSTRAINTS = "constraints"  # the system attribute of before Optuna 5, a list

_QUICKLY_COUNTED = 2000  # points, at a millisecond each

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _retried(method: Callable[Concatenate[OptunaStudy, _P], _R]) -> Callable[Concatenate[OptunaStudy, _P], _R]:
    """A method that waits for a database that has gone away, and is done anew then, as the store's functions are."""

    @wraps(method)
    def call(self: OptunaStudy, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with _failing(self.database):
            return retry(lambda: method(self, *args, **kwargs), wait=self.database.wait, lost=storage_lost)

    return call


@contextmanager
def _failing(database: Database) -> Iterator[None]:
    """A StoreError for whatever Optuna's storage raises: a full disk, a damaged file, tables that are not Optuna's."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, json.JSONDecodeError) as error:
        cause = error.__cause__ or error
        raise StoreError(
            f"Optuna's tables in {database.safe_url} cannot be used: {getattr(cause, 'orig', cause)}",
            hint="check that the disk has room, that the file may be written, and that it is whole",
        ) from error


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What Optuna answered: the trial's number, and a value for each domain of the space."""

    number: int
    choices: Mapping[str, Any]


class _SamplersStudy(optuna.Study):
    """The study as samplers see it: without the list of constraints that stands beside the named ones.

    They would count each constraint twice; and GP wants as many of each trial, but older trials have the names only. It
    takes them by their places, so that all trials have them in one order: a proxy gives them in any.
    """

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = super()._get_trials(deepcopy, states, use_cache)
        for trial in trials:
            attributes = sorted(trial.system_attrs.items())
            trial.system_attrs = {name: value for name, value in attributes if name != _OLD_CONSTRAINTS}
        return trials


class OptunaStudy:
    """Ask and tell on one Optuna study in archsearch's database.

    Args:
        database, config, space: the study.
        input_size: of its images (pixels), which decides what suggestions build equal networks; None: none do.
        proxy: HOST:PORT of a proxy to Optuna's tables; None: directly.
    """

    def __init__(
        self,
        database: Database,
        config: StudyConfig,
        space: SearchSpace,
        *,
        input_size: int | None = None,
        proxy: str | None = None,
    ) -> None:
        self.database = database
        self._config = config
        self._space = space
        self._domains = {domain.name: domain for domain in space.domains}
        self._distributions = {domain.name: distribution(domain) for domain in space.domains}
        self._points = Points(self._distributions, space, input_size=input_size)
        with _failing(database):
            self._storage, self._study, self._id = retry(
                lambda: _opened(database, config, proxy), wait=database.wait, lost=storage_lost
            )

    @_retried
    def ask(
        self,
        sequence: int,
        *,
        fixed: Mapping[str, Any] | None = None,
        at_random: bool = False,
        reference_point: Sequence[float] | None = None,
    ) -> Suggestion:
        """A new Optuna trial with every choice of the space: the `fixed` ones, or a suggestion.

        A suggested combination that the family refuses becomes a failed trial, and a random one is taken. A call that
        loses the database on its way leaves a trial without record behind, which `recover` ends.

        Args:
            sequence: the claim's sequence number, from which the sampler's seed comes.
            fixed: choices to use as they are.
            at_random: pass over the study's sampler this once (it keeps repeating itself).
            reference_point: of the study's hypervolume, in the order of its objectives; None while there is none.

        Raises SpaceUsedUpError, before there is a trial, if the sampler enumerates the space and has come to its end.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if fixed is not None:
                self._study.sampler = PartialFixedSampler(dict(fixed), RandomSampler(seed=sequence))
            else:
                name = "random" if at_random else self._config.sampler
                sampler = make_sampler(
                    name,
                    study_seed=self._config.seed,
                    sequence=sequence,
                    points=self._points,
                    reference_point=reference_point,
                )
                check_left(sampler, self._study)
                self._study.sampler = sampler
            trial = self._study.ask(self._distributions)
        choices = {name: _own_value(self._domains[name], value) for name, value in trial.params.items()}
        if fixed is None and not self._space.contains(choices):
            self.tell_failed(trial.number)
            return self.ask(sequence, fixed=self._space.sample(self._config.seed + sequence))
        return Suggestion(number=trial.number, choices=choices)

    @_retried
    def ask_outside(self) -> int:
        """The number of a new Optuna trial without parameters, for a network that lies outside the space."""
        self._study.sampler = RandomSampler(seed=0)
        return self._study.ask().number

    @_retried
    def tell_values(self, number: int, values: Sequence[float], excess: Mapping[str, float]) -> None:
        """End a trial with its objectives' values.

        Args:
            number: the trial's number.
            values: one for each objective, in their order.
            excess: for each constraint of the study, how far its bound is exceeded as a share of it; the trial is
                feasible if none is positive. Every trial of a study names the same constraints (GP needs that).
        """
        trial_id = self._trial_id(number)
        known = self._storage.get_trial(trial_id)
        if known.state.is_finished():
            return
        with suppress(UpdateFinishedTrialError):  # another process that recovers told it at this moment
            if excess:
                self._study.sampler = RandomSampler(seed=0)  # taking a trial in hand again asks the sampler
                trial = Trial(self._study, trial_id)
                for name, value in excess.items():
                    if name not in known.constraints:  # a worker was killed, or lost the server, between two writes
                        trial.set_constraint(name, value)
                self._storage.set_trial_system_attr(trial_id, _OLD_CONSTRAINTS, list(excess.values()))
            self._study.tell(number, list(values), skip_if_finished=True)

    @_retried
    def tell_failed(self, number: int) -> None:
        """End a trial that has no values."""
        with suppress(UpdateFinishedTrialError):
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    @_retried
    def note(self, number: int, facts: Mapping[str, Any]) -> None:
        """Store one compact attribute, which Optuna's dashboard shows beside the trial (before it is told)."""
        with suppress(UpdateFinishedTrialError):  # its slot was given back meanwhile
            self._storage.set_trial_user_attr(self._trial_id(number), "archsearch", dict(facts))

    def networks(self) -> int | None:
        """How many different networks the search space holds; None if that takes long to tell."""
        return self._points.networks(most=_QUICKLY_COUNTED)

    def close(self) -> None:
        """Close the connections."""
        close_storage(self._storage)

    @_retried
    def running(self) -> tuple[int, ...]:
        """Numbers of the trials that Optuna believes to be running."""
        found = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return tuple(trial.number for trial in found)

    @_retried
    def check_goes_on(self, numbers: Collection[int]) -> None:
        """Raise StoreError if a next trial would get one of these numbers again, since Optuna has lost some."""
        if not numbers:
            return
        try:
            self._trial_id(max(numbers))  # one row: to count trials Optuna reads each of them
        except KeyError as error:
            there = self._storage.get_n_trials(self._id)
            hint = "put a copy of the database back"
            if self._config.design is None:  # that of a design follows from what was asked for
                hint += ", or give the study another name (in a terminal: --set name=NEW)"
            raise StoreError(
                f"Optuna's tables in {self.database.safe_url} have {plural(there, 'trial')} of study "
                f"'{self._config.name}', which has a trial {max(numbers)}: they were deleted, in its dashboard, say",
                hint=hint,
            ) from error

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)


def _opened(
    database: Database, config: StudyConfig, proxy: str | None
) -> tuple[optuna.storages.BaseStorage, optuna.study.Study, int]:
    """Optuna's storage, the study in it, made if there was none, and its id.

    Raises ConfigError if another program made the study of that name there.
    """
    storage = optuna_storage(database, proxy)
    try:
        _check_ours(storage, config, database)
    except ConfigError:
        close_storage(storage)
        raise
    optuna.create_study(
        study_name=config.name,
        storage=storage,
        directions=["minimize"] * len(config.objectives),
        load_if_exists=True,
    )
    study = _SamplersStudy(study_name=config.name, storage=storage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(config.objectives))
    return storage, study, storage.get_study_id_from_name(config.name)


def _check_ours(storage: optuna.storages.BaseStorage, config: StudyConfig, database: Database) -> None:
    try:
        study_id = storage.get_study_id_from_name(config.name)
    except KeyError:
        return
    names = optuna.load_study(study_name=config.name, storage=storage).metric_names
    # Before its first trial its names may not be written yet. To count trials Optuna reads each of them.
    if names != list(config.objectives) and (names is not None or storage.get_n_trials(study_id) > 0):
        raise foreign_study(config.name, database.safe_url)


def distribution(domain: Domain) -> BaseDistribution:
    """A domain as Optuna's distribution: evenly spaced numbers keep their order, all else is categorical."""
    numbers = [value for value in domain.values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < len(domain.values) or len(numbers) < 2:
        return CategoricalDistribution(list(domain.values))
    # As decimals: 0.4 - 0.3 is 0.10000000000000003 in binary, and Optuna would cut 0.5 off the range 0.3 to 0.5.
    decimals = [Decimal(str(value)) for value in numbers]
    step = decimals[1] - decimals[0]
    if step <= 0 or any(after - before != step for before, after in pairwise(decimals)):
        return CategoricalDistribution(list(domain.values))
    if all(isinstance(value, int) for value in numbers):
        return IntDistribution(int(numbers[0]), int(numbers[-1]), step=int(step))
    return FloatDistribution(float(numbers[0]), float(numbers[-1]), step=float(step))


def _own_value(domain: Domain, value: Any) -> Any:
    """The domain's own value for what Optuna gave back.

    A stepped float may be off in its last digit, and of a sampler that draws with numpy it is a number of numpy.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        numbers = [known for known in domain.values if isinstance(known, int | float)]
        return min(numbers, key=lambda known: abs(known - value))
    return value


# After a worker was killed: its slot is given back, and Optuna and the store agree again.

logger = logging.getLogger(__name__)

_HAS_VALUES = (TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.REPLAY, TrialStatus.REJECTED)


def recover(database: Database, config: StudyConfig, optuna: OptunaStudy) -> int:
    """Give back the slots of dead workers, and tell Optuna whatever it was not told; returns the slots given back.

    A record is stored before Optuna is told, so a worker that dies in between leaves a finished record that Optuna
    takes for running: it is told now, from the record. An Optuna trial that no record knows (its worker died within
    the moment between the two writes, or while it was suggested) has failed, unless a worker is at a suggestion.

    Raises StoreError if Optuna has lost a trial that it is to be told of.
    """
    study = find_study(database, config.name)
    given_back = recover_trials(database, study.id)
    if given_back:
        logger.info("%d running trials had lost their worker; their networks are tried again", given_back)
    # The living are looked up last: a worker that has just entered must not pass for dead.
    untold, running = untold_trials(database, study.id), optuna.running()
    living = living_workers(database, study.id)
    optuna.check_goes_on([row.number for row in untold if row.number is not None])
    for row in untold:
        if row.worker_id in living or row.number is None:
            continue
        record = load_record(database, study.id, row.number)
        if record is not None:
            tell(optuna, config, record, study.reference_point)
        mark_told(database, row.id)
    # Asked after what runs was listed: if nobody suggests by now, whatever was being suggested then is noted.
    if not living or not is_suggesting(database, study.id):
        known = trial_numbers(database, study.id)
        for number in running:
            if number not in known:
                optuna.tell_failed(number)
    return given_back


def tell(optuna: OptunaStudy, config: StudyConfig, record: Record, reference_point: Mapping[str, float] | None) -> None:
    """Tell Optuna how a stored trial ended."""
    # A study with a design has no sampler, which could not live with a complete trial that lacks its parameters.
    outside = record.point is None and record.variant is not None and not record.suggested
    if reference_point is None or outside or record.status not in _HAS_VALUES:
        optuna.tell_failed(record.trial)
        return
    outcome = outcome_of(record, config.constraints)
    rejected = rejecting(config.constraints, outcome.excess)
    if record.score is None and not rejected:  # repeats a network that failed, or was still running
        optuna.tell_failed(record.trial)
        return
    values = values_of(outcome, config.objectives, reference_point)
    optuna.tell_values(record.trial, values, told_excess(outcome, config))
