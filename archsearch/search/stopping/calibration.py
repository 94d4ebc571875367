"""Whether a rule's predictions held: the trials that it would have stopped, and that ran to the end all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsearch.analysis.pareto import Noisy, non_dominated
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.search.stopping.base import Curve, Decision

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


def noisy_column(noise_floor: NoiseFloor) -> Noisy | None:
    """The latency as the objective in which small differences are ties; None without a noise floor."""
    return Noisy(LATENCY_COLUMN, noise_floor) if noise_floor.ties else None


def front_trials(complete: Sequence[Curve], noise_floor: NoiseFloor) -> tuple[int, ...]:
    """The numbers of the complete trials on their front (`analysis.pareto.non_dominated`)."""
    if not complete:
        return ()
    mask = non_dominated(values_of(complete), noisy_column(noise_floor))
    return tuple(curve.trial for curve, member in zip(complete, mask, strict=True) if member)
