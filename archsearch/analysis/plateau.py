"""Whether a study still gains: its hypervolume before and after its last ended trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from archsearch.analysis.front import MEASURED_OBJECTIVE
from archsearch.analysis.objectives import is_complete, objective_values
from archsearch.analysis.pareto import hypervolume
from archsearch.errors import ConfigError
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.records import Record, TrialStatus

FLAT = 0.001  # a growth of less than a thousandth of the hypervolume is none
_ENDED = (TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.FAILED)  # what `--trials` counts


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """What the last trials added.

    Attributes:
        trials: how many of the last ended trials are looked at.
        before: hypervolume of the trials before them (product of the objectives' units), above 0.
        after: hypervolume with them, where their latencies count as slower by the study's noise floor: a network that
            is faster by less than the floor may be so by luck, and has gained nothing.
    """

    trials: int
    before: float
    after: float

    @property
    def growth(self) -> float:
        """What the last trials added, as a share of the hypervolume before them."""
        return (self.after - self.before) / self.before

    @property
    def flat(self) -> bool:
        """Whether that is nothing worth going on for (less than `FLAT`)."""
        return self.growth < FLAT


def plateau_of(
    records: Sequence[Record],
    objectives: Sequence[str],
    reference_point: Mapping[str, float] | None,
    *,
    trials: int,
    noise_floor: NoiseFloor | float = NO_FLOOR,
) -> Plateau | None:
    """What the last `trials` ended trials added to the hypervolume.

    Args:
        records: of any status, in any order. Complete, stopped and failed ones count; repeats and rejected ones do
            not, as for `--trials`.
        objectives: names, lower is better.
        reference_point: the study's, by objective; None while it has none.
        trials: how many of the last ones to look at, by number.
        noise_floor: the difference of two latencies from which on they differ; a number is a share.

    Returns:
        None while nothing can be said: no reference point, no trials before the last ones, or none of them better
        than the reference point.

    Raises ConfigError if `trials` is below 1.
    """
    if trials < 1:
        raise ConfigError(f"a plateau is of at least 1 trial, got {trials}")
    ended = sorted((record for record in records if record.status in _ENDED), key=lambda record: record.trial)
    if reference_point is None or len(ended) <= trials:
        return None
    corner = [reference_point[name] for name in objectives]
    first = _values(ended[:-trials], objectives)
    before = hypervolume(first, corner)
    if before <= 0.0:
        return None
    last = _values(ended[-trials:], objectives)
    if MEASURED_OBJECTIVE in objectives:
        column = list(objectives).index(MEASURED_OBJECTIVE)
        last[:, column] = NoiseFloor.given(noise_floor).upper(last[:, column])
    return Plateau(trials=trials, before=before, after=hypervolume(np.concatenate([first, last]), corner))


def _values(records: Sequence[Record], objectives: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    values = objective_values([record for record in records if is_complete(record)], objectives)
    return values[np.isfinite(values).all(axis=1)]
