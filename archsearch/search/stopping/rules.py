"""The stopping rules by name. Nothing here imports torch or Optuna."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archsearch.analysis.pareto import Noisy, dominates, non_dominated
from archsearch.noise import NoiseFloor
from archsearch.registry import Registry
from archsearch.search.stopping.base import Curve, Decision, RuleContext, StoppingRule, StoppingSettings
from archsearch.search.stopping.replay import LATENCY_COLUMN, values_of

# Multi-objective asynchronous successive halving: at each rung the best third goes on, the others wait.
#
# After Schmucker, Donini, Zafar, Salinas and Archambeau 2021, "Multi-objective Asynchronous Successive Halving",
# arXiv:2106.12639, which gives ASHA (Li et al. 2020, "A system for massively parallel hyperparameter tuning",
# arXiv:1810.05934) a non-dominated sorting in place of the order of one objective.
#
# The best of several objectives, in order: fronts one below the other, and each front thinned evenly.

_OBJECTIVES = 3


def best_first(values: ArrayLike, count: int) -> list[int]:
    """The indices of the `count` best points, the best first.

    Non-dominated sorting: whoever is on the front comes before whoever is on the front of the rest, and so on. Within a
    front the points are put in the order of an epsilon-net (`epsilon_net`), so that however few of it are taken, they
    lie along all of it. This is the selection of multi-objective successive halving: Schmucker, Donini, Zafar, Salinas
    and Archambeau 2021, "Multi-objective Asynchronous Successive Halving", arXiv:2106.12639; the epsilon-net within a
    front is that of Salinas, Perrone, Cruchant and Archambeau 2021, "A multi-objective perspective on jointly tuning
    hardware and hyperparameters".

    Args:
        values: (n, m), lower is better, finite, m from 1 to 3.
        count: how many are wanted; fewer come back if there are fewer.
    """
    points = np.asarray(values, dtype=np.float64)
    if not len(points):
        return []
    span = np.ptp(points, axis=0)
    scaled = points / np.where(span > 0.0, span, 1.0)
    ranks = front_ranks(points)
    found: list[int] = []
    for rank in range(int(ranks.max()) + 1):
        front = np.flatnonzero(ranks == rank)
        found.extend(front[epsilon_net(scaled[front], min(len(front), count - len(found)))].tolist())
        if len(found) >= count:
            break
    return found


def front_ranks(values: ArrayLike) -> NDArray[np.intp]:
    """Which front each point is on: 0 for those that nothing dominates, 1 for those of the rest, and so on.

    Points in ascending order are put one by one on the first front of which no point dominates them, found by bisection
    (Zhang, Tian, Cheng and Jin 2015, "An efficient approach to nondominated sorting for evolutionary multiobjective
    optimization", ENS-BS). A front remembers the staircase of its other two objectives: one look at it is O(log n).

    Args:
        values: (n, m), lower is better, finite, m from 1 to 3. Equal points are on the same front.

    Raises ValueError for more objectives than three.
    """
    points = np.asarray(values, dtype=np.float64)
    if points.shape[1] > _OBJECTIVES:
        raise ValueError(f"at most {_OBJECTIVES} objectives are sorted, got {points.shape[1]}")
    padded = np.zeros((len(points), _OBJECTIVES))
    padded[:, : points.shape[1]] = points
    unique, group = np.unique(padded, axis=0, return_inverse=True)  # sorted lexicographically
    fronts: list[_Stairs] = []
    ranks = np.zeros(len(unique), dtype=np.intp)
    for index, (_, y, z) in enumerate(unique.tolist()):
        rank = bisect_left(fronts, True, key=lambda front: not front.covers(y, z))
        if rank == len(fronts):
            fronts.append(_Stairs())
        fronts[rank].add(y, z)
        ranks[index] = rank
    return ranks[group.reshape(-1)]


class _Stairs:
    """The non-dominated (y, z) of a front so far, by growing y and falling z."""

    def __init__(self) -> None:
        self._ys: list[float] = []
        self._zs: list[float] = []

    def covers(self, y: float, z: float) -> bool:
        """Whether a pair is at least as good in both."""
        before = bisect_right(self._ys, y)
        return before > 0 and self._zs[before - 1] <= z

    def add(self, y: float, z: float) -> None:
        """Add a pair that is not covered."""
        first = last = bisect_left(self._ys, y)
        while last < len(self._ys) and self._zs[last] >= z:
            last += 1
        self._ys[first:last], self._zs[first:last] = [y], [z]


def epsilon_net(points: ArrayLike, count: int) -> NDArray[np.intp]:
    """The indices of `count` points that are spread: each next one is the farthest from all that were taken before.

    It begins at the lowest first objective. (Clarkson 2006, "Nearest-neighbor searching and metric space dimensions",
    in Nearest-Neighbor Methods in Learning and Vision, MIT Press: the greedy permutation.) Ties go to the lower index.

    Args:
        points: (n, m), in scales that may be compared.
        count: at most n.
    """
    places = np.asarray(points, dtype=np.float64)
    order = np.zeros(min(count, len(places)), dtype=np.intp)
    if not len(order):
        return order
    order[0] = int(np.argmin(places[:, 0]))
    nearest = np.full(len(places), np.inf)
    taken = np.zeros(len(places), dtype=np.bool_)
    for step in range(1, len(order)):
        last = order[step - 1]
        taken[last] = True
        nearest = np.minimum(nearest, np.linalg.norm(places - places[last], axis=1))
        order[step] = int(np.argmax(np.where(taken, -1.0, nearest)))
    return order


class MultiObjectiveHalving:
    """One in `reduction` of a rung's trials goes on; the others are stopped, and may be promoted later.

    The rungs are at `min_epochs`, `reduction` times that, and so on, below the schedule's end. A trial that has done a
    rung's epochs is ranked among all that ever did, by its error then and its other objectives (`best_first`):
    it goes on if it is among the best n // `reduction` of these n, or the best of fewer. It does not wait for others,
    so early trials meet little competition; a stopped one is promoted when the rung has grown and it is among the best.

    Latencies are compared as measured here, without the noise floor: a rank is no verdict.
    """

    def __init__(self, settings: StoppingSettings, context: RuleContext) -> None:
        del context
        self._first, self._reduction = settings.min_epochs, settings.reduction

    def rungs(self, epochs: int) -> list[int]:
        """The epochs after which a trial of a schedule this long is ranked, the first rung first."""
        found, epoch = list[int](), self._first
        while epoch < epochs:
            found.append(epoch)
            epoch *= self._reduction
        return found

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        """Stop at a rung unless the trial is among its best."""
        epoch = len(trial.errors)
        if trial.complete or epoch not in self.rungs(trial.epochs):
            return Decision(epoch=epoch, stop=False, would_stop=False)
        entered = sorted([trial, *others], key=lambda curve: curve.trial)
        members = [curve for curve in entered if len(curve.errors) >= epoch]
        best = self._best(members, epoch)
        if any(curve.trial == trial.trial for curve in best):
            return Decision(epoch=epoch, stop=False, would_stop=False)
        reason = (
            f"not among the best {len(best)} of {len(members)} trials after epoch {epoch} of {trial.epochs} "
            f"(error {trial.errors[-1]:.2f} %)"
        )
        return Decision(epoch=epoch, stop=True, would_stop=True, reason=reason)

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        """The best trial that waits at the highest rung of whose best it is one."""
        rungs = sorted({rung for epochs in {curve.epochs for curve in curves} for rung in self.rungs(epochs)})
        for epoch in reversed(rungs):
            members = [curve for curve in curves if len(curve.errors) >= epoch]
            waiting = {curve.trial for curve in members if len(curve.errors) == epoch and not curve.running}
            best = self._best(members, epoch) if waiting else []
            for curve in best:
                if curve.trial in waiting and not curve.complete:
                    return curve.trial
        return None

    def _best(self, members: Sequence[Curve], epoch: int) -> list[Curve]:
        if not members:
            return []
        values = [(curve.errors[epoch - 1], *curve.known) for curve in members]
        return [members[index] for index in best_first(values, max(1, len(members) // self._reduction))]


# Stop a trial when even an optimistic prediction of its final error leaves it dominated by the front.
#
# The final error of a training, predicted from its curve so far: ridge regression, and what it missed by.

LAST = 2  # evaluations that a prediction looks at
RIDGE = 1.0  # in curves: one more curve would weigh as much

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The final error of one training (percent): what is expected, and what is still possible."""

    expected_error_percent: float
    optimistic_error_percent: float


@dataclass(frozen=True, kw_only=True)
class FinalErrorFit:
    """Ridge regression of the error that is still to be lost, after some epoch t, learnt from whole curves.

    Of each whole curve the drop d = (error after the last epoch) - (error after epoch t) is explained by up to four
    facts: the errors after epochs t and t - 1, the training loss of epoch t, and the mean training loss of the epochs
    up to t (losses where they are known). Each fact is centred and divided by its standard deviation over the curves:

        d = mean(d) + z @ beta,    beta = argmin |d - mean(d) - Z beta|^2 + RIDGE |beta|^2

    With few curves, or facts that tell nothing, that is the mean drop; with many it is the least squares line. The sum
    of training losses ranks networks early and with little noise (Ru, Lyle, Schut, Fil, van der Wilk and Gal 2021,
    "Speedy performance estimation for neural architecture search", arXiv:2006.04492), while an error after the first
    epochs is mostly chance: batch norm's statistics lag behind weights that still move fast.

    The residual of each curve is taken with that curve left out: (d_i - d_i(fitted)) / (1 - h_i) with
    h_i = 1/n + z_i (Z'Z + RIDGE I)^-1 z_i (Allen 1974, "The relationship between variable selection and data
    augmentation and a method for prediction", the PRESS residual; centre and scale are those of all curves).

    Attributes:
        epoch: epochs done.
        center, scale, slope: of the facts.
        mean_drop: mean(d), negative where errors fall (points).
        residuals: of each curve left out, sorted, the lowest (better than predicted) first (points).
    """

    epoch: int
    center: Floats
    scale: Floats
    slope: Floats
    mean_drop: float
    residuals: Floats

    def predict(self, errors: Sequence[float], losses: Sequence[float] = (), *, quantile: float) -> Prediction | None:
        """The prediction for a training with these errors (percent) and losses so far, the first epoch first.

        The optimistic error is the expected one plus the k-th lowest of the n residuals, k = floor(quantile (n + 1)):
        were the next training one like the n, drawn in the same way, it would end below that in at most a share
        `quantile` of cases, whatever the distribution (the finite-sample correction of conformal prediction: Vovk,
        Gammerman and Shafer 2005, "Algorithmic learning in a random world"; with residuals of curves left out, as here,
        it holds approximately: Barber, Candes, Ramdas and Tibshirani 2021, "Predictive inference with the jackknife+").

        Args:
            errors: after each of the `epoch` epochs done.
            losses: of each of them, if the fit was learnt with losses.
            quantile: see above, a share.

        Returns None where k is 0: there are too few curves for a statement this rare.
        """
        rank = math.floor(quantile * (len(self.residuals) + 1) + 1e-9)
        if rank < 1:
            return None
        facts = _facts(np.array([errors], dtype=np.float64), np.array([losses], dtype=np.float64), self.epoch)
        drop = self.mean_drop + float(((facts[0] - self.center) / self.scale) @ self.slope)
        expected = errors[self.epoch - 1] + drop
        optimistic = expected + float(self.residuals[rank - 1])
        return Prediction(
            expected_error_percent=min(max(expected, 0.0), 100.0),
            optimistic_error_percent=min(max(optimistic, 0.0), 100.0),
        )


def fit_final_error(errors: ArrayLike, epoch: int, losses: ArrayLike | None = None) -> FinalErrorFit:
    """Learn from whole curves what a training that has done `epoch` epochs will end with.

    Args:
        errors: after each epoch (percent), (n curves, epochs), n at least 2.
        epoch: epochs done, from 1 to below the number of epochs.
        losses: training losses of each epoch, (n curves, epochs); None where they are not known.
    """
    seen = np.asarray(errors, dtype=np.float64)
    facts = _facts(seen, np.zeros((len(seen), 0)) if losses is None else np.asarray(losses, dtype=np.float64), epoch)
    drops = seen[:, -1] - seen[:, epoch - 1]
    center, spread = facts.mean(axis=0), facts.std(axis=0)
    scale = np.where(spread > 0.0, spread, 1.0)
    scaled = (facts - center) / scale
    mean_drop = float(drops.mean())
    inverse = np.linalg.inv(scaled.T @ scaled + RIDGE * np.eye(scaled.shape[1]))
    slope = inverse @ scaled.T @ (drops - mean_drop)
    leverage = 1.0 / len(seen) + np.einsum("ij,jk,ik->i", scaled, inverse, scaled)
    residuals = (drops - mean_drop - scaled @ slope) / (1.0 - leverage)
    return FinalErrorFit(
        epoch=epoch, center=center, scale=scale, slope=slope, mean_drop=mean_drop, residuals=np.sort(residuals)
    )


def _facts(errors: Floats, losses: Floats, epoch: int) -> Floats:
    """What a prediction after `epoch` epochs looks at, (n, 1 to 4)."""
    latest = errors[:, max(0, epoch - LAST) : epoch]
    if losses.shape[1] == 0:
        return latest
    return np.column_stack([latest, losses[:, epoch - 1], losses[:, :epoch].mean(axis=1)])


_FEWEST_CURVES = 2


class PredictedDomination:
    """Predicts the final error after every epoch, and stops what the front would dominate all the same.

    The prediction is learnt from the study's own complete trainings (`FinalErrorFit`): ridge regression on
    the last two errors and on the training losses. It is optimistic: the final error falls below it in a share of
    about `quantile` of cases. A trial is stopped if a complete one on the front is no worse in latency (within the
    study's noise floor) and in the other objectives, and better than that optimistic error, or as good and better
    elsewhere (`pareto.dominates`).

    Until there are `first_full` complete trainings nothing is stopped. A share `share_full` of all trials, drawn from
    the study's seed and the trial's number, runs to the end whatever is predicted: those would be missing among the
    curves that the next prediction is learnt from, and they show whether the predictions hold.
    """

    def __init__(self, settings: StoppingSettings, context: RuleContext) -> None:
        self._settings, self._seed = settings, context.seed
        self._noisy = Noisy(LATENCY_COLUMN, context.noise_floor)
        self._learnt: _Learnt | None = None

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        """Stop if the optimistic prediction is dominated and nothing exempts the trial."""
        epoch = len(trial.errors)
        complete = tuple(curve for curve in others if curve.complete and curve.epochs == trial.epochs)
        if trial.complete or epoch < self._settings.min_epochs or len(complete) < _FEWEST_CURVES:
            return Decision(epoch=epoch, stop=False, would_stop=False)
        learnt = self._learn(complete)
        prediction = learnt.predict(trial, self._settings.quantile)
        if prediction is None:
            return Decision(epoch=epoch, stop=False, would_stop=False)
        point = (prediction.optimistic_error_percent, *trial.known)
        dominating = (each for each in learnt.front if dominates((each.errors[-1], *each.known), point, self._noisy))
        by = next(dominating, None)
        exempt = "" if by is None else self._exempt(trial, len(complete))
        stop = by is not None and not exempt
        return Decision(
            epoch=epoch,
            stop=stop,
            would_stop=by is not None,
            optimistic_error_percent=prediction.optimistic_error_percent,
            expected_error_percent=prediction.expected_error_percent,
            exempt=exempt,
            reason=_reason(trial, prediction, by) if stop and by is not None else "",
        )

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        """Nothing: what it stops was not worth its last epochs."""
        return None

    def _learn(self, complete: tuple[Curve, ...]) -> _Learnt:
        if self._learnt is None or self._learnt.complete != complete:
            self._learnt = _Learnt(complete, non_dominated(values_of(complete), self._noisy))
        return self._learnt

    def _exempt(self, trial: Curve, complete: int) -> str:
        if complete < self._settings.first_full:
            return f"fewer than {self._settings.first_full} complete trainings"
        if drawn_share(self._seed, trial.trial) < self._settings.share_full:
            return f"one of the {100.0 * self._settings.share_full:g}% that run to the end"
        return ""


class _Learnt:
    """What follows from one set of complete trainings, kept until there is another: the front, a fit for each epoch."""

    def __init__(self, complete: tuple[Curve, ...], on_front: NDArray[np.bool_]) -> None:
        self.complete = complete
        self.front = [curve for curve, member in zip(complete, on_front, strict=True) if member]
        self._errors = np.array([curve.errors for curve in complete], dtype=np.float64)
        known = all(len(curve.losses) == curve.epochs for curve in complete)
        self._losses = np.array([curve.losses for curve in complete], dtype=np.float64) if known else None
        self._fits: dict[tuple[int, bool], FinalErrorFit] = {}

    def predict(self, trial: Curve, quantile: float) -> Prediction | None:
        epoch = len(trial.errors)
        losses = self._losses if len(trial.losses) == epoch else None
        key = (epoch, losses is not None)
        if key not in self._fits:
            self._fits[key] = fit_final_error(self._errors, epoch, losses)
        return self._fits[key].predict(trial.errors, trial.losses if losses is not None else (), quantile=quantile)


def drawn_share(seed: int, trial: int) -> float:
    """A number in [0, 1) that follows from the study's seed and the trial's number alone, evenly spread."""
    digest = hashlib.sha256(f"archsearch early stopping {seed} {trial}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _reason(trial: Curve, prediction: Prediction, by: Curve) -> str:
    return (
        f"error {trial.errors[-1]:.2f} % after epoch {len(trial.errors)} of {trial.epochs}, at the end "
        f"{prediction.expected_error_percent:.2f} % expected and {prediction.optimistic_error_percent:.2f} % at best: "
        f"dominated by trial {by.trial} ({by.errors[-1]:.2f} %)"
    )


class NeverStop:
    """Stops nothing and promotes nothing."""

    def __init__(self, settings: StoppingSettings, context: RuleContext) -> None:
        del settings, context  # it has nothing to set

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        """Go on."""
        return Decision(epoch=len(trial.errors), stop=False, would_stop=False)

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        """Nothing: nothing was stopped."""
        return None


STOPPING: Registry[Callable[[StoppingSettings, RuleContext], StoppingRule]] = Registry(
    "stopping policy",
    {"none": NeverStop, "predicted": PredictedDomination, "mo_asha": MultiObjectiveHalving},
)


def make_rule(settings: StoppingSettings, *, seed: int, noise_floor: NoiseFloor | float) -> StoppingRule:
    """The rule that a study asks for.

    What a rule says follows from the curves that it is shown: what it remembers only saves time, so every worker may
    have its own.

    Args:
        settings: the study's `stopping`.
        seed: the study's seed.
        noise_floor: the difference of two latencies from which on they differ; a number is a share.
    """
    return STOPPING[settings.policy](settings, RuleContext(seed=seed, noise_floor=NoiseFloor.given(noise_floor)))
