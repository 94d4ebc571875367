"""The adapter: an archsearch study as an Optuna study, so that Optuna's own tools can read it.

| archsearch trial            | Optuna trial                                                              |
|-----------------------------|---------------------------------------------------------------------------|
| complete, or a replay       | COMPLETE with its values                                                  |
| rejected by a constraint    | COMPLETE but infeasible (`trial.set_constraint`), with the worst values:  |
|                             | never in `best_trials`, and the sampler learns to stay away               |
| failed, interrupted         | FAIL                                                                      |
| a variant outside the space | FAIL: its record is complete in archsearch's own tables, but Optuna's     |
|                             | samplers cannot live with a complete trial that lacks their parameters    |
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import PartialFixedSampler, RandomSampler
from optuna.trial import Trial, TrialState
from sqlalchemy import event

from archsearch.search.config import StudyConfig
from archsearch.search.samplers import make_sampler
from archsearch.space.domain import Domain
from archsearch.space.search_space import SearchSpace
from archsearch.store.database import Database, tune_sqlite

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What Optuna answered: the trial's number, and a value for each domain of the space."""

    number: int
    choices: Mapping[str, Any]


class OptunaStudy:
    """Ask and tell on one Optuna study in archsearch's database."""

    def __init__(self, database: Database, config: StudyConfig, space: SearchSpace) -> None:
        self._storage = optuna.storages.RDBStorage(database.url)
        if database.sqlite_file is not None:
            event.listen(self._storage.engine, "connect", tune_sqlite)
            self._storage.engine.dispose()  # connections that were made before the listener stood
        self._study = optuna.create_study(
            study_name=config.name,
            storage=self._storage,
            directions=["minimize"] * len(config.objectives),
            load_if_exists=True,
        )
        self._id = self._storage.get_study_id_from_name(config.name)
        self._config = config
        self._domains = {domain.name: domain for domain in space.domains}
        self._distributions = {domain.name: distribution(domain) for domain in space.domains}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.set_metric_names(list(config.objectives))

    def ask(self, sequence: int, *, fixed: Mapping[str, Any] | None = None, at_random: bool = False) -> Suggestion:
        """A new Optuna trial with every choice of the space: the `fixed` ones, or a suggestion.

        Args:
            sequence: the claim's sequence number, from which the sampler's seed comes.
            fixed: choices to use as they are.
            at_random: pass over the study's sampler this once (it keeps repeating itself).
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if fixed is not None:
                self._study.sampler = PartialFixedSampler(dict(fixed), RandomSampler(seed=sequence))
            else:
                name = "random" if at_random else self._config.sampler
                self._study.sampler = make_sampler(name, study_seed=self._config.seed, sequence=sequence)
            trial = self._study.ask(self._distributions)
        choices = {name: _own_value(self._domains[name], value) for name, value in trial.params.items()}
        return Suggestion(number=trial.number, choices=choices)

    def ask_outside(self) -> int:
        """The number of a new Optuna trial without parameters, for a network that lies outside the space."""
        self._study.sampler = RandomSampler(seed=0)
        return self._study.ask().number

    def tell_values(self, number: int, values: Sequence[float], excess: Mapping[str, float]) -> None:
        """End a trial with its objectives' values.

        Args:
            number: the trial's number.
            values: one for each objective, in their order.
            excess: for each constraint of the study, how far its bound is exceeded as a share of it; the trial is
                feasible if none is positive. Every trial of a study names the same constraints (GP needs that).
        """
        trial_id = self._trial_id(number)
        if self._storage.get_trial(trial_id).state.is_finished():
            return
        if excess:
            self._study.sampler = RandomSampler(seed=0)  # taking a trial in hand again asks the sampler
            trial = Trial(self._study, trial_id)
            for name, value in excess.items():
                trial.set_constraint(name, value)
        self._study.tell(number, list(values), skip_if_finished=True)

    def tell_failed(self, number: int) -> None:
        """End a trial that has no values."""
        self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def note(self, number: int, facts: Mapping[str, Any]) -> None:
        """Store one compact attribute, which Optuna's dashboard shows beside the trial (before it is told)."""
        self._storage.set_trial_user_attr(self._trial_id(number), "archsearch", dict(facts))

    def close(self) -> None:
        """Close the connections."""
        self._storage.engine.dispose()

    def running(self) -> tuple[int, ...]:
        """Numbers of the trials that Optuna believes to be running."""
        found = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return tuple(trial.number for trial in found)

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)


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
    """The domain's own value for what Optuna gave back: a stepped float may be off in its last digit."""
    if isinstance(value, float):
        return min(domain.values, key=lambda known: abs(float(known) - value) if known is not None else math.inf)
    return value
