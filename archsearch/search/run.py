"""The coordinator of one run: starts the workers, watches over them, and starts a killed one again.

Several may work on one study at a time, on one machine or on several: each has workers of its own, and all share the
study's slots. None stops another one's workers, or judges a worker of another machine by its process.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from archsearch.analysis.history import plateau_of
from archsearch.data.catalog import load_dataset, parse_dataset
from archsearch.errors import ArchsearchError, ConfigError, StoreError, UnknownNameError
from archsearch.records import Epoch, Record, TrialStatus
from archsearch.search.batch import decided_batch
from archsearch.search.optuna_study import OptunaStudy, recover
from archsearch.search.plan import RunPlan, check_unchanged
from archsearch.search.precision import decided_precision, settled
from archsearch.search.processes import REFUSED, RENEWED, Process, last_line, let_finish, start_worker, stop
from archsearch.search.runtime import RunCallbacks, RunProgress, Runtime
from archsearch.search.sharing import job_of, workers_per_gpu
from archsearch.search.storage import check_proxy
from archsearch.store.claims import held_elsewhere, trial_counts
from archsearch.store.curves import running_trials
from archsearch.store.database import Database
from archsearch.store.partial_trainings import curves_so_far
from archsearch.store.rows import trial_keys, widen_design
from archsearch.store.studies import (
    BOARDS_FACT,
    LATENCY_BATCH,
    POOL_FACT,
    StudyInfo,
    enter_study,
    find_study,
)
from archsearch.store.trials import load_record, load_records
from archsearch.store.workers import ended_here
from archsearch.targets.pool import check_pool
from archsearch.text import plural
from archsearch.training.precision import usual_precision
from archsearch.training.settings import Precision

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_MOST_RESTARTS = 5
_WORTH_CALIBRATING = 500_000  # images trained on in a whole study: below, a calibration costs more than it saves


class WorkersFailedError(ArchsearchError):
    """The workers could not go on: the message has the last line that one of them wrote."""


def run_study(plan: RunPlan, database: Database, runtime: Runtime, *, folder: Path) -> StudyInfo:
    """Run a study until it has `plan.total` trials, over all runs and machines; what is there already is continued.

    Args:
        plan: what `plan_run` found.
        database: where the study is stored: the one of `runtime.storage`.
        runtime: where and how; its device and number of workers are in the plan already.
        folder: where the workers' logs go.

    Raises:
        ConfigError: the boards of a new study's pool do not agree, or it cannot be told.
        DataError: a picture cannot be decoded, or the space for the decoded ones lacks.
        MeasurementError: the batch of a new study's latencies could not be measured.
        StudyChangedError: a study of this name has another space, protocol or dataset.
        WorkersFailedError: the workers ended with an error, or were killed again and again.
        StoreError: the database was away for longer than it is waited for.
        KeyboardInterrupt: passed on after the workers have ended cleanly.
    """
    _decode(plan, runtime)  # before it is stored: without a broken picture it is another study
    facts = dict(plan.facts)
    try:
        find_study(database, plan.config.name)
    except UnknownNameError:
        facts |= {**_pool(plan, runtime.callbacks), "proxy_precision": planned_precision(plan)}
        batch = decided_batch(
            plan.config, plan.space, device=plan.devices[0], num_classes=plan.num_classes, input_size=plan.input_size
        )
        if batch is not None:
            facts[LATENCY_BATCH] = asdict(batch)
    study = enter_study(
        database,
        name=plan.config.name,
        config=plan.config.protocol() | {"name": plan.config.name, "sampler": plan.config.sampler},
        space=plan.space.to_dict(),
        space_fingerprint=plan.space.fingerprint,
        facts=facts,
    )
    check_unchanged(plan, study, storage=runtime.storage)
    runtime.callbacks.begun(study)
    plan = _shared(replace(plan, config=settled(plan.config, study)))
    if plan.config.design is not None:
        # with a total that also counts what the study has of seeds that are not asked for now
        widen_design(database, study.id, plan.config.design.seeds)
        others = held_elsewhere(database, study.id, trial_keys(plan.config.design))
        plan = replace(plan, total=plan.config.design.size + others)
    job: dict[str, Any] = {
        "config": plan.config.model_dump(mode="json"),
        "storage": database.url,
        "total": plan.total,
        "data_dir": None if runtime.data_dir is None else str(runtime.data_dir),
        "optuna_proxy": runtime.optuna_proxy,
        "parent": os.getpid(),
        "boards": plan.facts.get(BOARDS_FACT),
    }
    _Watch(plan, database, study, job, folder, runtime).run()
    return study


def _decode(plan: RunPlan, runtime: Runtime) -> None:
    """Have the pictures decoded that the workers train and validate on."""
    if parse_dataset(plan.config.dataset)[0].decodes:
        load_dataset(plan.config.dataset, data_dir=runtime.data_dir, rules=plan.image_rules).split(
            **plan.config.proxy.split, image_size=plan.input_size, on_decoded=runtime.callbacks.decoded
        )


def planned_precision(plan: RunPlan) -> Precision:
    """What the trainings of a study that is begun now are computed in."""
    images = plan.total * plan.config.proxy.epochs * plan.train_images
    if plan.config.proxy.precision == "auto" and images < _WORTH_CALIBRATING:
        return usual_precision(plan.devices[0])
    return decided_precision(
        plan.config,
        plan.tried,
        device=plan.devices[0],
        fingerprint=str(plan.facts["device_fingerprint"]),
        num_classes=plan.num_classes,
        input_size=plan.input_size,
    )


def _pool(plan: RunPlan, callbacks: RunCallbacks) -> dict[str, Any]:
    """What the boards of a new study's pool said of the same networks, as a stored fact; none without a pool."""
    latency = plan.config.latency
    if not latency.pool:
        return {}
    boards = (latency.target, *latency.pool)
    found = check_pool(boards, latency, input_size=plan.input_size, on_step=callbacks.pool_step)
    if found.verdict == "cannot be told":
        raise ConfigError(
            f"whether the boards of latency.pool agree cannot be told: {'; '.join(found.warnings)}",
            hint="measure when nothing else runs there; `archsearch target pool BOARD BOARD` shows all ratios",
        )
    if not found.agrees:
        raise ConfigError(
            f"the boards of latency.pool do not agree: {'; '.join(found.differences)}",
            hint="leave out the one that differs; `archsearch target pool BOARD BOARD` shows all ratios",
        )
    return {POOL_FACT: found.plain()}


def _shared(plan: RunPlan) -> RunPlan:
    """The plan with as many workers on each GPU as do most together, where it leaves that open."""
    if not plan.shares_gpus:
        return plan
    job = job_of(
        plan.tried[0],
        plan.config,
        device=plan.devices[0],
        num_classes=plan.num_classes,
        input_size=plan.input_size,
        train_images=plan.train_images,
    )
    share = workers_per_gpu(job, fingerprint=str(plan.facts["device_fingerprint"]))
    # first one on every device, then a second one
    return replace(plan, devices=plan.devices * share, shares_gpus=False)


class _Watch:
    def __init__(
        self,
        plan: RunPlan,
        database: Database,
        study: StudyInfo,
        job: Mapping[str, Any],
        folder: Path,
        runtime: Runtime,
    ) -> None:
        self._plan = plan
        self._database = database
        self._study = study
        self._job = job
        self._folder = folder
        self._runtime = runtime
        self._restarts = 0
        self._ended_here = ended_here(database, study.id)  # trials, when they were last counted
        self._ending: str | None = None
        self._judged = -1  # trials that had ended when the plateau was last looked for
        self._began = time.monotonic()
        self._progress = self._look(workers=0)
        self._progress = replace(self._progress, done_before=self._progress.done)
        self._news = TrialNews(database, study.id, runtime.callbacks, self._progress.records)

    def run(self) -> None:
        self._recover()
        if self._job["optuna_proxy"] is not None:
            check_proxy(self._database, self._job["optuna_proxy"], self._plan.config.name)
        # Every slot may be filled, and a stopped trial promotable all the same: the workers find out.
        full = self._progress.done >= self._plan.total and not self._plan.config.stopping.promotes
        if full or self._ends(self._progress):
            self._report(self._progress)
            return
        running: dict[int, Process] = {}
        reachable = True
        try:
            for index in range(len(self._plan.devices)):
                running[index] = self._start(index)
            while running:
                time.sleep(_POLL_SECONDS)
                self._check_there()
                for index, process in list(running.items()):
                    if process.poll() is None:
                        continue
                    del running[index]
                    if process.returncode != 0 and self._goes_on(index, process.returncode):
                        running[index] = self._start(index)
                progress = self._look(workers=len(running))
                if running and self._ends(progress):
                    let_finish(running.values())
                self._report(progress)
            self._check_there()
        except KeyboardInterrupt:
            self._runtime.callbacks.stopping()
            self._database.wait = _impatient
            raise
        except StoreError:  # it was waited for: no second time while the workers are ended
            reachable = False
            if not self._database.is_there():  # nothing is left to give a trial back to
                for process in running.values():
                    process.kill()
            raise
        finally:
            stop(running.values())
            if reachable:
                self._recover()  # a worker that had to be killed leaves a trial behind
                self._report(self._look(workers=0))
        if self._progress.done < self._plan.total and self._ending is None:
            logger.warning(
                "ended with %d of %d trials: %s", self._progress.done, self._plan.total, last_line(self._log(0))
            )

    def _check_there(self) -> None:
        if not self._database.is_there():
            ended = plural(self._progress.done, "trial")
            raise StoreError(
                f"the database {self._database.sqlite_file} was removed or replaced while the study ran: {ended} that "
                "had ended are no longer there",
                hint="if it was only moved, put it back with its -wal and -shm files and type the same command again",
            )

    def _start(self, index: int) -> Process:
        idle = self._runtime.idle.pop() if self._runtime.idle else None
        return start_worker({**self._job, "device": self._plan.devices[index]}, self._log(index), idle)

    def _log(self, index: int) -> Path:
        return self._folder / f"worker-{index}.log"

    def _goes_on(self, index: int, returncode: int) -> bool:
        """Whether a worker that did not end by itself is started again."""
        how = f"was killed by signal {-returncode}" if returncode < 0 else f"ended with exit code {returncode}"
        last = last_line(self._log(index))
        if returncode == REFUSED or (self._restarts >= _MOST_RESTARTS and returncode != RENEWED):
            raise WorkersFailedError(f"worker {index} {how}: {last}", hint=f"its log is {self._log(index)}")
        if self._ending is not None:
            return False
        if returncode == RENEWED:
            logger.info("worker %d: %s", index, last)
            return True
        self._restarts += 1
        logger.warning("worker %d %s (%s) and is started again", index, how, last)
        self._recover()
        return True

    def _ends(self, progress: RunProgress) -> bool:
        """Whether no new trial is to start from now on; true once, and `self._ending` says why."""
        if self._ending is not None or progress.done >= self._plan.total:
            return False
        trials = self._runtime.plateau_trials
        if self._runtime.spent:
            self._ending = "the time budget is used up"
        elif trials is not None and progress.done != self._judged:
            self._judged = progress.done
            plateau = plateau_of(
                progress.records,
                self._plan.config.objectives,
                self._study.reference_point,
                trials=trials,
                noise_floor=self._study.noise_floor,
            )
            if plateau is not None and plateau.flat:
                last = "trial" if trials == 1 else f"{trials} trials"
                self._ending = f"the hypervolume is flat: +{100.0 * plateau.growth:.2f} % over the last {last}"
        return self._ending is not None

    def _recover(self) -> None:
        optuna = OptunaStudy(self._database, self._plan.config, self._plan.space)
        try:
            recover(self._database, self._plan.config, optuna)
        finally:
            optuna.close()

    def _look(self, *, workers: int) -> RunProgress:
        before = getattr(self, "_progress", None)
        counts = trial_counts(self._database, self._study.id)
        fresh = before is None or dict(before.counts) != dict(counts)
        records = () if before is None else before.records
        if fresh:  # the first trial fixes its reference point, and repeats move its noise floor
            self._study = find_study(self._database, self._study.name)
        return RunProgress(
            counts=counts,
            total=self._plan.total,
            records=load_records(self._database, self._study.id, earlier=records) if fresh else records,
            done_before=0 if before is None else before.done_before,
            elapsed_seconds=time.monotonic() - self._began,
            workers=workers,
            noise_floor=self._study.noise_floor,
            running=running_trials(self._database, self._study.id) if counts.get("running") else (),
            expected=self._plan.expected,
        )

    def _report(self, progress: RunProgress) -> None:
        if progress.done != self._progress.done:
            before, self._ended_here = self._ended_here, ended_here(self._database, self._study.id)
            if self._ended_here != before:  # a worker that left by itself takes its trials off the count
                self._restarts = 0  # the limit is for workers that are killed without getting anywhere
        self._progress = replace(progress, ending=self._ending)
        self._news.tell(progress.records)
        self._runtime.callbacks.progressed(self._progress)


def _impatient(_seconds: float) -> None:
    """What could not be given back to a database that is away, the next start gives back."""
    raise KeyboardInterrupt


class TrialNews:
    """Tells callbacks each epoch and each end of a study's trials once, of all that happens after it was made.

    Args:
        records: what is no news.
    """

    def __init__(
        self, database: Database, study_id: int, callbacks: RunCallbacks, records: Sequence[Record] = ()
    ) -> None:
        self._database, self._study_id, self._callbacks = database, study_id, callbacks
        self._told: dict[int, int] = {}  # epochs, by trial
        self._ended = {record.trial for record in records if record.status is not TrialStatus.RUNNING}

    def tell(self, records: Sequence[Record]) -> None:
        """Tell what is new; the database is not asked where nobody listens."""
        if not self._callbacks.follows_trials:
            return
        fresh = [each for each in records if each.status is not TrialStatus.RUNNING and each.trial not in self._ended]
        done = curves_so_far(self._database, self._study_id, ended=[record.trial for record in fresh])
        ends = {record.trial: load_record(self._database, self._study_id, record.trial) or record for record in fresh}
        for trial, ended in ends.items():
            if ended.score is not None and ended.status is not TrialStatus.REPLAY:
                done[trial] = ended.score.curve  # what is kept of a training may be an earlier state of it
        for trial, curve in done.items():
            self._tell_epochs(trial, curve)
        for trial, ended in ends.items():
            self._ended.add(trial)
            self._callbacks.trial_ended(ended)

    def _tell_epochs(self, trial: int, curve: tuple[Epoch, ...]) -> None:
        told = self._told[trial] = min(self._told.get(trial, 0), len(curve))  # fewer than told: it began anew
        for point in curve[told:]:
            self._told[trial] += 1  # also where a callback raises: the run looks once more before it ends
            self._callbacks.epoch(trial, point)
