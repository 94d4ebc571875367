"""How a study measures its networks: each beside the canary, doubtful ones again, and some a second time.

A worker does not sleep while it measures: a trial's visits to the device are made between the chunks of its own
training, each when it is due (`TrialLatency`).
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from torch import nn

from archsearch.errors import MeasurementError
from archsearch.latency.protocol import Measurement
from archsearch.latency.remeasure import better, is_doubtful
from archsearch.latency.settings import LatencySettings
from archsearch.noise import Repeat, is_crowded
from archsearch.records import Latency, Phases
from archsearch.search.places import Device, Place
from archsearch.targets.wire import AgentEndsError, BoardAwayError

# What a worker spends its trial's time on, as `records.Phases` says it.

Phase = Literal["suggest", "build", "measure", "wait", "sleep", "train", "score", "store"]


class Stopwatch:
    """The seconds of one trial, phase by phase; a phase that is entered within another interrupts it.

    Of one thread, the worker's own.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._now: Phase | None = None
        self.restart()

    def restart(self) -> None:
        """Begin a trial."""
        self._seconds = defaultdict[Phase | None, float](float)
        self._since = self._clock()

    @contextmanager
    def at(self, phase: Phase) -> Iterator[None]:
        """Count the time of the block to a phase, but for phases within it."""
        before = self._turn(phase)
        try:
            yield
        finally:
            self._turn(before)

    def of_which(self, phase: Phase, part: Phase, seconds: float) -> None:
        """Count seconds that were counted to one phase to another one."""
        self._seconds[phase] -= seconds
        self._seconds[part] += seconds

    def phases(self) -> Phases:
        """The trial so far."""
        self._turn(self._now)
        return Phases(**{f"{phase}_seconds": max(0.0, self._seconds[phase]) for phase in get_args(Phase)})

    def _turn(self, phase: Phase | None) -> Phase | None:
        now, before = self._clock(), self._now
        self._seconds[before] += now - self._since
        self._now, self._since = phase, now
        return before


logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.05  # between two looks at whether a visit elsewhere has been made


class AwaitedError(Exception):
    """A board is away: what is left of a measurement is made when it is back, and there is other work until then."""


class StudyLatency:
    """Measures the networks of one study at its places; the reference is made ready once at each.

    The reference is also the study's canary: a trial in which its own p10 was far from the study's, or in which the
    halves did not agree, or beside which the memory witness was slow, is measured again, in another episode of the
    machine. The reference's p10 in the first measurement is the one that the study fixes.

    Args:
        settings: the study's latency protocol.
        places: where networks are measured (`places_of`); the first place's latency is the objective.
        fix_reference: takes the reference's p10 of a measurement and gives the one that the study has fixed (both in
            milliseconds).
        sleep: spends so many seconds between visits to the device, where there is nothing else to do.
        stopwatch: counts what is done here to the phase `measure`.
    """

    def __init__(
        self,
        settings: LatencySettings,
        *,
        places: Sequence[Place],
        fix_reference: Callable[[float], float],
        sleep: Callable[[float], None],
        stopwatch: Stopwatch,
    ) -> None:
        self.settings = settings
        self.places = tuple(places)
        self._fix_reference = fix_reference
        self.sleep = sleep
        self.stopwatch = stopwatch
        self._reference_ms: float | None = None

    def of(self, model: nn.Module, earlier: Latency | None = None) -> TrialLatency:
        """A network's latency in the making: made ready at every place of the study, its first visit begun.

        A further place that cannot run the network leaves no latency of it, with a warning: the trial does not stand
        or fall with it. `earlier` was measured by an earlier worker; if that was on a device like this one, under this
        protocol's backend, nothing is left to do but what `is_doubtful`.

        Raises MeasurementError or ConfigError if the network could not be measured.
        """
        if earlier is not None and earlier.fingerprint == self.places[0].conditions.fingerprint:
            self._reference_ms = earlier.study_reference_ms or self._reference_ms
            return TrialLatency(self, model, earlier)
        return TrialLatency(self, model, None)

    def in_doubt(self, latency: Latency) -> bool:
        """Whether a latency at the study's place is one to be measured again: `remeasure.is_doubtful`."""
        return is_doubtful(latency, self.settings, self.places[0].quiet_ms)

    def crowding(self, latency: Latency) -> float:
        """How much longer than in quiet measurements the memory witness took (0.1: 10%); 0 where that is not known."""
        quiet_ms = self.places[0].quiet_ms
        return 0.0 if latency.memory_ms is None or quiet_ms is None else max(0.0, latency.memory_ms / quiet_ms - 1.0)

    @property
    def reference_ms(self) -> float | None:
        """The reference's p10 as the study has it fixed (milliseconds); None before this worker's first latency."""
        return self._reference_ms

    def fixed(self, p10_ms: float) -> float:
        """The reference's p10 that the study has fixed, which may be this one (milliseconds)."""
        if self._reference_ms is None:
            self._reference_ms = self._fix_reference(p10_ms)
        return self._reference_ms

    def close(self) -> None:
        """Nothing is measured any more."""
        for place in self.places:
            place.close()


class TrialLatency:
    """One network's latency in the making, beside whatever else its trial does; see `StudyLatency.of`.

    Between two pieces of other work `advance` makes a visit that is due. What is left when there is no other work,
    `complete` does and sleeps through the pauses. A measurement that is in doubt is made again:
    by `begin_again` beside the rest of the training, or by `settle`. While a board is away that something is left to be
    measured on, `complete`, `settle` and `provisional` raise AwaitedError: they may be called again when it is back.

    `measure_seconds` of the latencies is the time that the worker spent here, making ready, waiting for the device and
    sleeping included, and no other work between visits. A repeat has its own.
    """

    def __init__(self, study: StudyLatency, model: nn.Module, earlier: Latency | None) -> None:
        self._study = study
        self._spent_seconds = 0.0 if earlier is None else earlier.measure_seconds
        if earlier is not None:
            self._main = _Attempts(study, model, study.places[0], kept=earlier)
            kept = {one.by: one for one in earlier.also}
            further = [place for place in study.places[1:] if place.name in kept]
            self._also = [_Attempts(study, model, place, kept=kept[place.name]) for place in further]
            return
        main, *others = study.places
        self._main = _Attempts(study, model, main)
        self._also = [_Attempts(study, model, place) for place in others]
        with self._spending():
            for attempts in self._all:
                with self._failing(attempts):
                    attempts.begin()
            self._main.advance()

    @property
    def known(self) -> bool:
        """Whether every place's first measurement is done; before, the latency is `provisional`."""
        return all(attempts.kept is not None for attempts in self._all)

    @property
    def doubtful(self) -> bool:
        """Whether a first measurement is not done, or one that is in doubt is to be made again."""
        return any(
            attempts.kept is None or attempts.under_way or attempts.is_put_off or attempts.needed
            for attempts in self._all
        )

    @property
    def latency(self) -> Latency:
        """What was measured at the study's place and at the further ones. Raises ValueError unless it is `known`."""
        kept = [attempts.kept for attempts in self._all if attempts.kept is not None]
        if not self.known:
            raise ValueError("a network whose first measurement is not done has no latency yet")
        return replace(kept[0], also=tuple(kept[1:]), measure_seconds=self._spent_seconds)

    @property
    def exported(self) -> Any:
        """The network in the form that is run at the study's place."""
        return self._main.exported

    @property
    def is_awaited(self) -> bool:
        """Whether a board is away that something is left to be measured on."""
        return any(attempts.is_awaited for attempts in self._all)

    def provisional(self) -> Latency:
        """The latency at the study's place as far as it is measured, which has not converged; to be stored nowhere.

        Where that says nothing yet (the study has no reference latency to correct it by, or there is one burst), the
        measurement is completed first. Raises AwaitedError while a board is away.
        """
        with self._spending(), self._failing(self._main):
            while self._main.is_visiting:
                self._wait_for(self._main)
        found = None if self._main.kept is not None else self._main.provisional()
        if found is None:
            return self.complete()
        return replace(found, measure_seconds=self._spent_seconds)

    def advance(self) -> bool:
        """Make one visit if one is due, or take one up; whether `latency` is another now. The caller holds no lease.

        One for which the device has not the memory beside a training is put off until `complete`.
        """
        due = next((attempts for attempts in self._all if attempts.due_seconds() == 0), None)
        if due is None:
            return False
        try:
            with self._spending(), self._failing(due):
                due.advance()
        except torch.OutOfMemoryError as error:
            logger.info("a measurement by %s is put off until the training has ended: %s", due.place.name, error)
            due.put_off()
            return False
        return not due.under_way and self.known

    def complete(self) -> Latency:
        """Make all visits that are left of the measurements under way, sleeping between them. Gives the `latency`."""
        with self._spending():
            for attempts in self._all:
                if attempts.is_put_off:
                    with self._failing(attempts):
                        attempts.begin()
            while under_way := [attempts for attempts in self._all if attempts.under_way]:
                self._wait_for(min(under_way, key=_Attempts.due_seconds))
        return self.latency

    def begin_again(self) -> None:
        """Begin to measure again what needs it, beside a training: not at once, but in another episode of the machine.

        That is `spread_seconds` after the last attempt at the earliest. What cannot be made ready beside a training is
        put off until `settle`.
        """
        for attempts in self._all:
            if attempts.needed and attempts.ended_seconds() >= self._study.settings.spread_seconds:
                with self._spending():
                    try:
                        attempts.begin()
                    except MeasurementError as error:
                        logger.info("measuring again is put off until the training has ended: %s", error)
                        attempts.put_off()

    def settle(self) -> Latency:
        """Complete what is under way and measure again what needs it, at most `remeasure` times. Gives the `latency`.

        Of two measurements the better one is kept. What cannot be measured again stays as it was, with a warning.
        """
        self.complete()
        while again := [attempts for attempts in self._all if attempts.needed]:
            for attempts in again:
                with self._spending(), self._failing(attempts):
                    attempts.begin()
            self.complete()
        return self.latency

    def _wait_for(self, first: _Attempts) -> None:
        """Sleep until something is to be done for one that is under way, and do it."""
        if (pause := first.due_seconds()) > 0:
            if self.is_awaited:
                raise AwaitedError
            self._study.sleep(pause)
        with self._failing(first):
            first.advance(slept=True)

    @property
    def _all(self) -> tuple[_Attempts, ...]:
        return (self._main, *self._also)

    @contextmanager
    def _failing(self, attempts: _Attempts) -> Iterator[None]:
        """Let the first attempt at the study's place fail; of any other one a failure is a warning.

        What was kept then stays, and a further place of which nothing was is left out. A board that stays away is no
        failure of the network.
        """
        try:
            yield
        except BoardAwayError:
            raise
        except MeasurementError as error:
            attempts.give_up()
            if attempts.kept is not None:
                logger.warning("the first measurement is kept, because the next one failed: %s", error)
            elif attempts is not self._main:
                logger.warning("not measured by %s: %s", attempts.place.name, error)
                self._also.remove(attempts)
            else:
                raise

    @contextmanager
    def _spending(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            with self._study.stopwatch.at("measure"):
                yield
        finally:
            self._spent_seconds += time.monotonic() - began


class _Visits:
    """A measurement whose visits are made by one device: one at a time, and perhaps beside other work."""

    def __init__(self, device: Device, network: Any, *, afresh: bool = False) -> None:
        self.device = device
        self._measurement: Measurement = device.open(network, afresh=afresh)
        self._made: Future[None] | None = None

    @property
    def under_way(self) -> bool:
        """Whether a visit is being made, or was and has not been taken up."""
        return self._made is not None

    @property
    def done(self) -> bool:
        """Whether there is nothing left to be made."""
        return self._made is None and self._measurement.done

    @property
    def has_halves(self) -> bool:
        """Whether there are the bursts of which latencies can be told. Not while a visit is under way."""
        return self._measurement.samples.bursts >= 2

    def due_seconds(self) -> float:
        """Time until there is something to `advance`: a visit to be begun, or one to be taken up."""
        if self._made is None:
            return self._measurement.due_seconds()
        return 0.0 if self._made.done() else _LOOK_SECONDS

    def advance(self, *, slept: bool = False) -> bool:
        """Begin a visit that is due and take it up, if it is made by now; whether one was. Raises what it raised.

        `slept`: for `due_seconds`, so that something is due.
        """
        if self._made is None and (slept or self._measurement.due_seconds() == 0):
            self._made = self.device.begin(self._measurement.visit)
        if self._made is None or not self._made.done():
            return False
        made, self._made = self._made, None
        made.result()
        return True

    def latency(self) -> Latency:
        """What the runs so far say. Not while a visit is under way."""
        (found,) = self._measurement.latencies(self.device.conditions)
        return found

    @property
    def seconds(self) -> float:
        """What the visits took, waiting and sleeping included."""
        return self._measurement.samples.total_seconds


class _Attempts:
    """The attempts at one network's latency at one place: one under way or none, and the best of those made.

    Attributes:
        place: where.
        kept: the best so far; None until the first attempt has ended.
        is_put_off: whether an attempt is to be begun anew.
    """

    def __init__(self, study: StudyLatency, model: nn.Module, place: Place, *, kept: Latency | None = None) -> None:
        self.place = place
        self.kept = kept
        self._study = study
        self._model = model
        self._visits: _Visits | None = None
        self.is_put_off = False
        self._gave_up = False
        self._ended = -math.inf

    @cached_property
    def exported(self) -> Any:
        """The network in the form that is run there; every attempt opens it anew. Raises MeasurementError."""
        return self.place.export(self._model)

    @property
    def under_way(self) -> bool:
        """Whether an attempt has begun and not ended."""
        return self._visits is not None

    @property
    def is_visiting(self) -> bool:
        """Whether a visit is being made."""
        return self._visits is not None and self._visits.under_way

    @property
    def is_awaited(self) -> bool:
        """Whether an attempt has not ended, and what makes it is away."""
        if self._visits is not None:
            return self._visits.device.is_away
        return self.is_put_off and self.place.is_away

    @property
    def needed(self) -> bool:
        """Whether the best attempt is in doubt, and another one is allowed and has not begun."""
        if self.kept is None or self.under_way or self.is_put_off or self._gave_up:
            return False
        settings = self._study.settings
        return self.kept.attempts <= settings.remeasure and is_doubtful(self.kept, settings, self.place.quiet_ms)

    def due_seconds(self) -> float:
        """Time until there is something to `advance`, of an attempt under way."""
        return math.inf if self._visits is None else self._visits.due_seconds()

    def ended_seconds(self) -> float:
        """How long ago the last attempt ended here."""
        return time.monotonic() - self._ended

    def begin(self) -> None:
        """Make the network ready. Raises MeasurementError."""
        if self.kept is not None:
            why = _why(self.kept, self._study.settings, self.place.quiet_ms)
            logger.info("%s: attempt %d by %s", why, self.kept.attempts + 1, self.place.name)
        self.is_put_off = False
        self._visits = _Visits(self.place.device(), self.exported)

    def put_off(self) -> None:
        """Begin the attempt anew later."""
        self._visits, self.is_put_off = None, True

    def give_up(self) -> None:
        """Make no further attempt."""
        self._visits, self._gave_up = None, True

    def provisional(self) -> Latency | None:
        """What the attempt under way says so far; None where that is nothing yet."""
        visits, fixed_ms = self._visits, self._study.reference_ms
        if visits is None or visits.under_way or not visits.has_halves or fixed_ms is None:
            return None
        return replace(visits.latency(), study_reference_ms=fixed_ms)

    def advance(self, *, slept: bool = False) -> None:
        """Make a visit of the attempt under way, or take one up, which may end it.

        Raises MeasurementError, also where the network ends every agent, and BoardAwayError where no other board takes
        the place of one that stays away.
        """
        visits = self._visits
        assert visits is not None
        try:
            made = visits.advance(slept=slept)
        except BoardAwayError as error:
            if self.place.is_away and isinstance(error, AgentEndsError):
                self.place.take_back()
                raise MeasurementError(error.message, hint=error.hint) from error  # of this network
            if self.place.is_away:
                raise
            logger.warning("another board of the pool measures anew: %s", error)
            self.begin()
            return
        if not made or not visits.done:
            return
        self._visits, self._ended = None, time.monotonic()
        new = visits.latency()
        if self.kept is None:
            main = self.place is self._study.places[0]
            fixed_ms = self._study.fixed(new.reference_p10_ms) if main else None
            self.kept = replace(new, study_reference_ms=fixed_ms)
        else:
            new = replace(new, study_reference_ms=self.kept.study_reference_ms)
            kept = better(self.kept, new, self._study.settings, self.place.quiet_ms)
            self.kept = replace(kept, attempts=self.kept.attempts + 1)


class RepeatMeasurement:
    """A network measured once more at the study's place, visit by visit beside trainings.

    What differs between two copies of a network (where their memory lies, which kernels were chosen) is part of what
    two measurements differ by, so the network and a reference of its own are opened anew. Further places have no
    repeats.

    Args:
        study: whose reference latency is known.
        network: exported for the study's place.
        arch_id: the network.
        first: what it is compared with; None: this is the first of the two.

    Raises MeasurementError if it cannot be made ready.
    """

    def __init__(self, study: StudyLatency, network: Any, arch_id: str, first: Latency | None) -> None:
        began = time.monotonic()
        self._study = study
        self._arch_id = arch_id
        self._first = first
        self._visits = _Visits(study.places[0].device(), network, afresh=True)
        self._prepare_seconds = time.monotonic() - began

    @property
    def done(self) -> bool:
        """Whether there is a `result`."""
        return self._visits.done

    def advance(self) -> None:
        """Make the next visit if it is due, or take it up. The calling thread holds no lease."""
        if not self.done:
            self._visits.advance()

    def complete(self) -> None:
        """Make the visits that are left, sleeping between them."""
        while not self.done:
            if (pause := self._visits.due_seconds()) > 0:
                self._study.sleep(pause)
            self._visits.advance(slept=True)

    def result(self) -> tuple[Repeat | None, Latency]:
        """The repeat, if there was a first, and the latency."""
        study = self._study
        seconds = self._prepare_seconds + self._visits.seconds
        second = replace(self._visits.latency(), study_reference_ms=study.reference_ms, measure_seconds=seconds)
        if self._first is None:
            return None, second
        repeat = Repeat(
            arch_id=self._arch_id,
            first_ms=self._first.corrected_ms,
            second_ms=second.corrected_ms,
            sound=not (study.in_doubt(self._first) or study.in_doubt(second)),
            measure_seconds=seconds,
        )
        return repeat, second


def _why(latency: Latency, settings: LatencySettings, quiet_ms: float | None) -> str:
    if not latency.converged:
        return f"not converged (halves differ by {latency.half_split_difference:.1%})"
    if is_crowded(latency.memory_ms, quiet_ms, settings.memory_tolerance):
        return f"the memory was crowded (a copy took {latency.memory_ms:.2f} ms, {quiet_ms:.2f} ms in quiet)"
    return f"the reference had drifted by {latency.drift or 0.0:+.1%}, beyond {settings.drift_tolerance:.0%}"
