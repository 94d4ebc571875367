"""What a stopping rule would have done with a study's whole curves: epochs saved against hypervolume lost.

Whether a rule's predictions held: the trials that it would have stopped, and that ran to the end all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from archsearch.analysis.pareto import Noisy, hypervolume, non_dominated
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.search.stopping.base import Curve, Decision, StoppingRule

LATENCY_COLUMN = 1  # a study's objectives are its error, its latency, and at most one more


@dataclass(frozen=True, kw_only=True)
class RuleCalibration:
    """What became of trials that a rule made predictions of.

    Attributes:
        spared: trials that the rule spoke for stopping, and that ran to the end.
        below: those of them whose final error was below the optimistic prediction of the moment when it first spoke;
            as a share of `spared` it is to be compared with the rule's quantile.
        on_front: those of them that stand on the front of the complete curves: stopping them would have cost a point.
        predictions: predictions made of trials that ran to the end, one for each epoch at which there was one.
        predictions_below: those of them that the final error was below.
    """

    spared: tuple[int, ...]
    below: tuple[int, ...]
    on_front: tuple[int, ...]
    predictions: int
    predictions_below: int

    @property
    def below_share(self) -> float | None:
        """Share of the spared trials that ended below the optimistic prediction; None if none was spared."""
        return len(self.below) / len(self.spared) if self.spared else None

    @property
    def predictions_below_share(self) -> float | None:
        """Share of all predictions that the final error was below; None if there was none."""
        return self.predictions_below / self.predictions if self.predictions else None


def calibration(
    decisions: Mapping[int, Sequence[Decision]], curves: Sequence[Curve], *, noise_floor: NoiseFloor = NO_FLOOR
) -> RuleCalibration:
    """Compare what a rule said with how the trials ended.

    Args:
        decisions: by trial, what was said after its epochs, in their order; those that a store kept are enough.
        curves: the study's trials; only complete ones are looked at.
        noise_floor: of the front's latencies.
    """
    complete = [curve for curve in curves if curve.complete]
    members = set(front_trials(complete, noise_floor))
    spared, below, on_front = [], [], []
    predictions = predictions_below = 0
    for curve in complete:
        said = decisions.get(curve.trial, ())
        bounds = [each.optimistic_error_percent for each in said if each.optimistic_error_percent is not None]
        predictions += len(bounds)
        predictions_below += sum(curve.errors[-1] < bound for bound in bounds)
        first = next((each for each in said if each.would_stop), None)
        if first is None:
            continue
        spared.append(curve.trial)
        if first.optimistic_error_percent is not None and curve.errors[-1] < first.optimistic_error_percent:
            below.append(curve.trial)
        if curve.trial in members:
            on_front.append(curve.trial)
    return RuleCalibration(
        spared=tuple(spared),
        below=tuple(below),
        on_front=tuple(on_front),
        predictions=predictions,
        predictions_below=predictions_below,
    )


def values_of(complete: Sequence[Curve]) -> NDArray[np.float64]:
    """The objectives of complete curves, (n, m): the error after the last epoch, and what was known before."""
    return np.array([(curve.errors[-1], *curve.known) for curve in complete], dtype=np.float64)


def front_trials(complete: Sequence[Curve], noise_floor: NoiseFloor) -> tuple[int, ...]:
    """The numbers of the complete trials on their front (`analysis.pareto.non_dominated`)."""
    if not complete:
        return ()
    mask = non_dominated(values_of(complete), Noisy(LATENCY_COLUMN, noise_floor))
    return tuple(curve.trial for curve, member in zip(complete, mask, strict=True) if member)


SPARED = "never stopped"


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A study as it would have gone under a rule, with the same trials in the same order.

    Attributes:
        trials: how many curves there were.
        epochs_full, epochs_trained: of all trials, without the rule and under it.
        stopped: trials whose training ended early, for good.
        promoted: trials that were stopped and went on later, to the end or to another stop.
        true_front: the trials on the front of all the curves.
        hypervolume_full, hypervolume_kept: that all the curves dominate below the reference point, and that those that
            ran to the end under the rule do. Points count as measured, ties in latency too, so that less is never more.
        calibration: how the rule's predictions held for the trials that ran to the end under it.
        decisions: what the rule said after each epoch of each trial.
    """

    trials: int
    epochs_full: int
    epochs_trained: int
    stopped: tuple[int, ...]
    promoted: tuple[int, ...]
    true_front: tuple[int, ...]
    hypervolume_full: float
    hypervolume_kept: float
    calibration: RuleCalibration
    decisions: dict[int, tuple[Decision, ...]] = field(repr=False)

    @property
    def epochs_saved_share(self) -> float:
        """Epochs that were not trained, as a share of those without the rule."""
        return 1.0 - self.epochs_trained / self.epochs_full

    @property
    def hypervolume_lost_share(self) -> float:
        """Hypervolume lost, as a share of that without the rule; 0 where there was none to lose."""
        if self.hypervolume_full == 0.0:
            return 0.0
        return max(0.0, 1.0 - self.hypervolume_kept / self.hypervolume_full)  # not below it by rounding

    @property
    def false_stops(self) -> tuple[int, ...]:
        """Trials of the true front that were stopped."""
        stopped = set(self.stopped)
        return tuple(trial for trial in self.true_front if trial in stopped)


def replay(
    curves: Sequence[Curve],
    rule: StoppingRule,
    *,
    reference_point: Sequence[float],
    noise_floor: NoiseFloor | float = NO_FLOOR,
    workers: int = 1,
    spare: Collection[int] = (),
) -> Replay:
    """Run a rule over whole curves in the order of their numbers, as a study would.

    A free worker takes a stopped trial that the rule promotes, else the next trial. Workers train an epoch each in
    turn: all epochs take equally long here. What a stopped trial would have done is never shown to the rule.

    Args:
        curves: whole ones, at least one.
        rule: asked after every epoch of every trial but the last.
        reference_point: the study's: a bound of the error and one of each value of `known`.
        noise_floor: the study's; a number is a share.
        workers: trainings at the same time.
        spare: numbers of the trials that are never stopped, as a study's published networks.

    Raises ValueError for curves that are not whole, for none, and for trials with the same number.
    """
    floor = NoiseFloor.given(noise_floor)
    whole = sorted(curves, key=lambda curve: curve.trial)
    if not whole or not all(curve.complete for curve in whole):
        raise ValueError("a replay needs whole curves")
    by_trial = {curve.trial: curve for curve in whole}
    if len(by_trial) < len(whole):
        raise ValueError("two curves have the same trial number")
    run = _Run(by_trial, rule, frozenset(spare))
    run.all(workers)
    kept = [curve for curve in run.seen.values() if curve.complete]
    volume = hypervolume(values_of(whole), reference_point)
    return Replay(
        trials=len(whole),
        epochs_full=sum(curve.epochs for curve in whole),
        epochs_trained=sum(len(curve.errors) for curve in run.seen.values()),
        stopped=tuple(curve.trial for curve in run.seen.values() if not curve.complete),
        promoted=tuple(sorted(run.promoted)),
        true_front=front_trials(whole, floor),
        hypervolume_full=volume,
        hypervolume_kept=hypervolume(values_of(kept), reference_point) if kept else 0.0,
        calibration=calibration(run.decisions, kept, noise_floor=floor),
        decisions={trial: tuple(said) for trial, said in run.decisions.items()},
    )


class _Run:
    """The state of a replay: what is known of each trial so far, in the order in which they began."""

    def __init__(self, whole: dict[int, Curve], rule: StoppingRule, spare: frozenset[int]) -> None:
        self._whole, self._rule, self._spare = whole, rule, spare
        self._waiting = deque(whole)
        self.seen: dict[int, Curve] = {}
        self.promoted: set[int] = set()
        self.decisions: dict[int, list[Decision]] = {}

    def all(self, workers: int) -> None:
        """Train until nothing is left to train."""
        trained: list[int | None] = [None] * workers
        while True:
            for slot, trial in enumerate(trained):
                if trial is None:
                    trained[slot] = self._next()
            if all(trial is None for trial in trained):
                return
            for slot, trial in enumerate(trained):
                if trial is not None and not self._epoch(trial):
                    trained[slot] = None

    def _next(self) -> int | None:
        trial = self._rule.promotable(list(self.seen.values()))
        if trial is not None:
            self.promoted.add(trial)
            self.seen[trial] = replace(self.seen[trial], running=True)
            return trial
        if not self._waiting:
            return None
        trial = self._waiting.popleft()
        self.seen[trial] = replace(self._whole[trial], errors=(), losses=(), running=True)
        return trial

    def _epoch(self, trial: int) -> bool:
        """Train one epoch more; whether the trial goes on after it."""
        whole, before = self._whole[trial], self.seen[trial]
        epoch = len(before.errors) + 1
        now = replace(before, errors=whole.errors[:epoch], losses=whole.losses[:epoch])
        self.seen[trial] = now
        if now.complete:
            self.seen[trial] = replace(now, running=False)
            return False
        others = [curve for number, curve in self.seen.items() if number != trial]
        said = self._rule.decide(now, others)
        if said.stop and trial in self._spare:
            said = replace(said, stop=False, exempt=SPARED)
        self.decisions.setdefault(trial, []).append(said)
        if said.stop:
            self.seen[trial] = replace(now, running=False)
        return not said.stop
