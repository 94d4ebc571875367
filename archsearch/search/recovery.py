"""After a worker was killed: its slot is given back, and Optuna and the store agree again."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from archsearch.records import Record, TrialStatus
from archsearch.search.config import StudyConfig
from archsearch.search.optuna_study import OptunaStudy
from archsearch.search.outcome import outcome_of, rejecting, told_excess, values_of
from archsearch.store.claims import mark_told, recover_trials, untold_trials
from archsearch.store.database import Database
from archsearch.store.studies import find_study
from archsearch.store.trials import load_record, trial_numbers
from archsearch.store.workers import living_workers

logger = logging.getLogger(__name__)

_HAS_VALUES = (TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.REPLAY, TrialStatus.REJECTED)


def recover(database: Database, config: StudyConfig, optuna: OptunaStudy) -> int:
    """Give back the slots of dead workers, and tell Optuna whatever it was not told; returns the slots given back.

    A record is stored before Optuna is told, so a worker that dies in between leaves a finished record that Optuna
    takes for running: it is told now, from the record. An Optuna trial that no record knows (its worker died within
    the moment between the two writes) has failed.
    """
    study = find_study(database, config.name)
    given_back = recover_trials(database, study.id)
    if given_back:
        logger.info("%d running trials had lost their worker; their networks are tried again", given_back)
    # The living are looked up last: a worker that has just entered must not pass for dead.
    untold, running = untold_trials(database, study.id), optuna.running()
    living = living_workers(database, study.id)
    for row in untold:
        if row.worker_id in living or row.number is None:
            continue
        record = load_record(database, study.id, row.number)
        if record is not None:
            tell(optuna, config, record, study.reference_point)
        mark_told(database, row.id)
    if not living:
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
