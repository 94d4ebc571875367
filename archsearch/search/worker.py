"""One worker: claims a place, evaluates it, stores the record, tells Optuna, until every place is filled."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from archsearch.data.dataset import Dataset
from archsearch.errors import StoreError
from archsearch.latency.noise import NoiseFloor
from archsearch.models.spec import Spec
from archsearch.records import Record, TrialStatus
from archsearch.search.config import StudyConfig
from archsearch.search.evaluate import Evaluator, StopRequested
from archsearch.search.optuna_study import OptunaStudy, Suggestion
from archsearch.search.outcome import Outcome, reference_point_of
from archsearch.search.recovery import recover, tell
from archsearch.search.variants import study_variants
from archsearch.store.claims import Claim, NoPlace, claim_trial, interrupt_trial, mark_told
from archsearch.store.database import Database
from archsearch.store.studies import StudyInfo, begin_measuring, fix_reference_latency, fix_reference_point, has_begun
from archsearch.store.trials import copy_result, finish_trial, load_record, note_architecture, note_suggestion
from archsearch.store.workers import HEARTBEAT_SECONDS, beat, enter_worker, leave_worker

logger = logging.getLogger(__name__)

_RANDOM_AFTER_REPEATS = 3
_EXHAUSTED_AFTER_REPEATS = 100
_HOPELESS_AFTER_FAILURES = 20
_HOPELESS_AFTER_REJECTIONS = 200  # rejected trials hold no place: bounds that nothing keeps would never end
_WAIT_SECONDS = 1.0


class Worker:
    """A worker of one study on one device.

    Args:
        database: where the study is.
        study: the study as stored.
        config: the study as written.
        dataset: its dataset.
        device: torch device ("cpu", "cuda:0").
        total: how many trials the study is to have in all.
        parent: process id of the coordinator; the worker ends when it has gone (0: none).
    """

    def __init__(
        self,
        database: Database,
        study: StudyInfo,
        config: StudyConfig,
        dataset: Dataset,
        *,
        device: str,
        total: int,
        parent: int = 0,
    ) -> None:
        self._database = database
        self._study = study
        self._config = config
        self._total = total
        self._parent = parent
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._space = config.search_space()
        self._evaluator = Evaluator(
            config, dataset, device, check=self._check, fix_reference=self._fix_reference, begin=self._begin
        )
        self._variants = study_variants(config, self._space, input_size=self._evaluator.input_size)
        self._optuna = OptunaStudy(database, config, self._space)
        self._device = device
        self._repeats = 0  # suggestions in a row that were known networks
        self._rejections = 0  # new networks in a row that broke a constraint
        self._failures = 0  # new networks in a row that failed
        self._last_reason: str | None = None

    def stop(self) -> None:
        """Ask the worker to end soon; the trial in hand is given back."""
        self._stop.set()

    def run(self) -> None:
        """Work until every place of the study is filled, or until `stop`.

        Ends early, with a warning, when the space holds no new network, nothing in it keeps the constraints, or one
        network after the other fails.
        """
        worker_id = enter_worker(self._database, self._study.id, self._device)
        heart = threading.Thread(target=self._heart, args=(worker_id,), daemon=True)
        heart.start()
        try:
            while not self._stop.is_set() and not self._hopeless():
                claim = self._claim(worker_id)
                if claim is NoPlace.DONE:
                    break
                if claim is NoPlace.BUSY:
                    self._stop.wait(_WAIT_SECONDS)
                    recover(self._database, self._config, self._optuna)
                elif isinstance(claim, Claim):
                    self._work_on(claim)
        finally:
            self._ended.set()
            heart.join()
            leave_worker(self._database, worker_id)
        if hopeless := self._hopeless():
            logger.warning("%s", hopeless)

    def _hopeless(self) -> str | None:
        if self._repeats >= _EXHAUSTED_AFTER_REPEATS:
            return (
                f"no new network in {self._repeats} suggestions: the search space ({self._space.size} points) "
                "is used up"
            )
        if self._rejections >= _HOPELESS_AFTER_REJECTIONS:
            return f"{self._rejections} networks in a row broke the study's constraints: loosen them"
        if self._failures >= _HOPELESS_AFTER_FAILURES:
            return f"{self._failures} networks in a row failed, the last because: {self._last_reason}"
        return None

    def _claim(self, worker_id: str) -> Claim | NoPlace:
        return claim_trial(
            self._database,
            study_id=self._study.id,
            total=self._total,
            worker_id=worker_id,
            variants=[(variant.name, variant.suggested) for variant in self._variants],
        )

    def _work_on(self, claim: Claim) -> None:
        started = time.monotonic()
        number: int | None = None
        try:
            with self._evaluator.chunk():
                number, spec = self._suggest(claim)
            known = note_architecture(
                self._database, claim.row_id, family=spec.family, arch_id=spec.arch_id, choices=spec.choices()
            )
            if known is not None and claim.variant is not None:
                known = self._wait_for_end(*known)
            if known is not None:
                self._repeat(claim, number, *known)
                return
            self._repeats = 0
            self._optuna.note(number, {"arch_id": spec.arch_id, "variant": claim.variant})
            outcome = self._evaluator.evaluate(spec)
            self._rejections = self._rejections + 1 if outcome.status is TrialStatus.REJECTED else 0
            self._failures = self._failures + 1 if outcome.status is TrialStatus.FAILED else 0
            self._last_reason = outcome.reason
            self._store(claim, number, outcome, time.monotonic() - started)
        except StopRequested:
            self._give_back(claim, number, "the run was stopped")

    def _give_back(self, claim: Claim, number: int | None, reason: str) -> None:
        if interrupt_trial(self._database, claim.row_id, reason) and number is not None:
            self._optuna.tell_failed(number)
            mark_told(self._database, claim.row_id)

    def _wait_for_end(self, status: str, number: int) -> tuple[str, int]:
        """Wait until another worker's trial has ended: a published network is recorded under its own name too."""
        while status == TrialStatus.RUNNING:
            self._check()
            self._stop.wait(_WAIT_SECONDS)
            recover(self._database, self._config, self._optuna)
            record = load_record(self._database, self._study.id, number)
            status = TrialStatus.INTERRUPTED if record is None else record.status
        return status, number

    def _suggest(self, claim: Claim) -> tuple[int, Spec]:
        """The Optuna trial's number and the architecture, normalised at the study's image size."""
        choices: Mapping[str, Any] | None = claim.suggested
        if claim.variant is not None and claim.suggested is None:
            number = self._optuna.ask_outside()
            spec = next(variant.spec for variant in self._variants if variant.name == claim.variant)
        else:
            asked = self._ask(claim)
            number, choices, spec = asked.number, asked.choices, self._space.spec(asked.choices)
        note_suggestion(self._database, claim.row_id, number=number, suggested=choices)
        return number, spec.normalised(self._evaluator.input_size)

    def _ask(self, claim: Claim) -> Suggestion:
        at_random = self._repeats >= _RANDOM_AFTER_REPEATS
        try:
            return self._optuna.ask(claim.sequence, fixed=claim.suggested, at_random=at_random)
        except (
            ValueError,
            RuntimeError,
            ArithmeticError,
        ) as error:  # a surrogate that cannot be fitted to these trials
            logger.warning("the sampler failed (%s: %s): this suggestion is random", type(error).__name__, error)
            return self._optuna.ask(claim.sequence, at_random=True)

    def _store(self, claim: Claim, number: int, outcome: Outcome, seconds: float) -> None:
        stored = finish_trial(
            self._database,
            claim.row_id,
            status=outcome.status,
            reason=outcome.reason,
            cost=outcome.cost,
            latency=outcome.latency,
            score=outcome.score,
            seconds=seconds,
        )
        if stored:  # else its place was given back meanwhile, and another trial has its choices
            self._tell(claim, number)

    def _repeat(self, claim: Claim, number: int, status: str, equal: int) -> None:
        """End a trial whose network the study knows already: its record answers, nothing is trained twice.

        A published network keeps its place, under its own name; a suggestion gives its place back.
        """
        if status == TrialStatus.INTERRUPTED:
            self._give_back(claim, number, f"it waited for trial {equal}, whose worker was stopped or killed")
            return
        self._repeats += 1
        named = claim.variant is not None and status == TrialStatus.COMPLETE
        stored = copy_result(
            self._database,
            claim.row_id,
            study_id=self._study.id,
            number=equal,
            status=TrialStatus.COMPLETE if named else TrialStatus.REPLAY,
            reason=f"the same network as trial {equal} ({status})",
        )
        if not stored:
            return
        if status in (TrialStatus.COMPLETE, TrialStatus.REJECTED):
            self._tell(claim, number)
        else:
            self._optuna.tell_failed(number)
            mark_told(self._database, claim.row_id)

    def _tell(self, claim: Claim, number: int) -> None:
        """Tell Optuna how a stored trial ended; if this process dies before that, `recover` does it."""
        record = load_record(self._database, self._study.id, number)
        if record is None:
            raise StoreError(f"trial {number} of study '{self._study.name}' is gone from the database")
        tell(self._optuna, self._config, record, self._reference_point(record))
        mark_told(self._database, claim.row_id)

    def _reference_point(self, record: Record) -> Mapping[str, float] | None:
        """The study's reference point, fixed at the first latency; None while there is none."""
        if self._study.reference_point is None and record.latency is not None:
            point = reference_point_of(
                self._config,
                num_classes=self._evaluator.num_classes,
                latency=record.latency,
                reference_cost=self._evaluator.reference_cost(),
            )
            fixed = fix_reference_point(self._database, self._study.id, point)
            self._study = replace(self._study, reference_point=fixed)
        return self._study.reference_point

    def _begin(self, measure: Callable[[], NoiseFloor]) -> bool:
        """Measure the noise floor of a study that has measured nothing yet; whether it is the one that holds.

        Workers that begin at the same moment measure it each, in turn with each other; the first to end fixes it.
        """
        if has_begun(self._database, self._study.id):
            return False
        found = measure()
        return begin_measuring(
            self._database, self._study.id, reference_p10_ms=found.reference_p10_ms, noise_floor=asdict(found)
        )

    def _fix_reference(self, p10_ms: float) -> float:
        return fix_reference_latency(self._database, self._study.id, p10_ms)

    def _check(self) -> None:
        if self._stop.is_set():
            raise StopRequested

    def _heart(self, worker_id: str) -> None:
        """Beat in the database, and stop the worker when its coordinator has gone."""
        last = time.monotonic()
        while not self._ended.wait(1.0):
            if self._parent and os.getppid() != self._parent:
                logger.warning("the coordinator has gone: this worker ends")
                self._parent = 0
                self.stop()
            if time.monotonic() - last >= HEARTBEAT_SECONDS:
                last = time.monotonic()
                try:
                    beat(self._database, worker_id)
                except (StoreError, SQLAlchemyError) as error:  # the next beat may get through; the work itself goes on
                    logger.warning("the heartbeat could not be stored: %s", error)
