"""One worker: claims a slot, evaluates it, stores the record, tells Optuna, until every slot is filled.

Of a design: each network once with each seed, measured afresh every time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from textwrap import shorten
from types import TracebackType
from typing import Any, Self

from sqlalchemy.exc import SQLAlchemyError

from archsearch.data.dataset import Dataset
from archsearch.errors import StoreError
from archsearch.models.spec import Spec
from archsearch.records import Latency, Phases, Record, TrialStatus
from archsearch.search.config import MOST_SEEDS, StudyConfig
from archsearch.search.evaluate import Awaited, CommonFailureError, Evaluator, Repeats, StopRequested, common_failure
from archsearch.search.optuna_study import OptunaStudy, Suggestion, recover, tell
from archsearch.search.outcome import Blame, Outcome, reference_point_of
from archsearch.search.samplers import SpaceUsedUpError
from archsearch.search.stopping.base import StoppingRule
from archsearch.search.stopping.rules import make_rule
from archsearch.search.trial_context import Curves, SlotLostError, StoredTrial
from archsearch.search.variants import design_specs, study_variants
from archsearch.space.search_space import SearchSpace
from archsearch.store.claims import (
    Claim,
    NoSlot,
    Variants,
    claim_trial,
    forget_kills,
    give_back_failed,
    interrupt_trial,
    mark_told,
)
from archsearch.store.database import Database
from archsearch.store.partial_trainings import claim_seed, load_partial_training
from archsearch.store.rows import parse_key, trial_keys
from archsearch.store.studies import StudyInfo, find_study, fix_reference_latency, fix_reference_point
from archsearch.store.trials import (
    copy_result,
    finish_trial,
    load_measured,
    load_record,
    note_architecture,
    note_suggestion,
    trial_numbers,
)
from archsearch.store.workers import HEARTBEAT_SECONDS, beat, enter_worker, leave_worker
from archsearch.targets.wire import BoardAwayError
from archsearch.text import plural
from archsearch.training.graph import broken_capture

logger = logging.getLogger(__name__)

_RANDOM_AFTER_REPEATS = 3
_EXHAUSTED_AFTER_REPEATS = 100
_HOPELESS_AFTER_FAILURES = 20
_HOPELESS_AFTER_REJECTIONS = 200  # rejected trials hold no slot: bounds that nothing keeps would never end
_WAIT_SECONDS = 1.0
_LOOK_SECONDS = 0.2  # between two looks at whether a board is back


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trial:
    """A trial whose network is trained.

    Attributes:
        claim, number, context: the trial's.
        equal: the trial that has this network already, of which this is a further seed; None: it is new.
        seconds, phases: what was spent on it so far.
    """

    claim: Claim
    number: int
    context: StoredTrial
    equal: int | None
    seconds: float
    phases: Phases


class Worker:
    """A worker of one study on one device.

    Args:
        database: where the study is.
        study: the study as stored.
        config: its settings as this run has them: what they left open is settled (`precision.settled`).
        dataset: its dataset.
        device: torch device ("cpu", "cuda:0").
        total: how many trials the study is to have in all.
        parent: process id of the coordinator; the worker ends when it has gone (0: none).
        optuna_proxy: HOST:PORT of the gRPC proxy to Optuna's tables; None: directly.
        boards: by target of the study's latencies, what the board said of itself when the run was planned.
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
        optuna_proxy: str | None = None,
        boards: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._database = database
        self._study = study
        self._config = config
        self._total = total
        self._parent = parent
        self._stop = threading.Event()
        self._last = threading.Event()
        # As it was when the study began: Optuna takes its values in no other order, and the file may change meanwhile.
        self._space = SearchSpace.from_dict(study.space)
        input_size = config.proxy.input_size_for(dataset.image_size)
        self._variants = () if config.design else study_variants(config, self._space, input_size=input_size)
        self._listed: Variants = [(variant.name, variant.suggested) for variant in self._variants]
        published = {variant.spec.normalised(input_size).arch_id for variant in self._variants}
        every = 0 if config.design else config.latency.repeat_every
        self._evaluator = Evaluator(
            config,
            dataset,
            device,
            check=self._check,
            fix_reference=lambda p10_ms: fix_reference_latency(database, study.id, p10_ms),
            repeats=Repeats(database, study.id, every=every, published=published) if every else None,
            boards=boards,
        )
        self._waiting: list[tuple[_Trial, Awaited]] = []  # trained, and to be measured when a board is back
        self._optuna = OptunaStudy(
            database, config, self._space, input_size=self._evaluator.input_size, proxy=optuna_proxy
        )
        self._optuna.check_goes_on(trial_numbers(database, study.id))
        self._finisher = TrialFinisher(database, study, config, self._optuna, self._evaluator)
        self._curves = Curves(database, study.id, config)
        self._made_rule: StoppingRule | None = None
        self._device = device
        self._repeats = 0  # suggestions in a row that were known networks
        self._rejections = 0  # new networks in a row that broke a constraint
        self._failures = 0  # new networks in a row that failed
        self._last_reason: str | None = None
        self._used_up: str | None = None  # why the sampler has nothing left to suggest

    def stop(self) -> None:
        """Ask the worker to end soon; the trial in hand is given back."""
        self._stop.set()

    def finish(self) -> None:
        """Ask the worker to end after the trial in hand: it starts no new one."""
        self._last.set()

    def run(self) -> None:
        """Work until every place of the study is filled, or until `stop` or `finish`.

        Ends early when a capture broke (`broken_capture`): the trial in hand was ended, and a new process takes over.
        Ends early, with a warning, when the space holds no new network, nothing in it keeps the constraints, or one
        network after the other fails. A database that goes away is waited for, but not once the worker is asked to
        end: what it could not give back then, the next start gives back.

        Raises CommonFailureError when one error, not theirs, has ended several networks of the study, of whichever
        workers (`common_failure`): their slots are given back before.
        """
        waited = self._database.wait
        worker_id = enter_worker(self._database, self._study.id, self._device)
        self._database.wait = self._pause
        try:
            with Heartbeat(self._database, worker_id, parent=self._parent, orphaned=self.stop):
                self._work(worker_id)
            leave_worker(self._database, worker_id)
        except CommonFailureError:
            leave_worker(self._database, worker_id)
            raise
        except BoardAwayError as error:
            self._give_back_waiting(error.gives_back)
            leave_worker(self._database, worker_id)
            raise
        except StopRequested:
            logger.warning("ended while the database was away: the trial in hand is given back at the next start")
        finally:
            self._evaluator.close()
            self._database.wait = waited
        if hopeless := self._hopeless():
            logger.warning("%s", hopeless)

    def _work(self, worker_id: str) -> None:
        while not (self._stop.is_set() or self._last.is_set() or self._hopeless() or broken_capture()):
            claim = self._claim(worker_id)
            if claim is NoSlot.DONE:
                break
            if claim is NoSlot.BUSY:
                self._stop.wait(_LOOK_SECONDS if self._waiting else _WAIT_SECONDS)
                self._evaluator.advance_repeat()
                recover(self._database, self._config, self._optuna)
            elif isinstance(claim, Claim):
                self._work_on(claim)
            with suppress(StopRequested):
                self._finish_waiting()
        while self._waiting and not self._stop.is_set():
            self._stop.wait(_LOOK_SECONDS)
            with suppress(StopRequested):
                self._finish_waiting()
        self._give_back_waiting("the run was stopped")
        if not broken_capture():
            self._evaluator.complete_repeat()

    def _finish_waiting(self) -> None:
        """End the trials whose measurement waited for a board that is back. Raises BoardAwayError, StopRequested."""
        self._evaluator.advance_awaited()
        for trial, awaited in tuple(self._waiting):
            began = time.monotonic()
            try:
                outcome = self._evaluator.finish(awaited)
                if isinstance(outcome, Awaited):
                    continue
                self._end(replace(trial, seconds=trial.seconds + time.monotonic() - began), outcome)
            except SlotLostError:
                logger.warning("trial %s was given back meanwhile: this worker drops it", trial.number)
                self._finisher.tell_failed(trial.claim, trial.number)
            self._waiting.remove((trial, awaited))

    def _give_back_waiting(self, reason: str) -> None:
        for trial, _ in self._waiting:
            self._finisher.give_back(trial.claim, trial.number, reason, context=trial.context)
        self._waiting.clear()

    def _hopeless(self) -> str | None:
        if self._repeats >= _EXHAUSTED_AFTER_REPEATS:
            networks = self._optuna.networks()
            of = "" if networks is None else f", which build {plural(networks, 'different network')}"
            return (
                f"no new network in {self._repeats} suggestions: the search space "
                f"({plural(self._space.size, 'point')}{of}) is used up"
            )
        if self._rejections >= _HOPELESS_AFTER_REJECTIONS:
            return f"{self._rejections} networks in a row broke the study's constraints: loosen them"
        if self._failures >= _HOPELESS_AFTER_FAILURES:
            return f"{self._failures} networks in a row failed, the last because: {self._last_reason}"
        return self._used_up

    def _claim(self, worker_id: str) -> Claim | NoSlot:
        self._made_rule = None  # the noise floor may be another by now
        return claim_trial(
            self._database,
            study_id=self._study.id,
            total=self._total,
            worker_id=worker_id,
            variants=self._listed,
            promote=self._promotable if self._config.stopping.promotes else None,
            listed_only=self._config.design is not None,
            waiting=[trial.claim.row_id for trial, _ in self._waiting],
        )

    def _promotable(self) -> int | None:
        curves = self._curves.load()
        return self._rule().promotable(curves) if curves else None

    def _rule(self) -> StoppingRule:
        """The study's stopping rule, with its noise floor as it is when a slot is claimed."""
        if self._made_rule is None:
            noise_floor = find_study(self._database, self._config.name).noise_floor
            self._made_rule = make_rule(self._config.stopping, seed=self._config.seed, noise_floor=noise_floor)
        return self._made_rule

    def _work_on(self, claim: Claim) -> None:
        started = time.monotonic()
        watch = self._evaluator.stopwatch
        watch.restart()
        number: int | None = None
        context: StoredTrial | None = None
        try:
            with self._evaluator.chunk(), watch.at("suggest"):
                number, spec = self._suggest(claim)
            with watch.at("store"):
                known = self._known(claim, spec)
            if known is not None and claim.variant is not None:
                known = self._wait_for_end(*known)
            if known is not None:
                context = self._further_seed(claim, number, spec, *known)
                if context is None:
                    self._repeat(claim, number, *known)
                    return
            with watch.at("store"):
                context = context or self._new_network(claim, number, spec)
                self._optuna.note(number, {"arch_id": spec.arch_id, **self._facts(claim)})
            outcome = self._evaluator.evaluate(spec, context)
            trial = _Trial(
                claim=claim, number=number, context=context, equal=None if known is None else known[1],
                seconds=time.monotonic() - started, phases=watch.phases(),
            )  # fmt: skip
            if isinstance(outcome, Awaited):
                logger.info("trial %d is trained, and its latency waits for a board that is away", number)
                context.save()
                forget_kills(self._database, claim.row_id)
                self._waiting.append((trial, outcome))
            else:
                self._end(trial, outcome)
        except BoardAwayError as error:
            self._finisher.give_back(claim, number, error.gives_back, context=context)
            raise
        except StopRequested:
            self._finisher.give_back(claim, number, "the run was stopped", context=context)
        except SpaceUsedUpError as error:
            self._used_up = str(error)
            self._finisher.give_back(claim, number, self._used_up)
        except SlotLostError:
            logger.warning("trial %s was given back meanwhile: this worker drops it", number)
            if number is not None:
                self._finisher.tell_failed(claim, number)

    def _end(self, trial: _Trial, outcome: Outcome) -> None:
        """Store how a trial ended, and remember what that says of the study."""
        if trial.equal is not None:
            self._repeats += 1
            self._finisher.store(trial, outcome)
            return
        self._repeats = 0
        self._rejections = self._rejections + 1 if outcome.status is TrialStatus.REJECTED else 0
        self._failures = self._failures + 1 if outcome.status is TrialStatus.FAILED else 0
        self._last_reason = outcome.reason
        self._finisher.store(trial, outcome)
        if outcome.blame is not None:
            self._look_for_common_failure(outcome.reason or "", outcome.blame)

    def _look_for_common_failure(self, reason: str, blame: Blame) -> None:
        given_back = give_back_failed(
            self._database, self._study.id, lambda ended: common_failure(ended, reason, blame)
        )
        if given_back:
            networks = len({one.arch_id for one in given_back})
            numbers = ", ".join(map(str, sorted(one.number for one in given_back)))
            raise CommonFailureError(
                f"the same error ended {networks} different networks (trials {numbers}), so it is not theirs: "
                f"{shorten(reason, 400)}",
                hint="their slots are given back: mend what it names, or report it if that is archsearch, and run the "
                "same command again; a study of another name may leave that part of the space out with `restrict`",
            )

    def _known(self, claim: Claim, spec: Spec) -> tuple[str, int] | None:
        """Store the trial's network; status and number of an earlier trial of an equal one, which answers for it."""
        return note_architecture(
            self._database, claim.row_id, family=spec.family, arch_id=spec.arch_id, choices=spec.choices(),
            repeats=self._config.design is not None,
        )  # fmt: skip

    def _facts(self, claim: Claim) -> dict[str, Any]:
        """What Optuna's dashboard says of the trial, beside its network."""
        return {"variant": claim.variant}

    def _new_network(self, claim: Claim, number: int, spec: Spec) -> StoredTrial:
        """The context of a new network's trial, with what an earlier worker has left of it."""
        latency = load_measured(self._database, self._study.id, spec.arch_id)
        rule = None if self._config.stopping.policy == "none" else self._rule
        return self._context(claim, number, spec, seed=self._config.seed, latency=latency, rule=rule)

    def _further_seed(self, claim: Claim, number: int, spec: Spec, status: str, equal: int) -> StoredTrial | None:
        """The context of the training of a known network with its next seed, if the study spends repeats on that."""
        if self._config.repeats != "reseed" or claim.variant is not None or status != TrialStatus.COMPLETE:
            return None
        seed = claim_seed(
            self._database, claim.row_id, arch_id=spec.arch_id, base_seed=self._config.seed, most=MOST_SEEDS
        )
        record = load_record(self._database, self._study.id, equal)
        if seed is None or record is None:
            return None
        return self._context(claim, number, spec, seed=seed, latency=record.latency, rule=None)

    def _context(
        self,
        claim: Claim,
        number: int,
        spec: Spec,
        *,
        seed: int,
        latency: Latency | None,
        rule: Callable[[], StoppingRule] | None,
    ) -> StoredTrial:
        return StoredTrial(
            self._database,
            self._study.id,
            self._config,
            rule=rule,
            curves=self._curves,
            row_id=claim.row_id,
            number=number,
            arch_id=spec.arch_id,
            seed=seed,
            latency=latency,
            begun=load_partial_training(self._database, self._study.id, spec.arch_id, seed),
            exempt="" if claim.variant is None else "a published network",
        )

    def _repeat(self, claim: Claim, number: int, status: str, equal: int) -> None:
        if status != TrialStatus.INTERRUPTED:
            self._repeats += 1
        self._finisher.copy(claim, number, status=status, equal=equal)

    def _wait_for_end(self, status: str, number: int) -> tuple[str, int]:
        """Wait until a trial has ended: a published network is recorded under its own name too.

        It may be a trial of this worker's own, whose latency waits for a board.
        """
        while status == TrialStatus.RUNNING:
            self._check()
            self._stop.wait(_LOOK_SECONDS if self._waiting else _WAIT_SECONDS)
            self._finish_waiting()
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
        point = self._finisher.reference_values()
        try:
            return self._optuna.ask(claim.sequence, fixed=claim.suggested, at_random=at_random, reference_point=point)
        except (
            ValueError,
            RuntimeError,
            ArithmeticError,
        ) as error:  # a surrogate that cannot be fitted to these trials
            if claim.suggested is not None:
                raise
            logger.warning("the sampler failed (%s: %s): this suggestion is random", type(error).__name__, error)
            return self._optuna.ask(claim.sequence, at_random=True)

    def _pause(self, seconds: float) -> None:
        """Wait for a database that is away."""
        if self._stop.wait(seconds):
            raise StopRequested

    def _check(self) -> None:
        if self._stop.is_set():
            raise StopRequested


_TOLD_WITH_VALUES = (TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.REJECTED)


class TrialFinisher:
    """Ends trials of one study: the record is stored first, then Optuna is told, then the trial is marked as told.

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

    def store(self, trial: _Trial, outcome: Outcome) -> None:
        """End a trial as its evaluation ended; that of a known network with a further seed as a replay with a score."""
        status, reason, early_stop = outcome.status, outcome.reason, outcome.early_stop
        if trial.equal is not None:
            why = "" if status is TrialStatus.COMPLETE else f": {status}, {reason}"
            reason = f"the same network as trial {trial.equal}, trained with seed {trial.context.seed}{why}"
            status, early_stop = TrialStatus.REPLAY, None
        stored = finish_trial(
            self._database,
            trial.claim.row_id,
            status=status,
            reason=reason,
            cost=outcome.cost,
            latency=outcome.latency,
            score=outcome.score,
            early_stop=early_stop,
            seconds=trial.seconds,
            phases=trial.phases,
            state=trial.context.state_of_stop if status is TrialStatus.STOPPED else None,
        )
        self._tell_stored(trial.claim, trial.number, stored)

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

    def give_back(self, claim: Claim, number: int | None, reason: str, *, context: StoredTrial | None = None) -> None:
        """Give a trial's slot back; whoever takes its choices goes on from what is stored, or is at hand, of it."""
        if context is not None:
            with suppress(SlotLostError):  # it was given back already: what follows notices, too
                context.save()
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
        """The study's reference point, fixed at the first latency, of whichever worker; None while there is none."""
        if self.study.reference_point is None:
            self.study = find_study(self._database, self.study.name)
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


class Heartbeat:
    """A thread that beats in the database while it is entered, and ends the worker when its coordinator has gone.

    Args:
        database: where the worker is.
        worker_id: whose heartbeat it is.
        parent: process id of the coordinator (0: none).
        orphaned: called once when the coordinator has gone.
    """

    def __init__(self, database: Database, worker_id: str, *, parent: int, orphaned: Callable[[], None]) -> None:
        self._database = database
        self._worker_id = worker_id
        self._parent = parent
        self._orphaned = orphaned
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(1.0):
            if self._parent and os.getppid() != self._parent:
                logger.warning("the coordinator has gone: this worker ends")
                self._parent = 0
                self._orphaned()
            if time.monotonic() - last >= HEARTBEAT_SECONDS:
                last = time.monotonic()
                try:
                    beat(self._database, self._worker_id)
                except (StoreError, SQLAlchemyError) as error:  # the next beat may get through; the work itself goes on
                    logger.warning("the heartbeat could not be stored: %s", error)


class DesignWorker(Worker):
    """Works through a design, all points with the first seed first; see `Worker` for the arguments.

    A trial that was cut off goes on with its own training and its own latency; a trial of another seed never lends
    it one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self._config.design is not None  # as `do_job` chooses
        self._design = self._config.design
        self._listed = [(key, None) for key in trial_keys(self._design)]
        self._specs = design_specs(self._design, input_size=self._evaluator.input_size)

    def _hopeless(self) -> str | None:
        return None  # however many points fail, there is an end

    def _suggest(self, claim: Claim) -> tuple[int, Spec]:
        index, _ = _parsed(claim)
        number = self._optuna.ask_outside()
        note_suggestion(self._database, claim.row_id, number=number, suggested=None)
        return number, self._specs[index]

    def _facts(self, claim: Claim) -> dict[str, Any]:
        index, seed = _parsed(claim)
        point = self._design.points[index]
        return {"variant": point.variant, "point": point.name, "seed": seed}

    def _new_network(self, claim: Claim, number: int, spec: Spec) -> StoredTrial:
        _, seed = _parsed(claim)
        latency = load_measured(self._database, self._study.id, spec.arch_id, variant=claim.variant)
        return self._context(claim, number, spec, seed=seed, latency=latency, rule=None)


def _parsed(claim: Claim) -> tuple[int, int]:
    parsed = parse_key(claim.variant)
    if parsed is None:
        raise StoreError(f"a claim of a design has the key {claim.variant!r}")
    return parsed
