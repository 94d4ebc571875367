"""How a worker ends its trials: the record is stored first, then Optuna is told, then the trial is marked as told."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from archsearch.errors import StoreError
from archsearch.records import Phases, Record, TrialStatus
from archsearch.search.config import StudyConfig
from archsearch.search.evaluate import Evaluator
from archsearch.search.follow import SlotLostError, TrialFollower
from archsearch.search.optuna_study import OptunaStudy
from archsearch.search.outcome import Outcome, reference_point_of
from archsearch.search.recovery import tell
from archsearch.store.claims import Claim, interrupt_trial, mark_told
from archsearch.store.database import Database
from archsearch.store.studies import StudyInfo, fix_reference_point
from archsearch.store.trials import copy_result, finish_trial, load_record

_TOLD_WITH_VALUES = (TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.REJECTED)


class TrialEnds:
    """Ends trials of one study.

    Args:
        database, study, config, optuna: the study.
        evaluator: knows what the study's reference point is made of.
    """

    def __init__(
        self, database: Database, study: StudyInfo, config: StudyConfig, optuna: OptunaStudy, evaluator: Evaluator
    ) -> None:
        self.study = study
        self._database = database
        self._config = config
        self._optuna = optuna
        self._evaluator = evaluator

    def store(self, claim: Claim, number: int, outcome: Outcome, seconds: float, phases: Phases) -> None:
        """End a trial as its evaluation ended."""
        stored = finish_trial(
            self._database,
            claim.row_id,
            status=outcome.status,
            reason=outcome.reason,
            cost=outcome.cost,
            latency=outcome.latency,
            score=outcome.score,
            early_stop=outcome.early_stop,
            seconds=seconds,
            phases=phases,
            keep_state=outcome.status is TrialStatus.STOPPED and self._config.stopping.policy == "mo_asha",
        )
        self._tell_stored(claim, number, stored)

    def store_repeat(
        self, claim: Claim, number: int, equal: int, seed: int, outcome: Outcome, seconds: float, phases: Phases
    ) -> None:
        """End the training of a known network with a further seed: a replay with a score of its own."""
        why = "" if outcome.status is TrialStatus.COMPLETE else f": {outcome.status}, {outcome.reason}"
        stored = finish_trial(
            self._database,
            claim.row_id,
            status=TrialStatus.REPLAY,
            reason=f"the same network as trial {equal}, trained with seed {seed}{why}",
            cost=outcome.cost,
            latency=outcome.latency,
            score=outcome.score,
            seconds=seconds,
            phases=phases,
        )
        self._tell_stored(claim, number, stored)

    def copy(self, claim: Claim, number: int, *, status: str, equal: int) -> None:
        """End a trial whose network the study knows already: its record answers, nothing is trained twice.

        A published network keeps its slot, under its own name; a suggestion gives its slot back.
        """
        if status == TrialStatus.INTERRUPTED:
            self.give_back(claim, number, f"it waited for trial {equal}, whose worker was stopped or killed")
            return
        named = claim.variant is not None and status == TrialStatus.COMPLETE
        stored = copy_result(
            self._database,
            claim.row_id,
            study_id=self.study.id,
            number=equal,
            status=TrialStatus.COMPLETE if named else TrialStatus.REPLAY,
            reason=f"the same network as trial {equal} ({status})",
        )
        self._tell_stored(claim, number, stored, with_values=status in _TOLD_WITH_VALUES)

    def give_back(
        self, claim: Claim, number: int | None, reason: str, *, follower: TrialFollower | None = None
    ) -> None:
        """Give a trial's slot back; whoever takes its choices goes on from what is stored, or is at hand, of it."""
        if follower is not None:
            with suppress(SlotLostError):  # it was given back already: what follows notices, too
                follower.save()
        if interrupt_trial(self._database, claim.row_id, reason) and number is not None:
            self.tell_failed(claim, number)

    def tell_failed(self, claim: Claim, number: int) -> None:
        """Tell Optuna that a trial has no values."""
        self._optuna.tell_failed(number)
        mark_told(self._database, claim.row_id)

    def reference_values(self) -> list[float] | None:
        """The study's reference point in the order of its objectives; None while there is none."""
        point = self.study.reference_point
        return None if point is None else [point[name] for name in self._config.objectives]

    def _tell_stored(self, claim: Claim, number: int, stored: bool, *, with_values: bool = True) -> None:
        """Tell Optuna how a trial ended; if this process dies before that, `recover` does it.

        What was not stored has lost its slot meanwhile, and another trial has its choices.
        """
        if not stored or not with_values:
            self.tell_failed(claim, number)
            return
        record = load_record(self._database, self.study.id, number)
        if record is None:
            raise StoreError(f"trial {number} of study '{self.study.name}' is gone from the database")
        tell(self._optuna, self._config, record, self._reference_point(record))
        mark_told(self._database, claim.row_id)

    def _reference_point(self, record: Record) -> Mapping[str, float] | None:
        """The study's reference point, fixed at the first latency; None while there is none."""
        if self.study.reference_point is None and record.latency is not None:
            point = reference_point_of(
                self._config,
                num_classes=self._evaluator.num_classes,
                latency=record.latency,
                reference_cost=self._evaluator.reference_cost(),
            )
            fixed = fix_reference_point(self._database, self.study.id, point)
            self.study = replace(self.study, reference_point=fixed)
        return self.study.reference_point
