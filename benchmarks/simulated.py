"""A study without training: the samplers, the repeats and the stopping rules of archsearch on a surrogate's networks.

As a worker does: a repeated network is answered at once and takes no place, after three repeats in a row a suggestion
is random, and a trial that is stopped early takes a place but is no point of the front.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import optuna
from numpy.typing import NDArray
from surrogate import Evaluated, Study

from archsearch.analysis.pareto import hypervolume, non_dominated
from archsearch.search.optuna_study import distribution
from archsearch.search.samplers import make_sampler
from archsearch.search.samplers.points import EARLY_STOP, Points
from archsearch.search.stopping.base import Curve, Decision, StoppingRule

_RANDOM_AFTER_REPEATS = 3  # as archsearch.search.worker
_USED_UP_AFTER_REPEATS = 100


@dataclass(frozen=True, kw_only=True)
class Step:
    """The study after one more trial has its place.

    Attributes:
        trials, stopped: trials that hold a place, and those of them that were stopped early.
        epochs: trained so far, in all.
        repeats: suggestions of networks that the study had.
        share: hypervolume of the complete trials, by their values without noise, as a share of the box between zero
            and the reference point.
        suggest_seconds: CPU time of the sampler so far.
    """

    trials: int
    stopped: int
    epochs: int
    repeats: int
    share: float
    suggest_seconds: float


class Volume:
    """The hypervolume of points that come one by one, as a share of the box below the reference point."""

    def __init__(self, corner: tuple[float, ...]) -> None:
        self._corner = np.array(corner)
        self._front: NDArray[np.float64] = np.zeros((0, len(corner)))

    def add(self, values: list[float]) -> None:
        """One more point."""
        points = np.concatenate([self._front, np.array([values])])
        self._front = points[non_dominated(points)]

    @property
    def share(self) -> float:
        """Of the points so far."""
        return hypervolume(self._front, self._corner) / float(np.prod(self._corner)) if len(self._front) else 0.0


def searched(study: Study, sampler: str, *, seed: int, trials: int, rule: StoppingRule | None = None) -> Iterator[Step]:
    """A study of so many trials, one step a trial; ends early if the sampler knows no new network.

    `rule` sees each curve after each of its epochs but the last; without it every curve is trained to its end.
    """
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = study.surrogate.space
    distributions = {domain.name: distribution(domain) for domain in space.domains}
    points = Points(distributions, space, input_size=study.surrogate.input_size)
    created = optuna.create_study(directions=["minimize"] * len(study.objectives))
    told: dict[str, tuple[list[float], bool]] = {}
    curves: list[Curve] = []
    volume = Volume(study.reference_point)
    sequence = repeats = in_a_row = epochs = stopped = 0
    seconds = 0.0
    while len(told) < trials and in_a_row < _USED_UP_AFTER_REPEATS:
        sequence += 1
        began = time.process_time()
        created.sampler = make_sampler(
            "random" if in_a_row >= _RANDOM_AFTER_REPEATS else sampler,
            study_seed=seed,
            sequence=sequence,
            points=points,
            reference_point=study.reference_point,
        )
        trial = created.ask(distributions)
        seconds += time.process_time() - began
        evaluated = study.surrogate(points.choices(_point(points, trial)))
        repeated = evaluated.arch_id in told
        if repeated:
            repeats, in_a_row = repeats + 1, in_a_row + 1
        else:
            in_a_row = 0
            values, decision, trained = _trained(study, evaluated, trial.number, curves, rule)
            told[evaluated.arch_id] = (values, decision is not None)
            epochs += trained
            stopped += decision is not None
            if decision is None:
                volume.add(study.true_values(evaluated))
        values, was_stopped = told[evaluated.arch_id]
        if rule is not None:
            trial.set_constraint(EARLY_STOP, 1.0 if was_stopped else -1.0)
        created.tell(trial, values)
        if not repeated:
            yield Step(
                trials=len(told), stopped=stopped, epochs=epochs, repeats=repeats, share=volume.share,
                suggest_seconds=seconds,
            )  # fmt: skip


def _point(points: Points, trial: optuna.Trial) -> tuple[int, ...]:
    found = points.point(trial.params)
    if found is None:
        raise ValueError(f"the sampler left the search space: {trial.params}")
    return found


def _trained(
    study: Study, evaluated: Evaluated, number: int, curves: list[Curve], rule: StoppingRule | None
) -> tuple[list[float], Decision | None, int]:
    """The values to tell, the decision that stopped the training if one did, and the epochs trained."""
    values = study.values(evaluated)
    known = tuple(value for name, value in zip(study.objectives, values, strict=True) if name != "error_percent")
    length = len(evaluated.curve)
    for epoch in range(1, length) if rule is not None else ():
        curve = Curve(
            trial=number,
            errors=evaluated.curve[:epoch],
            losses=evaluated.losses[:epoch],
            epochs=length,
            known=known,
            running=True,
        )
        decision = rule.decide(curve, curves) if rule is not None else None
        if decision is not None and decision.stop:
            curves.append(replace(curve, running=False))
            expected = decision.expected_error_percent
            error = curve.errors[-1] if expected is None else expected
            values = [error if name == "error_percent" else value for name, value in
                      zip(study.objectives, values, strict=True)]  # fmt: skip
            return values, decision, epoch
    curves.append(Curve(trial=number, errors=evaluated.curve, losses=evaluated.losses, epochs=length, known=known))
    return values, None, length
